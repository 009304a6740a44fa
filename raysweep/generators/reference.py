"""A generator that answers with the reference solution, as an upper bound and to check problems and tests."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.errors import RaysweepError
from raysweep.generators.base import GENERATORS, Generator
from raysweep.hashing import text_sha
from raysweep.records import Completion, GenerationRequest


@GENERATORS.register("reference")
class Reference(Generator):
    """Returns each request's reference solution, uncut. Needs no model."""

    draws_when_greedy = False

    @override
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Raise RaysweepError if a problem has no reference solution."""
        return [reference_completion(request) for request in requests]


def reference_completion(request: GenerationRequest) -> Completion:
    if request.reference is None:
        raise RaysweepError(f"problem {request.task_id} has no reference solution to answer with")
    return Completion(request.task_id, request.sample, request.reference, "eos", 0, text_sha(request.prompt))
