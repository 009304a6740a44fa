"""Test sets whose prompts a model has rewritten: what is accepted, what stays, and what a second run asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from raysweep.config.loading import config_from
from raysweep.generators.base import GENERATORS, Generator
from raysweep.hashing import text_sha
from raysweep.pipeline import make
from raysweep.planning.plan import RewrittenSetPlan
from raysweep.planning.sets import SetPlanner
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.rewriting import ACCEPTED, EMPTY
from raysweep.records import Completion, GenerationRequest, PromptRow, Spec
from raysweep.seeding import DEFAULT_SEED
from raysweep.stages.asking import REASONS
from raysweep.storage.store import Store
from tests.stages.making import opened, work_on

COUNT = 12


class Undoing(Generator):
    """Answers with the clean description of a request's problem; with nothing for those in `silent`."""

    clean: ClassVar[dict[str, str]] = {}
    silent: ClassVar[set[str]] = set()
    asked: ClassVar[list[str]] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.asked.extend(request.task_id for request in requests)
        texts = ["" if request.task_id in self.silent else self.clean[request.task_id] for request in requests]
        return [
            Completion(request.task_id, request.sample, text, "eos", 1, text_sha(request.prompt))
            for request, text in zip(requests, texts, strict=True)
        ]


@pytest.fixture(autouse=True)
def undoing(monkeypatch):
    """Register the generator for a test."""
    GENERATORS.names()
    monkeypatch.setitem(GENERATORS._classes, "undoing", Undoing)
    monkeypatch.setattr(Undoing, "name", "undoing", raising=False)
    for attribute, empty in (("clean", {}), ("silent", set()), ("asked", [])):
        monkeypatch.setattr(Undoing, attribute, empty)
    yield Undoing


def made(folder: Path) -> tuple[Store, RewrittenSetPlan]:
    config = {
        "name": "rewritten",
        "models": [{"name": "undoing", "generator": "undoing"}],
        "evaluation": {"problems": [{"name": "minicode", "count": COUNT}], "perturbations": ["clean", "C1"]},
    }
    planner, store = SetPlanner(config_from(config, "test")), opened(folder)
    plan = planner.rewritten_set("undoing", planner.test_set("minicode", "C1", 0))
    make([plan], work_on(store, groups={"undoing": ""}))
    return store, plan


def descriptions() -> dict[str, str]:
    """Return the natural language of each clean prompt, with what stands verbatim in it."""
    texts, problem_set = {}, PROBLEMS.create(Spec("minicode", {"world": DEFAULT_SEED, "count": COUNT}))
    for problem in problem_set.problems():
        segments = list(problem_set.segments(problem))
        natural = [at for at, segment in enumerate(segments) if segment.natural and segment.text.strip()]
        texts[problem.task_id] = "".join(segment.text for segment in segments[natural[0] : natural[-1] + 1])
    return texts


@pytest.mark.parametrize("silent", [0, 1])
def test_what_a_model_rewrites_is_taken_what_it_leaves_out_stays_and_a_second_run_asks_nothing(
    silent, undoing, tmp_path
):
    undoing.clean.update(descriptions())
    undoing.silent.update(list(undoing.clean)[:silent])
    store, plan = made(tmp_path)
    before = store.rows(plan.texts.test_set.node, PromptRow)
    assert any(row.changed for row in before)
    for row, perturbed in zip(store.rows(plan.node, PromptRow), before, strict=True):
        if row.task_id in undoing.silent:
            assert row == perturbed
        else:
            assert row.prompt == row.clean_prompt and not row.changed
    assert store.counts(plan.node)[REASONS] == {ACCEPTED: COUNT - silent} | ({EMPTY: silent} if silent else {})
    made(tmp_path)
    assert len(undoing.asked) == COUNT
