"""One finished sweep for all tests that read one, or damage a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.sweep.few_problems import few


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the finished sweep `few`, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    assert not run_sweep(few(), RunOptions(str(folder), "local")).errors
    return folder


@pytest.fixture
def store_copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of that store, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "store"))
