"""Loads the inputs of a stage: the model reference, the prompts, the problems."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from raysweep.errors import HopelessError
from raysweep.hashing import canonical_json
from raysweep.planning.plan import BasePlan, CellPlan, PairPlan
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.templates import Prompter, PromptTemplate
from raysweep.records import GenerationRequest, ModelKind, ModelRef, Problem, PromptRow, Spec
from raysweep.storage.store import Store, location_of
from raysweep.trainers.kinds import kind_of


def base_ref(base: BasePlan) -> ModelRef | None:
    """Return the reference of a base model; None for a generator without weights."""
    if base.node is None:
        return base.ref
    location = location_of(base.node)
    return ModelRef(
        location,
        dtype=base.dtype,
        architecture=base.architecture,
        quantize=base.quantize,
        attention=base.attention,
    )


def model_ref(plan: CellPlan) -> ModelRef | None:
    """Return the reference of a cell's model; None for a generator without weights."""
    base = base_ref(plan.base)
    if plan.model is None or plan.recipe is None:
        assert plan.selection is None, f"no model was chosen for {plan.cell.id} yet"
        return base
    kind = kind_of(plan.recipe.trainer)
    location = location_of(plan.model)
    if kind is ModelKind.FULL:
        if base is None:
            return None
        return ModelRef(location, dtype=base.dtype, architecture=base.architecture, attention=base.attention)
    return ModelRef(location, kind, base, architecture=base.architecture if base else "causal")


def requests_of(plan: CellPlan, pair: PairPlan, store: Store) -> list[GenerationRequest]:
    problems, whole = problems_of(pair), pair.extract.needs_whole_answers
    template = PromptTemplate(plan.template, plan.system, day=plan.day, arguments=plan.template_arguments)
    prompter = Prompter(plan.prompt_format, plan.is_fine_tuned, template, plan.stop, whole)
    if prompter.shown.needs_tokenizer:
        prompter = replace(prompter, template=with_tokenizer(template, plan.base, store))
    requests = []
    for row in store.rows(pair.test_set.node, PromptRow):
        request = prompter.request("", problems[row.task_id], row.prompt)
        requests += [
            replace(request, request_id=f"{pair.pair.test_set}/{row.task_id}/{sample}", sample=sample)
            for sample in range(plan.decoding.samples)
        ]
    return requests


def with_tokenizer(template: PromptTemplate, base: BasePlan, store: Store) -> PromptTemplate:
    """Return a template with the tokenizer of a base model; as it is for one without weights."""
    ref = base_ref(base)
    if ref is None:
        return template
    from raysweep.models.loading import load_tokenizer

    return replace(template, tokenizer=load_tokenizer(store.located(ref)))


def problems_of(pair: PairPlan) -> Mapping[str, Problem]:
    content = canonical_json(pair.test_set.node.spec["problems"])
    return _problems(canonical_json(pair.test_set.problem_set.as_dict()), content)


@cache
def _problems(spec: str, content: str) -> dict[str, Problem]:
    """Load a problem set once for each `content`, its fingerprint, since its file may change."""
    problem_set = PROBLEMS.create(Spec(**json.loads(spec)))
    return {problem.task_id: problem for problem in problem_set.problems()}


def require_rows(count: int, where: str) -> None:
    if not count:
        raise HopelessError(f"{where} is empty")


def require_unique(ids: Sequence[str], what: str, where: str, before: set[str] | None = None) -> None:
    """Raise HopelessError if ids repeat, or are among those `before`, to which they are added."""
    known = set() if before is None else before
    for name in ids:
        if name in known:
            raise HopelessError(f"{where} gave the {what} {name!r} twice; each must differ")
        known.add(name)
