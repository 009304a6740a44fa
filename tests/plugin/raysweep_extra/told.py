"""Parts as they come with raysweep that also write down where they are used."""

from __future__ import annotations

from dataclasses import replace

from raysweep_extra.notes import found_here

from raysweep.generators.base import cut_at_stop
from raysweep.generators.fake import Fake
from raysweep.problems.minicode.problem_set import MiniCodeProblems
from raysweep.trainers.objectives.sft import Sft


class ToldProblems(MiniCodeProblems):
    """MiniCode's problems."""

    def problems(self):
        """See `MiniCodeProblems`."""
        found_here("problem set")
        return super().problems()


class ToldSft(Sft):
    """Supervised fine-tuning."""

    def encode(self, row, tokenizer, recipe):
        """See `Sft`."""
        found_here("objective")
        return super().encode(row, tokenizer, recipe)

    def normaliser(self, rows):
        """See `Sft`."""
        found_here("objective")
        return super().normaliser(rows)


class CutFake(Fake):
    """The fake generator, whose answers end before the first stop string."""

    def generate(self, requests):
        """See `Fake`."""
        completions = []
        for request, whole in zip(requests, super().generate(requests), strict=True):
            text, stop = cut_at_stop(whole.text, request.stop)
            completions.append(replace(whole, text=text, stop=stop or whole.stop))
        return completions


class ToldFake(CutFake):
    """The fake generator, whose answers end before the first stop string."""

    def generate(self, requests):
        """See `Fake`."""
        found_here("generator")
        return super().generate(requests)
