"""Checks of recipes that edit models or rewrite prompts, and of the section `edits`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raysweep.config.checks.mistakes import Mistake
from raysweep.config.models import AROUND, ModelConfig, RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError, did_you_mean
from raysweep.generators.base import TRANSFORMERS
from raysweep.models.architectures.known import known_shape, shape_from_scratch
from raysweep.models.architectures.shape import shape_of
from raysweep.models.config_files import model_config
from raysweep.models.families.blocks import paths_of
from raysweep.models.finding import resolve
from raysweep.records import BASE, CLEAN
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.editors.settings import require_block
from raysweep.trainers.kinds import SELF_DENOISING, edits, fine_tunes, place_of, rewrites

WITH_WORKERS = ("workers", "parallel", "offload")
"""Fields of a recipe that need several workers, or a training."""
COUNTING = ("trainer", "edit", *AROUND)
"""Fields of a recipe that count without a training."""


def check_edits(config: SweepConfig) -> Iterator[Mistake]:
    unusable = [(name, key, why) for name, recipe in config.recipes.items() for key, why in _recipe(config, recipe)]
    yield from ((("recipes", name, key), why) for name, key, why in unusable)
    yield from _asked(config)
    yield from _problems(config)
    yield from _perturbations(config)
    yield from _generators(config)
    if not unusable:
        yield from _blocks(config)


def _recipe(config: SweepConfig, recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    if not edits(recipe.trainer):
        if recipe.edit:
            known = ", ".join(EDITORS.names())
            yield (
                "edit",
                f"these are arguments of an editor, and `trainer: {recipe.trainer}` is none; one of {known} is",
            )
        if rewrites(recipe.trainer):
            yield from ((key, f"`trainer: {recipe.trainer}` trains nothing; leave it out") for key in _idle(recipe))
        return
    takes = EDITORS.parameters(recipe.trainer)
    for key in _idle(recipe) if not recipe.group else ():  # a group of editors is refused as such
        if key in WITH_WORKERS:
            yield key, f"an editor ({recipe.trainer}) changes a model in one process; leave `{key}` out"
        elif key in takes:
            value = getattr(recipe, key)
            yield (
                key,
                f"it is of trainings, and {recipe.trainer} has another one: write `edit: {{{key}: {value}}}` instead",
            )
        else:
            yield key, f"an editor ({recipe.trainer}) trains on no rows, so it has no effect; leave it out"
    try:
        config.editor(recipe)
    except UsageError as error:
        alone = "; creme alone has auto" if recipe.edit.get("edit_at") == "auto" else ""
        yield "edit", f"{error}{alone}"


def _idle(recipe: RecipeConfig) -> list[str]:
    others = {key: field for key, field in RecipeConfig.model_fields.items() if key not in COUNTING}
    return [key for key, field in others.items() if getattr(recipe, key) != field.get_default()]


def _asked(config: SweepConfig) -> Iterator[Mistake]:
    editing = False
    for at, model in enumerate(config.models):
        for recipe in model.recipes:
            trainer = config.recipes[recipe].trainer
            editing |= not fine_tunes(trainer)
            if edits(trainer) and config.edits is None:
                yield (
                    ("models", at, "recipes"),
                    f"recipe {recipe!r} edits models from edit examples ({trainer}), and there is no `edits:` section; "
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
            yield place, "an edit example is a clean prompt and a perturbed one; leave `clean` out"
        elif name not in config.evaluation.perturbations:
            yield (
                place,
                f"edit examples are found where models are evaluated on {name!r}; add it to `evaluation.perturbations`",
            )
        elif config.strengths.get(name) == 0:
            yield place, f"{name!r} changes no prompt, since `strengths` gives it 0; there are no edit examples"
    yield from _unjudged(config, asked)


def _unjudged(config: SweepConfig, asked: Sequence[str]) -> Iterator[Mistake]:
    tests, rule = config.evaluation.perturbations, config.evaluation.pairs
    of_bases = rule.get(BASE) if not isinstance(rule, str) else None
    for at, name in enumerate(asked):
        if of_bases is not None and name in tests and name not in (CLEAN, *of_bases):
            yield (
                ("edits", "perturbations", at),
                f"`evaluation.pairs` has base models evaluated without {name!r}; edit examples are found in their "
                f"results, so add it to `evaluation.pairs.{BASE}`",
            )


def _blocks(config: SweepConfig) -> Iterator[Mistake]:
    for at, model in enumerate(config.models):
        editors = [name for name in model.recipes if edits(config.recipes[name].trainer)]
        known = _shape(model) if editors else None
        if known is None:
            continue
        family, blocks, key = known
        try:
            paths_of(family)
        except UsageError as error:
            yield ("models", at, *key), f"recipe {editors[0]!r} edits model {model.name!r}: {error}"
            continue
        for name in editors:
            recipe = config.recipes[name]
            try:
                if blocks:
                    require_block(place_of(recipe.trainer, recipe.edit), blocks, f"model {model.name!r}")
            except UsageError as error:
                yield ("recipes", name, "edit"), str(error)


def _shape(model: ModelConfig) -> tuple[str, int, tuple[str, ...]] | None:
    """Return a model's family, its number of blocks (0: unknown) and the key that names it; None if it isn't here."""
    if model.pretrain is not None:
        made = model.pretrain
        shape = shape_from_scratch(made.family, made.vocab_size, made.size)
        return made.family, shape.layers if shape else 0, ("pretrain", "family")
    if model.path is None:
        return None
    if known := known_shape(model.path):
        return known.model_type, known.layers, ("path",)
    try:
        resolved = resolve(model.path, model.revision, model.trust_remote_code)
        shape = shape_of(model_config(resolved.ref()) or {})
    except UsageError:  # which the checks of models tell
        return None
    return None if resolved.base else (resolved.model_type, shape.layers if shape else 0, ("path",))


def _problems(config: SweepConfig) -> Iterator[Mistake]:
    named = config.edits.problems if config.edits is not None else None
    if not named:
        return
    known: list[str] = []
    for problems in config.evaluation.problems:
        try:
            known += [problem.task_id for problem in config.problem_set(problems).problems()]
        except UsageError:
            return  # another check says what is wrong
    for at, name in enumerate(named):
        if name in named[:at]:
            yield ("edits", "problems", at), f"the problem {name!r} is listed twice; each must differ"
        elif name not in known:
            sets = ", ".join(problems.label for problems in config.evaluation.problems)
            yield (
                ("edits", "problems", at),
                f"no problem of {sets} is called {name!r}{did_you_mean(name, known)}; the first is {known[0]!r}",
            )


def _generators(config: SweepConfig) -> Iterator[Mistake]:
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
