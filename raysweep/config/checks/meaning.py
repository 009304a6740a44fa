"""Finds settings that can't be meant: those that contradict each other are mistakes, those without effect are doubts.

A doubt is shown as a warning and stops nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress

from raysweep.accelerators import ACCELERATOR_LABEL, ACCELERATORS, data_sheet_of, similar_type
from raysweep.config.checks.mistakes import Mistake, row_sources
from raysweep.config.document import KeyPath
from raysweep.config.grid import build_grid
from raysweep.config.loggers import LOGGERS
from raysweep.config.resources import STAGES, StagesConfig, values_of
from raysweep.config.schema import SweepConfig
from raysweep.config.training import TrainingSetConfig
from raysweep.errors import Doubt, MissingInput, UsageError
from raysweep.generators.base import GENERATORS
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.templates import RAW, PromptTemplate
from raysweep.records import CLEAN
from raysweep.trainers.kinds import fine_tunes

LONG = 500
"""A time limit that is so many times the problem sets' own was meant in milliseconds."""
RAY = "ray.io/"
RAYS_LABELS = {
    ACCELERATOR_LABEL,
    *(f"{RAY}{name}" for name in ("market-type", "availability-region", "availability-zone")),
}


def check_meaning(config: SweepConfig) -> Iterator[Mistake]:
    yield from _samples(config)
    yield from _other_form(config)
    yield from _resources(config)
    yield from _numbers(config)
    yield from _loggers(config)
    yield from _unused_models_and_sets(config)
    yield from _unused_perturbations(config)
    yield from _unused_environments(config)


def _samples(config: SweepConfig) -> Iterator[Mistake]:
    evaluation = config.evaluation
    generators = {model.name: (model.generator or evaluation.generator).name for model in config.judged_models}
    greedy = [name for name, generator in generators.items() if not GENERATORS.get(generator).draws_when_greedy]
    if evaluation.samples > 1 and evaluation.decoding(config.seed).has_equal_samples and greedy:
        yield (
            ("evaluation", "samples"),
            f"the {evaluation.samples} completions of a prompt are equal at temperature 0 ({', '.join(greedy)}); give "
            "a `temperature` above 0, `beams`, or `samples: 1`",
        )
    for at, k in enumerate(evaluation.pass_at or []):
        if k > evaluation.samples:
            why = f"pass@{k} needs {k} completions of a prompt, and there are {evaluation.samples}"
            yield ("evaluation", "pass_at", at), f"{why}; give `samples: {k}`"
    if not evaluation.early_stopping and evaluation.beams == 1:
        why = "it says when a beam search ends, and there is none; give `beams`, or leave it out"
        yield ("evaluation", "early_stopping"), why


def _other_form(config: SweepConfig) -> Iterator[Mistake]:
    if config.evaluation.prompt_format != RAW:
        return
    for model in config.models:
        trained = any(fine_tunes(config.recipes[name].trainer) for name in model.recipes)
        if trained and PromptTemplate(model.template).is_form:
            text = f"{model.name!r} is fine-tuned in the form of its `template` and evaluated on prompts without it"
            yield ("evaluation", "prompt_format"), Doubt(f"{text}; leave `{RAW}` out to evaluate it as it was trained")


def _numbers(config: SweepConfig) -> Iterator[Mistake]:
    """Find negative seeds, which other tools take for random ones, and milliseconds."""
    given: list[tuple[KeyPath, int]] = [(("seed",), config.seed)]
    given += [(("seeds", at), seed) for at, seed in enumerate(config.seeds or [])]
    for path, seed in given:
        if seed < 0:
            yield path, Doubt(f"{seed} is a seed like any other, not a random one; give such as 1, 2, 3")
    usual = max(PROBLEMS.get(problems.name).limits.timeout for problems in config.evaluation.problems)
    timeout = config.execution.timeout
    if timeout is not None and timeout > LONG * usual:
        text = f"{timeout:,g} seconds for each program are many, where {usual:g} s is usual"
        yield ("execution", "timeout"), Doubt(f"{text}; write {timeout / 1000:g} if milliseconds are meant")


def _resources(config: SweepConfig) -> Iterator[Mistake]:
    named: dict[str, KeyPath] = {}
    for at, model in enumerate(config.models):
        path: KeyPath = ("models", at, "accelerator")
        named |= {name: named.get(name, path) for name in model.accelerator or []}
        asked = [("training", recipe) for recipe in model.recipes]
        asked += [("generation", recipe) for recipe in ("", *model.recipes)]
        if model.accelerator and not any(config.asked(stage, model.name, recipe).gpus for stage, recipe in asked):
            yield path, "its cells ask for no GPU; give `resources.gpus: auto`, or leave the accelerator out"
    labelled: dict[str, KeyPath] = {}
    misspelt: list[Mistake] = []
    for path, conditions in _selectors(config):
        condition = conditions.get(ACCELERATOR_LABEL)
        for name in values_of(condition) if condition else ():
            labelled.setdefault(name, (*path, ACCELERATOR_LABEL))
        for name in conditions:
            meant = RAY + name.lower().removeprefix(RAY).replace("_", "-")
            if meant in RAYS_LABELS and name != meant:
                text = f"Ray's label is `{meant}`; a node has {name!r} only if it was started with it"
                misspelt.append(((*path, name), Doubt(text)))
    known = ", ".join(name.replace(" ", "-") for name in ACCELERATORS)
    for name, path in {**{name: ("prices", name) for name in config.prices}, **labelled, **named}.items():
        if data_sheet_of(name) is None:
            hint = f"{similar_type(name)}, so memory and hours can't be predicted; known: {known}"
            yield path, Doubt(f"there is no data sheet of {name!r}{hint}")
    yield from misspelt


def _selectors(config: SweepConfig) -> list[tuple[KeyPath, Mapping[str, str]]]:
    own: list[tuple[KeyPath, StagesConfig]] = [(("resources",), config.resources)]
    own += [(("models", at, "resources"), model.resources) for at, model in enumerate(config.models)]
    own += [(("recipes", name, "resources"), recipe.resources) for name, recipe in config.recipes.items()]
    below = [((*path, stage, "labels"), getattr(level, stage).labels or {}) for path, level in own for stage in STAGES]
    return [(("resources", "labels"), config.resources.labels), *below]


def _loggers(config: SweepConfig) -> Iterator[Mistake]:
    for at, logger in enumerate(config.loggers if "loggers" in config.model_fields_set else []):
        package = LOGGERS[logger.name].package
        if importlib.util.find_spec(package) is None:
            way = f"pip install {LOGGERS[logger.name].pip}, or remove it"
            yield ("loggers", at), MissingInput(f"logger {logger.name!r} needs the package {package}: {way}")


def _unused_models_and_sets(config: SweepConfig) -> Iterator[Mistake]:
    used = {name for model in config.models for name in model.recipes}
    if config.keep_models == "chosen" and not any(config.recipes[name].is_candidate for name in used):
        text = "no recipe has `select`, so none is chosen and all models are kept; give one, or `all` or `adapters`"
        yield ("keep_models",), Doubt(text)
    teachers = {rows.rejected.teacher for _, rows, _ in row_sources(config) if rows.rejected}
    for at, model in enumerate(config.models):
        if not model.judged and model.name not in teachers:
            yield ("models", at, "judged"), Doubt(f"{model.name!r} is no teacher of `rejected` either; remove it")
        if model.sets is not None and not model.recipes:
            yield ("models", at, "sets"), Doubt(f"{model.name!r} has no `recipes`, so it isn't fine-tuned on them")
    if config.training is None:
        return
    seen: dict[TrainingSetConfig, str] = {}
    for at, trained in enumerate(config.training.sets):
        same = seen.setdefault(trained.model_copy(update={"name": ""}), trained.name)
        if same != trained.name:
            yield ("training", "sets", at), Doubt(f"{trained.name!r} has the same rows as {same!r}; remove one of them")
    if not used:
        yield ("training", "sets"), Doubt("no model has `recipes`, so none is fine-tuned on them")
        return
    trained_on = {trained.name for model in config.models for trained in config.sets_of(model)}
    for at, trained in enumerate(config.training.sets):
        if trained.name not in trained_on:
            yield ("training", "sets", at), Doubt(f"no model is fine-tuned on {trained.name!r}; remove it")
    named = {trained.source for trained in config.training.sets}
    for name in config.training.sources:
        if name not in named:
            yield ("training", "sources", name), Doubt("no training set names this source; remove it")


def _unused_environments(config: SweepConfig) -> Iterator[Mistake]:
    with suppress(UsageError):  # reported by a check of its own
        used = {config.problem_set(problems).environment for problems in config.evaluation.problems}
        for name in config.execution.environments:
            if name not in used:
                yield ("execution", "environments", name), Doubt("no problem set names this environment; remove it")


def _unused_perturbations(config: SweepConfig) -> Iterator[Mistake]:
    tests = config.evaluation.perturbations
    if isinstance(config.evaluation.pairs, Mapping):
        with suppress(UsageError):  # reported by a check of its own
            judged = {pair.perturbation for pair in build_grid(config).pairs}
            for at, name in enumerate(tests):
                if name not in judged:
                    why = f"`evaluation.pairs` has no model evaluated on {name!r}"
                    yield ("evaluation", "perturbations", at), Doubt(why)
    sets = [trained.perturbation for trained in config.training.sets] if config.training else []
    listed = [(spec.model_extra or {}).get("members", []) for spec in config.perturbations.values()]
    members = {str(member) for of in listed if isinstance(of, list) for member in of}
    for name in config.perturbations:
        if name not in {*tests, *sets, *members}:
            yield ("perturbations", name), Doubt("no training set and no test set uses it")
    strengthened: set[str] = set()
    for name in {*tests, *sets, *config.perturbations} - {CLEAN} if config.strengths else ():
        with suppress(UsageError):  # reported by a check of its own
            spec = config.perturbation(name)
            of_members = spec.args.get("strengths")
            strengthened |= {spec.name, *(of_members if isinstance(of_members, Mapping) else ())}
    for name in config.strengths:
        if name not in strengthened:
            yield ("strengths", name), Doubt("no training set and no test set uses this perturbation")
