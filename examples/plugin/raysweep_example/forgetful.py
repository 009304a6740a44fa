"""Generator `forgetful`: writes the reference solution, and sometimes forgets its last line."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.errors import RaysweepError, UsageError
from raysweep.generators.base import Generator, cut_at_stop
from raysweep.hashing import text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.seeding import python_rng


class Forgetful(Generator):
    """Writes the reference solution, and leaves out its last line with a probability.

    Args:
        model: not used.
        decoding: its seed is used.
        share: the probability that the last line is left out.
    """

    def __init__(self, model: ModelRef | None, decoding: Decoding, share: float = 0.3) -> None:
        super().__init__(model, decoding)
        if not 0 <= share <= 1:
            raise UsageError(f"generator forgetful: share {share} is not between 0 and 1")
        self.share = share

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion for each request, in the same order."""
        return [self._complete(request) for request in requests]

    def _complete(self, request: GenerationRequest) -> Completion:
        if request.reference is None:
            raise RaysweepError(f"problem {request.task_id} has no reference solution to write")
        lines = request.reference.splitlines(keepends=True)
        rng = python_rng(self.decoding.seed, "forgetful", request.task_id, request.sample)
        kept = lines[:-1] if rng.random() < self.share else lines
        text, stop = cut_at_stop("".join(kept), request.stop)
        return Completion(request.task_id, request.sample, text, stop or "eos", len(kept), text_sha(request.prompt))
