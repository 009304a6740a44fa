"""LoRA through PEFT: trains low-rank updates of linear layers, and full copies of modules that the recipe names.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; ranks and targets of the study. SafeCoder also
updates lm_head (the preset `study`): tied embeddings are untied (models/adapters.py), since a merged lm_head would
change the input embedding too. https://github.com/eth-sri/SafeCoder/blob/main/scripts/train.py
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from typing_extensions import override

from raysweep.errors import Finding, HopelessError
from raysweep.models.families.base import ALL_LINEAR, FAMILIES, lora_targets, names_lora_targets
from raysweep.models.loading import architecture_of
from raysweep.trainers.adapters import AdapterTrainer, require_modules, task_type
from raysweep.trainers.base import TRAINERS, LoraSettings, Recipe, TrainJob

STATE_SPACE = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
"""Model types whose kernels read the weights of `BY_KERNELS` themselves, past an update, so that PEFT refuses these."""
EMBEDDED = ("shared", "embed_tokens")
"""Names of the input embeddings of models with an encoder and a decoder."""
BY_KERNELS = ("out_proj", "conv1d")


@TRAINERS.register("lora")
class Lora(AdapterTrainer):
    """Trains low-rank updates; `recipe.lora` holds some of `LoraSettings`.

    Trained embeddings are untied where they were tied.
    """

    neutral = "lora_B|lora_embedding_A"

    @override
    def check(self, recipe: Recipe, on_gpu: bool) -> Iterator[Finding]:
        lora = LoraSettings(**recipe.lora)
        if lora.preset is not None and lora.targets is not None:
            yield "lora", "`targets` and `preset` both name the modules; remove one of them"
        if lora.preset == "study" and lora.train_embeddings:
            yield "lora", "`preset: study` updates lm_head by low rank, `train_embeddings` trains all of it; remove one"

    @override
    def config(self, model: Any, job: TrainJob) -> Any:
        from peft import LoraConfig

        lora = LoraSettings(**job.recipe.lora)
        targets = lora.targets or lora_targets(job.family, lora.preset)
        kept = unadapted(job.family)
        if lora.preset == "study" and not names_lora_targets(job.family):
            targets = linear_layers(model, but=kept)
        if targets == ALL_LINEAR and kept:
            targets = linear_layers(model, but=(*kept, output_layer(model)))
        if refused := [name for name in targets if name.rpartition(".")[2] in kept]:
            others = ", ".join(linear_layers(model, but=(*kept, output_layer(model))))
            raise HopelessError(
                f"`lora.targets` names {refused[0]!r}, which PEFT can't adapt in {job.family} models; write some of "
                f"`targets: [{others}]`, or `targets: {ALL_LINEAR}`"
            )
        if not isinstance(targets, str):
            require_modules(model, list(targets), "lora.targets", job.family)
        require_modules(model, list(lora.modules_to_save or ()), "lora.modules_to_save", job.family)
        if job.base.quantize:
            _require_whole(model, lora.modules_to_save or (), job.base.quantize)
        if lora.preset == "study" and not isinstance(targets, str):
            targets = [*targets, output_layer(model)]
        copied = [*(embeddings_of(model, job.family) if lora.train_embeddings else []), *(lora.modules_to_save or [])]
        _require_apart(model, [*([] if isinstance(targets, str) else targets), *copied], job.family)
        return LoraConfig(
            task_type=task_type(model),
            revision=job.base.revision,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(dict.fromkeys(targets)),
            modules_to_save=list(dict.fromkeys(copied)) or None,
        )


def _require_whole(model: Any, names: Collection[str], quantize: str) -> None:
    """Raise HopelessError if full copies are to be trained of linear layers that are quantized."""
    held = linear_layers(model, but=(output_layer(model),))
    if wrong := [name for name in names if name.rpartition(".")[2] in held]:
        raise HopelessError(
            f"`lora.modules_to_save` trains all of {wrong[0]!r}, which is held in `quantize: {quantize}`; name it in "
            "`targets`, which trains updates of it, or leave `quantize` out"
        )


def _require_apart(model: Any, names: Collection[str], family: str) -> None:
    """Raise HopelessError if an adapter is to change embeddings that encoder, decoder and output layer share.

    PEFT copies one place of three, and to merge an update of the output layer it unties it, by which T5 scales logits.
    """
    if architecture_of(model.config) != "seq2seq":
        return
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    shared = {*EMBEDDED, *([output_layer(model)] if is_tied else [])}
    if wrong := [name for name in names if name.rpartition(".")[2] in shared]:
        raise HopelessError(
            f"encoder, decoder and output layer of this {family} model share their embeddings, which no adapter can "
            f"change; the recipe's `lora` names {wrong[0]!r}, as `targets`, `modules_to_save`, by `preset: study` or "
            "`train_embeddings`"
        )


def unadapted(family: str) -> tuple[str, ...]:
    return BY_KERNELS if family in STATE_SPACE else ()


def linear_layers(model: Any, but: Collection[str] = ()) -> list[str]:
    """Return the names of linear layers, each once, without modules around them. `but`: names to leave out."""
    kinds = ("Linear", "Conv1D", "Linear4bit", "Linear8bitLt")
    names = (name for name, module in model.named_modules() if type(module).__name__ in kinds)
    return [name for name in dict.fromkeys(name.rpartition(".")[2] for name in names) if name not in but]


def output_layer(model: Any) -> str:
    head = model.get_output_embeddings()
    return str(next(name.rpartition(".")[2] for name, module in model.named_modules() if module is head))


def embeddings_of(model: Any, family: str) -> list[str]:
    """Return the names of a model's input and output embeddings, as the family or the model itself has them."""
    if family in FAMILIES.names():
        return list(FAMILIES.get(family).embeddings)
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is end for end in both)]
