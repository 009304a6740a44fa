"""Each suite of raysweep/testing fails on a part that is broken in a way that nothing else would show.

That a sound part passes, tests/contracts shows with raysweep's own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysweep.execution.pool import Executor
from raysweep.generators.fake import Fake
from raysweep.metrics.base import Measurement, Metric
from raysweep.perturbations.base import Perturbation
from raysweep.problems.humaneval import HumanEval
from raysweep.prompts.protection import change_words
from raysweep.records import Decoding, ModelKind, ModelRef, TrainingStep
from raysweep.testing.contract import Contract
from raysweep.testing.generators import GeneratorContract
from raysweep.testing.metrics import MetricContract
from raysweep.testing.objectives import ObjectiveContract
from raysweep.testing.perturbations import PerturbationContract
from raysweep.testing.problems import ProblemSetContract
from raysweep.testing.trainers import TrainerContract
from raysweep.testing.training_sets import TrainingSourceContract
from raysweep.trainers.base import Trainer
from raysweep.trainers.objectives.sft import Sft
from raysweep.training_sets.minicode import MiniCodeRows

pytestmark = pytest.mark.slow


class Louder(Perturbation):
    """Words in capitals."""

    name, title, level = "C1", "Louder", "word"

    def perturb(self, segments, rng, protected):
        rate = self.strength / 2
        return change_words(segments, protected, lambda word: word.upper() if rng.random() < rate else word)


class OfTheProcess(Louder):
    def perturb(self, segments, rng, protected):
        return super().perturb(segments, random, protected)


class Few(HumanEval):
    """The first problems, changed."""

    changes: ClassVar[dict[str, str]] = {}

    def problems(self):
        return [dataclasses.replace(one, **self.changes) for one in list(super().problems())[:3]]


class Wrong(Few):
    changes: ClassVar[dict[str, str]] = {"reference": "    return None\n"}


class Counted(Few):
    def __init__(self, count: int = 2) -> None:
        super().__init__()
        self.count = count

    def problems(self):
        return super().problems()[: self.count]


class Doubled(MiniCodeRows):
    def rows(self):
        return [*super().rows(), *super().rows()]


class OfAllResults(Metric):
    """The share of results that passed, of those without a verdict too."""

    name = "pass_at_k"

    def measure(self, evaluation, cell):
        share = sum(one.outcome == "passed" for one in evaluation.results) / max(len(evaluation.results), 1)
        return [Measurement("passed", share, 0.0, 1.0, len({one.task_id for one in evaluation.results}))]


class OfCalls(Fake):
    calls = itertools.count()

    def generate(self, requests):
        return [dataclasses.replace(one, text=f"{next(self.calls)}") for one in super().generate(requests)]


class Loyal(Fake):
    needs_model = True

    def use(self, model):
        return True

    def generate(self, requests):
        return [dataclasses.replace(one, text=self.first) for one in super().generate(requests)]

    def __init__(self, model, decoding) -> None:
        super().__init__(model, decoding)
        self.first = f"# {model.location}"


class Steps(Trainer):
    """Changes 32 bytes of weights step by step."""

    name, kind = "full", ModelKind.FULL

    def train(self, job, services):
        total, start, weights = job.recipe.steps, 0, Path(job.base.location, "model.safetensors").read_bytes()
        with services.latest_checkpoint() as folder:
            if folder is not None:
                start, weights = self.resumed(*folder.iterdir())
        for step in range(start + 1, total + 1):
            weights = hashlib.sha256(weights + bytes([job.seed, step])).digest()
            services.report(TrainingStep(step, total, 1 / step, 0.1, step))
            services.tick(step, total)
            if job.checkpoint_every and step < total and step % job.checkpoint_every == 0:
                services.save_checkpoint(step, lambda to, at=step, now=weights: (to / f"{at}").write_bytes(now))
        (job.out / "config.json").write_text("{}")
        (job.out / "model.safetensors").write_bytes(weights)
        return {"steps": total}

    def resumed(self, state):
        return int(state.name), state.read_bytes()


class Forgets(Steps):
    def resumed(self, state):
        return int(state.name), bytes(32)


class MeanOfTheBatch(Sft):
    def loss(self, model, batch):
        return super().loss(model, batch) / len(batch["input_ids"])


def doubled() -> Doubled:
    return Doubled(world=1, rows=3)


BROKEN: dict[type[Contract], list[tuple[str, Callable[..., Any], str]]] = {
    PerturbationContract: [
        ("test_raysweep_finds_it_by_its_name", Louder, "finds another class than Louder"),
        ("test_another_process_gives_the_same_texts", Louder, "another process gives the same texts"),
        (
            "test_it_draws_from_its_argument_alone",
            OfTheProcess,
            "the generator of the whole process in random was used",
        ),
    ],
    ProblemSetContract: [
        ("test_references_pass_and_empty_completions_fail", Wrong, "the reference solution of HumanEval/0 passes"),
        ("test_its_fingerprint_has_the_arguments_that_its_records_depend_on", Counted, "'count' is missing: with 3"),
    ],
    TrainingSourceContract: [
        ("test_it_has_records_with_unique_ids", doubled, "these come twice: minicode-finetuning-0")
    ],
    MetricContract: [("test_harness_errors_are_left_out", OfAllResults, "further ones change no number")],
    GeneratorContract: [
        ("test_a_completion_depends_on_its_own_request_alone", OfCalls, "equal requests give equal completions"),
        ("test_after_use_it_generates_with_the_other_model", Loyal, "completions are those of the other model"),
    ],
    TrainerContract: [
        ("test_an_interrupted_training_ends_with_the_same_bytes", Forgets, "a resumed training writes the files")
    ],
    ObjectiveContract: [
        ("test_the_loss_is_the_sum_over_rows_whatever_their_batch", MeanOfTheBatch, "a mean over the batch would not")
    ],
}
"""Tests of each suite, what makes a broken part, and words of the message with which the test fails on it."""
CASES = [(suite, *case) for suite, cases in BROKEN.items() for case in cases]


@pytest.fixture
def given(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """What the suites' own fixtures would give."""
    suite, _, make, _ = request.node.callspec.params["broken"]
    if suite is GeneratorContract:
        model = ModelRef("one")
        return {"model": model, "other_model": ModelRef("other"), "temperature": 0.8, "built": make(model, Decoding())}
    if suite is TrainerContract:
        base, folders = ModelRef(str(tmp_path / "base")), [tmp_path / "training", tmp_path / "another"]
        for folder in (Path(base.location), *folders):
            folder.mkdir()
        Path(base.location, "model.safetensors").write_bytes(bytes(32))
        training = suite_with(suite, make).train(base, folders[0])
        return {"base": base, "training": training, "tmp_path": folders[1]}
    return {"template": "instruct"}


def suite_with(suite: type[Contract], make: Callable[..., Any]) -> Any:
    return type("Case", (suite,), {"make": staticmethod(make)})()


@pytest.mark.parametrize("broken", CASES, ids=lambda case: f"{case[0].__name__}-{case[2].__name__}")
def test_a_broken_part_fails(broken, given):
    suite, name, make, words = broken
    case = suite_with(suite, make)
    test = getattr(case, name)
    wanted = inspect.signature(test).parameters
    with Executor(1) if "executor" in wanted else pytest.MonkeyPatch.context() as executor:
        arguments = {"executor": executor, **given}
        if "built" in wanted and "built" not in given:
            arguments["built"] = case.part()
        with pytest.raises((AssertionError, pytest.fail.Exception)) as failure:
            test(**{name: value for name, value in arguments.items() if name in wanted})
    assert words in str(failure.value)
