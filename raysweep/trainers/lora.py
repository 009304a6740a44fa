"""LoRA through PEFT: trains low-rank updates of linear layers, and full copies of modules that the recipe names.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; ranks and targets of the study. SafeCoder also
updates lm_head (the preset `study`): tied embeddings are untied (models/adapters.py), since a merged lm_head would
change the input embedding too. https://github.com/eth-sri/SafeCoder/blob/main/scripts/train.py
"""

from __future__ import annotations

from typing import Any

from raysweep.models.families.base import FAMILIES, lora_targets
from raysweep.trainers.adapters import AdapterTrainer, require_modules
from raysweep.trainers.base import TRAINERS, LoraSettings, TrainJob


@TRAINERS.register("lora")
class Lora(AdapterTrainer):
    """Trains low-rank updates; `recipe.lora` holds some of `LoraSettings`.

    Trained embeddings are untied where they were tied.
    """

    neutral = "lora_B|lora_embedding_A"

    def config(self, model: Any, job: TrainJob) -> Any:
        """See `AdapterTrainer.config`."""
        from peft import LoraConfig

        lora = LoraSettings(**job.recipe.lora)
        targets = lora.targets or lora_targets(job.family, lora.preset)
        if lora.preset == "study" and job.family not in FAMILIES.names():
            targets = linear_layers(model)
        if not isinstance(targets, str):
            require_modules(model, list(targets), "lora.targets", job.family)
        require_modules(model, list(lora.modules_to_save or ()), "lora.modules_to_save", job.family)
        if lora.preset == "study" and not isinstance(targets, str):
            targets = [*targets, output_layer(model)]
        copied = [*(embeddings_of(model, job.family) if lora.train_embeddings else []), *(lora.modules_to_save or [])]
        return LoraConfig(
            task_type="CAUSAL_LM",
            revision=job.base.revision,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(dict.fromkeys(targets)),
            modules_to_save=list(dict.fromkeys(copied)) or None,
        )


def linear_layers(model: Any) -> list[str]:
    """Return the names of a model's linear layers, each once and without the modules that they lie in."""
    kinds = ("Linear", "Conv1D")
    names = (name for name, module in model.named_modules() if type(module).__name__ in kinds)
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def output_layer(model: Any) -> str:
    """Return the name of a model's output embeddings, such as lm_head."""
    head = model.get_output_embeddings()
    return str(next(name.rpartition(".")[2] for name, module in model.named_modules() if module is head))


def embeddings_of(model: Any, family: str) -> list[str]:
    """Return the names of a model's input and output embeddings, as the family or the model itself has them."""
    if family in FAMILIES.names():
        return list(FAMILIES.get(family).embeddings)
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is end for end in both)]
