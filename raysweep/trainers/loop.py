"""The training loop: one optimizer step after another, on one worker or many, resumable after any of them.

The gradient of a step is exactly (sum of sums) / (sum of normalisers) over all its rows, for any micro-batch size and
any number of workers. Rows and dropout are functions of (seed, step, worker), so an interrupted and resumed training
ends with the same weights as an undisturbed one, bit for bit on CPU.
Not covered: DeepSpeed, pure float16.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.records import TrainingStep
from raysweep.seeding import derive
from raysweep.trainers.base import Services, TrainJob
from raysweep.trainers.batching import DataOrder, chunks, collate, shard, total_steps
from raysweep.trainers.checkpoints import Progress, read_checkpoint, write_checkpoint
from raysweep.trainers.encoding import EncodedSet
from raysweep.trainers.gates import check_trainable
from raysweep.trainers.optimization import learning_rate, make_optimizer

if TYPE_CHECKING:
    import torch

REPORTS = 200
"""A training reports about so many times, and after its first and last step: losses are read in batches, because
reading one waits for the accelerator."""


@contextlib.contextmanager
def own_torch_rng(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block with torch's global generator seeded from (seed, names), and put its state back afterwards.

    Weight initialisation and dropout have no other way to be given a generator.
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
        data: its encoded rows, the same on every worker.
        job: names recipe, seed and checkpoint interval.
        services: the engine's. With several workers torch's process group is already there.
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
            # torch's fused attention has no fast bf16 backward on CPUs: the plain one halves a step's time
            model.set_attn_implementation("eager")
        self.optimizer = make_optimizer(model, job.recipe)
        self.replica = self._replicate(model)
        self.tokens = 0
        self.unreported: list[torch.Tensor] = []  # (sum, normaliser) of each step since the last report

    def run(self) -> dict[str, Any]:
        """Train from the newest checkpoint, or from the start, to the end; return the counts for the manifest.

        Raises:
            HopelessError: the loss is not finite; the step is named.
        """
        final, start = float("nan"), 0
        with own_torch_rng(self.job.seed, "training"):
            start = self._resume()
            for step in range(start, self.total):
                self._step(step)
                done = step + 1
                self.services.tick(done, self.total)
                if done in (1, self.total) or done % max(1, self.total // REPORTS) == 0:
                    final = self._report(done)
                if self.job.checkpoint_every and done % self.job.checkpoint_every == 0 and done < self.total:
                    self._checkpoint(done)
        self.model.eval()
        return {
            "rows": len(self.data.rows),
            "rows_dropped": self.data.dropped,
            "steps": self.total,
            "resumed_from": start,
            "tokens": self.tokens,
            "trainable_weights": check_trainable(self.model),
            "final_loss": final,
        }

    def _step(self, step: int) -> None:
        """Take one optimizer step; remember its loss."""
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
        scale = (self.services.world_size / sums[1]).float()  # replicas hold the mean of the workers' sums
        for tensor in parameters:
            tensor.grad.mul_(scale)
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        self.optimizer.step()
        self.unreported.append(sums)
        self.tokens += sum(self.data.lengths[row] for row in rows)

    def add_gradients(self, rows: list[int]) -> torch.Tensor:
        """Add up the gradients of this worker's rows of a step; return their (sum, normaliser), float64."""
        import torch

        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        parts = chunks(rows, self.recipe.micro_batch_size)
        for number, part in enumerate(parts, 1):
            batch = collate([self.data.rows[row] for row in part], self.data.most)
            batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
            last = number == len(parts)
            with contextlib.nullcontext() if last or self.replica is self.model else self.replica.no_sync():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                    loss, normaliser = self.data.objective.loss(self.replica, batch)
                loss.backward()
            sums += torch.stack([loss.detach(), normaliser.detach()])
        return sums

    def _report(self, done: int) -> float:
        """Tell the mean loss since the last report, after looking at every step's."""
        import torch

        losses = torch.stack(self.unreported).cpu()
        bad = (~losses[:, 0].isfinite()).nonzero()
        if len(bad):
            step = done - len(losses) + 1 + int(bad[0])
            raise HopelessError(
                f"{self.job.label}: the loss of step {step} of {self.total} is {float(losses[bad[0], 0])}; "
                f"lower `lr: {self.recipe.lr}` or use `precision: float32`"
            )
        self.unreported = []
        loss = float(losses[:, 0].sum() / losses[:, 1].sum())
        rate = learning_rate(self.recipe, done - 1, self.total)
        self.services.report(TrainingStep(done, self.total, loss, rate, self.tokens))
        return loss

    def _checkpoint(self, done: int) -> None:
        import torch

        pending = torch.stack(self.unreported).cpu() if self.unreported else torch.zeros(0, 2, dtype=torch.float64)

        def write(folder: Path) -> None:
            write_checkpoint(folder, self.model, self.optimizer, Progress(done, self.tokens, pending))

        self.services.save_checkpoint(done, write)

    def _resume(self) -> int:
        """Load the newest checkpoint, if there is one; return the number of steps it holds."""
        with self.services.latest_checkpoint() as folder:
            if folder is None:
                return 0
            progress = read_checkpoint(folder, self.model, self.optimizer)
        self.tokens = progress.tokens
        self.unreported = list(progress.unreported.to(self.device))
        return progress.step

    def _replicate(self, model: Any) -> Any:
        """Wrap the model for several workers; alone it is itself."""
        if self.services.world_size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
