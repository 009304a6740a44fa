"""What a stage reads, found from plan and store: the model to load, prompts to complete, problems to judge by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from raysweep.metrics.passing import pass_rate
from raysweep.models.prompts import evaluation_prompt
from raysweep.plans import BasePlan, CellPlan, PairPlan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Verdict
from raysweep.records import (
    Completion,
    GenerationRequest,
    ModelKind,
    ModelRef,
    Problem,
    PromptRow,
    Result,
    Spec,
    canonical_json,
)
from raysweep.storage.store import Store, location_of
from raysweep.trainers.base import TRAINERS


def base_ref(base: BasePlan) -> ModelRef | None:
    """Return how to load a base model; None for a generator without weights."""
    return ModelRef(location_of(base.node)) if base.node is not None else base.ref


def model_ref(plan: CellPlan) -> ModelRef | None:
    """Return how to load a cell's model."""
    base = base_ref(plan.base)
    if plan.model is None or plan.recipe is None:
        return base
    kind = TRAINERS.get(plan.recipe.trainer).kind
    place = location_of(plan.model)
    if kind is ModelKind.FULL:
        return ModelRef(place, dtype=base.dtype) if base else None
    return ModelRef(place, kind, base)


def requests_of(plan: CellPlan, pair: PairPlan, store: Store) -> list[GenerationRequest]:
    """Return the completions that a pair asks for."""
    problems = problems_of(pair)
    requests = []
    for row in store.rows(pair.test_set.node, PromptRow):
        problem = problems[row.task_id]
        text = evaluation_prompt(
            problem,
            row.prompt,
            prompt_format=plan.prompt_format,
            tuned=plan.recipe is not None,
            template=plan.template,
        )
        requests += [
            GenerationRequest(
                f"{pair.pair.test_set}/{row.task_id}/{draw}",
                row.task_id,
                text,
                draw,
                (*problem.stop, *plan.stop),
                problem.reference,
            )
            for draw in range(plan.decoding.samples)
        ]
    return requests


def problems_of(pair: PairPlan) -> Mapping[str, Problem]:
    """Return a pair's problems by task id."""
    content = canonical_json(pair.test_set.node.spec["problems"])
    return _problems(canonical_json(pair.test_set.problem_set.as_dict()), content)


@cache
def _problems(spec: str, content: str) -> dict[str, Problem]:
    """Make a problem set once per content: a file may have changed since."""
    made = PROBLEMS.create(Spec(**json.loads(spec)))
    return {problem.task_id: problem for problem in made.problems()}


def same_text(plan: CellPlan, request: GenerationRequest) -> tuple[str, str, int, tuple[str, ...], str | None]:
    """What a completion depends on: requests that agree in it are made once.

    The reference solution is what generators without a model answer with.
    """
    draw = request.draw if plan.decoding.temperature > 0 else 0
    return (request.prompt, request.task_id, draw, request.stop, request.reference)


def passing(pair: PairPlan, store: Store) -> float:
    """Return a pair's pass@1."""
    return pass_rate(store.rows(pair.results, Result), 1).value


def result_of(completion: Completion, verdict: Verdict, sha: str) -> Result:
    """Return the row of a verdict on a completion."""
    return Result(
        completion.task_id,
        completion.draw,
        verdict.outcome.value,
        verdict.detail,
        verdict.stderr,
        verdict.seconds,
        sha,
        verdict.limit_seconds,
    )
