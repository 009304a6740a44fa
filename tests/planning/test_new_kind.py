"""A new kind of artefact is a record and a function: everything else about it follows."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from raysweep.cli.views.status import print_status
from raysweep.config.schema import SweepConfig
from raysweep.engine.base import Context, Work
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.errors import HopelessError
from raysweep.pipeline import MAKERS, make, one_by_one
from raysweep.planning.missing import missing
from raysweep.planning.plan import ArtefactPlan, SweepPlan, TestSetPlan
from raysweep.planning.planner import build_plan
from raysweep.records import PromptRow, Recovery
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.storage.artefacts import Node
from raysweep.storage.blocks import Blocks
from raysweep.storage.store import Store
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.run import SweepResult, run_plan
from raysweep.sweep.tasks import RunOptions

NOTES, STOP_AFTER = "LENGTHS_NOTES", "LENGTHS_STOP_AFTER"
"""Environment variables: a file for a line about each measured prompt; stop after so many."""


@dataclass(frozen=True)
class Length:
    """A row of the new artefact."""

    task_id: str
    characters: int


@dataclass(frozen=True)
class LengthsPlan(ArtefactPlan):
    """The lengths of a test set's prompts, measured after others where that is asked for."""

    node: Node
    test_set: TestSetPlan
    first: LengthsPlan | None = None

    @property
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        return (self.test_set, *([self.first] if self.first else []))


def make_lengths(plan: LengthsPlan, work: Work) -> None:
    """Measure prompts one by one; those of an earlier attempt are kept."""
    assert plan.first is None or work.store.has(plan.first.node)
    rows = work.store.rows(plan.test_set.node, PromptRow)
    blocks = Blocks(work.store.unfinished(plan.node), Length)
    lengths = blocks.read()
    for row in rows:
        if row.task_id not in lengths:
            if os.environ.get(STOP_AFTER) == str(len(lengths)):
                raise HopelessError("the ruler broke")
            with Path(os.environ[NOTES]).open("a") as notes:
                notes.write(f"{row.task_id}\n")
            lengths[row.task_id] = Length(row.task_id, len(row.prompt))
            blocks.add({row.task_id: lengths[row.task_id]})
            work.progress.update("measuring", len(lengths), len(rows))
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, Length, lengths.values(), ["task_id"])
        draft.counts = {"rows": len(lengths)}


MAKERS[LengthsPlan] = one_by_one(make_lengths)


def plan_named(name: str) -> SweepPlan:
    config = {
        "name": name,
        "allow_code_execution": True,
        "models": [{"name": "m", "generator": {"name": "reference"}}],
        "evaluation": {"problems": [{"name": "minicode", "count": 4}], "perturbations": ["clean"]},
        "execution": {"require": "limits"},
        "recovery": {"retries": 0},
    }
    plan = build_plan(SweepConfig.model_validate(config))
    test_set = plan.cells[0].pairs[0].test_set
    lengths = LengthsPlan(Node("lengths", 1, {}, (test_set.node.key,), "lengths of minicode"), test_set)
    return dataclasses.replace(plan, further=(lengths,))


def run(name: str, storage: Path) -> SweepResult:
    store = Store(storage)
    store.require_writable()
    return run_plan(plan_named(name), store, RunOptions(str(storage), "local"))


@pytest.fixture
def notes(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    return tmp_path / "notes"


@pytest.mark.slow
def test_it_is_planned_after_its_inputs_resumes_what_stopped_it_which_status_shows_and_is_made_once(
    tmp_path, notes, monkeypatch, capsys
):
    plan, store = plan_named("s"), Store(tmp_path / "store")
    store.require_writable()
    shared = plan_facts(plan, store).shared_missing
    assert shared.index("test set minicode clean") < shared.index("lengths of minicode")
    monkeypatch.setenv(STOP_AFTER, "3")
    stopped = run("s", tmp_path / "store")
    [(task, error)] = stopped.errors.items()
    assert task.startswith("lengths-of-minicode-") and error == "the ruler broke"
    print_status(stopped.folder, as_json=True)
    [shared] = json.loads(capsys.readouterr().out)["shared"]
    assert (shared["id"], shared["state"], shared["error"]) == (task, "failed", error)
    monkeypatch.delenv(STOP_AFTER)
    assert not run("s", tmp_path / "store").errors
    [lengths] = plan.further
    assert [row.characters > 0 for row in store.rows(lengths.node, Length)] == [True] * 4
    assert not missing(plan.targets, store, repair=True)
    assert not run("s", tmp_path / "store").cells_run
    assert len(notes.read_text().split()) == len(set(notes.read_text().split())) == 4


def test_plans_of_one_kind_are_made_in_order_whatever_their_keys(tmp_path, notes):
    store = Store(tmp_path)
    store.require_writable()
    [lengths] = plan_named("s").further
    later = (
        LengthsPlan(dataclasses.replace(lengths.node, version=2 + n), lengths.test_set, lengths) for n in range(99)
    )
    second = next(plan for plan in later if plan.node.key < lengths.node.key)
    context = Context(store.root, "s", 0, Recovery(retries=0))
    make([second], Work(store, LocalStages(), ProgressFile(store.progress("s"), "lengths"), context))
    assert store.has(lengths.node) and store.has(second.node)
