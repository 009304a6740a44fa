"""Which positions of a perturbed prompt get the states of which ones of the original."""

from __future__ import annotations

import re
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.trainers.editors.shared_positions import SCOPES, Shared, sources
from tests.tiny import tiny_tokenizer
from tests.trainers.editors.localized import EQUAL, LONGER, ORIGINAL, SHORTER, job_of


def places(scope: str, perturbed: str, original: str = ORIGINAL) -> list[int]:
    tokenizer = tiny_tokenizer()
    shared = Shared(*(len(tokenizer(text)["input_ids"]) for text in (original, perturbed)))
    pair = job_of("llama", None, original, perturbed).pair
    return sources([scope], pair, tokenizer, shared)[scope]


def tokens(text: str) -> list[str]:
    tokenizer = tiny_tokenizer()
    return [tokenizer.decode([token]) for token in tokenizer(text)["input_ids"]]


@pytest.mark.parametrize("perturbed", [EQUAL, LONGER, SHORTER])
def test_prompts_share_their_last_positions_which_are_all_of_prompts_of_equal_length(perturbed):
    ours, theirs = len(tokens(perturbed)), len(tokens(ORIGINAL))
    assert (ours == theirs) == (perturbed == EQUAL)
    shared = min(ours, theirs)
    assert places("all", perturbed) == [-1] * (ours - shared) + list(range(theirs - shared, theirs))
    assert places("last", perturbed) == [-1] * (ours - 1) + [theirs - 1]


def test_the_span_that_differs_has_the_tokens_that_meet_changed_characters():
    found = places("diff_span", EQUAL)
    assert [tokens(EQUAL)[place] for place, source in enumerate(found) if source >= 0] == ["7"]
    assert [tokens(ORIGINAL)[source] for source in found if source >= 0] == ["3"]
    assert set(places("diff_span", ORIGINAL)) == {-1}


def test_a_window_takes_the_tokens_around_the_span_too():
    span = next(place for place, source in enumerate(places("diff_span", EQUAL)) if source >= 0)
    for k in (0, 1, 3, 100):
        chosen = [place for place, source in enumerate(places(f"window:{k}", EQUAL)) if source >= 0]
        assert chosen == [place for place in range(len(tokens(EQUAL))) if abs(place - span) <= k]


@pytest.mark.parametrize(("original", "perturbed"), [(ORIGINAL, SHORTER), (SHORTER, ORIGINAL)])
def test_what_is_missing_on_one_side_is_found_on_the_other(original, perturbed):
    found = places("diff_span", perturbed, original)
    assert 0 < sum(source >= 0 for source in found) < 8


def test_scopes_are_named_in_one_way_each():
    right = ("all", "last", "diff_span", "window:0", "window:12")
    wrong = ("", "first", "window", "window:", "window:-1", "window:two", "diff_span:2", "all ")
    assert all(re.fullmatch(SCOPES, name) for name in right) and not any(re.fullmatch(SCOPES, name) for name in wrong)


def test_a_tokenizer_that_does_not_know_its_tokens_characters_is_refused_where_that_matters():
    class Slow:
        is_fast = False

    pair, shared, slow = job_of("llama", None).pair, Shared(20, 20), Slow()
    asked: Any = ["all", "last"]
    assert set(sources(asked, pair, slow, shared)) == {"all", "last"}
    with pytest.raises(UsageError, match=r"need a fast tokenizer.*write all or last"):
        sources(["diff_span"], pair, slow, shared)
