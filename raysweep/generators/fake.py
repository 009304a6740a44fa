"""A deterministic stand-in for a model, for tests and trials: right on a share of the prompts, wrong on the others."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.generators.base import GENERATORS, Generator
from raysweep.generators.reference import reference_completion
from raysweep.hashing import text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.seeding import derive


@GENERATORS.register("fake")
class Fake(Generator):
    """Answers with the reference solution on some prompts, chosen by the prompt's text, and with `wrong` on the rest.

    Args:
        model: ignored.
        decoding: only the seed is used, to choose the prompts.
        share: the share of right answers, from 0 to 1.
        wrong: the body of a wrong answer.
    """

    def __init__(
        self,
        model: ModelRef | None,
        decoding: Decoding,
        share: float = 0.5,
        wrong: str = "    raise NotImplementedError\n",
    ) -> None:
        super().__init__(model, decoding)
        if not 0 <= share <= 1:
            raise UsageError(f"generator fake: share {share} is not between 0 and 1")
        self.share = share
        self.wrong = wrong

    @override
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Raise RaysweepError if a problem to answer has no reference solution."""
        completions = []
        for request in requests:
            if derive(self.decoding.seed, "fake", request.prompt, request.sample) < self.share * 2**128:
                completions.append(reference_completion(request))
            else:
                wrong = self.wrong, "eos", 0, text_sha(request.prompt)
                completions.append(Completion(request.task_id, request.sample, *wrong))
        return completions
