"""Random generators derived from a seed and names; raysweep uses no global generator.

``python_rng(42, "evol", "C1", "row-7")`` gives the same numbers in every process, in whatever order work is done. Texts
and sets that several cells share are made by generators whose names don't include the cell.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch


DEFAULT_SEED = 42
"""The seed of everything that is drawn, unless a config or an option gives another."""


def derive(seed: int, *names: str | int) -> int:
    """Return a 128-bit integer that depends only on `seed` and the names."""
    text = json.dumps([seed, *names], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def python_rng(seed: int, *names: str | int) -> random.Random:
    """Return a new `random.Random` for (seed, names)."""
    return random.Random(derive(seed, *names))


def numpy_rng(seed: int, *names: str | int) -> numpy.random.Generator:
    """Return a new NumPy generator (PCG64) for (seed, names)."""
    import numpy

    return numpy.random.Generator(numpy.random.PCG64(derive(seed, *names)))


def torch_rng(seed: int, *names: str | int) -> torch.Generator:
    """Return a new CPU `torch.Generator` for (seed, names)."""
    import torch

    generator = torch.Generator()
    generator.manual_seed(derive(seed, *names) % 2**63)
    return generator
