"""Rejected responses of a source's rows: made block by block, failing the rows' tests, and shared by training sets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from raysweep.config.loading import config_from
from raysweep.execution.pool import execute
from raysweep.pipeline import make
from raysweep.planning.plan import RejectedRowsPlan
from raysweep.planning.sets import SetPlanner
from raysweep.programs import Limits, Outcome
from raysweep.records import Leak, Problem, RejectedRow, SourceRow, TrainingRow
from raysweep.stages import preference_pairs
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.rejected.pair_filters import PairFilters, Variant
from raysweep.training_sets.rejected.teacher import WHOLE
from tests.stages.making import opened, work_on

pytestmark = pytest.mark.slow

MINICODE = {"name": "minicode", "count": 3}
ROWS = {"name": "minicode", "rows": 40, "part": "finetuning"}


def sets_of(training: dict[str, Any], problems: Any = MINICODE, **more: Any) -> SetPlanner:
    models = [{"name": "echo", "generator": "reference"}]
    document = {"name": "pairs", "models": models, "training": training, "evaluation": {"problems": [problems]}}
    return SetPlanner(config_from({**document, **more}, "test"))


def planner(**rejected: Any) -> SetPlanner:
    return sets_of({"source": ROWS | ({"rejected": rejected} if rejected else {}), "sets": ["clean", "C1"]})


def of_python() -> RejectedRowsPlan:
    plan = planner(mutator="python").fine_tuning_set("clean").rejected
    return plan


def test_each_response_is_changed_and_the_changed_one_fails_its_tests(tmp_path):
    store, sets = opened(tmp_path), planner(mutator="python", seed=1)
    clean, perturbed = sets.fine_tuning_set("clean"), sets.fine_tuning_set("C1")
    assert clean.rejected is not None and clean.rejected == perturbed.rejected
    make([clean, perturbed], work_on(store))
    made = store.rows(clean.rejected.node, RejectedRow)
    source, rows = SOURCES.create(clean.rows.source), store.rows(clean.rows.node, SourceRow)
    assert [one.row_id for one in made] == [row.row_id for row in rows]
    programs = []
    for row, one in zip(rows, made, strict=True):
        if one.rejected is None:
            assert one.reason == "less similar than 0.5" and row.output.count("return") == 1  # `return n`
            continue
        assert one.rejected != row.output
        problem = source.problem(row)
        programs += [problem.assemble(one.rejected), problem.assemble(row.output)]
    outcomes = [verdict.outcome for verdict in execute(programs, Limits())]
    assert all(outcome is Outcome.PASSED for outcome in outcomes[1::2])
    assert all(outcome is not Outcome.PASSED for outcome in outcomes[::2])
    for plan in (clean, perturbed):
        by_id = {row.source_id: row.rejected for row in store.rows(plan.node, TrainingRow)}
        assert by_id == {one.row_id: one.rejected for one in made}
    counts = store.manifest(clean.rejected.node)["counts"]
    assert sum(counts["changed"].values()) == len(programs) // 2 >= 36
    assert sum(counts["without"].values()) == 40 - len(programs) // 2 and counts["rows"] == 40
    assert len(counts["changed"]) >= 5  # operators take turns


def test_an_interrupted_run_keeps_its_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.stages.training_sets.BLOCK_ROWS", 16)
    path = tmp_path / "rows.jsonl"
    rows = [{"instruction": f"Add {n}.", "output": f"total = first + {n}\n"} for n in range(40)]  # which have no tests
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"name": "jsonl", "path": str(path), "rejected": {"mutator": "python"}}
    plan = sets_of({"source": source, "sets": ["clean"]}).fine_tuning_set("clean").rejected
    store, other = opened(tmp_path / "one"), opened(tmp_path / "other")
    real, calls = preference_pairs._rejected, [0]

    def second_fails(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(preference_pairs, "_rejected", second_fails)
    with pytest.raises(KeyboardInterrupt):
        make([plan], work_on(store))
    make([plan], work_on(store))
    assert calls[0] == 1 + 1 + 2  # of three blocks the first was kept
    monkeypatch.setattr(preference_pairs, "_rejected", real)
    make([plan], work_on(other))
    assert store.rows(plan.node, RejectedRow) == other.rows(plan.node, RejectedRow)


def test_rows_that_can_not_be_changed_are_counted_by_their_reason():
    rows = [
        SourceRow("a", "Say hello.", "Hello there!"),
        SourceRow("b", "Name it.", "x = y\n"),
        SourceRow("c", "Add.", "x = a + b\n"),
    ]
    plan = of_python()
    source, service = SOURCES.create(plan.rows.source), _NoPrograms()
    source.problem = lambda row: None
    found = [preference_pairs._mutated(row, plan) for row in rows]
    made = preference_pairs._rejected(rows, found, plan, source, service)
    assert [one.reason for one in made] == ["no Python code", "nothing to change", "operator swap"]
    assert [one.rejected is None for one in made] == [True, True, False]
    strict = dataclasses.replace(plan, filters=PairFilters(True, 1.0, 0))
    assert preference_pairs._mutated(rows[2], strict) == "less similar than 1"


@pytest.mark.parametrize(("way", "chosen", "told"), [("report", "first + 8", 1), ("drop", "first * 7", 0)])
def test_rejected_responses_that_give_a_problem_away_are_told_or_left_out(tmp_path, way, chosen, told):
    row = {"instruction": "Count them.", "output": "total = first + 7\n"}
    problem = {"task_id": "T/0", "prompt": "def f():\n", "entry_point": "f", "test": "def check(f): pass"}
    problem["canonical_solution"] = "total = first + 8\n"
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "others.jsonl").write_text(json.dumps({**row, "instruction": "Count others."}) + "\n")
    (tmp_path / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    rejected = {"mutator": "python", "seed": 5}  # of which the first change is `first + 8`
    source = {"name": "jsonl", "path": str(tmp_path / "rows.jsonl"), "rejected": rejected}
    others = {**source, "path": str(tmp_path / "others.jsonl")}
    training = {"source": source, "validation": others, "sets": ["clean"], "decontaminate": way}
    sets = sets_of(training, {"name": "jsonl", "as": "mine", "path": str(tmp_path / "problems.jsonl")})
    plan, (leakage,), validation = sets.fine_tuning_set("clean"), sets.leakages(["clean"]), sets.validation_set("clean")
    store = opened(tmp_path / "store")
    make([leakage, plan, validation], work_on(store))
    assert [row.rejected for row in store.rows(plan.node, TrainingRow)] == [f"total = {chosen}\n"]
    assert [leak.rule for leak in store.rows(leakage.node, Leak)] == ["solution"] * told
    assert [row.rejected for row in store.rows(validation.node, TrainingRow)] == ["total = first * 7\n"]  # either way


class _NoPrograms:
    """A service for rows without tests."""

    def execute(self, programs: list[Any], limits: Limits) -> list[Any]:
        assert not programs
        return []


def test_sets_without_rejected_responses_keep_their_keys():
    plain, paired = (planner(**args).fine_tuning_set("clean") for args in ({}, {"mutator": "python"}))
    assert plain.rejected is None and plain.node.inputs == (plain.rows.node.key,)
    assert paired.node.key != plain.node.key and paired.rows.node.key == plain.rows.node.key


def test_rows_without_a_rejected_response_are_left_out_for_all_recipes_where_a_source_says_so(tmp_path):
    store, kept = opened(tmp_path), planner(mutator="python", seed=1)
    paired = planner(mutator="python", seed=1, unpaired="drop")
    plans = [sets.fine_tuning_set("clean") for sets in (kept, paired)]
    assert plans[0].rejected == plans[1].rejected and plans[0].node.key != plans[1].node.key
    make(plans, work_on(store))
    every, some = (store.rows(plan.node, TrainingRow) for plan in plans)
    assert some == [row for row in every if row.rejected is not None] and len(some) < len(every) == 40
    assert store.manifest(plans[1].node)["counts"]["rows_unpaired"] == 40 - len(some)


def test_another_isolation_makes_other_pairs_where_rows_have_tests(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"instruction": "Count.", "output": "n = 1\n"}) + "\n")

    def keys(source: dict[str, Any]) -> set[str]:
        training = {"source": {**source, "rejected": {"mutator": "python"}}, "sets": ["clean"]}
        sets = [sets_of(training, execution={"require": level}) for level in ("partial", "strong")]
        return {plan.node.key for one in sets if (plan := one.fine_tuning_set("clean").rejected)}

    assert len(keys({"name": "minicode", "rows": 40})) == 2
    assert len(keys({"name": "jsonl", "path": str(tmp_path / "rows.jsonl")})) == 1


def test_a_teachers_whole_answer_is_tried_as_an_answer_and_a_body_behind_its_prompt():
    prompt, body = "def f(x):\n", "    return x\n"
    row, problem = SourceRow("a", prompt, body, entry_point="f"), Problem("a", prompt, "f", "def check(f): pass")
    tried = [Variant(body, "a change"), Variant(f"Here:\n```python\n{prompt}{body}```", WHOLE)]
    assert [preference_pairs._program(problem, row, one).text.strip() for one in tried] == [
        f"{prompt}{body}".strip()
    ] * 2


def test_a_label_says_of_which_source_responses_are():
    rows = {**ROWS, "rejected": {"mutator": "python"}}
    training = {"sources": {"second": rows}, "validations": {"second": rows | {"rows": 41, "part": "validation"}}}
    sets = sets_of({**training, "sets": [{"name": "clean", "source": "second"}]})
    plans = [plan.rejected for plan in (sets.fine_tuning_set("clean"), sets.validation_set("clean")) if plan]
    labels = [plan.node.label for plan in plans if plan]
    assert labels == ["rejected responses of second", "rejected responses of validation rows of second"]
    assert [plan.rows.node.label for plan in plans if plan] == ["rows of second", "validation rows of second"]
