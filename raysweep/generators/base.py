"""The contract of a generator, which turns prompts into completions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.registry import Registry


@dataclass(frozen=True)
class LiveModel:
    """A causal model that is in this process's memory, such as one that is being trained. It can't leave it."""

    network: Any
    tokenizer: Any


class Generator(ABC):
    """Generates completions with one loaded model.

    A completion depends on (model, prompt, sample, decoding) only, not on the other requests of its batch or on earlier
    calls. The random numbers of a sample come from (decoding.seed, task id, sample), so the clean and the perturbed
    prompt of a problem share them. Completions are cut at eos, then at the first of the request's stop strings.
    """

    name: ClassVar[str]
    needs_model: ClassVar[bool] = False
    """Whether it runs the weights of a model; otherwise a config or a command names it in a model's place."""
    draws_when_greedy: ClassVar[bool] = True
    """Whether its completions depend on the seed at temperature 0 too."""

    def __init__(self, model: ModelRef | LiveModel | None, decoding: Decoding) -> None:
        self.model = model
        self.decoding = decoding

    @classmethod
    def fingerprint(cls, dtype: str, batch_size: int) -> Mapping[str, Any]:
        """Return what completions depend on beside model, prompt, arguments and decoding, as JSON, for their keys.

        A plug-in's package and version are part of the keys without it.

        Args:
            dtype: of the model's weights.
            batch_size: of the config; without effect on the completions of most generators.
        """
        return {}

    @abstractmethod
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion per request, in the same order. Callers group requests of similar length."""


def names_a_generator(model: str) -> bool:
    """Return True if the text in a model's place names a generator that needs no weights, and no folder."""
    return model in GENERATORS.names() and not GENERATORS.get(model).needs_model and not Path(model).exists()


GENERATORS: Registry[Generator] = Registry("generator", "raysweep.generators", Generator)
TRANSFORMERS = "transformers"
"""Name of the generator that runs a model's weights."""
BATCH_SIZE = 64
"""Prompts that are generated together, unless a caller says otherwise."""


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """Cut `text` at the earliest stop string; return the text and that stop string, or None if there is none."""
    hits = [(start, string) for string in stop if (start := text.find(string)) >= 0]
    if not hits:
        return text, None
    start, string = min(hits, key=lambda hit: (hit[0], -len(hit[1])))
    return text[:start], string
