"""What rows have written is kept in arrays, and a model may be shown tokens before it is known which rows they end."""

from __future__ import annotations

import itertools
import random as chance
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from raysweep.generators.base import LiveModel, cut_at_stop
from raysweep.generators.caches.kv_cache import KeysAndValues
from raysweep.generators.caches.no_cache import Texts
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.generators.writing.written import Endings, Written
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest
from tests.generators.test_transformers import byte_level, sentence_piece
from tests.generators.writing import create
from tests.tiny import pairs

REQUEST = GenerationRequest("", "", "")
MODELS: dict[str, tuple[str, dict[str, Any], bool | None]] = {
    "llama": ("llama", {}, None),
    "with an encoder": ("t5", {}, None),
    "with few positions": ("gpt_bigcode", {"n_positions": 40}, None),
    "without a cache": ("gpt_bigcode", {"n_positions": 40}, False),
}
"""Types, fields of configs, and whether a cache is wanted."""


def test_python_looks_at_a_row_only_for_tokens_that_may_end_it_and_for_new_ones():
    rows, steps, end, maybe, stopping = 200, 30, 0, 7, 8
    asked: list[int] = []

    def stops(row: WrittenRow, token: int) -> bool | None:
        asked.append(token)
        assert row.written[-1] == token
        return {maybe: False, stopping: True}.get(token)

    budgets = [steps - number % 5 for number in range(rows)]
    written = [WrittenRow(REQUEST, [1], budget, {end: "eos"}, ("x",)) for budget in budgets]
    endings = Endings(stops)
    together = Written.of(written, endings)
    newest = np.random.default_rng(0).integers(0, 400, (steps, rows))
    ended = sum(together.add(tokens, endings) for tokens in newest)
    assert ended == rows and all(row.ended for row in written)
    for row, tokens in zip(written, newest.T.tolist(), strict=True):
        ends = (number for number, token in enumerate(tokens, 1) if token in (end, stopping) or number == row.budget)
        assert row.written == tokens[: next(ends)]
    of_all = list(itertools.chain(*(row.written for row in written)))
    others = [token for token in asked if token not in (maybe, stopping)]
    assert len(others) == len(set(others)) <= 400 < len(of_all) / 10, "each token is new once"
    assert asked.count(maybe) >= of_all.count(maybe) - rows // 5


@pytest.mark.parametrize("kind", [byte_level, sentence_piece])
def test_a_stop_string_is_found_at_the_token_that_completes_it(kind):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=kind(), eos_token="<|endoftext|>")
    tokens, random = Tokens(tokenizer, None, 40), chance.Random(0)
    text = 'print("a" , 3 ) !\nx = f(y) . z ? "it \'s" : do n\'t\n    return " , ".join(a)\n# \u00e9\ndef f'
    code, looks, found = tokenizer(text, add_special_tokens=False)["input_ids"], 0, 0
    for stop in [
        ("\ndef", "\n#"),
        (" z",),
        ("'s", "n't"),
        ("join(", '"a"'),
        (") !", "= f"),
        ("\n",),
        ("\u00e9\ndef",),
    ] * 40:
        row, start = WrittenRow(REQUEST, tokenizer("x = ")["input_ids"], 40, {}, stop), random.randrange(len(code))
        for number in range(40):
            row.written.append(random.choice([code[(start + number) % len(code)], random.randrange(len(tokenizer))]))
            stops = tokens.stops(row, row.written[-1])
            assert bool(stops) == (cut_at_stop(tokens.text(row), stop)[1] is not None)
            looks, found = looks + (stops is not None), found + bool(stops)
            if stops:
                break
    assert found > 60 and looks < 1200, "of about 8,000 tokens"


ASKED = [
    GenerationRequest(f"{number}/{sample}", f"t{number}", prompt, sample, stop)
    for number, (prompt, _) in enumerate(pairs(6))
    for sample, stop in enumerate([("e", "0"), ("xs",), (), ("e", "0"), ("a", "o", "2")])
]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_looking_ahead_changes_no_completion_and_nothing_that_is_written_together(name, random, monkeypatch):
    """Budgets differ where positions end; rows come as others end, in the last run those of another thread too."""
    model_type, fields, cache = MODELS[name]
    model = LiveModel(*load_model(random(model_type, initializer_range=0.4, **fields)))
    together: list[tuple[str, ...]] = []
    forgotten: list[Any] = []

    def generator(*, looks_ahead: bool) -> Any:
        ours = create(model, Decoding(14, 1.0, 1.0), batch_tokens=400, cache=cache)
        ours._loop.looks_ahead, choose = looks_ahead, ours._loop.choice.choose

        def noted(logits: Any, rows: list[WrittenRow], *more: Any) -> Any:
            together.append(tuple(row.request.request_id for row in rows))
            return choose(logits, rows, *more)

        monkeypatch.setattr(ours._loop.choice, "choose", noted)
        return ours

    expected, expected_together = generator(looks_ahead=False).generate(ASKED), together.copy()
    assert len({one.tokens for one in expected}) > 2 and {one.stop for one in expected} >= {"e", "length"}
    for kind in (KeysAndValues, Texts):
        forget = kind.forget
        monkeypatch.setattr(kind, "forget", lambda self, forget=forget: forgotten.append(self) or forget(self))
    together.clear()
    ahead = generator(looks_ahead=True)
    assert ahead.generate(ASKED) == expected and together == expected_together
    assert 0 < len(forgotten) < len(together) / 2
    with ThreadPoolExecutor(2) as threads:
        parts = threads.map(ahead.generate, (ASKED[::2], ASKED[1::2]))
        assert list(parts) == [expected[::2], expected[1::2]]


def test_rows_that_have_ended_do_not_run_over_a_table_of_positions(random):
    """They stay among the others until enough have ended."""
    for cache in (None, False):
        generator = create(random("gpt_bigcode", n_positions=64), Decoding(20), cache=cache)
        room = 64 - len(generator.tokenizer("x" * 60)["input_ids"])
        asked = [GenerationRequest(str(n), f"t{n}", prompt) for n, prompt in enumerate(["x" * 60, *["x" * 10] * 20])]
        assert 0 < room < 20 and generator.generate(asked)[0].tokens == room
