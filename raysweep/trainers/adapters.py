"""What the trainers of adapters share: PEFT's wrapper, checks, training and saving."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.errors import HopelessError, did_you_mean
from raysweep.models.adapters import untie_if_changed, wrapped
from raysweep.models.loading import architecture_of, auto_model
from raysweep.models.quantizing import note_on_card
from raysweep.records import ModelKind
from raysweep.trainers.base import Services, Trainer, TrainJob
from raysweep.trainers.checks import check_adapter_acts, check_saved
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import WEIGHTS, load_for_training, number_of_weights
from raysweep.trainers.loop import TrainingLoop, seeded_torch
from raysweep.trainers.optimizer import is_norm, torch_name
from raysweep.units import first_of

SETTINGS = "adapter_config.json"
"""The file in which PEFT stores an adapter's config."""
ADAPTED = "adapted_modules"
"""Among what a training reports: the names of the modules that its adapter changes."""


class AdapterTrainer(Trainer):
    """Trains an adapter and saves it as PEFT does.

    What is trained is float32, and so are norms; the rest of the frozen base is held in the precision of the
    computations. With `kernels: fused` the training loop has frozen norms in it, too.
    """

    kind = ModelKind.ADAPTER
    neutral: ClassVar[str]
    """Pattern in the names of the tensors that make a new adapter change nothing: LoRA's B, IA3's vectors."""

    @override
    def prepare(self) -> None:
        auto_model()
        import peft  # noqa: F401

    @abstractmethod
    def config(self, model: Any, job: TrainJob) -> Any:
        """Return PEFT's config of a new adapter of a model, which may be prepared for it in place.

        Raises:
            HopelessError: the recipe names modules that the model lacks.
        """

    @override
    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """Raises HopelessError if the adapter has no effect or the saved one is incomplete."""
        from peft import get_peft_model_state_dict

        with seeded_torch(job.seed, "initialise"):
            model, tokenizer = load_for_training(job.base, torch_name(job.recipe.precision))
            total = number_of_weights(model)
            model = self.add_adapter(model, job)
            data = encode_set(job, tokenizer, model.config)
            check_adapter_acts(model, data.rows[0], self.neutral)
            modules = adapted_modules(model)
            # with False, PEFT doesn't ask the hub whether the vocabulary grew; trained embeddings are saved anyway
            names = list(get_peft_model_state_dict(model, save_embedding_layers=False))
            loop = TrainingLoop(model, data, job, services)
            counts = loop.run()
        weights = loop.sharding.weights()
        if services.rank == 0:
            model.save_pretrained(job.out, save_embedding_layers=False, state_dict=weights)
            sort_names(job.out / SETTINGS, model.active_peft_config)
            if job.base.quantize:
                note_on_card(job.out, job.base.quantize)
            tokenizer.save_pretrained(job.out)
            check_saved(job.out, [{name} for name in names], untrained=loop.uncalled)
        return {**counts, ADAPTED: modules, WEIGHTS: total}

    def add_adapter(self, model: Any, job: TrainJob) -> Any:
        """Put the recipe's new adapter on a model; raise HopelessError if PEFT can't adapt modules that it names."""
        config = self.config(model, job)
        try:
            adapted = wrapped(model, config)
        except ValueError as error:
            targets = config.target_modules
            kinds = sorted({name.rpartition(".")[2] for name in targets or ()})
            named = targets if isinstance(targets, str) else first_of(kinds, "kind")
            why = str(error).strip().removesuffix(".").replace("target_modules", "targets")  # as recipes call them
            raise HopelessError(
                f"PEFT can't adapt what the recipe names of this {job.family} model ({named}): {why}; name others as "
                "`targets`"
            ) from error
        untie_if_changed(adapted)
        for parameter in adapted.parameters():
            if parameter.requires_grad:  # copies of modules have the base's dtype
                parameter.data = parameter.data.float()
        for module in adapted.modules():
            if is_norm(module):  # autocast on CPUs gives norms inputs of either kind, which only float32 weights take
                module.float()
        return adapted


def task_type(model: Any) -> str:
    return "SEQ_2_SEQ_LM" if architecture_of(model.config) == "seq2seq" else "CAUSAL_LM"


def adapted_modules(model: Any) -> list[str]:
    """Return the names of the modules that a model's adapter changes, without those they lie in: ``["q_proj"]``."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in model.targeted_module_names))


def sort_names(path: Path, config: Any) -> None:
    """Sort the names of modules in a stored config: PEFT writes its sets in an order that each process has anew."""
    stored = json.loads(path.read_text())
    for field in (name for name, value in vars(config).items() if isinstance(value, set)):
        stored[field] = sorted(stored[field])
    path.write_text(json.dumps(stored, indent=2, sort_keys=True))


def require_modules(model: Any, names: list[str], field: str, family: str) -> None:
    """Raise HopelessError unless names are those of modules or their last parts. `field`: such as ``lora.targets``."""
    known = {part for name, _ in model.named_modules() for part in (name, name.rpartition(".")[2]) if part}
    for name in names:
        if name not in known and not any(whole.endswith(f".{name}") for whole in known):
            near = did_you_mean(name, {part for part in known if "." not in part and not part.isdigit()})
            raise HopelessError(f"this {family} model has no module {name!r}, which `{field}` names{near}")
