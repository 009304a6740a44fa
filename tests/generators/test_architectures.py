"""Every architecture's texts are those of transformers' own `generate`, in batches of unequal prompts and alone.

A few of the architectures run in `make test`, the others in the tests that are marked as long.
"""

from __future__ import annotations

import dataclasses

import pytest

from raysweep.generators.caches.no_cache import NEEDED_BY
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest
from tests.generators.writing import create, texts_of_generate
from tests.models.configs import GENERATED
from tests.models.tiny import cases
from tests.tiny import pairs

pytestmark = pytest.mark.slow

SOME = ("mamba", "lfm2", "recurrent_gemma", "gemma3n_text")
"""One with a state, one with keys too, one whose modules keep its state themselves, and one whose layers share keys."""
TOKENS, SAMPLES = 12, 3
PROMPTS = [prompt for prompt, _ in pairs(4)]
STRONG = 0.2
"""Standard deviation of random weights with which a text depends on the tokens before."""


def requests(samples: int = 1) -> list[GenerationRequest]:
    return [
        GenerationRequest(f"{number}/{sample}", f"t{number}", prompt, sample)
        for number, prompt in enumerate(PROMPTS)
        for sample in range(samples)
    ]


@pytest.mark.parametrize("name", cases(GENERATED, SOME))
def test_texts_are_those_of_generate_whatever_is_written_beside_them(name, random):
    model = random(name, initializer_range=STRONG)
    greedy = create(model, Decoding(TOKENS))
    assert ("cache" in greedy.facts()) == (name in NEEDED_BY)
    texts = texts_of_generate(*load_model(model), PROMPTS, TOKENS)
    assert [completion.text for completion in greedy.generate(requests())] == texts
    drawn, asked = Decoding(TOKENS, 1.0, 1.0, samples=SAMPLES), requests(SAMPLES)
    together = create(model, drawn).generate(asked)
    assert len({completion.text for completion in together}) > len(PROMPTS)
    for budget in (1, 250):
        assert create(model, drawn, batch_tokens=budget).generate(asked[::-1])[::-1] == together
    by_prompt = create(model, drawn)
    assert [by_prompt.generate([request])[0] for request in asked] == together


def test_with_longrope_a_text_crosses_to_the_frequencies_of_long_ones_by_itself(random):
    """Some prompts are short and stay so, some become long, and some are long: each as if it were alone."""
    model = random("phi3", initializer_range=STRONG)
    generator = create(model, Decoding(TOKENS))
    lengths = [len(generator.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    longest = generator.network.config.original_max_position_embeddings
    assert sum(length <= longest < length + TOKENS for length in lengths) == 3 and max(lengths) > longest
    alone = [generator.generate([request])[0] for request in requests()]
    assert generator.generate(requests()) == alone
    short = [dataclasses.replace(request, prompt=request.prompt[-30:]) for request in requests()]  # and stay so
    assert generator.generate([*short, *requests()])[4:] == alone
    assert generator.generate(short) == generator.generate([*short, *requests()])[:4]
