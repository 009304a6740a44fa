"""Does what a config says fit together, and can the files and models that it names be read? Asked before work starts.

The schema (`raysweep.config`) checks each value alone; here are the checks that look at several, build the registered
classes or read files. Nothing heavy is imported unless something is wrong.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from raysweep.config import SweepConfig
from raysweep.config_models import ModelConfig, PretrainConfig, RecipeConfig
from raysweep.config_types import SpecConfig
from raysweep.document import KeyPath
from raysweep.errors import UsageError, did_you_mean
from raysweep.grid import BASE, build_grid
from raysweep.method_inputs import Finding, perturbations, sizes
from raysweep.models.base import FAMILIES
from raysweep.models.loading import ResolvedModel, resolve
from raysweep.problems.base import PROBLEMS
from raysweep.records import ModelKind, Spec
from raysweep.trainers.base import OBJECTIVES
from raysweep.training_sets.base import SOURCES


def check_inputs(config: SweepConfig, *, with_models: bool = True) -> list[Finding]:
    """Return everything that is wrong with a config of the right schema, and with the files and models it names.

    `with_models`: False where only training and test sets are to be made.
    """
    checks: list[Callable[[SweepConfig], Iterator[Finding]]]
    checks = [
        _doubled,
        _cells,
        _pairs,
        perturbations,
        sizes,
        _recipes,
        _sources,
        partial(_problems, judged=with_models),
    ]
    checks += [_pretraining, _models] if with_models else []
    return [finding for check in checks for finding in check(config)]


def _doubled(config: SweepConfig) -> Iterator[Finding]:
    """Names and numbers that must differ: each stands for an artefact or a file of its own."""
    lists: list[tuple[KeyPath, str, Sequence[Any]]] = [
        (("seeds",), "seed", config.seeds or []),
        (("models",), "model name", [model.name for model in config.models]),
        (("evaluation", "problems"), "problem set", [problems.name for problems in config.evaluation.problems]),
    ]
    if config.training is not None:
        lists.append((("training", "sets"), "training set name", [s.name for s in config.training.sets]))
    lists += [(("models", at, "recipes"), "recipe", model.recipes) for at, model in enumerate(config.models)]
    if isinstance(config.evaluation.pairs, Mapping):
        lists += [(("evaluation", "pairs", k), "perturbation", v) for k, v in config.evaluation.pairs.items()]
    for path, what, values in lists:
        for at, value in enumerate(values):
            if value in values[:at]:
                yield (*path, at), f"the {what} {value!r} stands here twice; each must be another"


def _cells(config: SweepConfig) -> Iterator[Finding]:
    sets = config.training.sets if config.training else []
    based = [at for at, trained in enumerate(sets) if trained.name == BASE]
    for at in based:
        yield (
            ("training", "sets", at),
            f"{BASE!r} is the name of what is not fine-tuned; give the set another, as in "
            f"{{name: other, perturbation: {sets[at].perturbation}}}",
        )
    for at, model in enumerate(config.models):
        if model.recipes and config.training is None:
            yield ("models", at, "recipes"), "there is no `training:` section to fine-tune on"
        for key in ("revision", "trust_remote_code", "dtype"):
            if model.path is None and getattr(model, key) != ModelConfig.model_fields[key].default:
                yield ("models", at, key), "only a model with a `path` has this; leave it out"
    try:
        build_grid(config)
    except UsageError as error:
        if not based:  # else that is why
            yield ("models",), str(error)


def _pairs(config: SweepConfig) -> Iterator[Finding]:
    if isinstance(config.evaluation.pairs, str):
        return
    sets = [BASE, *(s.name for s in (config.training.sets if config.training else []))]
    tests = config.evaluation.perturbations
    for name, wanted in config.evaluation.pairs.items():
        path: KeyPath = ("evaluation", "pairs", name)
        if name not in sets:
            yield path, f"no training set called {name!r}{did_you_mean(name, sets)}; there are: {', '.join(sets)}"
        for at, test in enumerate(wanted):
            if test not in tests:
                near = did_you_mean(test, tests)
                yield (*path, at), f"{test!r} is not among `evaluation.perturbations`{near}: {', '.join(tests)}"


def _recipes(config: SweepConfig) -> Iterator[Finding]:
    for name, recipe in config.recipes.items():
        try:
            OBJECTIVES.create(Spec(recipe.objective, dict(recipe.objective_args)))
        except UsageError as error:
            yield ("recipes", name, "objective_args"), str(error)


def _sources(config: SweepConfig) -> Iterator[Finding]:
    named: list[tuple[KeyPath, SpecConfig, list[str]]] = []
    for at, model in enumerate(config.models):
        if model.pretrain is not None:
            named.append((("models", at, "pretrain", "source"), model.pretrain.source, [model.pretrain.recipe]))
    if config.training is not None:
        used = dict.fromkeys(recipe for model in config.models for recipe in model.recipes)
        named.append((("training", "source"), config.training.source, list(used)))
    for path, spec, recipes in named:
        source = SOURCES.create(spec.spec(SOURCES, config.seed))
        try:
            source.check()
        except UsageError as error:
            yield path, str(error)
            continue
        rows = getattr(source, "size", None)  # only some know it before they make their rows
        for name in recipes:
            batch = config.recipes[name].batch_size
            if rows is not None and rows < batch:
                yield ("recipes", name, "batch_size"), f"{batch} is more than the {rows} rows of {_shown(path)}"


def _problems(config: SweepConfig, judged: bool) -> Iterator[Finding]:
    for at, problems in enumerate(config.evaluation.problems):
        try:
            PROBLEMS.create(problems.spec(PROBLEMS, config.seed)).check(judged=judged)
        except UsageError as error:
            yield ("evaluation", "problems", at), str(error)


def _pretraining(config: SweepConfig) -> Iterator[Finding]:
    for at, model in enumerate(config.models):
        if model.pretrain is None:
            continue
        place: KeyPath = ("models", at, "pretrain")
        trainer = config.recipes[model.pretrain.recipe].trainer
        if trainer != "full":
            yield (
                (*place, "recipe"),
                f"recipe {model.pretrain.recipe!r} has the trainer {trainer!r}, which needs a trained model; "
                "a model from scratch needs `trainer: full`",
            )
        for field, text in _size_problems(model.pretrain):
            yield (*place, "size", field), text


def _size_problems(pretrain: PretrainConfig) -> Iterator[tuple[str, str]]:
    """Find fields that the family's config doesn't have; transformers is imported only for names that look wrong."""
    odd = [field for field in pretrain.size if not _is_written(pretrain.family, field)]
    if not odd:
        return
    config = FAMILIES.create(Spec(pretrain.family)).tiny_config(pretrain.vocab_size, 0)
    known = set(config.to_dict()) | set(config.attribute_map)
    for field in odd:
        if field not in known:
            yield field, f"the config of model family {pretrain.family!r} has no such field{did_you_mean(field, known)}"


def _is_written(family: str, field: str) -> bool:
    """Whether the source of transformers' config of a family gives a value to that field."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        return False
    file = Path(spec.origin).parent / "models" / family / f"configuration_{family}.py"
    return file.is_file() and bool(re.search(rf"^\s+{re.escape(field)}(: [^=\n]+)?=", file.read_text(), re.MULTILINE))


def _models(config: SweepConfig) -> Iterator[Finding]:
    for at, model in enumerate(config.models):
        if model.path is None:
            continue
        try:
            found = resolve(model.path, model.revision, model.trust_remote_code)
        except UsageError as error:
            yield ("models", at, "path"), str(error)
            continue
        if found.architecture != "causal":
            yield ("models", at, "path"), f"{model.path} is an encoder-decoder model; only causal ones can be run"
        for position, text in _training_problems(model, found, config.recipes):
            yield ("models", at, "recipes", position), text


def _training_problems(
    model: ModelConfig, found: ResolvedModel, recipes: Mapping[str, RecipeConfig]
) -> Iterator[tuple[int, str]]:
    for position, name in enumerate(model.recipes):
        recipe = recipes[name]
        if found.kind is ModelKind.ADAPTER:
            yield position, f"{model.path} is an adapter; merge it into its base before training on it"
        elif recipe.trainer == "lora" and found.model_type not in FAMILIES.names():
            lacking = [] if recipe.lora.targets else ["name its layers in `lora.targets`"]
            lacking += ["leave out `lora.train_embeddings`"] if recipe.lora.train_embeddings else []
            if lacking:
                ways = " and ".join(lacking)
                yield position, f"raysweep doesn't know the layers of a {found.model_type!r} model; in {name!r}, {ways}"


def _shown(path: KeyPath) -> str:
    return "`" + ".".join(map(str, path)) + "`"
