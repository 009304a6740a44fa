"""Checks of recipes that edit models or rewrite prompts, and of the section `edits`."""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.config.model_checks import Mistake
from raysweep.config.models import RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError, did_you_mean
from raysweep.generators.base import TRANSFORMERS
from raysweep.problems.base import PROBLEMS
from raysweep.records import CLEAN, Spec
from raysweep.trainers.base import Recipe
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.kinds import SELF_DENOISING, edits, fine_tunes, rewrites

WITH_WORKERS = ("workers", "parallel", "offload")
"""Fields of a recipe that need several workers, or a training."""


def check_edits(config: SweepConfig) -> Iterator[Mistake]:
    """Find recipes of editors that can't be used, and prompt pairs that nobody asks for or that there can't be."""
    for name, recipe in config.recipes.items():
        for key, why in _recipe(recipe):
            yield ("recipes", name, key), why
    yield from _asked(config)
    yield from _problems(config)
    yield from _perturbations(config)
    yield from _generators(config)


def _recipe(recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    if not edits(recipe.trainer):
        if recipe.edit:
            known = ", ".join(EDITORS.names())
            yield (
                "edit",
                f"these are arguments of an editor, and `trainer: {recipe.trainer}` is none; one of {known} is",
            )
        if rewrites(recipe.trainer) and recipe.workers > 1:
            yield "workers", f"`trainer: {recipe.trainer}` trains nothing; leave it out"
        return
    for key in WITH_WORKERS:
        if getattr(recipe, key) != getattr(Recipe, key):
            yield key, f"an editor ({recipe.trainer}) changes a model in one process; leave `{key}` out"
    try:
        EDITORS.create(Spec(recipe.trainer, dict(recipe.edit)))
    except UsageError as error:
        yield "edit", str(error)


def _asked(config: SweepConfig) -> Iterator[Mistake]:
    """Find editors without pairs, and pairs without editors."""
    editing = False
    for at, model in enumerate(config.models):
        for recipe in model.recipes:
            trainer = config.recipes[recipe].trainer
            editing |= not fine_tunes(trainer)
            if edits(trainer) and config.edits is None:
                yield (
                    ("models", at, "recipes"),
                    f"recipe {recipe!r} edits models from prompt pairs ({trainer}), and there is no `edits:` section; "
                    "write one, such as `edits: {perturbations: [C1], pairs: 5}`",
                )
    if config.edits is not None and not editing:
        yield (
            ("edits",),
            f"no model has a recipe that edits it; give one `trainer: {EDITORS.names()[0]}` (also: "
            f"{', '.join([*EDITORS.names()[1:], SELF_DENOISING])}), and name it in the model's `recipes`",
        )


def _perturbations(config: SweepConfig) -> Iterator[Mistake]:
    if config.edits is None:
        return
    asked = config.edits.perturbations
    for at, name in enumerate(asked):
        place = ("edits", "perturbations", at)
        if name in asked[:at]:
            yield place, f"the perturbation {name!r} is listed twice; each must differ"
        if name == CLEAN:
            yield place, "a pair is a clean prompt and a perturbed one; leave `clean` out"
        elif name not in config.evaluation.perturbations:
            yield (
                place,
                f"pairs are found where models were judged on {name!r}; add it to `evaluation.perturbations`",
            )
        elif config.strengths.get(name) == 0:
            yield place, f"{name!r} changes no prompt, since `strengths` gives it 0; there are no pairs"


def _problems(config: SweepConfig) -> Iterator[Mistake]:
    """Find named problems that no problem set has."""
    named = config.edits.problems if config.edits is not None else None
    if not named:
        return
    known: list[str] = []
    for problems in config.evaluation.problems:
        try:
            known += [problem.task_id for problem in PROBLEMS.create(problems.spec(PROBLEMS, config.seed)).problems()]
        except UsageError:
            return  # another check says what is wrong
    for at, name in enumerate(named):
        if name not in known:
            sets = ", ".join(problems.label for problems in config.evaluation.problems)
            yield (
                ("edits", "problems", at),
                f"no problem of {sets} is called {name!r}{did_you_mean(name, known)}; the first is {known[0]!r}",
            )


def _generators(config: SweepConfig) -> Iterator[Mistake]:
    """Find models that are edited and don't lie in the memory of a process of raysweep's."""
    for at, model in enumerate(config.models):
        editors = [name for name in model.recipes if edits(config.recipes[name].trainer)]
        generator = (model.generator or config.evaluation.generator).name
        if editors and generator != TRANSFORMERS:
            place = ("models", at, "generator") if model.generator else ("evaluation", "generator")
            yield (
                place,
                f"recipe {editors[0]!r} edits model {model.name!r}, and generator {generator} can't run a changed "
                "matrix; use `generator: transformers`",
            )
