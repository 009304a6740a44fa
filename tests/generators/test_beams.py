"""Beam search finds the texts that transformers' own `generate` finds, whatever is searched for beside them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError, UnfitModel, UsageError
from raysweep.generators.base import GENERATORS
from raysweep.generators.rows import WrittenRow
from raysweep.generators.writing.beams import NOT_BEGUN, Continuation, Search
from raysweep.models.loading import load_model
from raysweep.models.rounding import embedding_modules
from raysweep.records import Decoding, GenerationRequest, ModelRef, Spec
from tests.generators import writing
from tests.generators.test_transformers import Scarce
from tests.models.tiny import cases
from tests.tiny import pairs

pytestmark = pytest.mark.slow

BEAMS, TOKENS, PROMPTS = 10, 8, 4
STRONG = {"llama": 0.15, "gpt_bigcode": 0.15, "bloom": 0.4}
CASES = cases(
    itertools.product([*STRONG, "codegen", "t5", "bart"], (True, False)),
    [("llama", True), ("llama", False), ("gpt_bigcode", False), ("t5", True)],
)
"""Types of models, and whether a search ends early. Codegen and bloom keep keys and values as llama does, and rows of
bart begin together as a prompt's beams do."""
TEXTS = [pairs(12)[number][0] for number in (0, 1, 2, 5)]


def made(random: Callable[..., ModelRef], model_type: str) -> ModelRef:
    """Return a model whose texts end now and then."""
    return random(model_type, **({"initializer_range": STRONG[model_type]} if model_type in STRONG else {}))


def decoding(**fields: Any) -> Decoding:
    return dataclasses.replace(Decoding(TOKENS, samples=BEAMS, beams=BEAMS), **fields)


def create(model: ModelRef, how: Decoding, *, often: bool = True, **args: Any) -> Any:
    """A generator; `often`: its model ends texts more often than a random one does."""
    generator = writing.create(model, how, **args)
    if often:
        end_often(generator.network, generator.tokenizer)
    return generator


def end_often(network: Any, tokenizer: Any) -> None:
    end = tokenizer.eos_token_id

    def favour(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        best = logits.topk(3, dim=-1).values
        logits = logits.clone()
        logits[..., end] = best.mean(dim=-1)  # like no other token, so that nothing is equally likely
        return logits

    network.get_output_embeddings().register_forward_hook(favour)


def requests(samples: int = BEAMS, **fields: Any) -> list[GenerationRequest]:
    return [
        GenerationRequest(f"{number}/{sample}", f"t{number}", text, sample, **fields)
        for number, text in enumerate(TEXTS)
        for sample in range(samples)
    ]


def texts_of_generate(model: ModelRef, early: bool) -> list[str]:
    network, tokenizer = load_model(model)
    end_often(network, tokenizer)
    beams = {"num_beams": BEAMS, "num_return_sequences": BEAMS, "early_stopping": early}
    return writing.texts_of_generate(network, tokenizer, TEXTS, TOKENS, **beams)


@pytest.mark.parametrize(("name", "early"), CASES)
def test_texts_are_those_of_generate_in_any_batch(name, early, random):
    how = decoding(early_stopping=early)
    expected = texts_of_generate(made(random, name), early)
    together = create(made(random, name), how).generate(requests())
    assert [completion.text for completion in together] == expected
    assert len(set(expected)) > BEAMS
    assert not early or "eos" in {completion.stop for completion in together}
    assert create(made(random, name), how, batch_tokens=900).generate(requests()[::-1])[::-1] == together
    alone = create(made(random, name), how, batch_tokens=1)
    assert alone.generate(requests()[BEAMS : 2 * BEAMS]) == together[BEAMS : 2 * BEAMS]


def test_beams_take_over_a_models_state_too(random):
    """transformers (4.57) doesn't hand mamba's state over, so what is searched for without a cache counts."""
    asked, model = requests()[: 2 * BEAMS], random("mamba")
    whole = create(model, decoding(), cache=False).generate(asked)
    assert create(model, decoding()).generate(asked) == whole
    assert len({completion.text for completion in whole}) > BEAMS / 2


def test_a_prompt_is_read_once_and_a_few_texts_are_the_best_ones(random):
    whole = create(made(random, "llama"), decoding()).generate(requests())
    generator, shapes = create(made(random, "llama"), decoding(samples=2)), []
    generator.network.get_input_embeddings().register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    best = generator.generate(requests(samples=2))
    assert best == [completion for completion in whole if completion.sample < 2]
    assert [rows for rows, tokens in shapes if tokens > 1] == [PROMPTS]
    assert generator.generate(requests()[7:8]) == whole[7:8], "one text, of which the search finds the eighth"


def test_searches_that_end_make_room_for_others(random):
    asked = [dataclasses.replace(request, prompt=prompt) for request in requests(1) for prompt, _ in pairs(6)]
    expected = create(made(random, "llama"), decoding(samples=1)).generate(asked)
    generator, rows = create(made(random, "llama"), decoding(samples=1), batch_tokens=1500), []
    generator.network.get_input_embeddings().register_forward_pre_hook(lambda _, args: rows.append(args[0].shape))
    assert generator.generate(asked) == expected
    assert {shape[0] % BEAMS for shape in rows if shape[1] == 1} == {0}


def test_a_stop_string_ends_a_text_as_its_end_does(random):
    plain = create(made(random, "llama"), decoding()).generate(requests())
    stop = next(text[2] for completion in plain if len(text := completion.text) > 3)
    stopped = create(made(random, "llama"), decoding()).generate(requests(stop=(stop,)))
    assert stop in {completion.stop for completion in stopped}
    for completion in stopped:
        assert stop not in completion.text and (completion.tokens < TOKENS or completion.stop != "eos")
    assert stopped == create(made(random, "llama"), decoding(), batch_tokens=1).generate(requests(stop=(stop,)))


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_when_memory_runs_out_fewer_prompts_are_searched_for_at_a_time(name, random):
    expected = create(made(random, name), decoding()).generate(requests())
    generator, scarce = create(made(random, name), decoding(), batch_tokens=4000), Scarce(2 * BEAMS)
    for module in embedding_modules(generator.network):
        module.register_forward_pre_hook(scarce)
    assert generator.generate(requests()) == expected and scarce.failures > 0
    scarce.rows = BEAMS - 1
    with pytest.raises(RaysweepError, match="memory ran out with the beams of a single prompt; take fewer `beams`"):
        generator.generate(requests())


def test_a_prompt_without_room_is_too_long_for_all_its_texts(random):
    model = made(random, "gpt_bigcode")
    (first, second) = create(model, decoding(samples=2)).generate(
        [dataclasses.replace(request, prompt="x" * 2000) for request in requests(2)[:2]]
    )
    assert (first.tokens, first.stop, second.tokens) == (0, "length", 0)


def test_what_can_not_be_searched_for_is_refused(random):
    llama = made(random, "llama")
    for fields, said in (
        ({"temperature": 0.8}, r"temperature 0\.8 samples others; give `temperature: 0`"),
        ({"samples": 11}, "11 samples are more than 10 beams find"),
    ):
        with pytest.raises(UsageError, match=said):
            create(llama, decoding(**fields))
    with pytest.raises(UsageError, match="generator fake has no beam search; take `generator: transformers`"):
        GENERATORS.create(Spec("fake"), model=None, decoding=decoding())
    with pytest.raises(UsageError, match="200 beams need 400 tokens to choose from, and the model has 320"):
        create(llama, decoding(beams=200)).generate(requests(1))
    with pytest.raises(UnfitModel, match="LongRoPE"):
        create(random("phi3"), decoding())


def search(beams: int, budget: int = 9) -> Search:
    rows = [WrittenRow(GenerationRequest("", "", ""), [1], budget, {0: "eos"}, ()) for _ in range(beams)]
    return Search(rows)


def go_on(of: Search, early: bool, *best: tuple[float, int, int]) -> list[Continuation]:
    length = len(of.beams[0].written) + 1
    given = [Continuation(total, total / length, beam, token) for total, beam, token in best]
    return of.go_on(given, lambda row, token: False, early)


def test_only_the_best_beams_end_and_a_search_ends_early_or_when_nothing_can_improve():
    """Worked by hand, with two beams."""
    for early in (True, False):
        ours = search(2)
        go_on(ours, early, (-1.0, 0, 5), (-2.0, 0, 0), (-3.0, 0, 6), (-4.0, 0, 7))
        assert ours.finished == [(-2.0, [0])] and [beam.written for beam in ours.beams] == [[5], [6]]
        going = go_on(ours, early, (-1.5, 0, 8), (-3.5, 1, 9), (-3.6, 0, 0), (-4.0, 1, 0))
        assert ours.finished == [(-2.0, [0])], "an end that isn't among the two best counts for nothing"
        assert [one.beam for one in going] == [0, 1] and [beam.written for beam in ours.beams] == [[5, 8], [6, 9]]
        go_on(ours, early, (-1.8, 0, 0), (-2.1, 0, 4), (-6.9, 1, 3), (-7.0, 1, 2))
        assert ours.finished == [(-0.6, [5, 8, 0]), (-2.0, [0])]
        assert ours.beams[0].ended is early, "the best beam's mean, -.7, is better than -2"
        if not early:
            go_on(ours, early, (-8.1, 0, 4), (-8.2, 1, 3), (-8.3, 1, 2), (-8.4, 1, 1))
            assert ours.beams[0].ended, "its mean is -2.025 now"


def test_all_texts_end_at_the_most_tokens_allowed():
    ours = search(2, budget=1)
    go_on(ours, True, (-1.0, 0, 5), (-2.0, 0, 6), (-3.0, 0, 7), (-4.0, 0, 8))
    assert ours.finished == [(-1.0, [5]), (-2.0, [6])] and all(beam.ended for beam in ours.beams)


def test_a_beam_that_nothing_goes_on_from_counts_no_more():
    ours = search(2)
    ends = {5, 6, 7}
    given = [Continuation(-float(token), -float(token), 0, token) for token in (5, 6, 7, 8)]
    going = ours.go_on(given, lambda row, token: token in ends, early=False)
    assert [one.total for one in going] == [-8.0, NOT_BEGUN]
    assert ours.finished == [(-5.0, [5]), (-6.0, [6])]
