"""One finished sweep for all tests that read one, or damage a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.processes import made_once
from tests.sweep.few_problems import few


@pytest.fixture(scope="session")
def finished(run_folder: Path) -> Path:
    """The store of the finished sweep `few`, which no test changes."""

    def make(folder: Path) -> None:
        assert not run_sweep(few(), RunOptions(str(folder), "local")).errors

    return made_once(run_folder / "finished-few", make)


@pytest.fixture
def store_copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of that store, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "store"))
