"""Models that tests of a folder share, and one that a test may change."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest

from tests.models.configs import make_random


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of a model that may be changed."""
    return Path(shutil.copytree(tiny["llama"].location, tmp_path / "llama-tiny"))


@pytest.fixture(scope="session")
def random(tmp_path_factory):
    """Makes a random model of a type, once a run: ``random("gpt2", initializer_range=0.2)``."""
    return functools.cache(lambda kind, **fields: make_random(kind, tmp_path_factory.mktemp(kind), **fields))
