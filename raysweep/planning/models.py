"""What a plan does with each model: which prompts it is shown, which modules a recipe trains, how many weights.

Nothing is trained or downloaded beside configs and tokenizers; the networks that are counted have no data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import HopelessError, RaysweepError, UsageError
from raysweep.generators.base import GENERATORS, TRANSFORMERS, Generator, WantedModel
from raysweep.hashing import canonical_json
from raysweep.models.adapters import adapter_config
from raysweep.models.config_files import unused_in_words
from raysweep.models.families.base import FAMILIES
from raysweep.models.families.blocks import blocks_of
from raysweep.models.files.configs import require_read
from raysweep.models.hub import model_config, quantization
from raysweep.models.loadable import require_whole
from raysweep.models.loading import architecture_of, auto_model, empty_network, load_tokenizer, tokenizer_place
from raysweep.models.quantizing import method_of
from raysweep.models.traits import read_traits
from raysweep.planning.keys import BLANKS
from raysweep.planning.plan import BasePlan, CellPlan, SweepPlan, TeacherAnswersPlan
from raysweep.prompts.repair.styles import STYLES
from raysweep.prompts.templates import (
    CHAT,
    INSTRUCT,
    MAGICODER,
    RAW,
    SEMCODER,
    PromptTemplate,
    strips_prompts,
    template_shown,
)
from raysweep.records import ModelKind, ModelRef, Spec
from raysweep.trainers.adapters import adapted_modules
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob
from raysweep.trainers.editors.base import EDITORS, require_block
from raysweep.trainers.kinds import kind_of, place_of, rewrites
from raysweep.units import by_text

SHOWN = {
    RAW: "prompts as they are",
    INSTRUCT: "prompts in the study's instruction template",
    CHAT: "prompts in its tokenizer's chat template",
    MAGICODER: "prompts in the template of Magicoder's family",
    SEMCODER: "prompts in SemCoder's template",
    **{name: f"code with a fault in the template {name}" for name in STYLES},
}
"""The templates in words; anything else is a Jinja string."""
STRIPPED = "prompts without the blanks at their ends"
UNUSED_TEMPLATE = "its chat template isn't used; `template: chat` (of `evaluate`: --prompt-format chat) would use it"
ASKED = "What is asked for?"
"""A request behind which a prompt's end is looked at."""
LONGEST_END = 60
"""Characters of a prompt's end that a plan shows."""
NAMING = ("targets", "modules_to_save")
"""The settings of LoRA that name modules."""


def model_lines(plan: SweepPlan) -> list[str]:
    """Return what a plan does with its base models, a line for each finding and the models that it holds for.

    Of each model: the prompts that it and its fine-tuned versions are shown, and how they end; its texts' ends and
    limits; the weights that each recipe trains; and tensors of its files that have no place in it.

    Raises:
        UsageError: a recipe names modules that the model doesn't have, or its generator can't run it.
    """
    found = list(require_recipes_fit(plan.cells).items())
    require_generators_fit(plan.cells)
    require_teachers_fit(plan.teachers)
    for model in plan.config.judged_models:
        cells = [cell for cell in plan.cells if cell.base.name == model.name]
        found += [(model.name, text) for text in _findings(model, plan.config, cells)]
    return by_text(found)


def prompt_lines(config: SweepConfig) -> list[str]:
    return by_text((model.name, _shown(config.evaluation.prompt_format, model)) for model in config.judged_models)


def _shown(prompt_format: str, model: ModelConfig) -> str:
    states = (False, True)[: 1 + bool(model.recipes)]  # fine-tuned or not
    asked = [(prompt_format, tuned, PromptTemplate(model.template)) for tuned in states]
    names = [
        STRIPPED if strips_prompts(*of) else SHOWN.get(template_shown(*of).name, "prompts in a Jinja template")
        for of in asked
    ]
    system = {"system_prompt": model.system_prompt} if model.system_prompt else {}
    arguments = [f"{name}: {json.dumps(value)}" for name, value in {**system, **model.template_arguments}.items()]
    return ", with ".join(["; fine-tuned: ".join(dict.fromkeys(names)), *arguments])


def _ends(model: ModelConfig, config: SweepConfig, tokenizer: Any) -> Iterator[str]:
    """Yield how prompts in a chat template or Jinja string end, and which day they show."""
    own = model.prompt_template(config.evaluation.date or "", tokenizer)
    shown = [template_shown(config.evaluation.prompt_format, tuned, own) for tuned in (False, True)]
    for template in dict.fromkeys(shown[: 1 + bool(model.recipes)]):
        if template.is_form and (template.name != CHAT or tokenizer is not None):
            text = template.fill(ASKED)
            marks, begun = template.opened(text) or template.answer_opening, BLANKS.strip()
            text = text if marks else template.begun(text, begun).removesuffix(begun)
            then = "what the model writes before its answer" if marks else "the signature"
            yield f"prompts end with {text.rpartition(ASKED)[2][-LONGEST_END:]!r}, then comes {then}"
            if template.shown_day:
                yield f"the template shows a date: {template.shown_day} (`evaluation.date`)"


def unused_templates(config: SweepConfig, cells: Iterable[CellPlan]) -> Iterator[tuple[str, str]]:
    """Return each model whose prompts aren't shown in the chat template that its tokenizer has, and what that means."""
    have_one = {cell.base.name for cell in cells if cell.base.traits is not None and cell.base.traits.has_chat_template}
    return (
        (model.name, UNUSED_TEMPLATE)
        for model in config.models
        if model.name in have_one and CHAT not in (model.template, config.evaluation.prompt_format)
    )


def _findings(model: ModelConfig, config: SweepConfig, cells: list[CellPlan]) -> Iterator[str]:
    base = cells[0].base
    tokenizer = load_tokenizer(base.ref) if base.ref is not None else None
    yield _shown(config.evaluation.prompt_format, model)
    yield from _ends(model, config, tokenizer)
    if any(pair.extract.needs_whole_answers for cell in cells for pair in cell.pairs):
        yield f"no stop string ends an answer (`extract: {config.evaluation.extract}`)"
    if base.ref is None:
        return
    yield from (words for _, words in unused_templates(config, cells))
    yield read_traits(base.ref, tokenizer).words
    recipes = {_shown_recipe(config, cell): cell.recipe for cell in cells if cell.recipe and cell.is_fine_tuned}
    yield from (_trained(base, recipe, label) for label, recipe in recipes.items())


def _shown_recipe(config: SweepConfig, cell: CellPlan) -> str:
    """Return the name under which the weights that a recipe trains are shown: its group's where those are the same."""
    recipe = config.recipes[cell.cell.recipe]
    others = [one for one in config.recipes.values() if one.group == recipe.group]
    is_alike = all((one.trainer, one.lora, one.ia3) == (recipe.trainer, recipe.lora, recipe.ia3) for one in others)
    return recipe.group if recipe.group is not None and is_alike else cell.cell.recipe


def unused_settings(writers: Iterable[CellPlan | TeacherAnswersPlan]) -> list[str]:
    """Return a line for each kind of settings of models that `generate` would follow and raysweep doesn't."""
    own = [writer for writer in writers if GENERATORS.get(writer.generator.name).needs_model]
    known = [(of.base.name, unused_in_words(of.base.traits.settings, of.decoding)) for of in own if of.base.traits]
    return by_text((name, text) for name, text in known if text)


def require_recipes_fit(cells: Iterable[CellPlan]) -> dict[str, str]:
    """Check that models are read whole, with tokenizers, have the modules that recipes name, and take packed rows.

    It does so for models that the sweep is going to pre-train, too. Returns by model, in words, which tensors of its
    files it leaves out, if any.

    Raises:
        UsageError: a model lacks weights, its files say what isn't read here, its tokenizer can't be loaded, a recipe
            names modules that a model doesn't have, or packs rows that the model would mix.
    """
    examples: dict[tuple[str, str], CellPlan] = {}  # of recipes that differ in their adapters
    cells = list(cells)
    # raysweep's trainers and editors load models as transformers does; those of plug-ins may not, and vLLM has its own
    own = [cell for cell in cells if cell.recipe is not None and not TRAINERS.plugin_spec(cell.recipe.trainer)]
    bases = [cell.base for cell in (*own, *(cell for cell in cells if cell.generator.name == TRANSFORMERS))]
    left_out = _require_whole(bases)
    _require_tokenizers(bases)
    for cell in cells:
        for recipe in (cell.base.recipe, cell.recipe if cell.is_fine_tuned else None):
            _require_packing(cell.base, recipe)
        recipe = cell.recipe if cell.is_fine_tuned else None
        if recipe is not None and (recipe.ia3 or any(recipe.lora.get(key) for key in NAMING)):
            examples.setdefault((cell.base.name, _adapter_settings(recipe)), cell)
    for cell in {(cell.base.name, cell.cell.recipe): cell for cell in cells if cell.pair_search}.values():
        _require_editable(cell)
    for cell in examples.values():
        assert cell.recipe is not None
        if cell.base.is_known and hasattr(TRAINERS.get(cell.recipe.trainer), "add_adapter"):
            _trained(cell.base, cell.recipe, cell.cell.recipe)
    return left_out


def _adapter_settings(recipe: Recipe) -> str:
    return canonical_json([recipe.trainer, recipe.lora, recipe.ia3])


def _require_editable(cell: CellPlan) -> None:
    """Raise UsageError if nothing says where the blocks of a cell's base are, or it lacks what is to be edited."""
    import torch

    assert cell.recipe is not None
    if not cell.base.is_known:
        return
    network, family = _network(cell.base), cell.base.family
    blocks = blocks_of(network, family)
    place = place_of(cell.recipe.trainer, cell.recipe.edit)
    editor = EDITORS.create(Spec(cell.recipe.trainer, dict(cell.recipe.edit)))
    try:
        require_block(place, len(blocks), f"model {cell.base.name!r}")
        with torch.device("meta"):
            editor.require_fit(network, family)
    except (UsageError, HopelessError) as error:
        raise UsageError(f"recipes.{cell.cell.recipe}.edit: {error}") from error


def _require_whole(bases: Iterable[BasePlan]) -> dict[str, str]:
    left_out: dict[ModelRef, str] = {}
    names = {base.name: base.ref.base or base.ref for base in bases if base.ref is not None}
    for ref in dict.fromkeys(names.values()):
        try:
            require_read(ref)
            left_out[ref] = require_whole(ref)
        except RaysweepError as error:
            raise UsageError(str(error)) from error
    return {name: left_out[ref] for name, ref in names.items() if left_out[ref]}


def _require_tokenizers(bases: Iterable[BasePlan]) -> None:
    """Raise UsageError if a tokenizer can't be loaded; what another version of transformers wrote is seen only then."""
    for ref in dict.fromkeys(tokenizer_place(base.ref) for base in bases if base.ref is not None):
        try:
            load_tokenizer(ref)
        except RaysweepError as error:
            raise UsageError(str(error)) from error


def _require_packing(base: BasePlan, recipe: Recipe | None) -> None:
    if recipe is None or recipe.batching != "packed":
        return
    mixes = base.family in FAMILIES.names() and not FAMILIES.get(base.family).packs
    if mixes or (base.ref is not None and base.ref.architecture != "causal"):
        raise UsageError(
            f"`batching: packed` doesn't go with model {base.name}: a {base.family} model mixes packed rows; use "
            "`batching: padded`"
        )


def require_generators_fit(cells: Iterable[CellPlan]) -> None:
    """Raise UsageError if a generator can't run the model that it is to generate with, also one to be trained."""
    checked: set[tuple[str, str]] = set()
    for cell in cells:
        key = (cell.base.name, _adapter_settings(cell.recipe) if cell.recipe else cell.cell.recipe)
        overridden = GENERATORS.get(cell.generator.name).require_fit is not Generator.require_fit
        if overridden and cell.base.is_known and key not in checked:
            checked.add(key)
            _require_runs(cell, *_adapter_of(cell))


def could_generate(name: str, cell: CellPlan) -> bool:
    """Return whether a cell's completions could be written by another generator, with its default arguments."""
    generator = GENERATORS.get(name)
    try:
        kind, adapter = _adapter_of(cell)
        generator.require_fit({}, _wanted(cell, kind, adapter))
    except UsageError:
        return False
    return not any(generator.check(cell.decoding))


def require_teachers_fit(teachers: Iterable[TeacherAnswersPlan]) -> None:
    """Raise UsageError if a teacher isn't whole, or its generator can't run it."""
    for plan in teachers:
        if plan.generator.name == TRANSFORMERS:
            _require_whole([plan.base])
            _require_tokenizers([plan.base])
        if plan.base.is_known:
            _require_runs(plan, *_adapter_of_base(plan.base))


def _require_runs(writer: CellPlan | TeacherAnswersPlan, kind: ModelKind, adapter: Mapping[str, Any]) -> None:
    GENERATORS.get(writer.generator.name).require_fit(writer.generator.args, _wanted(writer, kind, adapter))


def _wanted(writer: CellPlan | TeacherAnswersPlan, kind: ModelKind, adapter: Mapping[str, Any]) -> WantedModel:
    base = writer.base
    whole = base.ref and (base.ref.base or base.ref)
    written = quantization((whole and model_config(whole)) or {})
    return WantedModel(
        base.name,
        base.family,
        kind,
        adapter,
        writer.decoding,
        base.architecture,
        base.quantize,
        method_of(written) if written else "",
    )


def _adapter_of(cell: CellPlan) -> tuple[ModelKind, Mapping[str, Any]]:
    if cell.recipe is not None and not rewrites(cell.recipe.trainer):
        kind = kind_of(cell.recipe.trainer)
        is_trained = cell.is_fine_tuned and kind is ModelKind.ADAPTER
        if not is_trained or not hasattr(TRAINERS.get(cell.recipe.trainer), "add_adapter"):
            return kind, {}
        return kind, _adapted(cell.base, cell.recipe, cell.cell.recipe)[1].peft_config["default"].to_dict()
    return _adapter_of_base(cell.base)


def _adapter_of_base(base: BasePlan) -> tuple[ModelKind, Mapping[str, Any]]:
    if base.ref is None or base.ref.kind is not ModelKind.ADAPTER:
        return base.ref.kind if base.ref else ModelKind.FULL, {}
    return base.ref.kind, adapter_config(base.ref)


def _trained(base: BasePlan, recipe: Recipe, label: str) -> str:
    if TRAINERS.get(recipe.trainer).kind is ModelKind.ADAPTER:
        total, adapted = _adapted(base, recipe, label)
        trained, where = _count(adapted, trainable=True), ", ".join(adapted_modules(adapted))
    else:
        total = trained = _count(_network(base))
        where = "all modules"
    share = f"{100 * trained / total:.3g} % of the model's {total:,}"
    return f"recipe {label} ({recipe.trainer}) trains {trained:,} weights, {share}: {where}"


def _adapted(base: BasePlan, recipe: Recipe, label: str) -> tuple[int, Any]:
    """Return how many weights a base has, and its network without data, with a recipe's adapter."""
    import torch

    network = _network(base)
    total = _count(network)
    job = TrainJob(base.ref or ModelRef("", quantize=base.quantize), base.family, recipe, Path(), Path(), 0, label)
    try:
        with torch.device("meta"):
            return total, TRAINERS.get(recipe.trainer)().add_adapter(network, job)  # type: ignore[attr-defined]
    except HopelessError as error:
        raise UsageError(f"recipes.{label} doesn't fit model {base.name}: {error}") from error


def _network(base: BasePlan) -> Any:
    if base.ref is not None:
        return empty_network(base.ref)
    import torch

    config = FAMILIES.get(base.family)().tiny_config(base.vocab_size, 0, **dict(base.size))
    with torch.device("meta"):
        return auto_model(architecture_of(config)).from_config(config)


def _count(network: Any, *, trainable: bool = False) -> int:
    return sum(weights.numel() for weights in network.parameters() if weights.requires_grad or not trainable)
