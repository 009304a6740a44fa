"""Full fine-tuning: trains every weight of a model, or of a config with random weights (from scratch)."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.base import TRAINERS, Services, Trainer, TrainJob
from raysweep.trainers.checks import check_saved
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop, seeded_torch


@TRAINERS.register("full")
class Full(Trainer):
    """Trains all weights and saves them with `save_pretrained`, in float32."""

    kind = ModelKind.FULL

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Trainer.train`. Raises HopelessError if the loss is not finite or the saved model is incomplete."""
        with seeded_torch(job.seed, "initialise"):
            model, tokenizer = initialise(job.base) if job.scratch else load_for_training(job.base)
            counts = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services).run()
        if services.rank == 0:
            model.save_pretrained(job.out)
            tokenizer.save_pretrained(job.out)
            check_saved(job.out, tensor_names(model))
        return counts


def load_for_training(base: ModelRef) -> tuple[Any, Any]:
    """Load a base model in float32, whatever its dtype for generation: optimizers need full-precision weights.

    Raises:
        HopelessError: the base is an adapter.
    """
    if base.kind is ModelKind.ADAPTER:
        raise HopelessError(f"{base.location} is an adapter; merge it into its base before training on it")
    inner = dataclasses.replace(base.base, dtype="float32") if base.base else None
    return load_model(dataclasses.replace(base, dtype="float32", base=inner))


def initialise(base: ModelRef) -> tuple[Any, Any]:
    """Build a model with random weights from the config at `base.location`, and load the tokenizer from there."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base.location, trust_remote_code=base.trust_remote_code)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=base.trust_remote_code)
    return model, load_tokenizer(base)


def tensor_names(model: Any) -> list[set[str]]:
    """Return the names of each tensor of a model; a tied tensor has several and is saved under one of them."""
    names: dict[int, set[str]] = {}
    for name, tensor in model.state_dict().items():
        names.setdefault(tensor.data_ptr(), set()).add(name)
    return list(names.values())
