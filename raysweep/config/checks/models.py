"""Checks of a config's models: that they exist, can be prompted as asked, and are given rows that fit.

A tokenizer is loaded, with transformers, only where training or a prompt needs it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.config.checks.mistakes import Doubt, Mistake, first_rows
from raysweep.config.checks.repair import (
    architecture_mistakes,
    repair_mistakes,
    token_mistakes,
    training_mistakes,
)
from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig
from raysweep.config.models import ModelConfig, PretrainConfig, RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.config.training import ONLY
from raysweep.errors import RaysweepError, UsageError, did_you_mean
from raysweep.generators.base import TRANSFORMERS
from raysweep.models.architectures.known import known_shape, shape_from_scratch
from raysweep.models.config_files import model_config
from raysweep.models.families.base import FAMILIES, ia3_targets
from raysweep.models.finding import ResolvedModel, has_end_of_text, resolve
from raysweep.models.loadable import quantization, unloadable
from raysweep.models.loading import adapter_misfit, load_tokenizer
from raysweep.models.traits import read_traits
from raysweep.prompts.repair.styles import EXAMPLE, STYLES
from raysweep.prompts.templates import CHAT, INSTRUCT, MAGICODER, NATIVE, RAW, PromptTemplate
from raysweep.records import ModelKind, SourceRow, Spec, TrainingRow
from raysweep.storage.store import IN_RAY_JOB
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe, objective_of
from raysweep.trainers.kinds import fine_tunes, kind_of
from raysweep.training_sets.base import TrainingSource
from raysweep.training_sets.rejecting import variants
from raysweep.units import count

_COUNTS = re.compile(r"^(num|n)_|_(size|layers|heads)$")
"""Fields of transformers' configs that count something."""


def check_models(config: SweepConfig) -> Iterator[Mistake]:
    for at, model in enumerate(config.models):
        place: KeyPath = ("models", at)
        yield from (((*place, *path), text) for path, text in _prompts(config, model))
        yield from (
            ((*place, *path), text)
            for check in (repair_mistakes(config, model), training_mistakes(config, model))
            for path, text in check
        )
        if not model.has_weights:
            yield from token_mistakes(config, model, "", None, place)
        if model.pretrain is not None:
            yield from (((*place, "pretrain", *path), text) for path, text in _pretraining(config, model.pretrain))
            pretrain = model.pretrain
            shape = shape_from_scratch(pretrain.family, pretrain.vocab_size, pretrain.size)
            architecture = FAMILIES.get(pretrain.family).architecture
            yield from architecture_mistakes(config, model, architecture, place)
            yield from token_mistakes(config, model, architecture, pretrain.special_tokens, place)
            yield from _objectives_for(config, dict.fromkeys([pretrain.recipe, *model.recipes]), architecture)
            yield from _begun_answers(config, model, architecture, place)
            yield from _too_long(config, model, shape.positions if shape else None)
        elif model.path is not None:
            yield from _existing(config, model, model.path, place)


def _prompts(config: SweepConfig, model: ModelConfig) -> Iterator[Mistake]:
    shown = {config.evaluation.prompt_format, model.template}
    if model.system_prompt and shown <= {NATIVE, RAW, INSTRUCT, MAGICODER}:
        yield ("system_prompt",), f"the template {model.template!r} has no place for it; give `template: {CHAT}`"
    if model.path is None and CHAT in shown:
        yield (
            ("name",),
            (
                f"model {model.name!r} has no chat template; only models with a `path` can have one: leave "
                f"`{'template' if model.template == CHAT else 'evaluation.prompt_format'}: {CHAT}` to them"
            ),
        )


def _existing(config: SweepConfig, model: ModelConfig, path: str, place: KeyPath) -> Iterator[Mistake]:
    try:
        resolved = resolve(path, model.revision, model.trust_remote_code)
        traits = read_traits(resolved.ref(model.dtype, model.eos_token))
    except UsageError as error:
        yield (*place, "path"), error
        known = known_shape(path)
        yield from _too_long(config, model, known.positions if known else None)
        return
    yield from _too_long(config, model, resolved.positions)
    if _vanishes_with_a_job(model, config.recipes):
        yield (
            (*place, "path"),
            f"{path} lies in the folder of this Ray job, which is temporary, and adapters name it as their "
            "base; give an absolute path that every node sees, or a hub id",
        )
    yield from architecture_mistakes(config, model, resolved.architecture, place)
    if resolved.architecture != "causal":
        yield from _objectives_for(config, model.recipes, resolved.architecture)
        yield from _begun_answers(config, model, resolved.architecture, place)
    yield from _without_targets(config, model, (resolved.base or resolved).model_type)
    if mistakes := list(_unloadable(config, model, resolved, place)):
        yield from mistakes
        return
    if resolved.kind is ModelKind.ADAPTER and model.recipes:
        yield (*place, "recipes"), f"{path} is an adapter; merge it into its base before training on it"
    elif resolved.kind is ModelKind.ADAPTER and (why := adapter_misfit(resolved.ref(model.dtype, model.eos_token))):
        base = resolved.base.location if resolved.base else "none"
        yield (*place, "path"), f"the adapter {path} doesn't fit its base {base}: {why}"
    if traits.misfit:
        yield (*place, "path"), f"{path} can't be run: {traits.misfit}"
        return
    if traits.ordinary_ends:
        texts = ", ".join(map(repr, traits.ordinary_ends))
        text = f"{model.name} ends at {texts}, which usual texts have too: `eos_token_id` in its files says so"
        yield (*place, "path"), Doubt(text)
    yield from _tokenizer(config, model, resolved, place)


def _begun_answers(config: SweepConfig, model: ModelConfig, architecture: str, place: KeyPath) -> Iterator[Mistake]:
    """The places are those from the top of the config."""
    asked = config.evaluation.prompt_format
    is_native = asked == NATIVE and model.template == INSTRUCT and bool(model.recipes)
    if architecture == "seq2seq" and (is_native or asked == INSTRUCT):
        yield (
            (*place, "template") if is_native else ("evaluation", "prompt_format"),
            f"the template {INSTRUCT!r} begins the answer with the signature, and the decoder of an encoder-decoder "
            f"model ({model.name}) doesn't go on with its prompt; give `{RAW}`",
        )


def _objectives_for(config: SweepConfig, recipes: Iterable[str], architecture: str) -> Iterator[Mistake]:
    """The places are those from the top of the config."""
    for name in recipes:
        recipe = config.recipes[name].recipe("", "")
        try:
            objective_of(recipe)
        except UsageError:
            continue
        try:
            objective_of(recipe, architecture)
        except UsageError as error:
            yield ("recipes", name, "objective"), str(error)


def _without_targets(config: SweepConfig, model: ModelConfig, model_type: str) -> Iterator[Mistake]:
    """The places are those from the top of the config."""
    for name in model.recipes:
        recipe = config.recipes[name]
        if recipe.trainer == "ia3" and recipe.ia3.targets is None and not ia3_targets(model_type)[0]:
            yield (
                ("recipes", name, "ia3"),
                f"PEFT knows no modules of {model_type} models that IA3 scales, such as {model.name}; name them as "
                f"`recipes.{name}.ia3.targets`",
            )


def _unloadable(config: SweepConfig, model: ModelConfig, resolved: ResolvedModel, place: KeyPath) -> Iterator[Mistake]:
    whole = resolved.base or resolved
    written = model_config(whole.ref()) or {}
    generator = (model.generator or config.evaluation.generator).name
    own = [name for name in model.recipes if not TRAINERS.plugin_spec(config.recipes[name].trainer)]
    if generator == TRANSFORMERS or own:
        asked = [config.asked("generation", model.name, recipe) for recipe in ("", *model.recipes)]
        on_gpu = any(stage.gpus for stage in asked)
        if why := unloadable(whole.location, written, on_gpu, resolved.architecture):
            yield (*place, "path"), why
    full = [name for name in model.recipes if _trains_all(config.recipes[name])]
    if full and quantization(written):
        yield (
            (*place, "recipes"),
            f"{whole.location} is quantized, and recipe {full[0]!r} trains all of its weights; take `trainer: lora`, "
            "or its unquantized version",
        )


def _too_long(config: SweepConfig, model: ModelConfig, positions: int | None) -> Iterator[Mistake]:
    """Where a recipe leaves `max_tokens` out, the positions limit its rows; a plan says so."""
    recipes = [*model.recipes, *([model.pretrain.recipe] if model.pretrain else [])]
    for name in filter(lambda name: fine_tunes(config.recipes[name].trainer), dict.fromkeys(recipes)):
        most, is_given = config.recipes[name].max_tokens, "max_tokens" in config.recipes[name].model_fields_set
        if positions is not None and most > positions and is_given:
            yield (
                ("recipes", name, "max_tokens"),
                f"the recipe takes rows of up to {most} tokens, and {model.name} has {positions} positions; give at "
                f"most `max_tokens: {positions}`",
            )
    longest = config.evaluation.max_new_tokens
    if positions is not None and longest >= positions:
        yield (
            ("evaluation", "max_new_tokens"),
            Doubt(f"{longest:,} tokens are more than a prompt leaves of the {positions:,} positions of {model.name}"),
        )


def _tokenizer(config: SweepConfig, model: ModelConfig, resolved: ResolvedModel, place: KeyPath) -> Iterator[Mistake]:
    ref, prompt_format = resolved.ref(model.dtype, model.eos_token), config.evaluation.prompt_format
    own_form = any(name not in (NATIVE, RAW, INSTRUCT) for name in (model.template, prompt_format))
    encoding = [name for name in model.recipes if _encodes(config.recipes[name])]
    if not own_form and not encoding and has_end_of_text(ref):
        return
    try:
        tokenizer = load_tokenizer(ref)
    except RaysweepError as error:
        yield (*place, "path"), str(error)
        return
    asked = {model.template: (*place, "template"), prompt_format: ("evaluation", "prompt_format")}
    if CHAT in asked and not tokenizer.chat_template:
        yield (
            asked[CHAT],
            f"the tokenizer of {model.path} has no chat template; write one as a Jinja string, or take "
            f"`{INSTRUCT}` or `{RAW}`",
        )
        return
    lacking = list(token_mistakes(config, model, resolved.architecture, tokenizer.get_vocab(), place))
    if lacking:
        yield from lacking
        return
    try:
        for name in asked:
            PromptTemplate(INSTRUCT if name == NATIVE else name, model.system_prompt, tokenizer).fill(
                EXAMPLE if name in STYLES else "Add two numbers."
            )
    except UsageError as error:
        key = "system_prompt" if model.system_prompt else "template"
        yield (*place, key), str(error)
        return
    for name in encoding:
        yield from _rows(config, model, name, tokenizer, resolved)


@dataclass(frozen=True)
class _Fit:
    """How many rows were looked at, how many of them fit, and how long the longer ones are in tokens."""

    rows: int
    usable: int
    longer: tuple[int, ...]


def _rows(
    config: SweepConfig, model: ModelConfig, name: str, tokenizer: Any, resolved: ResolvedModel
) -> Iterator[Mistake]:
    for source in config.training.row_sources if config.training else ():
        sizes = [trained.size for trained in config.sets_of(model) if (trained.source or ONLY) == source.name]
        if sizes:
            yield from _rows_of(config, model, name, tokenizer, resolved, source.rows, min(1.0, *sizes))


def has_rejected(config: SweepConfig, source: SourceConfig) -> bool:
    """Return True unless a source names no way to rejected responses, and its first row can be read and has none."""
    if source.rejected is not None:
        return True  # they are made, or the source itself looks for the field
    return all(row.rejected is not None for row in first_rows(config, source, 1))


def _rows_of(
    config: SweepConfig,
    model: ModelConfig,
    name: str,
    tokenizer: Any,
    resolved: ResolvedModel,
    rows: SourceConfig,
    size: float,
) -> Iterator[Mistake]:
    """`size`: of the smallest set of the source's rows."""
    if OBJECTIVES.get(config.recipes[name].objective).prefers and not has_rejected(config, rows):
        return  # none can be encoded: another check
    recipe = config.recipes[name].recipe(model.template, model.system_prompt)
    positions = resolved.positions
    longest = min(recipe.max_tokens, positions or recipe.max_tokens)
    try:
        source, rejected = config.source(rows), rows.rejected
        changed = None if rejected is None or rejected.field is not None else _mutated if rejected.mutator else _varied
        fit = _fit(source, recipe, tokenizer, longest, recipe.batch_size / size, changed, resolved.architecture)
    except UsageError:
        return  # other checks say what is wrong with the source or the objective
    if fit.usable * size >= recipe.batch_size or fit.rows < recipe.batch_size:
        return  # too few rows, whatever their length: another check
    of_them = f" (the smallest training set has {size:g} of them)" if size < 1 else ""
    if fit.usable == fit.rows:
        yield (
            ("recipes", name, "batch_size"),
            f"{recipe.batch_size} is more than the rows of a set: {fit.rows:,}{of_them}",
        )
        return
    way = "raise it" + (f", or lower the batch size from {recipe.batch_size}" if fit.usable else "")
    if positions is not None and positions <= recipe.max_tokens:
        way = f"{model.name} has {positions} positions, so shorten the rows"
    others = "the others have no prompt"
    if fit.longer:
        median = statistics.median_low(fit.longer)
        others = f"{count(len(fit.longer), 'row')} are longer, with a median of {median:,} tokens"
    yield (
        ("recipes", name, "max_tokens"),
        f"{fit.usable:,} of {fit.rows:,} rows{of_them} fit into {longest} tokens of {model.name}, and a step "
        f"takes {recipe.batch_size}; {others}; {way}",
    )


def _fit(
    source: TrainingSource,
    recipe: Recipe,
    tokenizer: Any,
    longest: int,
    enough: float,
    changed: Callable[[SourceRow], str | None] | None = None,
    architecture: str = "causal",
) -> _Fit:
    """`changed`: returns a response about as long as a row's rejected one will be; None: rows have their own."""
    objective = objective_of(recipe, architecture)
    bounded, unbounded = (dataclasses.replace(recipe, max_tokens=most) for most in (longest, 2**31))
    rows = usable = 0
    longer = []
    for row in source.rows():
        if changed is not None:
            row = dataclasses.replace(row, rejected=changed(row))
        fields = (row.instruction, row.input, row.output, row.language)
        trained = TrainingRow(
            row.row_id, row.row_id, *fields, "", False, row.instruction, row.input, rejected=row.rejected
        )
        rows += 1
        if objective.encode(trained, tokenizer, bounded) is not None:
            usable += 1
            if usable >= enough:
                break
        elif full := objective.encode(trained, tokenizer, unbounded):
            longer.append(len(full["input_ids"]))
    return _Fit(rows, usable, tuple(longer))


def _varied(row: SourceRow) -> str | None:
    """Return what stands for a teacher's variant of a row's response, which is about as long."""
    return row.output[1:] or None


def _mutated(row: SourceRow) -> str | None:
    try:
        first = next(variants(row, 0), None)
    except SyntaxError:
        return None
    return first.text if first else None


def _pretraining(config: SweepConfig, pretrain: PretrainConfig) -> Iterator[Mistake]:
    trainer = config.recipes[pretrain.recipe].trainer
    if trainer != "full":
        yield (
            ("recipe",),
            f"recipe {pretrain.recipe!r} has the trainer {trainer!r}, which needs a trained model; "
            "a model from scratch needs `trainer: full`",
        )
    if pretrain.template == CHAT:
        yield ("template",), "a tokenizer that is trained here has no chat template; take another one"
    for field, text in _size_problems(pretrain):
        yield ("size", field), text


def _size_problems(pretrain: PretrainConfig) -> Iterator[tuple[str, str]]:
    """Import transformers only for names that look wrong."""
    for field, value in pretrain.size.items():
        if _COUNTS.search(field) and (isinstance(value, bool | float) or not 0 <= value < 2**31):
            yield field, f"must be a whole number from 0 to 2147483647, not {str(value).lower()}"
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


def _trains_all(recipe: RecipeConfig) -> bool:
    return fine_tunes(recipe.trainer) and TRAINERS.get(recipe.trainer).kind is ModelKind.FULL


def _encodes(recipe: RecipeConfig) -> bool:
    return fine_tunes(recipe.trainer) and TRAINERS.get(recipe.trainer).uses_objective


def _vanishes_with_a_job(model: ModelConfig, recipes: Mapping[str, RecipeConfig]) -> bool:
    """Return True if adapters would name a base in the working folder of a Ray job."""
    path = Path(model.path or "").expanduser()
    has_adapters = any(kind_of(recipes[name].trainer) is ModelKind.ADAPTER for name in model.recipes)
    return IN_RAY_JOB in os.environ and path.is_dir() and not path.is_absolute() and has_adapters
