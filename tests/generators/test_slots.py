"""A prompt's samples get the texts that each has alone, however many there are and however many are written at a time.

The wide matrix is marked as long; a few of its cases, drawn the same way, run in `make test`.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raysweep.generators.base import GENERATORS, Generator, LiveModel
from raysweep.models.loading import load_model
from raysweep.records import Completion, Decoding, GenerationRequest, Spec
from tests.models.tiny import make_adapter
from tests.tiny import pairs

pytestmark = pytest.mark.slow

STRONG = 0.4
"""Standard deviation of random weights with which a text depends on every token before."""
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "full attention": ("llama", {}),
    "a sliding window": ("mistral", {"sliding_window": 24}),
    "windows in some layers": ("gemma2", {"sliding_window": 24}),
    "learned positions": ("gpt_bigcode", {}),
    "an adapter": ("llama", {}),
    "a merged adapter": ("llama", {}),
}
SOME = ("full attention", "a sliding window", "an adapter")
SAMPLES, TOKENS = 6, 7
REQUESTS = [
    GenerationRequest(f"{number}/{sample}", f"t{number}", prompt, sample, ("e", "0"))
    for number, (prompt, _) in enumerate(pairs(3))
    for sample in range(SAMPLES)
]
"""The longest prompt comes last; single letters stop many texts early, so that rows come and go."""


@dataclasses.dataclass(frozen=True)
class Writer:
    """A model, the completion of each of `REQUESTS` written alone, and the tokens of the longest row."""

    network: Any
    tokenizer: Any
    alone: list[Completion]
    longest: int

    def generator(self, budget: int) -> Generator:
        live = LiveModel(self.network, self.tokenizer)
        return GENERATORS.create(
            Spec("transformers"), model=live, decoding=Decoding(TOKENS, 1.0, 1.0), batch_tokens=budget
        )


@pytest.fixture(scope="module")
def writer(random, tmp_path_factory):
    def make(name: str) -> Writer:
        model_type, fields = MODELS[name]
        ref = random(model_type, initializer_range=STRONG, **fields)
        if "adapter" in name:
            ref = make_adapter(ref, tmp_path_factory.mktemp("adapter"))
        network, tokenizer = load_model(ref)
        network = network.merge_and_unload() if "merged" in name else network
        longest = max(len(tokenizer(request.prompt)["input_ids"]) for request in REQUESTS) + TOKENS
        empty = Writer(network, tokenizer, [], longest)
        generator = empty.generator(10_000)
        alone = [generator.generate([request])[0] for request in REQUESTS]
        assert len({completion.text for completion in alone}) > 12 and len({one.tokens for one in alone}) > 1
        return dataclasses.replace(empty, alone=alone)

    return functools.cache(make)


numbers = st.lists(st.integers(1, SAMPLES), min_size=1, max_size=3)
"""The samples of each prompt."""
shares = st.one_of(st.floats(0, 2.5), st.floats(0, 12))
"""The budget, in rows: mostly so small that a prompt's samples begin one after the other."""
CASE = {"samples": numbers, "rows": shares, "random": st.randoms(use_true_random=False)}


def check(writer: Writer, samples: list[int], rows: float, random: Any) -> None:
    asked = [number * SAMPLES + sample for number, count in enumerate(samples) for sample in range(count)]
    random.shuffle(asked)
    generator = writer.generator(max(1, int(rows * writer.longest)))
    assert generator.generate([REQUESTS[one] for one in asked]) == [writer.alone[one] for one in asked]


@pytest.mark.parametrize("name", SOME)
@settings(max_examples=4, derandomize=True)
@given(**CASE)
@example(samples=[3], rows=0, random=None)
@example(samples=[6, 1, 6], rows=1, random=None)
def test_samples_have_the_texts_that_they_have_alone(name, writer, samples, rows, random):
    check(writer(name), samples, rows, random or _InOrder())


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=150)
@given(**CASE)
def test_samples_of_many_kinds_of_models_have_the_texts_that_they_have_alone(name, writer, samples, rows, random):
    """`test_samples_have_the_texts_that_they_have_alone`, with more models and cases."""
    check(writer(name), samples, rows, random)


class _InOrder:
    def shuffle(self, _: list[int]) -> None:
        """Leave the order as it is."""


@pytest.mark.parametrize("most", [1, 2])
def test_samples_keep_their_texts_when_memory_runs_out_until_few_rows_fit(most, writer):
    one = writer("full attention")
    generator: Any = one.generator(10_000)

    def scarce(_: Any, args: tuple[torch.Tensor]) -> None:
        if args[0].shape[0] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = generator.network.get_input_embeddings().register_forward_pre_hook(scarce)
    try:
        assert generator.generate(REQUESTS) == one.alone
    finally:
        hook.remove()
    assert generator.facts()["batch_tokens"] < (most + 1) * one.longest
