"""Generators depend on seed and names, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raysweep.seeding import derive, numpy_rng, python_rng, torch_rng


def test_a_stream_depends_on_every_name_and_their_borders():
    streams = {
        derive(*args)
        for args in [(1, "a", "b"), (1, "ab"), (1, "a", "c"), (2, "a", "b"), (1, "b", "a"), (1, 1), (1, "1")]
    }
    assert len(streams) == 7


@pytest.mark.slow
def test_another_process_draws_the_same_numbers():
    draws = "python_rng(3, 'x').random(), numpy_rng(3, 'x').random(), torch_rng(3, 'x').initial_seed()"
    code = f"from raysweep.seeding import *; print({draws})"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    here = [python_rng(3, "x").random(), numpy_rng(3, "x").random(), torch_rng(3, "x").initial_seed()]
    assert there == [str(number) for number in here]
