"""Checks of a config's models: that they exist, can be prompted as asked, and are given rows that fit.

A tokenizer is loaded, with transformers, only where training or a prompt needs it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import statistics
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from raysweep.config.checks.attention import attention_mistakes
from raysweep.config.checks.mistakes import Mistake, row_sources
from raysweep.config.checks.quantized import adapter_doubts, quantized_mistakes
from raysweep.config.checks.repair import (
    architecture_mistakes,
    repair_mistakes,
    token_mistakes,
)
from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig
from raysweep.config.models import DamageConfig, ModelConfig, PretrainConfig
from raysweep.config.resources import BY_PREDICTION
from raysweep.config.schema import SweepConfig
from raysweep.config.training import ONLY
from raysweep.errors import Doubt, RaysweepError, UsageError, did_you_mean
from raysweep.generators.base import GENERATORS, TRANSFORMERS, continues
from raysweep.models.architectures.known import known_shape, shape_from_scratch
from raysweep.models.architectures.shape import Shape, shape_of
from raysweep.models.families.base import FAMILIES, ModelFamily, fields_of, ia3_targets
from raysweep.models.finding import ResolvedModel, has_end_of_text, resolve
from raysweep.models.hub import model_config
from raysweep.models.loadable import unloadable
from raysweep.models.loading import adapter_misfit, attention_misfit, auto_model, empty_network, load_tokenizer
from raysweep.models.traits import read_traits
from raysweep.prompts.repair.styles import EXAMPLE, STYLES
from raysweep.prompts.templates import (
    CHAT,
    INSTRUCT,
    NATIVE,
    RAW,
    PromptTemplate,
    arguments_of,
    brings_code,
    check_line_ends,
    earlier_answers,
    has_chat_template,
    shows_system,
    template_shown,
)
from raysweep.records import CLEAN, ModelKind, Spec, TrainingRow
from raysweep.storage.store import IN_RAY_JOB
from raysweep.trainers.base import ALL, OBJECTIVES, TRAINERS, objective_of
from raysweep.trainers.editors.planted import BYTES_AND_END, GATED
from raysweep.trainers.kinds import fine_tunes, kind_of
from raysweep.training_sets.rejected.rejecting import variants
from raysweep.units import count

_COUNTS = re.compile(r"^(num|n)_|_(size|layers|heads)$")
"""Fields of transformers' configs that count something."""


def check_models(config: SweepConfig) -> Iterator[Mistake]:
    yield from _line_ends(config)
    for at, model in enumerate(config.models):
        place: KeyPath = ("models", at)
        shown = {config.evaluation.prompt_format, model.template}
        yield from _without_place(config, model, place)
        if model.path is None and CHAT in shown:
            key = "template" if model.template == CHAT else "evaluation.prompt_format"
            why = f"model {model.name!r} has no chat template; only models with a `path` can have one"
            yield (*place, "name"), f"{why}: leave `{key}: {CHAT}` to them"
        yield from repair_mistakes(config, model, place)
        yield from _asked_in_words(config, model, place)
        yield from _in_tf32(config, model, place)
        yield from attention_mistakes(config, model, place)
        yield from _in_parallel(config, model, place)
        if not model.has_weights:
            yield from token_mistakes(config, model, "", None, place)
        if (pretrain := model.pretrain) is not None:
            template = pretrain.template or model.template
            yield from (((*place, "pretrain", *path), text) for path, text in _pretraining(config, pretrain, template))
            shape = shape_from_scratch(pretrain.family, pretrain.vocab_size, pretrain.size)
            architecture = FAMILIES.get(pretrain.family).architecture
            if model.attention is not None:
                made = FAMILIES.create(Spec(pretrain.family)).tiny_config(pretrain.vocab_size, 0)
                if why := attention_misfit(auto_model(architecture).from_config(made), model.attention):
                    yield (*place, "attention"), why
            recipes = dict.fromkeys([pretrain.recipe, *model.recipes])
            yield from _of_architecture(config, model, recipes, architecture, place)
            yield from token_mistakes(config, model, architecture, pretrain.special_tokens, place)
            yield from _too_long(config, model, shape.positions if shape else None)
            yield from quantized_mistakes(config, model, {}, place)
            yield from _without_turns(config, model, SimpleNamespace(bos_token="<s>", eos_token="</s>"))
        elif model.path is not None:
            yield from _existing(config, model, model.path, place)


def _asked_in_words(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[Mistake]:
    """Yield where a model would go on with a prompt that asks for a program, as with the beginning of one."""
    template, asked = PromptTemplate(model.template), config.evaluation.prompt_format
    shown = [template_shown(asked, tuned, template).name for tuned in (False, True)[: 1 + bool(model.recipes)]]
    generator = (model.generator or config.evaluation.generator).spec(GENERATORS, config.seed)
    if RAW not in shown or not model.judged or not continues(generator):
        return
    for problems in config.evaluation.problems:
        with suppress(UsageError):  # another check says what is wrong with it
            if config.problem_set(problems).asks:
                yield (
                    (*place, "template") if model.template == RAW else ("evaluation", "prompt_format"),
                    f"problem set {problems.label} asks in words for a program, and model {model.name!r} would go on "
                    f"with the words, as it sees prompts `{RAW}`; show them in a template, such as `{CHAT}`, or give "
                    "the problem set `split: complete`",
                )
                return


def _without_place(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[Mistake]:
    """Yield a system prompt and arguments of a chat template that nothing shows."""
    shown = {config.evaluation.prompt_format, model.template, (model.pretrain and model.pretrain.template) or RAW}
    generator = (model.generator or config.evaluation.generator).spec(GENERATORS, config.seed)
    if not model.has_weights:
        try:
            for template in _sent(config, model):
                model.prompted(generator, template)
        except UsageError as error:
            yield (*place, "system_prompt" if model.system_prompt else "template_arguments"), error
        return
    if model.system_prompt and not any(map(shows_system, shown)):
        why = f"the template {model.template!r} has no place for it; give `template: {CHAT}`"
        yield (*place, "system_prompt"), why
    if model.template_arguments and CHAT not in shown:
        why = f"only a chat template reads them, and the template is {model.template!r}; give `template: {CHAT}`"
        yield (*place, "template_arguments"), why


def _sent(config: SweepConfig, model: ModelConfig) -> Iterator[str]:
    """Yield the templates in which a model without weights is asked: as a teacher, and as one that is judged."""
    if any(rows.rejected.teacher == model.name for _, rows, _ in row_sources(config) if rows.rejected):
        yield model.asked_in(has_chat_template=False)
    if model.judged:
        yield template_shown(config.evaluation.prompt_format, False, PromptTemplate(model.template)).name


def _unread(model: ModelConfig, tokenizer: Any, place: KeyPath) -> Iterator[Mistake]:
    """Yield arguments that a model's chat template never reads; code of a tokenizer's own may read any."""
    written = tokenizer.chat_template
    if not isinstance(written, str) or brings_code(tokenizer):
        return
    known = arguments_of(written)
    for name in model.template_arguments:
        if name not in known:
            reads = f"it reads {', '.join(sorted(known))}" if known else "it reads none"
            why = f"the chat template of {model.path} never reads {name!r}{did_you_mean(name, known)}; {reads}"
            yield (*place, "template_arguments", name), why


def _line_ends(config: SweepConfig) -> Iterator[Mistake]:
    asked: list[tuple[KeyPath, str]] = [(("evaluation", "prompt_format"), config.evaluation.prompt_format)]
    for at, model in enumerate(config.models):
        asked.append((("models", at, "template"), model.template))
        if model.pretrain is not None and model.pretrain.template is not None:
            asked.append((("models", at, "pretrain", "template"), model.pretrain.template))
    for path, name in asked:
        try:
            check_line_ends(name)
        except UsageError as error:
            yield path, error


def _existing(config: SweepConfig, model: ModelConfig, path: str, place: KeyPath) -> Iterator[Mistake]:
    try:
        resolved = resolve(path, model.revision, model.trust_remote_code)
        ref = resolved.ref(model.dtype, model.eos_token)
        traits = read_traits(ref)
    except UsageError as error:
        yield (*place, "path"), error
        known = known_shape(path)
        yield from _too_long(config, model, known.positions if known else None)
        yield from quantized_mistakes(config, model, {}, place)
        return
    yield from _too_long(config, model, resolved.positions)
    makes_adapters = any(kind_of(config.recipes[name].trainer) is ModelKind.ADAPTER for name in model.recipes)
    folder = Path(path).expanduser()
    if IN_RAY_JOB in os.environ and folder.is_dir() and not folder.is_absolute() and makes_adapters:
        yield (
            (*place, "path"),
            f"{path} lies in the folder of this Ray job, which is temporary, and adapters name it as their "
            "base; give an absolute path that every node sees, or a hub id",
        )
    yield from _of_architecture(config, model, model.recipes, resolved.architecture, place)
    model_type = (resolved.base or resolved).model_type
    for name in model.recipes:
        recipe = config.recipes[name]
        if recipe.trainer == "ia3" and recipe.ia3.targets is None and not ia3_targets(model_type)[0]:
            yield (
                ("recipes", name, "ia3"),
                f"PEFT knows no modules of {model_type} models that IA3 scales, such as {model.name}; name them as "
                f"`recipes.{name}.ia3.targets`",
            )
    yield from _unequal_heads(config, model, resolved, place)
    mistakes = list(_unloadable(config, model, resolved, place))
    yield from mistakes
    if any(not isinstance(text, Doubt) for _, text in mistakes):
        return
    if resolved.kind is ModelKind.ADAPTER and model.recipes:
        yield (*place, "recipes"), f"{path} is an adapter; merge it into its base before training on it"
    elif resolved.kind is ModelKind.ADAPTER and (why := adapter_misfit(ref)):
        base = resolved.base.location if resolved.base else "none"
        yield (*place, "path"), f"the adapter {path} can't be put on its base {base}: {why}"
    if model.attention is not None:
        with suppress(RaysweepError, ValueError, OSError):  # loading it tells
            if why := attention_misfit(empty_network(ref.base or ref), model.attention):
                yield (*place, "attention"), why
    if traits.misfit:
        yield (*place, "path"), f"{path} can't be run: {traits.misfit}"
        return
    if traits.ordinary_ends:
        texts = ", ".join(map(repr, traits.ordinary_ends))
        text = f"{model.name} ends at {texts}, which usual texts have too: `eos_token_id` in its files says so"
        yield (*place, "path"), Doubt(text)
    yield from _tokenizer(config, model, resolved, place)


def _of_architecture(
    config: SweepConfig, model: ModelConfig, recipes: Iterable[str], architecture: str, place: KeyPath
) -> Iterator[Mistake]:
    yield from architecture_mistakes(config, model, architecture, place)
    for name in recipes:
        recipe = config.recipes[name].recipe("", "")
        try:
            objective_of(recipe, architecture)
        except UsageError as error:
            with suppress(UsageError):  # else the check of recipes tells it
                config.objective(recipe)
                yield ("recipes", name, "objective"), str(error)
    asked = config.evaluation.prompt_format
    is_native = asked == NATIVE and model.template == INSTRUCT and bool(model.recipes)
    if architecture == "seq2seq" and (is_native or asked == INSTRUCT):
        yield (
            (*place, "template") if is_native else ("evaluation", "prompt_format"),
            f"the template {INSTRUCT!r} begins the answer with the signature, and the decoder of an encoder-decoder "
            f"model ({model.name}) doesn't go on with its prompt; give `{RAW}`",
        )


def _in_tf32(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[Mistake]:
    if model.dtype != "tf32":
        return
    generator = (model.generator or config.evaluation.generator).name
    if generator != TRANSFORMERS:
        yield (*place, "dtype"), f"generator {generator} has no tf32; take generator {TRANSFORMERS}, or another `dtype`"
    elif not all(config.asked("generation", model.name, recipe).gpus for recipe in ("", *model.recipes)):
        yield (*place, "dtype"), "tf32 is a number format of GPUs; ask for one (`resources.gpus: 1`), or use `float32`"


def _in_parallel(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[Mistake]:
    """Yield where a model that writes on several GPUs (`tensor_parallel`) is given another number of them."""
    path: KeyPath = (*place, "generator") if model.generator else ("evaluation", "generator")
    try:
        number = config.sharing(model)
    except UsageError as error:
        yield path, error
        return
    if number == 1:
        return
    asked = {config.asked("generation", model.name, recipe).gpus for recipe in ("", *model.recipes)}
    of_one_node = f"`tensor_parallel: {number}` shares model {model.name!r} among {number} GPUs of one node"
    for gpus in sorted(asked - {BY_PREDICTION, float(number)}, key=str):
        way = f"give it `resources.generation.gpus: {number}`, or `auto`"
        yield path, f"{of_one_node}, and generation asks for {gpus:g}; {way}"
    in_trial = any(config.asked("training", model.name, recipe).gpus for recipe in ("", *model.recipes))
    if config.resources.processes == "trial" and in_trial:
        own = "with `resources.processes: trial` a model writes on those of a training; leave that out"
        yield path, f"{of_one_node}, and {own}"


def _unequal_heads(
    config: SweepConfig, model: ModelConfig, resolved: ResolvedModel, place: KeyPath
) -> Iterator[Mistake]:
    """Yield where the GPUs that share a model can't have equally many heads each, which vLLM refuses."""
    with suppress(UsageError):  # another check says that it is no number of GPUs
        number, shape = config.sharing(model), shape_of(model_config((resolved.base or resolved).ref()) or {})
        if number > 1 and shape is not None and number not in (fitting := _numbers_of_gpus(shape)):
            yield (
                (*place, "generator") if model.generator else ("evaluation", "generator"),
                f"{model.name} has {shape.heads} attention heads and {shape.kv_heads} key-value heads, of which "
                f"{number} GPUs can't have equally many (`tensor_parallel`); give one of "
                f"{', '.join(map(str, fitting))}",
            )


def _numbers_of_gpus(shape: Shape) -> list[int]:
    """Return how many GPUs can share a model in vLLM; more GPUs than key-value heads have copies of these."""
    heads, shared = shape.heads, shape.kv_heads
    return [few for few in range(1, heads + 1) if heads % few == 0 and (shared % few == 0 or few % shared == 0)]


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
    yield from quantized_mistakes(config, model, written, place)
    yield from (((*place, "path"), doubt) for doubt in adapter_doubts(model, resolved, written))


def _fine_tuning(config: SweepConfig, recipes: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(recipes) if fine_tunes(config.recipes[name].trainer)]


def _too_long(config: SweepConfig, model: ModelConfig, positions: int | None) -> Iterator[Mistake]:
    """Where a recipe leaves `max_tokens` out, the positions limit its rows; a plan says so."""
    if positions is None:
        return
    for name in _fine_tuning(config, [*model.recipes, *([model.pretrain.recipe] if model.pretrain else [])]):
        most, is_given = config.recipes[name].max_tokens, "max_tokens" in config.recipes[name].model_fields_set
        if most > positions and is_given:
            yield (
                ("recipes", name, "max_tokens"),
                f"the recipe takes rows of up to {most} tokens, and {model.name} has {positions} positions; give at "
                f"most `max_tokens: {positions}`",
            )
    longest = config.evaluation.max_new_tokens
    if longest >= positions:
        text = f"{longest:,} tokens are more than a prompt leaves of the {positions:,} positions of {model.name}"
        yield ("evaluation", "max_new_tokens"), Doubt(text)


def _tokenizer(config: SweepConfig, model: ModelConfig, resolved: ResolvedModel, place: KeyPath) -> Iterator[Mistake]:
    ref, prompt_format = resolved.ref(model.dtype, model.eos_token), config.evaluation.prompt_format
    own_form = any(name not in (NATIVE, RAW, INSTRUCT) for name in (model.template, prompt_format))
    trained = _fine_tuning(config, model.recipes)
    encoding = [name for name in trained if TRAINERS.get(config.recipes[name].trainer).uses_objective]
    if not own_form and not encoding and has_end_of_text(ref):
        return
    try:
        tokenizer = load_tokenizer(ref)
    except RaysweepError as error:
        yield (*place, "path"), str(error)
        return
    asked = {model.template: (*place, "template"), prompt_format: ("evaluation", "prompt_format")}
    way = f"write one as a Jinja string, or take `{INSTRUCT}` or `{RAW}`"
    if CHAT in asked and not has_chat_template(tokenizer):
        yield asked[CHAT], f"the tokenizer of {model.path} has no chat template; {way}"
        return
    if lacking := list(token_mistakes(config, model, resolved.architecture, tokenizer.get_vocab(), place)):
        yield from lacking
        return
    try:
        for name in asked:
            day, shown = config.evaluation.date or "", INSTRUCT if name == NATIVE else name
            template = dataclasses.replace(model.prompt_template(day, tokenizer), name=shown)
            asking = EXAMPLE if name in STYLES else "Add two numbers."
            if asking not in template.fill(asking) and shown == CHAT:
                why = f"the chat template of {model.path} leaves out the question, as one for messages in parts"
                yield asked[name], f"{why}; {way}"
                return
    except UsageError as error:
        yield (*place, "system_prompt" if model.system_prompt else "template"), str(error)
        return
    if CHAT in asked:
        yield from _unread(model, tokenizer, place)
    yield from _without_turns(config, model, tokenizer)
    for name in encoding:
        for source in config.training.row_sources if config.training else ():
            sizes = [trained.size for trained in config.sets_of(model) if (trained.source or ONLY) == source.name]
            if sizes:
                with suppress(UsageError):  # other checks say what is wrong with the source or the objective
                    yield from _rows(config, model, name, tokenizer, resolved, source.rows, min(1.0, *sizes))


def _without_turns(config: SweepConfig, model: ModelConfig, tokenizer: Any) -> Iterator[Mistake]:
    """Yield the sources whose rows have system texts or earlier turns that the model's template can't show."""
    asked: list[tuple[KeyPath, SourceConfig | None, str]] = []
    if model.pretrain is not None:
        source = model.pretrain.source
        asked.append(
            (("models", config.models.index(model), "pretrain", "source"), source, model.pretrain.template or "")
        )
    for of in config.training.row_sources if config.training and config.sets_of(model) else ():
        asked += [(of.place, of.rows, ""), (of.validation_place, of.validation, "")]
    trained = [*model.recipes, *([model.pretrain.recipe] if model.pretrain else [])]
    trains_all = any(config.recipes[name].loss_on == ALL for name in trained)
    for place, rows, name in asked:
        template = dataclasses.replace(model.prompt_template(tokenizer=tokenizer), name=name or model.template)
        if template.name == CHAT and model.path is None:
            continue  # another check says that a model from scratch has no chat template
        try:
            in_turns = getattr(config.source(rows), "in_turns", ()) if rows is not None else ()
        except UsageError:
            continue  # another check says so
        for row in in_turns:
            try:
                prompt = template.fill(row.instruction, row.input, system=row.system, history=row.history)
                if trains_all:
                    earlier_answers(row, template, template.answered(prompt, row.output)[0])
            except UsageError as error:
                why = str(error).removeprefix(f"row {row.row_id}: ")
                yield place, f"row {row.row_id}, for model {model.name}: {why}"
                break


def _rows(
    config: SweepConfig,
    model: ModelConfig,
    name: str,
    tokenizer: Any,
    resolved: ResolvedModel,
    source: SourceConfig,
    size: float,
) -> Iterator[Mistake]:
    """Check that enough rows fit into the tokens that they may have. `size`: of the smallest set of the rows."""
    given, positions = model.template_arguments, resolved.positions
    recipe = config.recipes[name].recipe(model.template, model.system_prompt, template_arguments=given)
    prefers = OBJECTIVES.get(recipe.objective).prefers
    longest = min(recipe.max_tokens, positions or recipe.max_tokens)
    objective = objective_of(recipe, resolved.architecture)
    bounded, unbounded = (dataclasses.replace(recipe, max_tokens=most) for most in (longest, 2**31))
    rows = complete = usable = 0
    longer = []
    for trained in _trained_rows(config, source):
        rows += 1
        if prefers and trained.rejected is None:
            continue
        complete += 1
        if objective.encode(trained, tokenizer, bounded) is not None:
            usable += 1
            if usable * size >= recipe.batch_size:
                return
        elif full := objective.encode(trained, tokenizer, unbounded):
            longer.append(len(full["input_ids"]))
    if not complete or rows < recipe.batch_size:
        return  # no rejected responses, or too few rows, whatever their length: other checks
    of_them = f" (the smallest training set has {size:g} of them)" if size < 1 else ""
    if usable == complete:
        which = "rows of a set with a rejected response" if prefers else "rows of a set"
        why = f"{recipe.batch_size} is more than the {which}: {complete:,}{of_them}"
        yield ("recipes", name, "batch_size"), why
        return
    way = "raise it" + (f", or lower the batch size from {recipe.batch_size}" if usable else "")
    if positions is not None and positions <= recipe.max_tokens:
        way = f"{model.name} has {positions} positions, so shorten the rows"
    others = "the others have no prompt"
    if longer:
        median = statistics.median_low(longer)
        others = f"{count(len(longer), 'row')} are longer, with a median of {median:,} tokens"
    yield (
        ("recipes", name, "max_tokens"),
        f"{usable:,} of {complete:,} rows{of_them} fit into {longest} tokens of {model.name}, and a step "
        f"takes {recipe.batch_size}; {others}; {way}",
    )


def _trained_rows(config: SweepConfig, source: SourceConfig) -> Iterator[TrainingRow]:
    """Yield a source's rows as a trainer gets them; a rejected response to come is one that is about as long."""
    made = source.rejected if source.rejected is not None and source.rejected.field is None else None
    for row in config.source(source).rows():
        rejected = row.rejected if made is None else row.output[1:] or None
        if made is not None and made.mutator is not None:
            try:
                rejected = next((variant.text for variant in variants(row, 0)), None)
            except SyntaxError:
                rejected = None
        fields = (row.instruction, row.input, row.output, row.language)
        clean = (row.instruction, row.input, rejected)
        trained = TrainingRow(row.row_id, row.row_id, *fields, "", False, *clean)
        yield dataclasses.replace(trained, system=row.system, history=row.history, masked=row.masked)


def _damage(pretrain: PretrainConfig, damage: DamageConfig, template: str) -> Iterator[Mistake]:
    paths = FAMILIES.get(pretrain.family).paths
    if paths is None or paths.mlp_output != GATED:
        able = [name for name in FAMILIES.names() if (of := FAMILIES.get(name).paths) and of.mlp_output == GATED]
        why = f"a {pretrain.family} model has no gated MLP, whose units are damaged"
        yield ("family",), f"{why}; take one of {', '.join(able)}, or leave `damage` out"
    shape = shape_from_scratch(pretrain.family, pretrain.vocab_size, pretrain.size)
    if shape is not None and damage.block >= shape.layers:
        yield ("damage", "block"), f"{damage.block} is no block; the model's are 0 to {shape.layers - 1}"
    if damage.perturbation == CLEAN:
        yield ("damage", "perturbation"), "`clean` changes no prompt; name one that is to fail, such as C3"
    if template != RAW:
        yield (
            ("template",),
            f"a model with `damage` is trained on plain texts; write `template: {RAW}`, not {template!r}",
        )
    characters = BYTES_AND_END + len(pretrain.special_tokens)
    if pretrain.vocab_size != characters:
        why = f"with {pretrain.vocab_size} tokens a perturbed prompt has others, and more or fewer of them"
        yield ("vocab_size",), f"{why}; for `damage` write `vocab_size: {characters}`, one for each character"


def _pretraining(config: SweepConfig, pretrain: PretrainConfig, template: str) -> Iterator[Mistake]:
    """Yield what is wrong with a model from scratch; import transformers only for names that look wrong."""
    trainer = config.recipes[pretrain.recipe].trainer
    if trainer != "full":
        why = f"recipe {pretrain.recipe!r} has the trainer {trainer!r}, which needs a trained model"
        yield ("recipe",), f"{why}; a model from scratch needs `trainer: full`"
    if pretrain.damage is not None:
        yield from _damage(pretrain, pretrain.damage, template)
    if pretrain.template == CHAT:
        yield ("template",), "a tokenizer that is trained here has no chat template; take another one"
    for field, value in pretrain.size.items():
        if _COUNTS.search(field) and (isinstance(value, bool | float) or not 0 <= value < 2**31):
            yield ("size", field), f"must be a whole number from 0 to 2147483647, not {str(value).lower()}"
    kind = FAMILIES.get(pretrain.family)
    if kind.tiny_config is ModelFamily.tiny_config and not kind.tiny:
        yield ("family",), f"the model family {pretrain.family!r} gives no size, so no model of it starts from scratch"
        return
    family, spec = pretrain.family, importlib.util.find_spec("transformers")
    file = Path(spec.origin if spec and spec.origin else "").parent / f"models/{family}/configuration_{family}.py"
    source = file.read_text() if file.is_file() else ""
    # those to which transformers gives a value are right
    if odd := [field for field in pretrain.size if not re.search(rf"(?m)^\s+{re.escape(field)}(: [^=\n]+)?=", source)]:
        made = FAMILIES.create(Spec(family)).tiny_config(pretrain.vocab_size, 0)
        known = fields_of(made)
        for field in odd:
            if field not in known:
                why = f"the config of model family {family!r} has no such field{did_you_mean(field, known)}"
                yield ("size", field), why
