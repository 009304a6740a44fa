"""Each test of the suite for trainers fails on a trainer that is broken in its way; none of them needs torch."""

from __future__ import annotations

import functools
import hashlib
import random
from math import nan
from pathlib import Path
from typing import ClassVar

import pytest

from raysweep.records import ModelKind, ModelRef, TrainingStep
from raysweep.seeding import python_rng
from raysweep.testing import trainers
from raysweep.testing.contract import elsewhere
from raysweep.testing.trainers import TrainerContract
from raysweep.trainers.base import TRAINERS, Trainer
from tests.testing.bites import Broken, claims_of, message

WEIGHTS = "model.safetensors"


class Steps(Trainer):
    """Changes 32 bytes of weights step by step."""

    name = "full"  # any that is registered
    kind = ModelKind.FULL
    config = "config.json"

    def train(self, job, services):
        total, start, weights = job.recipe.steps, 0, Path(job.base.location, WEIGHTS).read_bytes()
        with services.latest_checkpoint() as folder:
            if folder is not None:
                start, weights = self.resumed(folder)
        for step in range(start + 1, total + 1):
            weights = hashlib.sha256(weights + self.drawn(job, step)).digest()
            is_asked_for = self.told(services, step, total)
            if job.checkpoint_every and step < total and (is_asked_for or step % job.checkpoint_every == 0):
                self.save(services, step, weights)
        self.write(job, weights)
        return self.counts(total)

    def drawn(self, job, step):
        return python_rng(job.seed, "steps", step).randbytes(8)

    def told(self, services, step, total):
        services.report(TrainingStep(step, total, 1 / step, 0.1, step))
        return services.tick(step, total)

    def save(self, services, step, weights):
        services.save_checkpoint(step, lambda folder: (folder / f"{step}").write_bytes(weights))

    def resumed(self, folder):
        (state,) = folder.iterdir()
        return int(state.name), state.read_bytes()

    def write(self, job, weights):
        (job.out / self.config).write_text("{}")
        (job.out / WEIGHTS).write_bytes(weights)

    def counts(self, total):
        return {"steps": total}


class Short(TrainerContract):
    """The suite for trainers whose weights have 32 bytes."""

    def load(self, model):
        weights = Path(model.location, WEIGHTS).read_bytes()
        if len(weights) != 32:
            raise ValueError(f"{len(weights)} bytes are no weights")
        return weights


class Unconfigured(Steps):
    config = "settings.json"


class Empty(Steps):
    def write(self, job, weights):
        super().write(job, b"")


class Uncounted(Steps):
    def counts(self, total):
        return {"final_loss": nan}


class Silent(Steps):
    def told(self, services, step, total):
        return step < 3 and super().told(services, step, total)


class Spoils(Steps):
    def write(self, job, weights):
        super().write(job, weights)
        Path(job.base.location, WEIGHTS).write_bytes(weights)


class Draws(Steps):
    def drawn(self, job, step):
        return random.randbytes(8)


class Dated(Steps):
    number = 0

    def write(self, job, weights):
        Dated.number += 1
        super().write(job, weights[:-1] + bytes([Dated.number]))


class Keeps(Steps):
    kept: ClassVar[dict[int, bytes]] = {}  # what was drawn for each step, whatever the seed

    def drawn(self, job, step):
        return self.kept.setdefault(step, super().drawn(job, step))


class Forgets(Steps):
    def resumed(self, folder):
        return super().resumed(folder)[0], bytes(32)


class Restarts(Steps):
    def resumed(self, folder):
        return 0, bytes(32)


class Deaf(Steps):
    def told(self, services, step, total):
        super().told(services, step, total)
        return False


class Saves(Steps):
    def told(self, services, step, total):
        if step == total:
            self.save(services, step, b"")
        return super().told(services, step, total)


class Asks(Steps):
    def __init__(self, k: int) -> None:
        self.k = k


BROKEN: Broken = {
    "test_it_is_built_without_arguments": (lambda: Asks(1), "all that it has need a default; k has none"),
    "test_it_writes_a_model_of_its_kind": (Unconfigured, "there is no config.json"),
    "test_what_it_wrote_can_be_loaded": (Empty, "this can't be loaded: 0 bytes are no weights"),
    "test_its_counts_are_json": (Uncounted, "the counts that train() returns are JSON"),
    "test_it_reports_its_steps": (Silent, "services.tick is called after each step, once"),
    "test_it_writes_into_its_folder_alone": (Spoils, "alone; changed: the base's model.safetensors"),
    "test_the_same_seed_gives_the_same_bytes": (Dated, "equal jobs give equal files"),
    "test_what_the_process_did_before_changes_nothing": (Keeps, "writes the files that it writes in another process"),
    "test_an_interrupted_training_ends_with_the_same_bytes": (Forgets, "a resumed training writes the files"),
    "test_a_checkpoint_that_is_asked_for_is_saved": (Deaf, "where services.tick returned True, here after step 1"),
}


def told(test, make, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / WEIGHTS).write_bytes(bytes(32))
    ref = ModelRef(str(base))
    folders = [tmp_path / name for name in ("training", "another")]
    for folder in folders:
        folder.mkdir()
    training = type("Case", (Short,), {"make": staticmethod(make)})().train(ref, folders[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers, "elsewhere", functools.partial(elsewhere, with_registered, make))
        return message(Short, test, make, base=ref, training=training, tmp_path=folders[1])


def with_registered(kind, function, *arguments):
    """Call a function where the trainer's name stands for a class of this module."""
    TRAINERS.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRAINERS._classes, kind.name, kind)
        return function(*arguments)


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_trainer_fails(test, tmp_path):
    make, words = BROKEN[test]
    assert words in told(test, make, tmp_path)


def test_every_test_was_seen_to_fail():
    assert claims_of(TrainerContract) == set(BROKEN)


@pytest.mark.parametrize(
    ("test", "make", "words"),
    [
        ("test_the_same_seed_gives_the_same_bytes", Draws, "the generator of the whole process in random was used"),
        ("test_an_interrupted_training_ends_with_the_same_bytes", Restarts, "resumes from the newest checkpoint"),
        (
            "test_what_the_process_did_before_changes_nothing",
            Saves,
            "`checkpoint_every` is 0: the training saves no checkpoint",
        ),
    ],
)
def test_further_ways_to_be_broken(test, make, words, tmp_path):
    assert words in told(test, make, tmp_path)


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_trainer_that_keeps_the_contract_passes(test, tmp_path):
    assert told(test, Steps, tmp_path) == ""
