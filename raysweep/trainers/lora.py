"""LoRA through PEFT: trains low-rank updates of linear layers, and full copies of modules that the recipe names.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; ranks and targets of the study (study.md section 5). lm_head is not
a target: with tied embeddings a merged lm_head would change the input embedding too.
"""

from __future__ import annotations

from typing import Any

from raysweep.errors import HopelessError
from raysweep.models.families.base import FAMILIES, lora_targets
from raysweep.records import ModelKind
from raysweep.trainers.base import TRAINERS, LoraSettings, Services, Trainer, TrainJob
from raysweep.trainers.checks import check_adapter_acts, check_saved
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import load_for_training
from raysweep.trainers.loop import TrainingLoop, seeded_torch


@TRAINERS.register("lora")
class Lora(Trainer):
    """Trains an adapter and saves it as PEFT does.

    `recipe.lora` holds some of `LoraSettings`. Trained embeddings are untied where they were tied.
    """

    kind = ModelKind.ADAPTER

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Trainer.train`. Raises HopelessError if the adapter has no effect or the saved one is incomplete."""
        from peft import get_peft_model_state_dict

        with seeded_torch(job.seed, "initialise"):
            model, tokenizer = load_for_training(job.base)
            model = add_adapter(model, job)
            data = encode_set(job, tokenizer, model.config)
            check_adapter_acts(model, data.rows[0])
            counts = TrainingLoop(model, data, job, services).run()
        if services.rank == 0:
            # with False, PEFT doesn't ask the hub whether the vocabulary grew; trained embeddings are saved anyway
            names = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
            model.save_pretrained(job.out, save_embedding_layers=False)
            tokenizer.save_pretrained(job.out)
            check_saved(job.out, [{name} for name in names])
        return counts


def add_adapter(model: Any, job: TrainJob) -> Any:
    """Wrap a model with a new adapter configured by the job's recipe.

    Raises:
        HopelessError: PEFT can't adapt the modules that the recipe names, such as ones that the model lacks.
    """
    from peft import LoraConfig, get_peft_model

    lora = LoraSettings(**job.recipe.lora)
    targets = lora.targets or lora_targets(job.family)
    copied = [*(embeddings_of(model, job.family) if lora.train_embeddings else []), *(lora.modules_to_save or [])]
    names = {part for name, _ in model.named_modules() for part in (name, name.rpartition(".")[2])}
    if unknown := [name for name in lora.modules_to_save or () if name not in names]:
        raise HopelessError(f"this {job.family} model has no module {unknown[0]!r}, which `lora.modules_to_save` names")
    config = LoraConfig(
        task_type="CAUSAL_LM",
        revision=job.base.revision,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(dict.fromkeys(copied)) or None,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise HopelessError(f"PEFT can't adapt {targets} of this {job.family} model: {error}") from error


def embeddings_of(model: Any, family: str) -> list[str]:
    """Return the names of a model's input and output embeddings, as the family or the model itself has them."""
    if family in FAMILIES.names():
        return list(FAMILIES.get(family).embeddings)
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is one for one in both)]
