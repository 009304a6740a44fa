"""The training loop of a worker: sets up model and device, runs the optimizer steps, resumes after any of them.

The gradient of a step is exactly (sum of losses) / (normaliser) over all its rows, for any cutting into forward passes
and any number of workers; dropout draws its masks pass by pass. Rows and dropout are functions of (seed, step, worker),
so an interrupted and resumed training ends with the weights of an undisturbed one, bit for bit on CPU. A checkpoint
holds the loop's state and each worker's part of trained weights and optimizer (`raysweep.trainers.sharding`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from raysweep.accelerators import LEAST_CONTEXT_BYTES, data_sheet_of
from raysweep.errors import HopelessError, RaysweepError, SmallerNext, UsageError
from raysweep.machine import accelerator_in_use, is_out_of_memory
from raysweep.models.architectures.shape import BYTES, shape_of
from raysweep.models.loading import disable_cudnn_attention, silence_deepspeed
from raysweep.models.quantizing import moved
from raysweep.models.rounding import products_in
from raysweep.seeding import derive
from raysweep.trainers.base import BEST, FUSED, JOINED, KEPT_STEP, LossSum, Row, Services, TrainJob
from raysweep.trainers.batching import (
    BatchingTrial,
    DataOrder,
    MicroBatching,
    collate,
    collate_packed,
    least_tokens,
    micro_batching,
    passes_of_workers,
    shard,
    total_steps,
)
from raysweep.trainers.checks import check_packing, check_trainable, freeze_uncalled
from raysweep.trainers.encoding import EncodedSet, NumbersOfRows
from raysweep.trainers.memory import PREDICTED, tokens_that_fit
from raysweep.trainers.objectives.responses import TRUNCATE
from raysweep.trainers.objectives.sft import Sft
from raysweep.trainers.optimizer import learning_rate
from raysweep.trainers.passes.activations import recompute_blocks
from raysweep.trainers.passes.attention import RowAttention
from raysweep.trainers.passes.fused import fuse
from raysweep.trainers.reports import TrainingReports
from raysweep.trainers.sharding.choice import make_sharding, sharding_name, unshared_setting
from raysweep.trainers.validation import BestEpoch, log_probabilities_of_texts
from raysweep.units import seconds_of

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

CHECKPOINT_FILE = "state.pt"
REMEMBERED_TOKENS = "micro_batch_tokens"
MOST_REPEATS = 30
"""Most times that a float16 step is done again; by then the loss scale is below 1."""


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

    `model`: a causal language model (or PEFT's wrapper of one) whose trainable tensors are float32. `services`: the
    engine's services. With several workers torch's process group exists already.

    Raises:
        UsageError: the model can't pack rows or has nothing to fuse, or there are no validation rows by which the best
            epoch is chosen.
    """

    def __init__(self, model: Any, data: EncodedSet, job: TrainJob, services: Services) -> None:
        import torch

        self.job, self.recipe, self.data, self.services = job, job.recipe, data, services
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        silence_deepspeed()
        disable_cudnn_attention(self.device)
        self.total = total_steps(len(data.rows), job.recipe)
        as_safecoder = job.recipe.compat == "safecoder"
        self.order = DataOrder(
            data.lengths, job.recipe.batch_size, job.recipe.length_buckets, job.seed, carries_tails=as_safecoder
        )
        shares_weights = sharding_name(job.recipe, services.world_size) == "zero3"
        self.model = model if shares_weights else moved(model, self.device)  # a share of it may be all that fits there
        self._prepare_model()
        self._most: int | None = None  # tokens of a pass that the accelerator holds by prediction, where that is known
        self.batching = self._usual_batching()
        self._limit_batching()
        self._weights = str(self.model.get_input_embeddings().weight.dtype).removeprefix("torch.")
        self._trial: BatchingTrial | None = None
        if job.recipe.batching == "auto":
            most = services.remembered().get(REMEMBERED_TOKENS, self._most)
            self._trial = BatchingTrial(self.batching, self._packs, most)
        self.model.train()
        self.sharding = make_sharding(model, job.recipe, self.device, services.world_size)
        self.reports = TrainingReports(job, data, services, self.total, model.config)
        self.best = BestEpoch(self.sharding) if job.recipe.keep == BEST else None
        if self.best is not None and data.validation is None:
            raise UsageError(f"{job.label}: `keep: best` chooses an epoch by validation rows, and there are none")
        self.repeated_steps = 0  # since this attempt began, after gradients too large for float16
        self._saved = time.monotonic()  # time of the latest checkpoint

    def run(self) -> dict[str, Any]:
        """Train to the end from the newest checkpoint, or from the start; return the counts for the manifest.

        Raises:
            HopelessError: the loss is not finite; the message names the step.
            RaysweepError: memory ran out. Where another attempt will take smaller forward passes, it says so.
        """
        import torch

        seeded, numbers = seeded_torch(self.job.seed, "training"), products_in(self.recipe.precision)
        with contextlib.closing(self.attention), seeded, numbers:
            self.model.eval()
            with torch.no_grad():
                self.data = self._prepared(self.data)
                if self.data.validation is not None:
                    self.data = dataclasses.replace(self.data, validation=self._prepared(self.data.validation))
            self.model.train()
            self._measure(0)
            start = self._resume()
            if start and self._ends_validated_epoch(start) and not self.reports.has_validated(start):
                self._end_epoch(start)  # the machine went between checkpoint and validation
            for step in range(start, self.total):
                self._step(step)
                done = step + 1
                is_asked_for = self.services.tick(done, self.total)
                may_save = done < self.total and self._trial is None
                if self._ends_validated_epoch(done):
                    if is_asked_for and self.job.checkpoint_every and may_save:
                        self._checkpoint(done)  # a validation may take longer than this machine has left
                        may_save = False
                    self._end_epoch(done)
                elif self.reports.is_due(done):
                    self.reports.report(done)
                if may_save and self._checkpoint_is_due(done, is_asked_for):
                    self._checkpoint(done)
        if self.best is not None:
            self.best.put_back(self.total, self.job.label)
        self.model.eval()
        return {
            "rows": len(self.data.rows),
            "rows_dropped": sum(self.data.dropped.values()),
            "dropped": dict(self.data.dropped),
            **({"rows_truncated": self.data.truncated} if self.job.recipe.overlong == TRUNCATE else {}),
            **({JOINED: self.data.joined} if self.data.joined else {}),
            "steps": self.total,
            "resumed_from": start,
            "trainable_weights": self.trainable_weights,
            "batching": dataclasses.asdict(self.batching),
            "repeated_steps": self.repeated_steps,
            **({} if self.best is None else {KEPT_STEP: self.best.step}),
            **self.reports.counts(),
        }

    def _ends_validated_epoch(self, done: int) -> bool:
        ends = done == self.total or done % self.order.steps_per_epoch == 0
        return ends and self.data.validation is not None

    def _end_epoch(self, done: int) -> None:
        loss = self._validate(done)
        is_kept = self.best is None or self.best.ends(done, loss, is_last=done == self.total)
        self.reports.report(done, loss, self._measure(done, is_kept))

    def _prepare_model(self) -> None:
        """Choose attention, gradient checkpointing and kernels, and count the weights before they may be in shares."""
        self.uncalled = freeze_uncalled(self.model, self.data.rows[0])
        self.trainable_weights = check_trainable(self.model)
        self.attention = self._attention()
        if self.recipe.batching == "packed":
            check_packing(self.model, self.data.objective, self.data.rows, self.attention)
        self._packs = False
        if self.recipe.batching == "auto":
            with contextlib.suppress(UsageError):
                check_packing(self.model, self.data.objective, self.data.rows, self.attention)
                self._packs = True
        if self.recipe.gradient_checkpointing:
            recompute_blocks(self.model)
        if self.recipe.kernels == FUSED:
            fuse(self.model, self.recipe.precision)

    def _prepared(self, data: EncodedSet) -> EncodedSet:
        services = NumbersOfRows(self.job, data, self.services, self._batches_over, self._weights)

        def rows() -> Sequence[Row]:
            with self.sharding.autocast():
                return data.objective.prepare(self.sharding.replica, data.rows, services)

        return dataclasses.replace(data, rows=self._in_memory(rows, data))

    def _in_memory(
        self, compute: Callable[[], T], data: EncodedSet, rows: list[int] | None = None, step: int | None = None
    ) -> T:
        """Compute something from some rows of a set, all by default; where memory runs out, again in smaller passes."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_passes_smaller(rows or _longest_first(data), step, error, data)

    def _batches_over(self, data: EncodedSet, done: int = 0) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        for members, _ in self._passes_over(data):
            yield members, self._batch(data, members, self._current_batching())
            self.services.tick(done, self.total)

    def _measure(self, done: int, is_kept: bool = True) -> dict[str, float]:
        """Measure the validation rows as for every objective, and keep it for the reports; return the measures.

        Those before training are of the base model, so all trainings on it share them. `is_kept`: the weights are the
        model, as far as is known.
        """
        import torch

        held_out = self.data.held_out
        if held_out is None:
            return {}
        began = time.monotonic()
        data = EncodedSet(Sft(reduction="per_token"), held_out.texts, {}, self.data.max_tokens)
        passes = functools.partial(self._batches_over, done=done)
        services = NumbersOfRows(self.job, data, self.services, passes, self._weights)
        self.model.eval()
        with torch.no_grad(), self.sharding.autocast():
            compute = functools.partial(log_probabilities_of_texts, self.sharding.replica)
            if done:
                numbers = services.computed(data, compute)
            else:
                kept = "log-probabilities of texts"
                numbers = self._in_memory(lambda: services.of_rows(kept, data.rows, compute), data)
        self.model.train()
        measures, margins = held_out.measure(numbers[:, 0])
        self.reports.measured(done, measures, margins if is_kept else None)
        self.reports.leave_out(time.monotonic() - began)
        return measures

    def _attention(self) -> RowAttention:
        """Have the model attend by what is known of its rows, or plainly, unless it is told how.

        On CPUs the backward pass of torch's fused attention is slow in bf16: plain attention halves a step's time.
        """
        if self.job.base.attention:
            return RowAttention(self.model, wanted=False)
        is_slow = self.device.type == "cpu" and self.recipe.precision == "bf16"
        if is_slow and hasattr(self.model, "set_attn_implementation"):
            self.model.set_attn_implementation("eager")
        return RowAttention(self.model, self.recipe.gradient_checkpointing, wanted=not self.recipe.compile)

    def _usual_batching(self) -> MicroBatching:
        """Return the recipe's batching, on an accelerator by its memory and speed."""
        import torch

        usual = micro_batching(self.recipe, self.device.type)
        if self.device.type != "cuda" or self.recipe.compat is not None:
            return usual
        sheet, shape = data_sheet_of(accelerator_in_use()), shape_of(self.model.config.to_dict())
        if shape is not None:
            shape = dataclasses.replace(shape, attention=self.job.base.attention)
        least = least_tokens(self.recipe, sheet[1]) if sheet is not None else usual.least_tokens
        most = 0  # tokens that fit; 0: not known
        if shape is not None and self.recipe.trainer in PREDICTED and self.recipe.micro_batch_tokens is None:
            memory = torch.cuda.get_device_properties(self.device).total_memory * self.services.accelerator_share
            most = tokens_that_fit(shape, self.recipe, max(self.data.lengths), int(memory) - LEAST_CONTEXT_BYTES)
        if self.services.world_size > 1:  # the workers cut alike
            both = torch.tensor([least, most], device=self.device)
            torch.distributed.all_reduce(both, torch.distributed.ReduceOp.MIN)
            least, most = both.tolist()
        usual = dataclasses.replace(usual, least_tokens=least)
        if not most:
            return usual
        self._most = most
        return dataclasses.replace(usual, tokens=most if usual.packed else min(most, usual.tokens))

    def _limit_batching(self) -> None:
        tokens = self.services.remembered().get(REMEMBERED_TOKENS, self.batching.tokens)
        self.batching = dataclasses.replace(self.batching, tokens=min(tokens, self.batching.tokens))

    def _step(self, step: int) -> None:
        import torch

        rows = self.order.rows(step)
        began = self._clock()
        rate = learning_rate(self.recipe, step, self.total)
        for _ in range(MOST_REPEATS):
            sums = self._in_memory(functools.partial(self.add_gradients, rows, step), self.data, rows, step)
            norm = self._update(rate, step)
            if norm is not None:
                break
            is_finite = sums.isfinite().all().to(torch.int)
            if self.services.world_size > 1:  # the workers decide alike
                torch.distributed.all_reduce(is_finite, torch.distributed.ReduceOp.MIN)
            if not is_finite:
                break  # a loss that isn't finite ends the training at the next report
            self.repeated_steps += 1
        else:
            raise HopelessError(
                f"{self.job.label}: the gradients of step {step + 1} of {self.total} are not finite at any loss scale "
                "of float16; use `precision: bf16` or `precision: float32`"
            )
        tokens = sum(self.data.lengths[row] for row in rows)
        self.reports.add(sums, norm if norm is not None else math.inf, tokens)
        if self._trial is not None:
            self._trial.add(self._clock() - began, tokens)
        if self._trial is not None and self._trial.is_over:
            spent = torch.tensor(self._trial.seconds, dtype=torch.float64)
            if self.services.world_size > 1:
                torch.distributed.all_reduce(spent)
            self.batching = self._trial.fastest(spent.tolist())
            self._trial = None

    def _clock(self) -> float:
        """Return the time in seconds; while ways of batching are tried, after the accelerator's work."""
        if self._trial is not None and self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _update(self, rate: float, step: int) -> float | torch.Tensor | None:
        try:
            return self.sharding.step(rate)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            needs = (
                " needs 8 bytes for each trained weight" if self.recipe.optimizer == "adamw" else " makes its states"
            )
            raise RaysweepError(
                f"{self.job.label}: memory ran out in the update of step {step + 1:,}, where the optimizer{needs}; "
                f"{self._ways_to_save()}"
            ) from error

    def add_gradients(self, rows: list[int], step: int = 0) -> torch.Tensor:
        """Add up the gradients of a step's rows; return (sum of this worker's losses, normaliser of the step).

        All workers do equally many forward passes: one with fewer passes repeats its shortest row without effect.
        """
        import torch

        rank, workers = self.services.rank, self.services.world_size
        torch.manual_seed(derive(self.job.seed, "step", step, rank) % 2**63)
        batching = self._current_batching()
        everyones = passes_of_workers(rows, self.data.lengths, batching, workers)
        passes = everyones[rank]
        missing = max(map(len, everyones)) - len(passes)
        counted = rows[-self.recipe.batch_size :]  # SafeCoder divides by the rows of a step, however many it adds up
        normaliser = self.data.objective.normaliser([self.data.rows[row] for row in counted])
        names = self.data.objective.numbers
        sums = torch.zeros(2 + 2 * len(names), dtype=torch.float64, device=self.device)
        sums[1] = normaliser
        with self.sharding.one_step():
            for number, members in enumerate(passes + [passes[-1][-1:]] * missing, 1):
                last = number == len(passes) + missing
                with self.sharding.one_pass(last):
                    summed = self._loss(self.data, members, batching)
                    loss = summed.loss * (number <= len(passes))
                    self.sharding.backward(loss / normaliser, last)
                sums[0] += loss.detach()
                if names and number <= len(passes):
                    flat = [value for name in names for value in summed.numbers[name]]
                    sums[2:] += torch.stack([torch.as_tensor(value, device=self.device).double() for value in flat])
        return sums

    def _loss(self, data: EncodedSet, members: list[int], batching: MicroBatching) -> LossSum:
        batch = self._batch(data, members, batching)
        with self.sharding.autocast():
            loss = data.objective.loss(self.sharding.replica, batch)
        return loss if isinstance(loss, LossSum) else LossSum(loss, {})

    def _batch(self, data: EncodedSet, members: list[int], batching: MicroBatching) -> dict[str, torch.Tensor]:
        rows = [data.rows[row] for row in members]
        few_shapes = self.device.type == "cpu" and self.recipe.precision == "bf16"
        pad_to = batching.pad_to if few_shapes or len(rows) > 1 else 1  # attention without a mask is faster
        packed = collate_packed(rows) if batching.packed else collate(rows, data.max_tokens, pad_to)
        batch = {name: tensor.to(self.device) for name, tensor in packed.items()}
        self.attention.know(batch, rows)
        return batch

    def _validate(self, done: int) -> float:
        """Return the mean loss of the validation rows, without dropout."""
        import torch

        began, data = time.monotonic(), self.data.validation
        assert data is not None
        batching = self._current_batching()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.eval()
        with torch.no_grad():
            for members, counts in self._passes_over(data):
                total += self._loss(data, members, batching).loss * counts
                self.services.tick(done, self.total)
        self.model.train()
        if self.services.world_size > 1:
            torch.distributed.all_reduce(total)
        loss = float(total) / data.objective.normaliser(data.rows)
        self.reports.leave_out(time.monotonic() - began)
        return loss

    def _passes_over(self, data: EncodedSet) -> Iterator[tuple[list[int], bool]]:
        """Yield this worker's forward passes over all rows of a set, each with whether it counts.

        A pass is no larger than those that train. All workers do equally many, since ZeRO-3 gathers weights in each:
        one with fewer repeats the shortest row, which doesn't count.
        """
        batching = self._current_batching()
        most = min(batching.rows or self.recipe.batch_size, -(-self.recipe.batch_size // self.services.world_size))
        batching = dataclasses.replace(batching, rows=most)
        longest_first = _longest_first(data)
        everyones = passes_of_workers(longest_first, data.lengths, batching, self.services.world_size)
        passes = everyones[self.services.rank]
        for number in range(max(map(len, everyones))):
            counts = number < len(passes)
            yield (passes[number] if counts else longest_first[-1:]), counts

    def _make_passes_smaller(self, rows: list[int], step: int | None, error: BaseException, data: EncodedSet) -> None:
        """Halve the largest forward pass after memory ran out; raise RaysweepError where that can't help.

        Several workers can't repeat a step, since the others wait in an exchange. So they all end, and the next attempt
        takes the smaller passes from its start.

        `rows`: of `data`, which were computed. `step`: None before the first.
        """
        rows_here = shard(rows, self.services.rank, self.services.world_size)
        smaller = self._current_batching().smaller(rows_here, data.lengths)
        when = "before the first step" if step is None else f"at step {step + 1:,} of {self.total:,}"
        place = f"{self.job.label}: memory ran out {when}"
        if smaller is None:
            raise RaysweepError(
                f"{place} in a forward pass of one row; {self._ways_to_save(of_one_row=True)}"
            ) from error
        if not self.sharding.can_repeat:
            known = self.services.remembered().get(REMEMBERED_TOKENS, smaller.tokens)  # another worker's
            self.services.remember({REMEMBERED_TOKENS: min(known, smaller.tokens)})
            raise SmallerNext(f"{place}; the next attempt takes {smaller.tokens:,} tokens a pass") from error
        self.sharding.drop_gradients()
        error.__traceback__ = None  # it holds the activations
        if self._trial is None:
            self.batching = smaller
        else:
            self._trial.current = smaller
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _ways_to_save(self, of_one_row: bool = False) -> str:
        recipe, shares = self.recipe, sharding_name(self.recipe, self.services.world_size) != "ddp"
        can_share = not unshared_setting(recipe)
        ways = ["`gradient_checkpointing: true`"] if of_one_row and not recipe.gradient_checkpointing else []
        ways += ["`precision: bf16`"] if of_one_row and BYTES[recipe.precision] == 4 else []
        ways += [f"`max_tokens` below {recipe.max_tokens:,}"] if of_one_row else []
        ways += ["`parallel: zero2`"] if not shares and can_share else []
        ways += ["`offload: optimizer` with ZeRO"] if recipe.offload is None and can_share else []
        ways += ["more `workers` with ZeRO"] if can_share else []
        ways += ["`trainer: lora`"] if recipe.trainer == "full" else []
        ways += [] if ways else ["a machine with more memory"]
        return "use " + ", ".join(ways[:-1]) + f" or {ways[-1]}" if len(ways) > 1 else f"use {ways[0]}"

    def _current_batching(self) -> MicroBatching:
        return self._trial.current if self._trial is not None else self.batching

    def _checkpoint_is_due(self, done: int, is_asked_for: bool) -> bool:
        """Decide by rank 0's clock; what the services ask for is due at once, unless the job wants none at all."""
        every = self.job.checkpoint_every
        if is_asked_for:
            return every != 0
        if isinstance(every, int):
            return every > 0 and done % every == 0
        import torch

        due = torch.tensor(time.monotonic() - self._saved >= seconds_of(every), device=self.device, dtype=torch.int)
        if self.services.world_size > 1:
            torch.distributed.broadcast(due, 0)
        return bool(due)

    def _checkpoint(self, done: int) -> None:
        import torch

        reports = self.reports.state()  # on every worker, since it adds up theirs

        def write(folder: Path) -> None:
            self.sharding.write(folder)
            if self.services.rank == 0:
                content = {"step": done, **reports, "batching": dataclasses.asdict(self.batching)}
                if self.best is not None:
                    content |= self.best.state()
                    self.best.write(folder)
                torch.save(content, folder / CHECKPOINT_FILE)

        began = time.monotonic()
        self.services.save_checkpoint(done, write)
        self._saved = time.monotonic()
        self.reports.leave_out(self._saved - began)

    def _resume(self) -> int:
        """Load the newest checkpoint, if there is one; return the number of steps taken so far."""
        import torch

        with self.services.latest_checkpoint() as folder:
            if folder is None:
                return 0
            content = torch.load(folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
            self.sharding.read(folder)
            if self.best is not None:
                self.best.restore(content, folder, self.services.rank)
        self.reports.restore(content)
        if "batching" in content:
            self.batching, self._trial = MicroBatching(**content["batching"]), None
            self._limit_batching()
        return int(content["step"])


def _longest_first(data: EncodedSet) -> list[int]:
    return sorted(range(len(data.rows)), key=lambda row: -data.lengths[row])
