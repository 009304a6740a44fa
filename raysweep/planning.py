"""SweepConfig -> SweepPlan: every artefact that a sweep needs, with its key and what it is made from.

Reads what keys depend on (fingerprints of files and models) and nothing else; makes nothing.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from raysweep.config import SweepConfig
from raysweep.config_models import ModelConfig
from raysweep.generators.base import GENERATORS
from raysweep.grid import BASE, Cell, Pair, build_grid
from raysweep.models.loading import fingerprint, resolve
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.plan_keys import TRANSFORMERS, decoding_spec, generator_spec, method_spec, prompt_spec, recipe_spec
from raysweep.plans import (
    BasePlan,
    CellPlan,
    PairPlan,
    PerturbedRowsPlan,
    ReferenceTimesPlan,
    SourceRowsPlan,
    SweepPlan,
    TestSetPlan,
    TrainingSetPlan,
)
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Lane, Limits, Sandbox
from raysweep.records import Spec
from raysweep.storage.artefacts import Node
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.choice import CLEAN, Choice


def build_plan(config: SweepConfig) -> SweepPlan:
    """Return the plan of a config; raise UsageError where a model or file that it names can't be read."""
    grid = build_grid(config)
    planner = _Planner(config)
    return SweepPlan(config, grid, tuple(planner.cell(cell, grid.pairs_of(cell)) for cell in grid.cells))


def build_data_sets(config: SweepConfig) -> tuple[dict[str, TrainingSetPlan], dict[tuple[str, str], TestSetPlan]]:
    """Return the training sets of a config by name and its test sets by (problem set, perturbation); no model is read.

    Raises:
        UsageError: a file that it names can't be read.
    """
    planner = _Planner(config)
    training = {s.name: planner.fine_tuning_set(s.name) for s in (config.training.sets if config.training else ())}
    named = [(p.name, name) for p in config.evaluation.problems for name in config.evaluation.perturbations]
    return training, {(problems, name): planner.test_set(problems, name) for problems, name in named}


class _Planner:
    """Builds each distinct part of a plan once."""

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        self.models = {model.name: model for model in config.models}
        self.problem_specs = {p.name: p.spec(PROBLEMS, config.seed) for p in config.evaluation.problems}
        self.base = cache(self._base)
        self.test_set = cache(self._test_set)
        self.times = cache(self._times)
        self.fine_tuning_set = cache(self._fine_tuning_set)
        self.problem_fingerprint = cache(self._problem_fingerprint)

    def cell(self, cell: Cell, pairs: tuple[Pair, ...]) -> CellPlan:
        model = self.models[cell.model]
        base = self.base(cell.model)
        plan = CellPlan(
            cell,
            base,
            pairs=(),
            generator=model.generator.spec(GENERATORS, self.config.seed) if model.generator else Spec(TRANSFORMERS),
            decoding=self.config.evaluation.decoding(self.config.seed),
            prompt_format=self.config.evaluation.prompt_format,
            template=model.template,
            stop=tuple(model.stop),
            batch_size=self.config.evaluation.batch_size,
        )
        if cell.training_set != BASE:
            plan = self._tuned(plan)
        return replace(plan, pairs=tuple(self._pair(plan, pair) for pair in pairs))

    def _tuned(self, plan: CellPlan) -> CellPlan:
        cell = plan.cell
        recipe = self.config.recipes[cell.recipe].recipe(plan.template)
        training_set = self.fine_tuning_set(cell.training_set)
        spec = {
            "base": plan.base.identity,
            "family": plan.base.family,
            "recipe": recipe_spec(recipe),
            "seed": cell.seed,
        }
        inputs = (plan.base.node.key, training_set.node.key) if plan.base.node else (training_set.node.key,)
        node = Node("model", 1, spec, inputs, cell.id)
        return replace(plan, model=node, training_set=training_set, recipe=recipe)

    def _pair(self, plan: CellPlan, pair: Pair) -> PairPlan:
        test_set = self.test_set(pair.problem_set, pair.perturbation)
        made_by = plan.model or plan.base.node
        spec = {
            "generator": generator_spec(plan, self.models[plan.cell.model].dtype),
            "decoding": decoding_spec(plan.decoding),
            "prompt": prompt_spec(plan),
            "stop": list(plan.stop),
            "model": None if made_by else plan.base.identity,
        }
        label = f"{plan.cell.id} on {pair.problem_set} {pair.perturbation}"
        inputs = (made_by.key, test_set.node.key) if made_by else (test_set.node.key,)
        completions = Node("completions", 1, spec, inputs, label)
        limits = self.config.execution.limits(PROBLEMS.get(pair.problem_set).limits)
        times = self.times(pair.problem_set, limits)
        judged = {
            "limits": dataclasses.asdict(limits),
            "lane": self.config.execution.lane,
            "python": platform.python_version(),
            "problems": self.problem_fingerprint(pair.problem_set),
        }
        results = Node("results", 1, judged, (completions.key, *((times.node.key,) if times else ())), label)
        return PairPlan(pair, test_set, completions, results, limits, times, self.config.execution.sandbox)

    def _times(self, problem_set: str, limits: Limits) -> ReferenceTimesPlan | None:
        factor = self.config.execution.reference_factor
        if factor is None:
            return None
        spec = {
            "problems": self.problem_fingerprint(problem_set),
            "limits": dataclasses.asdict(limits),
            "factor": factor,
            "python": platform.python_version(),
        }
        node = Node("reference_times", 1, spec, (), f"reference times {problem_set}")
        sandbox = Sandbox(Lane.STRICT, self.config.execution.sandbox.require)
        return ReferenceTimesPlan(node, self.problem_specs[problem_set], limits, factor, sandbox)

    def _base(self, name: str) -> BasePlan:
        model = self.models[name]
        if model.generator is not None:
            return BasePlan(name, family="", identity={})
        if model.pretrain is None:
            return self._existing(model)
        pretrain = model.pretrain
        recipe = self.config.recipes[pretrain.recipe].recipe(model.template)
        source = pretrain.source.spec(SOURCES, self.config.seed)
        training_set = self._training_set(source, CLEAN, Choice(), f"pre-training rows {source.name}")
        spec = {
            "family": pretrain.family,
            "vocab_size": pretrain.vocab_size,
            "size": pretrain.size,
            "recipe": recipe_spec(recipe),
            "seed": self.config.seed,
        }
        node = Node("base_model", 1, spec, (training_set.node.key,), f"base model {name}")
        size = tuple(sorted(pretrain.size.items()))
        return BasePlan(name, pretrain.family, {}, None, node, training_set, recipe, pretrain.vocab_size, size)

    def _existing(self, model: ModelConfig) -> BasePlan:
        assert model.path is not None
        resolved = resolve(model.path, model.revision, model.trust_remote_code)
        ref = resolved.ref(model.dtype)
        return BasePlan(model.name, resolved.model_type, {**fingerprint(ref), "dtype": model.dtype}, ref)

    def _fine_tuning_set(self, name: str) -> TrainingSetPlan:
        training = self.config.training
        assert training is not None
        wanted = next(s for s in training.sets if s.name == name)
        source = training.source.spec(SOURCES, self.config.seed)
        return self._training_set(source, wanted.perturbation, wanted.choice, f"training set {name}")

    def _training_set(self, source: Spec, perturbation: str, choice: Choice, label: str) -> TrainingSetPlan:
        rows = self._source_rows(source)
        method = _pinned(self.config.perturbation(perturbation, choice.compose))
        if choice.ratio == 0 and choice.size == 1:
            method = Spec(CLEAN)  # 0 % of anything is the clean set
        texts = tuple(self._perturbed_rows(rows, part) for part in _parts(method))
        spec: dict[str, Any] = {"perturbation": method.name}
        if method.name != CLEAN:
            draw = choice.draw if choice.ratio < 1 or choice.size != 1 else 0
            drawn = dataclasses.asdict(dataclasses.replace(choice, draw=draw))
            spec |= {"choice": drawn, "seed": self.config.seed}
        node = Node("training_set", 2, spec, (rows.node.key, *(text.node.key for text in texts)), label)
        return TrainingSetPlan(node, rows, texts, method, choice, self.config.seed)

    def _source_rows(self, source: Spec) -> SourceRowsPlan:
        spec = {"source": source.name, "rows": dict(SOURCES.create(source).fingerprint())}
        return SourceRowsPlan(Node("source_rows", 1, spec, (), f"rows of {source.name}"), source)

    def _perturbed_rows(self, rows: SourceRowsPlan, method: Spec) -> PerturbedRowsPlan:
        spec = {"perturbation": method_spec(method), "seed": self.config.seed}
        node = Node("perturbed_rows", 1, spec, (rows.node.key,), f"{rows.node.label} after {method.name}")
        return PerturbedRowsPlan(node, rows, method, self.config.seed)

    def _test_set(self, problem_set: str, perturbation: str) -> TestSetPlan:
        evaluation = self.config.evaluation
        method = _pinned(self.config.perturbation(perturbation, evaluation.compose))
        if evaluation.compat is not None:
            method = Spec(method.name)  # ReCode knows no strength
        spec: dict[str, Any] = {
            "problems": self.problem_fingerprint(problem_set),
            "perturbation": method_spec(method),
            "limit": evaluation.limit,
        }
        if method.name != CLEAN:
            spec = {**spec, "seed": self.config.seed, "compat": evaluation.compat}
        node = Node("test_set", 1, spec, (), f"test set {problem_set} {perturbation}")
        problems = self.problem_specs[problem_set]
        return TestSetPlan(node, problems, method, self.config.seed, evaluation.compat, evaluation.limit)

    def _problem_fingerprint(self, problem_set: str) -> dict[str, Any]:
        spec = self.problem_specs[problem_set]
        return {"name": spec.name, **PROBLEMS.create(spec).fingerprint()}


def _pinned(method: Spec) -> Spec:
    """Return a method with what ``auto`` is on this machine, so that it is the same on the others."""
    return Spec(method.name, {**method.args, **PERTURBATIONS.create(method).pinned})


def _parts(method: Spec) -> Sequence[Spec]:
    """Return the methods that make the rows of a set: an aggregate's members, else itself; none for the clean set."""
    return () if method.name == CLEAN else (PERTURBATIONS.create(method).parts or (method,))
