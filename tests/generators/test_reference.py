from __future__ import annotations

import dataclasses

import pytest

from raysweep.errors import RaysweepError
from raysweep.generators.base import GENERATORS
from raysweep.hashing import text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, Spec

REQUESTS = [GenerationRequest(str(i), f"t{i}", f"prompt {i}", reference=f"    return {i}\n") for i in range(9)]


def test_the_reference_generator_answers_everything_right():
    reference = GENERATORS.create(Spec("reference"), model=None, decoding=Decoding())
    expected = Completion("t7", 0, "    return 7\n", "eos", 0, text_sha("prompt 7"))
    assert reference.generate(REQUESTS)[7] == expected


def test_a_problem_without_a_reference_is_named():
    reference = GENERATORS.create(Spec("reference"), model=None, decoding=Decoding())
    with pytest.raises(RaysweepError, match="problem t0 has no reference"):
        reference.generate([dataclasses.replace(REQUESTS[0], reference=None)])
