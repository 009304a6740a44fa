"""LoRA as an editor: trains low-rank updates to write the passing completion after the perturbed prompt.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; rank, alpha, dropout and targets are those of EasyEdit's files for 7B
models, https://github.com/zjunlp/EasyEdit/blob/main/hparams/LoRA/llama-7b.yaml. What EasyEdit calls LoRA is AdaLoRA, at
a rate of 5e-3 for 70 steps, which is too much for code. Assumed here is plain LoRA at 1e-4 for 20 steps.
The loss is the mean cross-entropy of the completion's tokens, and over several examples; no end of text follows them.
Trained on a category's examples it is the usual fine-tuning that an edit from one example is compared with.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import HopelessError, UsageError, first_line
from raysweep.models.adapters import NAME, SAFETENSORS, wrapped
from raysweep.models.families.base import lora_targets
from raysweep.models.families.blocks import blocks_of
from raysweep.models.versions import unchanged_modules
from raysweep.records import ModelKind
from raysweep.trainers.adapters import SETTINGS, adapted_modules, require_modules, sort_names
from raysweep.trainers.editors.base import (
    EDIT,
    EDITORS,
    EditEffort,
    EditJob,
    Editor,
    EditServices,
    ModelEdit,
    PartTimes,
    require_numbers,
)
from raysweep.trainers.editors.descent import mean_target_loss, not_finite
from raysweep.trainers.editors.states import frozen
from raysweep.trainers.editors.texts import TextReader
from raysweep.trainers.loop import seeded_torch

if TYPE_CHECKING:
    import torch


@EDITORS.register("lora_edit")
class LoraEdit(Editor):
    """Trains low-rank updates of linear layers on one edit example, or on several together.

    Args:
        r: the rank.
        alpha: updates are scaled by alpha / r.
        dropout: of the updates' inputs.
        lr: Adam's learning rate.
        steps: all of which are made.
        targets: names of the layers; null: q_proj and v_proj, or what PEFT takes for a family that has none.
    """

    kind = ModelKind.ADAPTER
    takes_several = True

    def __init__(
        self,
        r: int = 8,
        alpha: int = 32,
        dropout: float = 0.1,
        lr: float = 1e-4,
        steps: int = 20,
        targets: Sequence[str] | None = None,
    ) -> None:
        require_numbers(self.name, {"lr": lr}, {"r": (r, 1), "alpha": (alpha, 1), "steps": (steps, 1)})
        if not 0 <= dropout < 1:
            raise UsageError(f"editor {self.name}: dropout {dropout} must be 0 or more, and below 1")
        self.r, self.alpha, self.dropout, self.lr, self.steps, self.targets = r, alpha, dropout, lr, steps, targets

    @override
    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        network, reader, times = job.base.network, TextReader(job.base), PartTimes()
        blocks_of(network, job.family)  # refuses a family without a template, and a base in a wrapper
        targets = []
        for pair in job.pairs:
            tokens = reader.pair(pair)
            targets.append((tokens.perturbed, reader.target(pair, tokens.perturbed, tokens.passing)))
        with (
            times.part(EDIT),
            frozen(network),
            unchanged_modules(network),
            seeded_torch(job.seed, "edit by LoRA", job.pair.problem_set, job.pair.perturbation, job.pair.task_id),
        ):
            adapted = self._wrapped(network, job.family).eval()
            for name, module in adapted.named_modules():
                if "lora_dropout" in name:  # the base has none
                    module.train()
            losses = self._train(adapted, lambda: mean_target_loss(adapted, targets), services)
            counts = {
                "steps": self.steps,
                "losses": [[step, loss] for step, loss in enumerate(losses)],
                "final_loss": losses[-1],
                "trainable_weights": sum(p.numel() for p in adapted.parameters() if p.requires_grad),
                "adapted_modules": adapted_modules(adapted),
                "relative_change": _relative_change(adapted),
                "target_tokens": sum(len(target) for _, target in targets),
            }
            files = _files(adapted)
        return ModelEdit(adapter=files, counts={**counts, **times.counts})

    @override
    def require_fit(self, network: Any, family: str) -> None:
        self._wrapped(network, family)

    @override
    def work(self, blocks: int) -> EditEffort:
        return EditEffort(texts=self.steps + 1)

    def _wrapped(self, network: Any, family: str) -> Any:
        """Raise HopelessError if the network lacks layers that `targets` names, or PEFT can't adapt one."""
        from peft import LoraConfig

        targets = list(self.targets) if self.targets else lora_targets(family, "peft")
        if not isinstance(targets, str):
            require_modules(network, targets, "edit.targets", family)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets,
        )
        try:
            return wrapped(network, config)
        except ValueError as error:
            raise HopelessError(f"PEFT can't adapt what `edit.targets` names: {first_line(error)}") from error

    def _train(self, adapted: Any, loss: Callable[[], torch.Tensor], services: EditServices) -> list[float]:
        """Train the adapter; return the losses before each step, and the one after the last without dropout."""
        import torch

        trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        adam, losses = torch.optim.Adam(trained, lr=self.lr), list[float]()
        for number in range(self.steps + 1):
            services.alive()
            if number == self.steps:
                adapted.eval()
            value = loss()
            losses.append(float(value.detach()))
            if not math.isfinite(losses[-1]):
                raise not_finite(losses[-1], number, self.steps, self.lr)
            if number < self.steps:
                adam.zero_grad()
                value.backward()
                adam.step()
        return losses


def _relative_change(adapted: Any) -> float:
    """Return ||dW|| / ||W||, Frobenius norms over all layers that the adapter changes."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[Any] = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    with torch.no_grad():
        changes = torch.stack([layer.get_delta_weight(NAME).float().norm() for layer in layers])
        weights = torch.stack([layer.get_base_layer().weight.float().norm() for layer in layers])
    return float(changes.norm() / weights.norm())


def _files(adapted: Any) -> dict[str, bytes]:
    """Return PEFT's files of an adapter; they don't say where its base lies."""
    config = adapted.active_peft_config
    with tempfile.TemporaryDirectory(prefix="raysweep-edit-") as folder:
        adapted.save_pretrained(folder, save_embedding_layers=False)
        sort_names(Path(folder, SETTINGS), config)
        files = {name: Path(folder, name).read_bytes() for name in (SETTINGS, SAFETENSORS)}
    settings = {**json.loads(files[SETTINGS]), "base_model_name_or_path": None}
    return {**files, SETTINGS: json.dumps(settings, indent=2, sort_keys=True).encode()}
