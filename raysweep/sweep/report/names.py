"""The order of names in a sweep's tables, and plain words for the codes among them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from raysweep.analysis.tables.order import BROKEN, LEFT_OUT, FaultShown, Order, RecipeChoice, RowChoice
from raysweep.analysis.tables.pooling import EDITED, WAY, WORDS
from raysweep.config.grid import LEVELS, pairs_to_edit
from raysweep.config.models import AROUND, ModelConfig, RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.config.training import TrainingSetConfig
from raysweep.errors import UsageError
from raysweep.hashing import canonical_json
from raysweep.metrics.levels import PerturbationLevel
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.prompts.repair.styles import STYLES
from raysweep.prompts.templates import PromptTemplate, template_shown
from raysweep.records import BASE, CLEAN, REWRITTEN
from raysweep.trainers.kinds import rewrites

OVERALL = "mix_all"
"""The study's mix of all of its methods."""
APART = (
    *("trainer", "lora", "ia3", "edit"),
    *("workers", "parallel", "offload", "micro_batch_size", "micro_batch_tokens", "batching"),
    *("gradient_checkpointing", "compile", "kernels"),
)
"""Settings in which recipes of different trainers that are alike differ: a trainer's own, those of speed and memory."""
FROM_SEVERAL = "from one or several edit examples"
MEMBERS_IN_WORDS = 2
"""A mix of the config is described by its members up to this number, and by their number beyond."""


def order_of(config: SweepConfig) -> Order:
    sets = config.training.sets if config.training else []
    tests = config.evaluation.perturbations
    together = sorted({config.recipes[name].examples for model in config.models for name in model.recipes})
    several = next((examples for examples in together if examples > 1), None)
    pairs = {pair.name: pair.perturbation for examples in together for pair in pairs_to_edit(config, examples)}
    rewritten = any(rewrites(config.recipes[name].trainer) for model in config.models for name in model.recipes)
    others = {
        **({EDITED: WORDS if several is None else FROM_SEVERAL} if pairs else {}),
        **({REWRITTEN: "prompts that the model rewrote"} if rewritten else {}),
    }
    clean_of: dict[str, str] = {}  # empty where the config names one source
    if config.training is not None and config.training.sources:
        clean_of = {trained.name: config.training.clean_set_of(trained.name) for trained in sets}
    members = {name: tuple(members_of(config, name)) for name in tests}
    named = dict.fromkeys((*tests, *(member for name in tests for member in members[name])))
    drawn = [name for name in tests if config.perturbation(name).args.get("compose", "draw") == "draw"]
    return Order(
        models=tuple(model.name for model in config.judged_models),
        training_sets=(BASE, *(s.name for s in sets), *others),
        problem_sets=tuple(problems.label for problems in config.evaluation.problems),
        perturbations=tuple(tests),
        headline=config.report.headline or "",
        mixes=tuple(name for name in sorted(tests, key=lambda name: -len(members[name])) if members[name]),
        members={name: members[name] for name in drawn if members[name]},
        words={name: words_of(config, name) for name in named if name != CLEAN},
        training_words={**{s.name: _training_words(config, s) for s in sets if s.name != CLEAN}, **others},
        trained_with={s.name: s.perturbation for s in sets},
        clean_of=clean_of,
        rows={s.name: RowChoice(s.ratio, s.size) for s in sets},
        recipes=_recipes(config),
        weights={model.name: _weights(model) for model in config.judged_models},
        faults=_faults(config),
        languages=_languages(config),
        draws=config.evaluation.draws,
        seeds=len(config.seeds or (config.seed,)),
        pairs=pairs,
        ways={
            EDITED: WAY if several is None else f"edited {FROM_SEVERAL} (mean over edits)",
            REWRITTEN: "with prompts that it rewrote itself",
        },
        left_out=BROKEN if config.edits and config.edits.judged_on == "broken" else LEFT_OUT,
        undrawn=undrawn(config),
    )


def _languages(config: SweepConfig) -> dict[str, str]:
    languages = {}
    for problems in config.evaluation.problems:
        with suppress(UsageError):
            languages[problems.label] = config.problem_set(problems).language
    return languages


def levels_of(config: SweepConfig) -> tuple[PerturbationLevel, ...]:
    """Return the levels whose methods a config evaluates: the study's, all of its methods, and the config's own mixes.

    Levels of which the same methods are evaluated are one, by the first name.
    """
    tests = config.evaluation.perturbations
    levels: dict[tuple[str, ...], PerturbationLevel] = {}
    for name in dict.fromkeys((*LEVELS, OVERALL, *tests)):
        level = PerturbationLevel.of(name, members_of(config, name), tests)
        levels.setdefault(level.methods, level)
    return tuple(levels.values())


def _recipes(config: SweepConfig) -> dict[str, RecipeChoice]:
    """Return the recipes of judged models by name; one that is chosen among a group's has the group's name."""
    judged: dict[str, list[RecipeConfig]] = {}
    for name, recipe in config.recipes.items():
        judged.setdefault(recipe.group if recipe.is_candidate and recipe.group else name, []).append(recipe)
    return {name: _recipe(recipes) for name, recipes in judged.items()}


def _recipe(recipes: Sequence[RecipeConfig]) -> RecipeChoice:
    rest = [one.model_dump(mode="json", exclude={"objective", "objective_args", *AROUND}) for one in recipes]
    alike = [{key: value for key, value in one.items() if key not in APART} for one in rest]
    trainers = {one.trainer for one in recipes}
    return RecipeChoice(
        recipes[0].objective,
        recipes[0].objective_args,
        canonical_json(rest if len(rest) > 1 else rest[0]),
        trainers.pop() if len(trainers) == 1 else "",
        canonical_json(alike if len(alike) > 1 else alike[0]),
        is_chosen=recipes[0].is_candidate,
    )


def _faults(config: SweepConfig) -> dict[str, FaultShown]:
    found = {}
    for model in config.judged_models:
        template = PromptTemplate(model.template)
        names = [template_shown(config.evaluation.prompt_format, tuned, template).name for tuned in (False, True)]
        if all(name in STYLES for name in names):
            before, after = (STYLES[name] for name in names)
            words = (after.architecture, "clm" if after.clm else "", "infill" if after.infill else "", after.answer)
            found[model.name] = FaultShown(" ".join(filter(None, words)), before.shows_hunk, after.shows_hunk)
    return found


def _weights(model: ModelConfig) -> str:
    """Return what models with the same weights share: path and revision, or how they are trained from scratch."""
    trained = canonical_json(model.pretrain.model_dump(mode="json")) if model.pretrain else model.name
    return f"{model.path}@{model.revision or ''}" if model.path else trained


def undrawn(config: SweepConfig) -> tuple[str, ...]:
    names = (name for name in config.evaluation.perturbations if name != CLEAN)
    return tuple(name for name in names if len(config.draws_of(name)) < config.evaluation.draws)


def words_of(config: SweepConfig, name: str) -> str:
    """Return a few plain words for a perturbation of the config: ``neighbouring keys`` for C1."""
    kind = PERTURBATIONS.get(config.perturbation(name).name)
    members = members_of(config, name)
    if name not in config.perturbations or not members:
        return kind.in_words()
    if len(members) > MEMBERS_IN_WORDS:
        return f"{kind.in_words()} of {len(members)} methods"
    return f"{kind.in_words()} of {' and '.join(words_of(config, member) for member in members)}"


def _training_words(config: SweepConfig, wanted: TrainingSetConfig) -> str:
    words = "clean prompts" if wanted.perturbation == CLEAN else words_of(config, wanted.perturbation)
    words = f"{100 * wanted.ratio:g} % {words}" if wanted.ratio != 1 else words
    words = f"{words}, {wanted.size:g} times the rows" if wanted.size != 1 else words
    return f"{words} of {wanted.source}" if wanted.source is not None else words


def members_of(config: SweepConfig, name: str) -> Sequence[str]:
    """Return the methods of a mix; empty for another perturbation."""
    spec = config.perturbation(name)
    members = spec.args.get("members", getattr(PERTURBATIONS.get(spec.name), "members", ()))
    return tuple(map(str, members))
