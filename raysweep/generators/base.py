"""The contract of a generator: prompts in, completions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.registry import Registry


class Generator(ABC):
    """Makes completions with one loaded model.

    A completion depends on (model, prompt, draw, decoding) only, never on the batch it was made in nor on how many
    were made before. The random numbers of a draw come from (decoding.seed, task id, draw), so a clean and a perturbed
    prompt of one problem share them. Completions are cut at eos, then at the first of the request's stop strings.
    """

    name: ClassVar[str]

    def __init__(self, model: ModelRef | None, decoding: Decoding) -> None:
        self.model = model
        self.decoding = decoding

    @abstractmethod
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion a request, in the same order. The caller sends requests of like length together."""


GENERATORS: Registry[Generator] = Registry("generator", "raysweep.generators")


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """Cut `text` at the earliest stop string; return it and the stop string found, or None."""
    found = [(at, s) for s in stop if (at := text.find(s)) >= 0]
    if not found:
        return text, None
    at, which = min(found, key=lambda pair: (pair[0], -len(pair[1])))
    return text[:at], which
