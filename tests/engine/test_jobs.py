"""What a process keeps of one batch for the next, with several threads at work."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from raysweep.engine import jobs
from raysweep.engine.base import GenerateJob
from raysweep.engine.jobs import KeptGenerator
from raysweep.generators.base import Generator
from raysweep.records import Completion, Decoding, GenerationRequest, Spec
from tests.patience import PATIENCE, eventually

JOB = GenerateJob("", None, Spec("fake"), Decoding(), [])


class Breaking(Generator):
    """Fails at its first batch when it is told to, unless it is sound."""

    name = "breaking"
    at_once = 2

    def __init__(self, is_sound: bool) -> None:
        super().__init__(None, Decoding())
        self.fails, self.begun = threading.Event(), threading.Event()
        if is_sound:
            self.begun.set()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        if not self.begun.is_set():
            self.begun.set()
            assert self.fails.wait(PATIENCE)
            raise RuntimeError("broken")
        return []


def test_a_generator_that_fails_while_another_batch_takes_it_up_is_not_kept(monkeypatch):
    made: list[Breaking] = []

    def make(job: GenerateJob) -> Breaking:
        made.append(Breaking(is_sound=bool(made)))
        return made[-1]

    monkeypatch.setattr(jobs, "make_generator", make)
    kept, failed = KeptGenerator(), threading.Event()

    def fail() -> None:
        with pytest.raises(RuntimeError, match="broken"):
            kept.generate(JOB, [], lambda: None)
        failed.set()

    thread = threading.Thread(target=fail)
    thread.start()
    assert eventually(lambda: bool(made))
    assert made[0].begun.wait(PATIENCE)
    suits = kept._suits

    def slow(generator: Generator, job: GenerateJob) -> bool:
        made[0].fails.set()
        assert failed.wait(PATIENCE), "the first batch fails while the second one takes the generator up"
        return suits(generator, job)

    monkeypatch.setattr(kept, "_suits", slow)
    kept.generate(JOB, [], lambda: None)
    thread.join()
    monkeypatch.setattr(kept, "_suits", suits)
    kept.generate(JOB, [], lambda: None)
    assert len(made) == 2, "the third batch gets another one"
