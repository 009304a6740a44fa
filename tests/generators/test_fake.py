from __future__ import annotations

import dataclasses

import pytest

from raysweep.errors import UsageError
from raysweep.generators.base import GENERATORS
from raysweep.records import Decoding, GenerationRequest, Spec

REQUESTS = [GenerationRequest(str(i), f"t{i}", f"prompt {i}", reference=f"    return {i}\n") for i in range(200)]


def texts(decoding: Decoding = Decoding(), **args: object) -> list[str]:
    fake = GENERATORS.create(Spec("fake", args), model=None, decoding=decoding)
    return [completion.text for completion in fake.generate(REQUESTS)]


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.3, 40, 80), (1, 200, 200)])
def test_about_the_share_of_prompts_is_answered_right(share, low, high):
    right = sum(text == request.reference for text, request in zip(texts(share=share), REQUESTS, strict=True))
    assert low <= right <= high


def test_the_choice_depends_on_seed_and_prompt_only():
    assert texts() == texts()
    assert texts() != texts(Decoding(seed=1))
    fake = GENERATORS.create(Spec("fake"), model=None, decoding=Decoding())
    again = [dataclasses.replace(request, request_id="other", task_id="t") for request in REQUESTS]
    assert [c.text for c in fake.generate(again)] == texts()


def test_wrong_answers_are_what_was_asked_for():
    assert set(texts(share=0, wrong="    pass\n")) == {"    pass\n"}


def test_a_share_beyond_one_is_refused():
    with pytest.raises(UsageError, match=r"share 1.5"):
        texts(share=1.5)
