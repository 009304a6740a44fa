"""Checks of recipes that edit models or rewrite prompts, and of the section `edits`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from raysweep.config.checks.mistakes import Mistake
from raysweep.config.document import KeyPath
from raysweep.config.groups import A_RECIPE_EACH
from raysweep.config.models import AROUND, ModelConfig, RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.config.training import EditsConfig
from raysweep.errors import Doubt, Finding, UsageError, did_you_mean, findings_of
from raysweep.generators.base import TRANSFORMERS
from raysweep.models.architectures.known import known_shape, shape_from_scratch
from raysweep.models.architectures.shape import shape_of
from raysweep.models.families.blocks import paths_of
from raysweep.models.finding import resolve
from raysweep.models.hub import model_config
from raysweep.records import BASE, CLEAN
from raysweep.registry import ONE_VALUE
from raysweep.trainers.editors.base import EDITORS, require_block
from raysweep.trainers.kinds import SELF_DENOISING, edits, fine_tunes, place_of, rewrites

COUNTING = ("trainer", "edit", "examples", *AROUND)
"""Fields of a recipe that count without a training."""


def check_edits(config: SweepConfig) -> Iterator[Mistake]:
    unusable = [(name, key, why) for name, recipe in config.recipes.items() for key, why in _recipe(config, recipe)]
    yield from ((("recipes", name, key), why) for name, key, why in unusable)
    if config.edits is not None:
        yield from _asked(config, config.edits)
        yield from _too_few(config, config.edits)
    for at, model in enumerate(config.models):
        editors = [name for name in model.recipes if edits(config.recipes[name].trainer)]
        if not editors:
            continue
        if config.edits is None:
            named = f"recipe {editors[0]!r} edits models from edit examples ({config.recipes[editors[0]].trainer})"
            way = "write one, such as `edits: {perturbations: [C1], pairs: 5}`"
            yield ("models", at, "recipes"), f"{named}, and there is no `edits:` section; {way}"
        generator = (model.generator or config.evaluation.generator).name
        if generator != TRANSFORMERS:
            yield (
                ("models", at, "generator") if model.generator else ("evaluation", "generator"),
                f"recipe {editors[0]!r} edits model {model.name!r}, and generator {generator} can't run a changed "
                "matrix; use `generator: transformers`",
            )
        if all(isinstance(why, Doubt) for *_, why in unusable):
            yield from _blocks(config, model, ("models", at), editors)


def _recipe(config: SweepConfig, recipe: RecipeConfig) -> Iterator[Finding]:
    others = {key: field for key, field in RecipeConfig.model_fields.items() if key not in COUNTING}
    idle = [key for key, field in others.items() if getattr(recipe, key) != field.get_default()]
    several = recipe.examples > 1 and f"`examples: {recipe.examples}`"
    if not edits(recipe.trainer):
        if several:
            yield "examples", f"{several} are of an editor, and `trainer: {recipe.trainer}` is none; leave it out"
        if recipe.edit:
            why = f"these are arguments of an editor, and `trainer: {recipe.trainer}` is none"
            yield "edit", f"{why}; one of {', '.join(EDITORS.names())} is"
        for key in idle if rewrites(recipe.trainer) else ():
            yield key, f"`trainer: {recipe.trainer}` trains nothing; leave it out"
        return
    if several and not EDITORS.get(recipe.trainer).takes_several:
        able = [name for name in EDITORS.names() if EDITORS.get(name).takes_several]
        yield (
            "examples",
            f"{recipe.trainer} makes an edit from one example; take one of {', '.join(able)} for {several}",
        )
    for key in idle if not recipe.group else ():  # a group of editors is refused as such
        if key in EDITORS.parameters(recipe.trainer):
            own = f"write `edit: {{{key}: {getattr(recipe, key)}}}` instead"
            yield key, f"it is of trainings, and {recipe.trainer} has another one: {own}"
        else:
            yield key, f"an editor ({recipe.trainer}) trains on no rows, so it has no effect; leave it out"
    try:
        yield from findings_of(f"editor {recipe.trainer!r}", lambda: config.editor(recipe).check())
    except UsageError as error:
        if recipe.edit.get("edit_at") == "auto":
            yield "edit", f"{error}; creme alone has auto"
        else:
            yield "edit", f"{error}; {A_RECIPE_EACH}" if str(error).endswith(ONE_VALUE) else error


def _too_few(config: SweepConfig, asked: EditsConfig) -> Iterator[Mistake]:
    """Yield the recipes of models that make an edit of more examples than there are of a category."""
    number, key = (len(asked.problems), "problems") if asked.problems else (asked.pairs, "pairs")
    for name in dict.fromkeys(name for model in config.models for name in model.recipes):
        if (examples := config.recipes[name].examples) > number:
            way = f"ask for {examples} or more in `edits.{key}`, or write a smaller number here"
            why = f"an edit takes {examples} examples, and `edits.{key}` asks for {number} of a category; {way}"
            yield ("recipes", name, "examples"), why


def _asked(config: SweepConfig, asked: EditsConfig) -> Iterator[Mistake]:
    if all(fine_tunes(config.recipes[recipe].trainer) for model in config.models for recipe in model.recipes):
        also = ", ".join([*EDITORS.names()[1:], SELF_DENOISING])
        why = f"no model has a recipe that edits it; give one `trainer: {EDITORS.names()[0]}` (also: {also})"
        yield ("edits",), f"{why}, and name it in the model's `recipes`"
    if asked.transfer and len(asked.perturbations) < 2:
        why = "`edits.perturbations` has no other category that edited models could be evaluated on; add one"
        yield ("edits", "transfer"), f"{why}, or leave `transfer` out"
    if asked.found_on == "own" and not config.evaluation.temperature:
        why = "answers are greedy (`evaluation.temperature: 0`), so further ones are the same, and none is drawn"
        yield ("edits", "found_on"), Doubt(f"{why}; sample them, or leave `found_on` out")
    rule = config.evaluation.pairs
    of_bases = rule.get(BASE) if not isinstance(rule, str) else None
    for at, name in enumerate(asked.perturbations):
        place = ("edits", "perturbations", at)
        if name == CLEAN:
            yield place, "an edit example is a clean prompt and a perturbed one; leave `clean` out"
        elif name not in config.evaluation.perturbations:
            way = f"models are evaluated on {name!r}; add it to `evaluation.perturbations`"
            yield place, f"edit examples are found where {way}"
        elif config.strengths.get(name) == 0:
            yield place, f"{name!r} changes no prompt, since `strengths` gives it 0; there are no edit examples"
        elif of_bases is not None and name not in of_bases:
            yield (
                place,
                f"`evaluation.pairs` has base models evaluated without {name!r}; edit examples are found in their "
                f"results, so add it to `evaluation.pairs.{BASE}`",
            )
    with suppress(UsageError):  # another check says what is wrong
        sets = config.evaluation.problems if asked.problems else []
        known = [problem.task_id for problems in sets for problem in config.problem_set(problems).problems()]
        labels = ", ".join(problems.label for problems in sets)
        for at, name in enumerate(asked.problems or []):
            if name not in known and name not in (asked.problems or [])[:at]:
                near = f"{did_you_mean(name, known)}; the first is {known[0]!r}"
                yield ("edits", "problems", at), f"no problem of {labels} is called {name!r}{near}"


def _blocks(config: SweepConfig, model: ModelConfig, place: KeyPath, editors: Sequence[str]) -> Iterator[Mistake]:
    """Check that it is known where the model's blocks are, and that it has those that are to be edited."""
    key: tuple[str, ...] = ("path",)
    if model.pretrain is not None:
        family, key = model.pretrain.family, ("pretrain", "family")
        shape = shape_from_scratch(family, model.pretrain.vocab_size, model.pretrain.size)
    elif model.path is not None:
        shape = known_shape(model.path)
        family = shape.model_type if shape else ""
        if shape is None:
            try:
                resolved = resolve(model.path, model.revision, model.trust_remote_code)
                family, shape = resolved.model_type, shape_of(model_config(resolved.ref()) or {})
            except UsageError:  # which the checks of models tell
                return
            if resolved.base:
                return
    else:
        return
    try:
        paths_of(family)
    except UsageError as error:
        yield (*place, *key), f"recipe {editors[0]!r} edits model {model.name!r}: {error}"
        return
    for name in editors:
        recipe = config.recipes[name]
        try:
            if shape is not None:
                require_block(place_of(recipe.trainer, recipe.edit), shape.layers, f"model {model.name!r}")
        except UsageError as error:
            yield ("recipes", name, "edit"), str(error)
