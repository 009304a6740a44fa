"""A sweep of models that need no weights, judged on a few problems of HumanEval: two samples, two draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.config.loading import config_from
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.processes import made_once
from tests.storage.stores import written

CONFIG = {
    "name": "small",
    "allow_code_execution": True,
    "models": [
        {"name": "half", "generator": {"name": "fake", "share": 0.5}},
        {"name": "none", "generator": {"name": "fake", "share": 0}},
    ],
    "evaluation": {"problems": ["humaneval"], "perturbations": ["C1"], "limit": 6, "samples": 2, "draws": 2},
}


@pytest.fixture(scope="module")
def storage(run_folder) -> Iterator[Path]:
    """The store of a finished sweep. No export changes it."""

    def make(folder: Path) -> None:
        assert not run_sweep(config_from(CONFIG, "test"), RunOptions(str(folder), "local")).errors

    folder = made_once(run_folder / "export-store", make)
    before = written(folder)
    yield folder
    assert written(folder) == before


@pytest.fixture
def swept(storage) -> SweepFolder:
    """The folder of the finished sweep."""
    return open_folder("small", str(storage))
