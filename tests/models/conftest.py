"""A model's folder that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysweep.records import ModelRef


@pytest.fixture
def folder(tiny: dict[str, ModelRef], tmp_path: Path) -> Path:
    """A copy of a model that may be changed."""
    return Path(shutil.copytree(tiny["llama"].location, tmp_path / "llama-tiny"))
