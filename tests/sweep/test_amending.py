"""A sweep that grows pays for the difference: what is planned, made, generated and executed.

More training sets and seeds are in test_run.py, whose sweeps fine-tune.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.planning.missing import missing
from raysweep.planning.planner import build_plan
from raysweep.records import Completion, Result
from raysweep.storage.artefacts import Unit
from raysweep.storage.store import Store
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.storage.stores import committed, written
from tests.sweep.few_problems import FEW_PROBLEMS

SOLVER = {"name": "solver", "generator": {"name": "fake", "share": 0.5}}
BETTER = {"name": "better", "generator": {"name": "fake", "share": 0.9}}
DRAWN = {"temperature": 0.8, "samples": 2}


def config(*more_models: Mapping[str, Any], name: str = "s", **evaluation: Any) -> SweepConfig:
    drawn = {"problems": [FEW_PROBLEMS], "perturbations": ["C1"], "limit": 8, **DRAWN, **evaluation}
    value = {"name": name, "allow_code_execution": True, "models": [SOLVER, *more_models], "evaluation": drawn}
    return config_from(value, "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A store with a finished sweep of one model, on two test sets, with two samples."""
    root = tmp_path_factory.mktemp("finished")
    assert not run_sweep(config(), RunOptions(str(root), "local")).errors
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    """A copy of this store."""
    return Path(shutil.copytree(finished, tmp_path / "store"))


@dataclass(frozen=True)
class Difference:
    """What an amended sweep made beside what was there."""

    made: Counter[str]  # new artefacts by stage
    generated: int  # completions that a generator was asked for
    executed: int  # programs that ran
    completions: frozenset[str]  # keys of all completions in the new artefacts
    programs: frozenset[str]  # hashes of all programs in the new artefacts


def completions_of(store: Store, units: list[Unit]) -> frozenset[str]:
    return frozenset(row.key for unit in units for row in store.rows(unit, Completion))


def programs_of(store: Store, units: list[Unit]) -> frozenset[str]:
    return frozenset(row.program_sha for unit in units for row in store.rows(unit, Result))


def units(root: Path, stage: str, names: set[str]) -> list[Unit]:
    return [
        artefact.unit for name, artefact in committed(root).items() if name in names and artefact.unit.stage == stage
    ]


def amend(root: Path, amended: SweepConfig) -> Difference:
    """Run an amended sweep; check that it made what was missing of its plan, and left alone what was there."""
    store, before = Store(root), written(root)
    planned = {
        f"{item.node.stage}/{item.node.key}" for item in missing(build_plan(amended).targets, store) if item.node
    }
    assert not run_sweep(amended, RunOptions(str(root), "local")).errors
    after = written(root)
    new = after.keys() - before.keys()
    assert new == planned and {name: after[name] for name in before} == before
    completions, results = units(root, "completions", new), units(root, "results", new)
    counts = [store.counts(unit) for unit in completions]
    return Difference(
        Counter(name.partition("/")[0] for name in new),
        sum(one["distinct"] - one["reused"] for one in counts),
        sum(store.counts(unit)["programs_run"] for unit in results),
        completions_of(store, completions),
        programs_of(store, results),
    )


def there(root: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys of the completions and the hashes of the programs that a store has."""
    store, names = Store(root), set(committed(root))
    return completions_of(store, units(root, "completions", names)), programs_of(store, units(root, "results", names))


def test_the_same_config_again_makes_nothing(root):
    assert amend(root, config()) == Difference(Counter(), 0, 0, frozenset(), frozenset())


def test_a_new_model_is_judged_alone_and_on_the_test_sets_that_are_there(root):
    before, programs = there(root)
    new = amend(root, config(BETTER))
    assert new.made == Counter(completions=2, results=2)
    assert new.generated == len(new.completions) == len(before), "the other model's prompts, once each"
    assert new.executed == len(new.programs - programs) < len(new.programs), "equal programs ran for the other model"


def test_a_new_test_set_costs_the_prompts_that_no_other_one_has(root):
    before, programs = there(root)
    new = amend(root, config(perturbations=["C1", "C2"]))
    assert new.made == Counter(test_set=1, completions=1, results=1)
    assert new.generated == len(new.completions - before) > 0
    assert new.executed == len(new.programs - programs)


def test_another_draw_of_a_perturbation_costs_one_test_set(root):
    new = amend(root, config(draws=2))
    assert new.made == Counter(test_set=1, completions=1, results=1)


def test_more_samples_cost_the_additional_ones(root):
    before, programs = there(root)
    new = amend(root, config(name="more", samples=5))
    assert new.made == Counter(completions=2, results=2)
    assert new.generated == len(new.completions - before) == len(before) / 2 * 3 and before < new.completions
    assert new.executed == len(new.programs - programs)


def test_fewer_samples_cost_nothing_but_the_rows(root):
    new = amend(root, config(name="fewer", samples=1))
    assert (new.generated, new.executed) == (0, 0) and new.made == Counter(completions=2, results=2)


def test_more_problems_cost_the_additional_ones(root):
    before, programs = there(root)
    new = amend(root, config(name="longer", limit=12))
    assert new.made == Counter(references=1, test_set=2, completions=2, results=2)
    assert new.generated == len(new.completions - before) and before < new.completions
    assert new.executed == len(new.programs - programs)
