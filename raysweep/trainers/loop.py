"""The training loop: runs the optimizer steps, on one worker or many, and can resume after any of them.

The gradient of a step is exactly (sum of sums) / (sum of normalisers) over all its rows, for any micro-batch size and
any number of workers. Rows and dropout are functions of (seed, step, worker), so an interrupted and resumed training
ends with the same weights as an undisturbed one, bit for bit on CPU. A checkpoint therefore holds only the trainable
weights, the optimizer's state, the step and the counts.
Not covered: DeepSpeed, pure float16.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError, UsageError
from raysweep.records import TrainingStep
from raysweep.seeding import derive
from raysweep.trainers.base import Recipe, Services, TrainJob
from raysweep.trainers.batching import DataOrder, chunks, collate, shard, total_steps
from raysweep.trainers.checks import check_trainable
from raysweep.trainers.encoding import EncodedSet

if TYPE_CHECKING:
    import torch

REPORTS = 200
"""Approximate number of reports of a training, besides those after the first and the last step. Losses are read in
batches, because reading one waits for the accelerator."""
CURVE_POINTS = 200
"""Most points of a training's loss curve in its counts."""
CHECKPOINT_FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The counts after `step` steps."""

    step: int
    tokens: int
    unreported: torch.Tensor  # (steps since the last report, 2): sums and normalisers of losses
    losses: list[tuple[int, float]]  # step and mean loss of each report


@contextlib.contextmanager
def seeded_torch(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block with torch's global generator seeded from (seed, names), and restore its state afterwards.

    Weight initialisation and dropout accept no generator, they always use the global one.
    """
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *names) % 2**63)
        yield


class TrainingLoop:
    """Trains a model in place.

    Args:
        model: a causal language model (or PEFT's wrapper of one) whose trainable tensors are float32.
        data: the encoded rows, the same on every worker.
        job: gives recipe, seed and checkpoint interval.
        services: the engine's services. With several workers torch's process group exists already.
    """

    def __init__(self, model: Any, data: EncodedSet, job: TrainJob, services: Services) -> None:
        import torch

        check_trainable(model)
        self.job, self.recipe, self.data, self.services = job, job.recipe, data, services
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.total = total_steps(len(data.rows), job.recipe)
        self.order = DataOrder(data.lengths, job.recipe.batch_size, job.recipe.length_buckets, job.seed)
        self.model = model.to(self.device).train()
        if self.device.type == "cpu" and job.recipe.precision == "bf16" and hasattr(model, "set_attn_implementation"):
            # on CPUs the backward pass of torch's fused attention is slow in bf16: plain attention halves a step's time
            model.set_attn_implementation("eager")
        self.optimizer = make_optimizer(model, job.recipe)
        self.replica = self._replicate(model)
        self.tokens = 0
        self.unreported: list[torch.Tensor] = []  # (sum, normaliser) of each step since the last report
        self.losses: list[tuple[int, float]] = []  # step and mean loss of each report

    def run(self) -> dict[str, Any]:
        """Train to the end from the newest checkpoint, or from the start; return the counts for the manifest.

        Raises:
            HopelessError: the loss is not finite; the message names the step.
        """
        with seeded_torch(self.job.seed, "training"):
            start = self._resume()
            for step in range(start, self.total):
                self._step(step)
                done = step + 1
                self.services.tick(done, self.total)
                if done in (1, self.total) or done % max(1, self.total // REPORTS) == 0:
                    self._report(done)
                if self.job.checkpoint_every and done % self.job.checkpoint_every == 0 and done < self.total:
                    self._checkpoint(done)
        self.model.eval()
        return {
            "rows": len(self.data.rows),
            "rows_dropped": sum(self.data.dropped.values()),
            "dropped": dict(self.data.dropped),
            "steps": self.total,
            "resumed_from": start,
            "tokens": self.tokens,
            "trainable_weights": check_trainable(self.model),
            "losses": [list(point) for point in thinned(self.losses, CURVE_POINTS)],
            "final_loss": self.losses[-1][1] if self.losses else float("nan"),
        }

    def _step(self, step: int) -> None:
        """Take one optimizer step and keep its loss for the next report."""
        import torch

        torch.manual_seed(derive(self.job.seed, "step", step, self.services.rank) % 2**63)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, step, self.total)
        self.optimizer.zero_grad()
        rows = self.order.rows(step)
        sums = self.add_gradients(shard(rows, self.services.rank, self.services.world_size))
        if self.services.world_size > 1:
            torch.distributed.all_reduce(sums)
        parameters = [tensor for tensor in self.model.parameters() if tensor.grad is not None]
        scale = (self.services.world_size / sums[1]).float()  # gradients are the mean of the workers' sums
        for tensor in parameters:
            tensor.grad.mul_(scale)
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        self.optimizer.step()
        self.unreported.append(sums)
        self.tokens += sum(self.data.lengths[row] for row in rows)

    def add_gradients(self, rows: list[int]) -> torch.Tensor:
        """Accumulate the gradients of some rows, without normalising; return their (sum, normaliser) in float64."""
        import torch

        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        micro_batches = chunks(rows, self.recipe.micro_batch_size)
        for number, micro_batch in enumerate(micro_batches, 1):
            batch = collate([self.data.rows[row] for row in micro_batch], self.data.max_tokens)
            batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
            last = number == len(micro_batches)
            with contextlib.nullcontext() if last or self.replica is self.model else self.replica.no_sync():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                    loss, normaliser = self.data.objective.loss(self.replica, batch)
                loss.backward()
            sums += torch.stack([loss.detach(), normaliser.detach()])
        return sums

    def _report(self, done: int) -> None:
        """Report and keep the mean loss since the last report, after checking that every step's is finite."""
        import torch

        losses = torch.stack(self.unreported).cpu()
        not_finite = (~losses[:, 0].isfinite()).nonzero()
        if len(not_finite):
            step = done - len(losses) + 1 + int(not_finite[0])
            raise HopelessError(
                f"{self.job.label}: the loss of step {step} of {self.total} is {float(losses[not_finite[0], 0])}; "
                f"lower `lr: {self.recipe.lr}` or use `precision: float32`"
            )
        self.unreported = []
        loss = float(losses[:, 0].sum() / losses[:, 1].sum())
        rate = learning_rate(self.recipe, done - 1, self.total)
        self.losses.append((done, loss))
        self.services.report(TrainingStep(done, self.total, loss, rate, self.tokens))

    def _checkpoint(self, done: int) -> None:
        import torch

        pending = torch.stack(self.unreported).cpu() if self.unreported else torch.zeros(0, 2, dtype=torch.float64)

        def write(folder: Path) -> None:
            state = TrainingState(done, self.tokens, pending, self.losses)
            write_checkpoint(folder, self.model, self.optimizer, state)

        self.services.save_checkpoint(done, write)

    def _resume(self) -> int:
        """Load the newest checkpoint, if there is one; return the number of steps taken so far."""
        with self.services.latest_checkpoint() as folder:
            if folder is None:
                return 0
            state = read_checkpoint(folder, self.model, self.optimizer)
        self.tokens = state.tokens
        self.unreported = list(state.unreported.to(self.device))
        self.losses = list(state.losses)
        return state.step

    def _replicate(self, model: Any) -> Any:
        """Wrap the model for data-parallel training; with one worker return it unchanged."""
        if self.services.world_size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most `most` points (2 or more), evenly spaced, the first and the last included."""
    if len(points) <= most:
        return list(points)
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


def make_optimizer(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over the trainable tensors, without weight decay for biases and norms.

    A norm is a module whose class name ends in "norm" (LayerNorm, LlamaRMSNorm).
    """
    import torch

    undecayed: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    for module in model.modules():
        is_norm = type(module).__name__.lower().endswith("norm")
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                (undecayed if is_norm or "bias" in name else decayed).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": list(dict.fromkeys(decayed)), "weight_decay": recipe.weight_decay},
        {"params": list(dict.fromkeys(undecayed)), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=True)


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Return the learning rate of a step (from 0).

    It rises from 0 over the first round(warmup x total) steps, then stays constant or falls towards 0, linearly or
    along half a cosine. These are transformers' schedules of the same names:
    https://github.com/huggingface/transformers/blob/main/src/transformers/optimization.py
    """
    warmup_steps = round(recipe.warmup * total)
    if step < warmup_steps:
        return recipe.lr * step / warmup_steps
    done = (step - warmup_steps) / max(1, total - warmup_steps)
    if recipe.schedule == "linear":
        return recipe.lr * (1 - done)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))
    if recipe.schedule == "constant":
        return recipe.lr
    raise UsageError(f"unknown schedule {recipe.schedule!r}; known: constant, cosine, linear")


def write_checkpoint(folder: Path, model: Any, optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
    """Write a checkpoint into an empty folder."""
    import torch

    content = {
        "step": state.step,
        "tokens": state.tokens,
        "unreported": state.unreported,
        "losses": state.losses,
        "optimizer": optimizer.state_dict(),
        "weights": _trainable(model),
    }
    torch.save(content, folder / CHECKPOINT_FILE)


def read_checkpoint(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Restore weights and optimizer from a checkpoint, in place, and return the rest of its state.

    Raises:
        HopelessError: the checkpoint is of another model or recipe.
    """
    import torch

    content = torch.load(folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
    weights = _trainable(model)
    if unmatched := sorted(weights.keys() ^ content["weights"].keys()):
        reason = f"tensor {unmatched[0]!r} is not in both"
        raise HopelessError(f"the checkpoint {folder} is of another training: {reason}; remove the folder")
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(content["weights"][name])
    optimizer.load_state_dict(content["optimizer"])
    losses = [(int(step), float(loss)) for step, loss in content.get("losses", [])]  # older checkpoints have none
    return TrainingState(content["step"], content["tokens"], content["unreported"], losses)


def _trainable(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}
