"""Each variant of a prompt is patched as it is alone, whatever is written beside it; patchers know what is read."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from raysweep.generators.base import GENERATORS, LiveModel
from raysweep.generators.patches import Patcher, Reading, RowVariant, Variants
from raysweep.generators.transformers import Transformers
from raysweep.models.families.blocks import states_of, with_states
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest, Spec
from tests.models.tiny import cases
from tests.tiny import pairs

TOKENS, SAMPLES = 7, 3
PROMPTS = [prompt for prompt, _ in pairs(3)]
"""Three lengths."""
MODELS = {
    "llama": ("llama", {}, True),
    "qwen2": ("qwen2", {}, True),
    "gpt_bigcode": ("gpt_bigcode", {}, True),
    "codegen": ("codegen", {}, True),
    "with a cache of its own": ("mamba", {}, None),
    "without a cache": ("llama", {}, False),
}
SOME = ("llama", "gpt_bigcode", "with a cache of its own", "without a cache")
"""The others keep keys and values as llama does."""
BLOCKS = {"gpt_bigcode": "transformer.h", "codegen": "transformer.h", "mamba": "backbone.layers"}


class Shifted(Patcher):
    """Adds a wave to a block's states at one position; variants are called (block, position, height)."""

    def __init__(self, blocks: Any) -> None:
        self.blocks = blocks
        self.fails_once: Exception | None = None

    @contextlib.contextmanager
    def around(self, network: Any, reading: Reading) -> Iterator[None]:
        with contextlib.ExitStack() as hooks:
            for number, block in enumerate(self.blocks):
                hook = block.register_forward_hook(lambda _, __, out, number=number: self._shift(number, reading, out))
                hooks.callback(hook.remove)
            yield

    def _shift(self, number: int, reading: Reading, output: Any) -> Any:
        if self.fails_once:
            error, self.fails_once = self.fails_once, None
            raise error
        states = states_of(output).clone()
        for row, variant in enumerate(reading.variants):
            if variant is not None and variant.patcher is self and variant.name[0] == number:
                _, position, height = variant.name
                wave = height * torch.arange(states.shape[-1]).cos()
                states[row][reading.positions[row] == position] += wave
        return with_states(output, states)


class Told(Patcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.readings: list[tuple[list[Any], list[list[int]], bool]] = []

    def around(self, network: Any, reading: Reading) -> Any:
        names = [variant.name if variant and variant.patcher is self else None for variant in reading.variants]
        self.readings.append((names, reading.positions.tolist(), reading.reads_prompts))
        return contextlib.nullcontext()


@pytest.fixture(scope="module")
def live(random):
    """A function from a name of MODELS to a model with strong weights, by which a text depends on every token."""

    def get(name: str) -> LiveModel:
        model_type, fields, _ = MODELS[name]
        return LiveModel(*load_model(random(model_type, initializer_range=0.4, **fields)))

    return functools.cache(get)


def generator_of(live: LiveModel, budget: int | None = None, cache: bool | None = None) -> Transformers:
    spec = Spec("transformers", {"batch_tokens": budget, "cache": cache})
    generator = GENERATORS.create(spec, model=live, decoding=Decoding(TOKENS, 1.0, 1.0, SAMPLES))
    assert isinstance(generator, Transformers)
    return generator


def blocks_of(name: str, live: LiveModel) -> Any:
    return live.network.get_submodule(BLOCKS.get(MODELS[name][0], "model.layers"))


def asked(variants: Sequence[RowVariant | None], prompts: Sequence[str] = PROMPTS) -> tuple[list[Any], list[Any]]:
    """Return requests for the samples of each prompt in each variant, and the variants of the requests."""
    each = [
        (GenerationRequest("", f"t{number}", prompt, sample, ("e",)), variant)
        for variant in variants
        for number, prompt in enumerate(prompts)
        for sample in range(SAMPLES)
    ]
    return [request for request, _ in each], [variant for _, variant in each]


def texts(generator: Transformers, requests: Sequence[GenerationRequest], variants: Variants) -> list[str]:
    return [generator.completion(row).text for row in generator.write(requests, variants)]


def hooks_on(network: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", cases(MODELS, SOME))
def test_variants_of_a_prompt_get_in_one_call_the_texts_that_each_gets_alone(name, live):
    model = live(name)
    generator, shifted = generator_of(model, cache=MODELS[name][2]), Shifted(blocks_of(name, model))
    names = [(0, 3, 50.0), (0, 17, 50.0), (0, 24, 50.0), (1, 24, 50.0)]  # the 24th token is read, or written
    variants = [None, *(RowVariant(shifted, of) for of in names)]
    lengths = [len(model.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    assert min(lengths) <= 24 < max(lengths)
    alone = [text for variant in variants for text in texts(generator, *asked([variant]))]
    assert all(alone[:9] != alone[start : start + 9] for start in range(9, len(alone), 9))
    requests, of_each = asked(variants)
    longest = max(lengths) + TOKENS
    for budget in (None, 1, 2 * longest, 5 * longest + 1):
        assert texts(generator_of(model, budget, MODELS[name][2]), requests, of_each) == alone, budget
    assert generator.generate(asked([None])[0]) == generator_of(model, cache=MODELS[name][2]).generate(asked([None])[0])
    assert hooks_on(model.network) == 0


def test_the_variants_of_a_prompt_are_read_apart_and_its_samples_once(live):
    model, told = live("llama"), Told()
    requests, variants = asked([RowVariant(told, 0), None, RowVariant(told, 1)], PROMPTS[:1])
    generator_of(model).write(requests, variants)
    (names, positions, reads_prompts), *later = told.readings
    tokens = len(model.tokenizer(PROMPTS[0])["input_ids"])
    assert (names, reads_prompts) == ([0, None, 1], True)
    assert positions == [list(range(tokens))] * 3
    assert all(not reads for _, _, reads in later)
    assert later[0][0] == [0] * SAMPLES + [None] * SAMPLES + [1] * SAMPLES
    assert later[0][1] == [[tokens]] * (3 * SAMPLES)


def test_positions_leave_out_padding_and_follow_the_rows_that_are_left(live):
    model, told = live("llama"), Told()
    requests, variants = asked([RowVariant(told, "it")])
    rows = generator_of(model).write(requests, variants)
    lengths = sorted((len(row.prompt) for row in rows[::SAMPLES]), reverse=True)
    names, positions, reads_prompts = told.readings[0]
    assert (names, reads_prompts) == (["it"] * 3, True)
    assert positions == [[-1] * (lengths[0] - length) + list(range(length)) for length in lengths]
    seen = sorted(tuple(sorted(row)) for names, of, reads in told.readings if not reads for row in of)
    expected = sorted((len(row.prompt) + step,) for row in rows for step in range(len(row.written) - 1))
    extra = len(seen) - len(expected)  # rows that have ended stay until others begin
    assert extra >= 0 and all(seen.count(one) >= expected.count(one) for one in expected)


@pytest.mark.parametrize("name", ["with a cache of its own", "without a cache"])
def test_positions_are_right_where_a_prompt_comes_in_several_calls_or_is_read_again(name, live):
    model, told = live(name), Told()
    requests, variants = asked([RowVariant(told, 0), RowVariant(told, 1)])
    generator_of(model, cache=MODELS[name][2]).write(requests, variants)
    lengths = {len(model.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS}
    first = [reading for reading in told.readings if reading[2]][: 1 if "without" in name else len(lengths)]
    for names, positions, _ in first:
        assert len(names) == len(positions)
        for row in positions:
            places = [place for place in row if place >= 0]
            assert places == list(range(len(places))) and len(places) in lengths
    assert all(reads for _, _, reads in told.readings) == ("without" in name)


def test_rows_of_another_thread_are_left_as_they_are(live):
    model = live("llama")
    generator, shifted = generator_of(model), Shifted(model.network.model.layers)
    plain, patched = asked([None]), asked([RowVariant(shifted, (0, 3, 50.0)), RowVariant(shifted, (1, 9, 50.0))])
    expected = [texts(generator, *plain), texts(generator, *patched)]
    for _ in range(3):
        found: dict[int, list[str]] = {}
        threads = [
            threading.Thread(target=lambda number=number, of=of: found.update({number: texts(generator, *of)}))
            for number, of in enumerate((plain, patched))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [found[0], found[1]] == expected


def test_when_memory_runs_out_fewer_rows_are_patched_at_a_time_with_the_same_texts(live):
    model = live("llama")
    shifted = Shifted(model.network.model.layers)
    requests, variants = asked([RowVariant(shifted, (0, 3, 50.0)), None, RowVariant(shifted, (1, 9, 50.0))])
    generator = generator_of(model)
    expected = texts(generator, requests, variants)
    shifted.fails_once = torch.OutOfMemoryError("CUDA out of memory")
    assert texts(generator, requests, variants) == expected
    assert generator.facts()["batch_tokens"] < 24_576
    assert hooks_on(model.network) == 0


def test_hooks_are_gone_after_an_error_and_the_generator_goes_on(live):
    model = live("llama")
    generator, shifted = generator_of(model), Shifted(model.network.model.layers)
    expected = texts(generator, *asked([None]))
    shifted.fails_once = RuntimeError("a hook that failed")
    with pytest.raises(RuntimeError, match="a hook that failed"):
        generator.write(*asked([RowVariant(shifted, (1, 3, 50.0)), None]))
    assert hooks_on(model.network) == 0
    assert texts(generator, *asked([None])) == expected


def test_without_variants_no_call_of_the_model_looks_for_patchers(live, monkeypatch):
    def refused(*_: Any) -> None:
        raise AssertionError("a call without variants looked for patchers")

    monkeypatch.setattr("raysweep.generators.caches.base.patched", refused)
    generator = generator_of(live("llama"))
    assert generator.generate(asked([None])[0]) and generator.write(asked([None])[0], [None] * len(PROMPTS) * SAMPLES)


def test_a_text_is_read_without_writing_for_what_a_patcher_sees_of_it(live):
    model, told = live("llama"), Told()
    generator_of(model).read([[5, 6, 7], [8, 9]], [RowVariant(told, "long"), None])
    assert told.readings == [(["long", None], [[0, 1, 2], [-1, 0, 1]], True)]
    assert torch.is_grad_enabled() and hooks_on(model.network) == 0
