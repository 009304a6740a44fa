"""Each test of the suite for generators fails on a generator that is broken in its way."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import replace

import pytest

from raysweep.generators.base import Generator, cut_at_stop
from raysweep.hashing import text_sha
from raysweep.records import Completion, Decoding, ModelRef
from raysweep.testing.generators import GeneratorContract
from tests.testing.bites import Broken, claims_of, message

MODEL, OTHER = ModelRef("one"), ModelRef("other")


class Writes(Generator):
    """Writes the reference solution."""

    name = "fake"  # any that is registered
    needs_model = True
    at_once = 2
    draws_when_greedy = False

    def use(self, model):
        self.model = model
        return True

    def generate(self, requests):
        return [self.complete(request) for request in requests]

    def complete(self, request):
        return self.cut(request, f"# {self.model.location}, {self.decoding.temperature}\n{request.reference}")

    def cut(self, request, text):
        text, stop = cut_at_stop(text, request.stop)
        return Completion(request.task_id, request.sample, text, stop or "eos", 2, text_sha(request.prompt))


class Backwards(Writes):
    def generate(self, requests):
        return super().generate(requests)[::-1]


class Unsure(Writes):
    def complete(self, request):
        return replace(super().complete(request), stop="because")


class Wordy(Writes):
    def complete(self, request):
        return replace(super().complete(request), tokens=99)


class Uncut(Writes):
    def complete(self, request):
        return super().complete(replace(request, stop=()))


class Counts(Writes):
    def __init__(self, model, decoding) -> None:
        super().__init__(model, decoding)
        self.calls = itertools.count()

    def complete(self, request):
        return self.cut(request, f"{next(self.calls)}")


class Seeded(Writes):
    def complete(self, request):
        return self.cut(request, f"{self.decoding.seed}")


class Global(Writes):
    def complete(self, request):
        return self.cut(request, f"{random.random()}")


class Wrong(Writes):
    @classmethod
    def fingerprint(cls, dtype, batch_tokens):
        return {"version": {1, 2}}


class Loyal(Writes):
    def use(self, model):
        return True


class Threaded(Writes):
    def complete(self, request):
        return self.cut(request, threading.current_thread().name)


BROKEN: Broken = {
    "test_it_gives_one_completion_for_each_request_in_order": (Backwards, "in the order of the requests"),
    "test_it_says_why_completions_ended": (Unsure, "'eos' or 'length', and not 'because'"),
    "test_it_generates_no_more_tokens_than_asked": (Wordy, "here 3, and not 99"),
    "test_it_cuts_at_the_first_stop_string": (Uncut, "is cut before the first of its stop strings"),
    "test_a_completion_depends_on_its_own_request_alone": (Counts, "equal requests give equal completions"),
    "test_the_seed_has_the_effect_that_it_says": (Seeded, "`draws_when_greedy` is False"),
    "test_it_uses_no_generator_of_the_whole_process": (Global, "the generator of the whole process in random"),
    "test_another_process_gives_the_same_completions": (Writes, "another process gives the same"),
    "test_its_fingerprint_is_json": (Wrong, "the values of fingerprint() are JSON"),
    "test_after_use_it_generates_with_the_other_model": (Loyal, "completions are those of the other model"),
    "test_threads_give_the_same_completions": (Threaded, "2 threads at a time give the same completions"),
}


def told(test, make):
    fixtures = {"model": MODEL, "other_model": OTHER, "temperature": 0.8, "built": make(None, Decoding())}
    return message(GeneratorContract, test, make, **fixtures)


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_generator_fails(test):
    make, words = BROKEN[test]
    assert words in told(test, make)


def test_every_test_was_seen_to_fail():
    assert claims_of(GeneratorContract) == set(BROKEN)


def test_a_generator_that_keeps_the_contract_passes():
    passing = set(BROKEN) - {"test_another_process_gives_the_same_completions"}
    assert {test: told(test, Writes) for test in passing} == dict.fromkeys(passing, "")
