"""A trainer and a generator without torch, for tests of what raysweep does with cells rather than with networks.

A model's weights are 32 bytes. A training changes them step by step, by a hash of what they were and of the step's
rows, so they depend on base, rows, seed and number of steps alone: trainings that lost or repeated a step would end
with other bytes. A generator answers right or wrong by a hash of the weights and the prompt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysweep_extra.notes import FOLDER

from raysweep.errors import HopelessError
from raysweep.generators.base import Generator, cut_at_stop
from raysweep.generators.reference import reference_completion
from raysweep.hashing import text_sha
from raysweep.records import (
    Completion,
    Decoding,
    GenerationRequest,
    ModelKind,
    ModelRef,
    Spec,
    TrainingRow,
    TrainingStep,
)
from raysweep.rows.parquet import read_rows
from raysweep.seeding import python_rng
from raysweep.trainers.base import OBJECTIVES, Objective, Services, Trainer, TrainJob

WEIGHTS = "model.safetensors"
STATE = "state.json"
FREE_STEPS = 4
"""So many steps a process takes though trainings are held."""
WRONG = ("    raise NotImplementedError\n", "    return (\n")
"""Completions that pass no test. The second one is no Python."""


def make_base(folder: Path, name: str = "base") -> ModelRef:
    """Write a base model for `Steady` into a new folder; one with another name has other weights."""
    folder.mkdir(parents=True)
    settings = {"model_type": "steady", "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}))
    (folder / WEIGHTS).write_bytes(hashlib.sha256(name.encode()).digest())
    return ModelRef(str(folder))


def loss_of(weights: bytes) -> float:
    """Return what stands for the loss of validation rows: a number from 0 to 1."""
    return int.from_bytes(weights[:4], "big") / 2**32


def wait_for_release(name: str) -> None:
    """Wait for as long as there is a file in the folder for notes."""
    held = Path(os.environ.get(FOLDER, "/"), name)
    while held.exists():
        time.sleep(0.05)


class Steady(Trainer):
    """Full fine-tuning of 32 bytes of weights. The losses of validation rows follow from the weights after each epoch.

    The objective's `normaliser` is called with each step's rows: those of this package take time or make trouble then.
    """

    kind = ModelKind.FULL
    uses_objective = False

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Trainer.train`."""
        rows = read_rows(job.training_set, TrainingRow)
        size = min(job.recipe.batch_size, len(rows))
        total = job.recipe.steps or max(1, int(job.recipe.epochs * len(rows) / size))
        objective = OBJECTIVES.create(Spec(job.recipe.objective, dict(job.recipe.objective_args)))
        weights, start, losses = self._begin(job, services)
        for step in range(start + 1, total + 1):
            weights = self.step(weights, step, self._batch(rows, size, job.seed, step), objective)
            if job.validation is not None and (step == total or step % max(1, len(rows) // size) == 0):
                losses.append([step, loss_of(weights)])
            told = {"tokens": step * size, "new_tokens": size, "memory_bytes": len(weights), "mfu": 0.5}
            services.report(TrainingStep(step, total, 1 / step, job.recipe.lr, **told))
            is_asked_for = services.tick(step, total)
            every = job.checkpoint_every if isinstance(job.checkpoint_every, int) else 1
            if step < total and every and (is_asked_for or step % every == 0):
                self.save(weights, step, services, losses)
        if services.rank == 0:
            shutil.copytree(job.base.location, job.out, dirs_exist_ok=True)
            (job.out / WEIGHTS).write_bytes(weights)
        counts = {"rows": len(rows), "steps": total, "resumed_from": start, "weights": weights.hex()}
        return {**counts, **({"validation_losses": losses} if job.validation is not None else {})}

    def step(self, weights: bytes, step: int, rows: Sequence[TrainingRow], objective: Objective) -> bytes:
        """Return the weights after one more step."""
        objective.normaliser([{"rows": [row.row_id]} for row in rows])
        return hashlib.sha256(b"".join([weights, *(row.instruction.encode() for row in rows)])).digest()

    def save(self, weights: bytes, step: int, services: Services, losses: list[list[float]]) -> None:
        """Save a checkpoint."""

        def write(folder: Path) -> None:
            if services.rank == 0:
                (folder / STATE).write_text(json.dumps({"step": step, "weights": weights.hex(), "losses": losses}))

        services.save_checkpoint(step, write)

    def _begin(self, job: TrainJob, services: Services) -> tuple[bytes, int, list[list[float]]]:
        with services.latest_checkpoint() as folder:
            if folder is not None:
                state = json.loads((folder / STATE).read_text())
                return bytes.fromhex(state["weights"]), int(state["step"]), state["losses"]
        return Path(job.base.location, WEIGHTS).read_bytes(), 0, []

    def _batch(self, rows: Sequence[TrainingRow], size: int, seed: int, step: int) -> list[TrainingRow]:
        return python_rng(seed, "steady", step).sample(list(rows), size)


class Paced(Objective):
    """An objective without a loss, whose steps take time.

    After some steps a training waits for as long as there is a file `held` in the folder for notes.

    Args:
        seconds: of each step.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.steps = seconds, 0

    def encode(self, row, tokenizer, recipe):
        """Give no row to a network."""
        return None

    def normaliser(self, rows):
        """Take time, and wait while trainings are held."""
        time.sleep(self.seconds)
        self.steps += 1
        if self.steps > FREE_STEPS:
            wait_for_release("held")
        return float(len(rows))

    def loss(self, model, batch):
        """Refuse to be used with a network."""
        raise NotImplementedError


class SteadyGenerator(Generator):
    """Answers with the reference solution on some prompts, chosen by weights and prompt, and wrongly on the others.

    It chooses an answer whole, and so counts it as one token.

    After its first batch it waits for as long as there is a file `held-generation` in the folder for notes.

    Args:
        model: a base of `make_base`, or what `Steady` made of one.
        decoding: only the seed is used.
        pause: seconds that a batch takes.
        apart: the share of prompts that are answered differently in each sample.
    """

    needs_model = True

    def __init__(self, model: ModelRef, decoding: Decoding, pause: float = 0.0, apart: float = 1.0) -> None:
        super().__init__(model, decoding)
        self.pause, self.apart, self.batches = pause, apart, 0
        self.loads = 1
        self._weights = Path(model.location, WEIGHTS).read_bytes()

    def use(self, model: ModelRef) -> bool:
        """Take the weights of another model."""
        self._weights = Path(model.location, WEIGHTS).read_bytes()
        return True

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See `Generator.generate`."""
        time.sleep(self.pause)
        self.batches += 1
        if self.batches > 1:
            wait_for_release("held-generation")
        return [self._answer(one) for one in requests]

    def _answer(self, request: GenerationRequest) -> Completion:
        rng = python_rng(self.decoding.seed, "steady", self._weights.hex(), request.prompt)
        if rng.random() < self.apart:
            rng = python_rng(self.decoding.seed, "steady", self._weights.hex(), request.prompt, request.sample)
        text = reference_completion(request).text if rng.random() < 0.5 else rng.choice(WRONG)
        text, stop = cut_at_stop(text, request.stop)
        return Completion(request.task_id, request.sample, text, stop or "eos", 1, text_sha(request.prompt))


class UnfitGenerator(SteadyGenerator):
    """A steady generator that fails."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Refuse, for good."""
        raise HopelessError("no such luck")
