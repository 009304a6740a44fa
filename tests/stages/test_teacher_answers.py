"""A teacher's answers, and the rejected responses that are made of them: loaded, served, and killed half-way."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.loading import config_from
from raysweep.engine.completing import batches_of
from raysweep.errors import HopelessError
from raysweep.pipeline import make
from raysweep.planning.missing import missing
from raysweep.planning.sets import SetPlanner
from raysweep.records import Completion, RejectedRow, TrainingRow
from raysweep.stages import generation
from raysweep.storage.store import Store
from raysweep.training_sets.rejected.teacher import BODY, IN_PLACE
from tests.generators.test_openai import served, text_answer
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.stages.making import work_on

pytestmark = pytest.mark.slow

FEW, MANY = 64, 200
"""Rows: four batches of the fewest completions, and eight."""
PIECES = ["```python\n", "    return", " n", "\n```\n"]
"""What the teacher writes: as a variant of most of MiniCode's rows it is a wrong one."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The config of a model that answers everything with the same code."""
    folder = tmp_path_factory.mktemp("teacher")
    write_scripted(folder, byte_tokenizer(pieces=PIECES), [*PIECES, EOS], max_position_embeddings=4096)
    return {"name": "teacher", "path": str(folder)}


def planner(model: dict[str, Any], rows: int = MANY, path: Path | None = None, **rejected: Any) -> SetPlanner:
    settings = {"teacher": "teacher", "temperature": 0, "max_new_tokens": 16, "filters": ["equal"], **rejected}
    source = {"name": "jsonl", "path": str(path)} if path else {"name": "minicode", "rows": rows, "part": "finetuning"}
    config = {
        "name": "taught",
        "models": [model],
        "training": {"source": {**source, "rejected": settings}, "sets": ["clean", "C1"]},
        "evaluation": {"problems": [{"name": "minicode", "count": 3}]},
    }
    return SetPlanner(config_from(config, "test"))


def made(planner: SetPlanner, store: Store, sets: Sequence[str] = ("clean",)) -> list[RejectedRow]:
    """Make training sets of a config and what they share; return the rejected responses."""
    store.require_writable()
    plans = [planner.fine_tuning_set(name) for name in sets]
    make(plans, work_on(store, groups={"teacher": ""}))
    assert plans[0].rejected is not None and all(plan.rejected == plans[0].rejected for plan in plans)
    return store.rows(plans[0].rejected.node, RejectedRow)


def make_and_be_killed(model: dict[str, Any], path: Path | None, store: Path) -> None:
    """Make pairs in this process, which is killed when half of the batches are written."""
    real = generation.complete

    def breaking(*args: Any) -> Iterator[Any]:
        batches = len(batches_of(args[1]))
        for number, output in enumerate(real(*args)):
            if number == batches // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield output

    generation.complete, generation.BLOCK_SECONDS = breaking, 0.0  # each batch is written at once
    made(planner(model, path=path), Store(store))


def resumed_as_undisturbed(
    model: dict[str, Any], folder: Path, path: Path | None = None
) -> tuple[list[RejectedRow], dict[str, Any]]:
    """Make pairs by a process that is killed half-way and then by this one; return them and their manifest's counts.

    An undisturbed process must make the same.
    """
    child = multiprocessing.get_context("spawn").Process(
        target=make_and_be_killed, args=(model, path, folder / "store")
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    store, plan = Store(folder / "store"), planner(model, path=path).fine_tuning_set("clean").rejected
    assert plan.answers is not None and not store.has(plan.answers.node)
    pairs = made(planner(model, path=path), store)
    assert store.manifest(plan.answers.node)["counts"]["prompts_resumed"] == len(pairs) / 2
    assert pairs == made(planner(model, path=path), Store(folder / "other"))
    return pairs, store.manifest(plan.node)["counts"]


@pytest.mark.long
def test_a_loaded_teacher_goes_on_where_it_was_killed(model, tmp_path):
    """In small, of an evaluation: tests/stages/test_generation.py."""
    pairs, counts = resumed_as_undisturbed(model, tmp_path)
    assert {pair.rejected for pair in pairs} == {"    return n"}
    assert counts == {"rows": MANY, "changed": {BODY: MANY}, "without": {}}


@pytest.mark.long
@pytest.mark.parametrize("rows", [FEW, MANY])
@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the package openai")
def test_a_served_teacher_goes_on_where_it_was_killed(rows, tmp_path, monkeypatch):
    """Few rows have no tests to run. In small, of an evaluation: tests/stages/test_generation.py."""
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    path = written(tmp_path / "rows.jsonl", ["    return 0\n"] * FEW) if rows == FEW else None
    with served(lambda path, body: text_answer("".join(PIECES))) as server:
        generator = {"name": "openai", "served": "m", "url": server.url}
        pairs, counts = resumed_as_undisturbed({"name": "teacher", "generator": generator}, tmp_path, path)
        asked = len(server.seen)
    assert list(counts["changed"].values()) == [rows] == [len(pairs)] and "return n" in (pairs[0].rejected or "")
    assert 2 * rows <= asked <= 2 * rows + 64  # what was in flight is asked for again


def test_training_sets_share_the_pairs_of_a_teachers_answers_and_other_filters_do_not_ask_again(model, tmp_path):
    store, sets = Store(tmp_path / "store"), planner(model, 20)
    pairs = {pair.row_id: pair.rejected for pair in made(sets, store, ["clean", "C1"])}
    for name in ("clean", "C1"):
        rows = store.rows(sets.fine_tuning_set(name).node, TrainingRow)
        assert {row.source_id: row.rejected for row in rows} == pairs
    plan = sets.fine_tuning_set("clean").rejected
    assert plan.answers is not None and plan.answers.template == "raw"
    answers = store.rows(plan.answers.node, Completion)
    assert len(answers) == 20 and {(one.text, one.stop) for one in answers} == {("".join(PIECES), "eos")}
    for settings, stages in (
        ({"filters": "none", "rejected_text": "answer"}, ["rejected_rows", "training_set"]),
        ({"temperature": 0.8}, ["completions", "rejected_rows", "training_set"]),
    ):
        again = planner(model, 20, **settings).fine_tuning_set("clean")
        assert [plan.node.stage for plan in missing([again], store) if plan.node] == stages


def written(path: Path, outputs: list[str]) -> Path:
    rows = ({"instruction": f"Do {number}.", "output": output} for number, output in enumerate(outputs))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_answers_without_code_are_an_error_that_shows_some(tmp_path, monkeypatch):
    path = written(tmp_path / "rows.jsonl", ["```\nx = 1\n```"] * 5 + ["Prose."] * 9)
    folder = tmp_path / "prose"
    write_scripted(folder, byte_tokenizer(pieces=["I can't."]), ["I can't.", EOS], max_position_embeddings=4096)
    prose = {"name": "teacher", "path": str(folder)}
    with pytest.raises(HopelessError, match=r"8 of the first 8 answers of the teacher teacher have no code") as caught:
        made(planner(prose, path=path), Store(tmp_path / "store"))
    assert str(caught.value).count('"I can\'t."') == 3 and "`rejected_text: answer`" in str(caught.value)
    rows = made(planner(prose, path=path, filters="none", rejected_text="answer"), Store(tmp_path / "store"))
    assert {row.rejected for row in rows} == {"I can't."}
    with pytest.raises(HopelessError, match=r"none of the rows of jsonl has .*: 14 less similar than 1; change `rej"):
        similar = planner(prose, path=path, filters=["similarity"], similarity=1.0, rejected_text="answer")
        made(similar, Store(tmp_path / "store"))


def test_code_that_is_the_responses_own_is_left_out_or_counted_apart(model, tmp_path):
    outputs = ["```python\nreturn n  # as it is\n```", "```python\nreturn m\n```"]
    path, store = written(tmp_path / "rows.jsonl", outputs), Store(tmp_path / "store")
    counts = []
    for filters in (["equal"], "none"):
        sets = planner(model, path=path, filters=filters)
        made(sets, store)
        counts.append(store.manifest(sets.fine_tuning_set("clean").rejected.node)["counts"])
    same = "equal but for comments or formatting"
    assert (counts[0]["without"], counts[0]["changed"]) == ({same: 1}, {IN_PLACE: 1})
    assert (counts[1]["without"], counts[1]["changed"]) == ({}, {IN_PLACE: 1, f"{IN_PLACE}, {same}": 1})
