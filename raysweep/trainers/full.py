"""Full fine-tuning: trains every weight of a model, or of a config with random weights (from scratch)."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from typing_extensions import override

from raysweep.errors import HopelessError
from raysweep.models.loading import architecture_of, attending, auto_model, load_model, load_tokenizer
from raysweep.models.quantizing import number_of
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.base import TRAINERS, Services, Trainer, TrainJob
from raysweep.trainers.checks import check_saved
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop, seeded_torch

WEIGHTS = "weights"
"""Among what a training reports: how many weights the model has that is trained, without an adapter's."""


@TRAINERS.register("full")
class Full(Trainer):
    """Trains all weights and saves them with `save_pretrained`, in float32."""

    kind = ModelKind.FULL

    @override
    def prepare(self) -> None:
        auto_model()

    @override
    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """Raises HopelessError if the loss is not finite or the saved model is incomplete."""
        with seeded_torch(job.seed, "initialise"):
            model, tokenizer = initialise(job.base) if job.scratch else load_for_training(job.base)
            names, values = tensors_of(model)
            total = number_of_weights(model)
            loop = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services)
            counts = loop.run()
        weights = loop.sharding.weights()
        if services.rank == 0:
            model.save_pretrained(job.out, state_dict=weights)
            if weights is not None:  # ZeRO's: the tensors are float32, as its model may not be, whose config was saved
                path = job.out / "config.json"
                config = json.loads(path.read_text())
                config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config}
                path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
            tokenizer.save_pretrained(job.out)
            buffers = {name for name, _ in model.named_buffers()}  # no training changes them, and some are zero
            check_saved(job.out, names, values, buffers)
        return {**counts, WEIGHTS: total}


def number_of_weights(model: Any) -> int:
    """Return how many weights a model has; a tied matrix counts once."""
    return sum(number_of(weights) for weights in model.parameters())


def load_for_training(base: ModelRef, dtype: str = "float32") -> tuple[Any, Any]:
    """Load a base in `dtype`, not its own: optimizers need float32; raise HopelessError if it is an adapter."""
    if base.kind is ModelKind.ADAPTER:
        raise HopelessError(f"{base.location} is an adapter; merge it into its base before training on it")
    inner = dataclasses.replace(base.base, dtype=dtype) if base.base else None
    return load_model(dataclasses.replace(base, dtype=dtype, base=inner))


def initialise(base: ModelRef) -> tuple[Any, Any]:
    """Build a model with random weights from the config at `base.location`, and load the tokenizer from there."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base.location, trust_remote_code=base.trust_remote_code)
    kind = auto_model(architecture_of(config))
    asked = {"trust_remote_code": base.trust_remote_code, **attending(base)}
    model = kind.from_config(config, dtype=torch.float32, **asked)
    return model, load_tokenizer(base)


def tensors_of(model: Any) -> tuple[list[set[str]], int]:
    """Return the names of each tensor of a model, a tied one's together, and the numbers that they hold together."""
    names: dict[int, set[str]] = {}
    values: dict[int, int] = {}
    for name, tensor in model.state_dict().items():
        names.setdefault(tensor.data_ptr(), set()).add(name)
        values[tensor.data_ptr()] = tensor.numel()
    return list(names.values()), sum(values.values())
