"""A sweep that grows pays for the difference.

More training sets and seeds are in tests/behaviour/sweeps/test_run.py, whose sweeps fine-tune; which completions and
programs are found again in tests/stages/test_generation.py.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.planning.missing import missing
from raysweep.planning.planner import build_plan
from raysweep.storage.store import Store
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.storage.stores import committed, written
from tests.sweep.few_problems import FEW_PROBLEMS

pytestmark = pytest.mark.slow

SOLVER, BETTER = (
    {"name": name, "generator": {"name": "fake", "share": share}} for name, share in (("solver", 0.5), ("better", 0.9))
)


def config(*models: dict[str, Any], name: str = "s", limit: int = 8) -> SweepConfig:
    drawn = {"problems": [FEW_PROBLEMS], "perturbations": ["C1"], "limit": limit, "temperature": 0.8, "samples": 2}
    return config_from({"name": name, "allow_code_execution": True, "models": [*models], "evaluation": drawn}, "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A store with a finished sweep of one model, on two test sets, with two samples."""
    root = tmp_path_factory.mktemp("finished")
    assert not run_sweep(config(SOLVER), RunOptions(str(root), "local")).errors
    return root


@pytest.mark.parametrize(
    ("amended", "made"),
    [
        (config(SOLVER, BETTER), Counter(completions=2, results=2)),
        (config(SOLVER, name="longer", limit=12), Counter(references=1, test_set=2, completions=2, results=2)),
    ],
    ids=["a new model, on the test sets that are there", "more problems"],
)
def test_what_was_missing_of_the_plan_is_made_and_what_was_there_is_used_and_left_alone(
    finished, tmp_path, amended, made
):
    root = Path(shutil.copytree(finished, tmp_path / "store"))
    store, before = Store(root), written(root)
    planned = {f"{one.node.stage}/{one.node.key}" for one in missing(build_plan(amended).targets, store) if one.node}
    assert not run_sweep(amended, RunOptions(str(root), "local")).errors
    after = written(root)
    assert after.keys() - before.keys() == planned and {name: after[name] for name in before} == before
    assert Counter(name.partition("/")[0] for name in planned) == made
    new = {name: one.unit for name, one in committed(root).items() if name in planned}
    counts = {stage: [store.counts(unit) for unit in new.values() if unit.stage == stage] for stage in made}
    assert sum(one["programs_run"] for one in counts["results"]) < sum(one["rows"] for one in counts["results"])
    assert sum(one["reused"] for one in counts["completions"]) or amended.name == "s", "the first problems' are there"
