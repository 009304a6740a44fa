"""Full fine-tuning: every weight is trained. Also training from scratch, from a config's random weights."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.base import TRAINERS, Services, Trainer, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.gates import check_saved
from raysweep.trainers.loop import TrainingLoop, own_torch_rng


@TRAINERS.register("full")
class Full(Trainer):
    """Trains all weights and saves them with `save_pretrained`, in float32."""

    kind = ModelKind.FULL

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Trainer.train`. Raises HopelessError on a loss that is not finite or a result that is not whole."""
        with own_torch_rng(job.seed, "initialise"):
            model, tokenizer = initialise(job.base) if job.scratch else load_for_training(job.base)
            counts = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services).run()
        if services.rank == 0:
            model.save_pretrained(job.out)
            tokenizer.save_pretrained(job.out)
            check_saved(job.out, tensor_names(model))
        return counts


def load_for_training(base: ModelRef) -> tuple[Any, Any]:
    """Load a base model in float32, whatever it is generated with: optimizers need full-precision weights.

    Raises:
        HopelessError: the base is an adapter.
    """
    if base.kind is ModelKind.ADAPTER:
        raise HopelessError(f"{base.location} is an adapter; merge it into its base before training on it")
    inner = dataclasses.replace(base.base, dtype="float32") if base.base else None
    return load_model(dataclasses.replace(base, dtype="float32", base=inner))


def initialise(base: ModelRef) -> tuple[Any, Any]:
    """Make a model with random weights from the config at `base.location`, and load the tokenizer there."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base.location, trust_remote_code=base.trust_remote_code)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=base.trust_remote_code)
    return model, load_tokenizer(base)


def tensor_names(model: Any) -> list[set[str]]:
    """Return the names of each of a model's tensors; a tied one has several and is saved under one of them."""
    names: dict[int, set[str]] = {}
    for name, tensor in model.state_dict().items():
        names.setdefault(tensor.data_ptr(), set()).add(name)
    return list(names.values())
