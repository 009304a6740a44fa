"""The contract of generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from raysweep.generators.base import EOS, GENERATORS, LENGTH, Generator, cut_at_stop
from raysweep.hashing import canonical_json, text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, Spec
from raysweep.testing.contract import Contract, elsewhere, no_global_generator
from raysweep.testing.tiny import make_tiny, requests

FEW = 3
"""Tokens at most, where few are asked for."""


class GeneratorContract(Contract):
    """Tests of what docs/contracts.md asks of a generator.

    Attributes:
        make: to be set, see `Contract`; it is called with `model` and `decoding`.
        decoding: how completions are drawn; tests change the seed, the temperature and the number of tokens.
    """

    make: Callable[..., Generator]
    registry = GENERATORS
    decoding: ClassVar[Decoding] = Decoding(max_new_tokens=24)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> ModelRef | None:
        """The model to generate with: a tiny llama if `make` is a class that needs a model, otherwise None.

        Override it, as a fixture, for a generator that needs another one, or whose `make` is a method.
        """
        needs_model = getattr(cls.make, "needs_model", False)
        return make_tiny("llama", tmp_path_factory.mktemp("model")) if needs_model else None

    @pytest.fixture(scope="class")
    @classmethod
    def other_model(cls, model: ModelRef | None, tmp_path_factory: pytest.TempPathFactory) -> ModelRef | None:
        """Another model, for generators that can `use` one: a larger llama where `model` is not overridden."""
        needs_model = getattr(cls.make, "needs_model", False)
        return make_tiny("llama", tmp_path_factory.mktemp("other"), num_hidden_layers=3) if needs_model else None

    @pytest.fixture
    def built(self, model: ModelRef | None) -> Generator:
        return self.generator(model)

    def requests(self) -> list[GenerationRequest]:
        """Return what is generated: two samples of each of 12 prompts, with references and stop strings."""
        return requests()

    def generator(self, model: ModelRef | None, **decoding: Any) -> Generator:
        generator: Generator = self.part(model=model, decoding=replace(self.decoding, **decoding))
        return generator

    def test_it_gives_one_completion_for_each_request_in_order(self, model: ModelRef | None) -> None:
        """Raysweep finds a completion by its place."""
        generator, asked = self.generator(model), self.requests()
        completions = generator.generate(asked)
        assert len(completions) == len(asked), "there is one completion for each request"
        assert all(isinstance(completion, Completion) for completion in completions), (
            "generate() returns raysweep.records.Completion"
        )
        assert [(one.task_id, one.sample) for one in completions] == [(one.task_id, one.sample) for one in asked], (
            "completions are in the order of the requests, each with task_id and sample of its own"
        )
        assert [one.prompt_sha for one in completions] == [text_sha(one.prompt) for one in asked], (
            "prompt_sha is raysweep.hashing.text_sha(request.prompt)"
        )
        assert generator.generate([]) == [], "no requests give no completions"

    def test_it_says_why_completions_ended(self, model: ModelRef | None) -> None:
        """Reports count completions that reached the limit."""
        asked = self.requests()
        for request, completion in zip(asked, self.generator(model).generate(asked), strict=True):
            reasons = (*request.stop, EOS, LENGTH)
            assert completion.stop in reasons, (
                f"`stop` is the stop string, {EOS!r} or {LENGTH!r}, and not {completion.stop!r}"
            )
            assert isinstance(completion.tokens, int) and completion.tokens >= 0, "`tokens` is how many were generated"

    def test_it_generates_no_more_tokens_than_asked(self, model: ModelRef | None) -> None:
        if model is None:
            pytest.skip("it runs no model, so it has no tokens")
        for completion in self.generator(model, max_new_tokens=FEW).generate(self.requests()):
            assert completion.tokens <= FEW, (
                f"at most decoding.max_new_tokens are generated, here {FEW}, and not {completion.tokens}"
            )

    def test_it_cuts_at_the_first_stop_string(self, model: ModelRef | None) -> None:
        generator = self.generator(model)
        free = [replace(request, stop=()) for request in self.requests()]
        whole = generator.generate(free)
        stops = [_piece(completion.text) for completion in whole]
        asked = [replace(request, stop=(stop,)) for request, stop in zip(free, stops, strict=True) if stop]
        expected = [
            cut_at_stop(completion.text, (stop,)) for completion, stop in zip(whole, stops, strict=True) if stop
        ]
        for completion, (text, stop) in zip(generator.generate(asked), expected, strict=True):
            assert completion.text == text, f"a completion is cut before the first of its stop strings, here {stop!r}"
            assert completion.stop == stop, f"`stop` is the stop string {stop!r} that ended the completion"

    @pytest.mark.parametrize("temperature", [0.0, 0.8])
    def test_a_completion_depends_on_its_own_request_alone(self, model: ModelRef | None, temperature: float) -> None:
        """Batches and processes differ between runs."""
        asked = self.requests()
        together = self.generator(model, temperature=temperature).generate(asked)
        generator = self.generator(model, temperature=temperature)
        backwards = generator.generate(asked[::-1])[::-1]
        assert backwards == together, "equal requests give equal completions, in any order and from a new generator"
        alone = [generator.generate([request])[0] for request in asked]
        assert alone == together, "a completion doesn't depend on the other requests, nor on earlier ones"

    def test_the_seed_has_the_effect_that_it_says(self, model: ModelRef | None) -> None:
        """Completions at temperature 0 are made once for all seeds where `draws_when_greedy` is False."""
        generator = self.generator(model)
        if generator.draws_when_greedy:
            pytest.skip("it says that completions depend on the seed at temperature 0 too")
        other = self.generator(model, seed=self.decoding.seed + 1).generate(self.requests())
        assert [one.text for one in other] == [one.text for one in generator.generate(self.requests())], (
            "`draws_when_greedy` is False, so the seed has no effect at temperature 0"
        )

    def test_it_uses_no_generator_of_the_whole_process(self, model: ModelRef | None) -> None:
        """Random numbers come from the seed, the task and the sample."""
        generator = self.generator(model, temperature=0.8)
        with no_global_generator():
            generator.generate(self.requests())

    def test_another_process_gives_the_same_completions(self, model: ModelRef | None) -> None:
        """Every process builds it anew, from its name and arguments."""
        spec = self.spec(model=model, decoding=self.decoding)
        here = self.generator(model).generate(self.requests())
        assert elsewhere(_completions_of, spec, self.requests()) == here, "another process gives the same completions"

    def test_its_fingerprint_is_json(self, built: Generator) -> None:
        """It is part of keys, before a generator is built."""
        fingerprint = type(built).fingerprint(dtype="float32", batch_tokens=None)
        try:
            text = canonical_json(dict(fingerprint))
        except (TypeError, ValueError) as error:
            pytest.fail(f"the values of fingerprint() are JSON, since keys are made of them: {error}")
        again = canonical_json(dict(type(built).fingerprint(dtype="float32", batch_tokens=None)))
        assert text == again, "fingerprint() is the same each time"

    def test_after_use_it_generates_with_the_other_model(
        self, model: ModelRef | None, other_model: ModelRef | None
    ) -> None:
        """`use` returns False where it can't."""
        if other_model is None:
            pytest.skip("there is no other model")
        generator, asked = self.generator(model), self.requests()
        generator.generate(asked)
        if generator.use(other_model):
            assert generator.generate(asked) == self.generator(other_model).generate(asked), (
                "after use() returned True, completions are those of the other model"
            )

    def test_threads_give_the_same_completions(self, model: ModelRef | None) -> None:
        """`at_once` threads may call `generate` at a time."""
        generator, asked = self.generator(model), self.requests()
        if generator.at_once == 1:
            pytest.skip("one thread at a time calls it")
        together, size = generator.generate(asked), -(-len(asked) // generator.at_once)
        batches = [asked[start : start + size] for start in range(0, len(asked), size)]
        with ThreadPoolExecutor(generator.at_once) as threads:
            completions = [one for batch in threads.map(generator.generate, batches) for one in batch]
        assert completions == together, f"{generator.at_once} threads at a time give the same completions (`at_once`)"


def _piece(text: str) -> str:
    """Return two characters from a text's middle, to stop there; empty if there are none to be had."""
    piece = text[len(text) // 3 :][:2]
    return piece if len(piece) == 2 and piece.isascii() else ""


def _completions_of(spec: Spec, requests: Sequence[GenerationRequest]) -> list[Completion]:
    arguments = {name: spec.args[name] for name in ("model", "decoding") if name in spec.args}
    rest = {name: value for name, value in spec.args.items() if name not in arguments}
    return GENERATORS.create(Spec(spec.name, rest), **arguments).generate(requests)
