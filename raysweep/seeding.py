"""Random generators derived from a seed and names; nothing in raysweep touches a global generator.

``python_rng(42, "evol", "C1", "row-7")`` gives the same stream in every process, in any order of work.
What cells share (texts, sets) is derived without the cell, so that they stay shared.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a 128-bit integer that depends on `seed` and every name, and on nothing else."""
    text = json.dumps([seed, *names], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def python_rng(seed: int, *names: str | int) -> random.Random:
    """Return a `random.Random` of its own for (seed, names)."""
    return random.Random(derive(seed, *names))


def numpy_rng(seed: int, *names: str | int) -> numpy.random.Generator:
    """Return a NumPy generator (PCG64) of its own for (seed, names)."""
    import numpy

    return numpy.random.Generator(numpy.random.PCG64(derive(seed, *names)))


def torch_rng(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU `torch.Generator` of its own for (seed, names)."""
    import torch

    generator = torch.Generator()
    generator.manual_seed(derive(seed, *names) % 2**63)
    return generator
