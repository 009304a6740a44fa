"""The contract of a perturbation: one way of changing natural-language text.

Special kinds have a subclass of `Perturbation` each: methods that are faster with many texts at once (`batches`),
aggregates of several methods (`mixes`), and methods that can also reproduce ReCode's data (`recode`).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from raysweep.errors import UsageError
from raysweep.records import Segment
from raysweep.registry import Registry


class Perturbation(ABC):
    """One way of changing text, registered under its short name (``C1``).

    A variant writes `perturb`, a pure function of its arguments and the strength. It keeps no state between texts and
    draws from the given generator only. It never fails: text that it can't change comes back as it is.
    Strength 1 is the study's rate, and 0 changes nothing.

    A variant whose texts depend on files, models or packages also writes `fingerprint`. One that is faster with many
    texts at once, such as one that runs a model, inherits from `raysweep.perturbations.batches.BatchPerturbation` and
    writes `perturb_all(texts)`: each text has its `segments`, `rng` and `protected`, and the answer is one list of
    segments for each, in the same order.

    The arguments of the constructor are what ``perturbations:`` in a config and ``raysweep perturb --set`` can give;
    `strength` stays among them.

    Args:
        strength: from 0 to 20; multiplies the variant's rate of changes.

    Attributes:
        name: the registered name, which the registry sets.
        title: the name shown in tables; ReCode's, where ReCode has the method.
        words: a few plain words that stand before the name, as in "neighbouring keys (C1)"; empty: the title.
        level: character, word, sentence, mixed or none.
        neural: True for a method that runs a model, which is faster on an accelerator.
        licence: of published texts that it brings, as SPDX has it; empty: it brings none.
        origin: the address at which such texts are published.
        keeps_segments: False for a method that replaces whole descriptions, and so cuts a text into other segments.
        caution: what makes its texts here unfit for some uses, as the end of a sentence "S1 is ..."; empty: nothing.
        pinned: arguments whose value was chosen on this machine (``auto``); keys and other machines use that value.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    words: ClassVar[str] = ""
    level: ClassVar[str]
    licence: ClassVar[str] = ""
    origin: ClassVar[str] = ""
    neural: bool = False
    keeps_segments: bool = True
    caution: str = ""
    pinned: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, strength: float = 1.0) -> None:
        if not 0 <= strength <= 20:
            raise UsageError(f"perturbation {self.name}: strength {strength} is not between 0 and 20")
        self.strength = strength

    @classmethod
    def in_words(cls) -> str:
        """Return the plain words of the method, or its title where it has none."""
        return cls.words or cls.title

    @abstractmethod
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return a text's segments with the natural ones changed; verbatim ones and line breaks stay.

        A word whose first run of letters and digits is in `protected` stays too. A method that
        changes words one by one can leave both rules to `raysweep.prompts.protection.change_words(segments, protected,
        change)`: `change` gets each other word, which may hold line breaks that it must leave.
        """

    @property
    def deterministic(self) -> bool:
        """True if nothing is drawn: any generator gives the same texts, so a second draw of a test set is no other one.

        By default that is so at strength 0 only.
        """
        return self.strength == 0

    def fingerprint(self) -> Mapping[str, str]:
        """Return the language resources that texts depend on, with versions, for keys and manifests.

        A method with an argument `path` includes a digest of the files there; keys then leave the path itself out.
        """
        return {}

    def rate_text(self) -> str:
        """Return which share of a text changes at this strength, for reports; empty where no share is known."""
        return ""


def percentage(rate: float, things: str) -> str:
    """Return a probability as ``10.8 % of letters``; a rate above 1 is shown as 100 %."""
    return f"{100 * min(1.0, rate):.3g} % of {things}"


PERTURBATIONS: Registry[Perturbation] = Registry("perturbation", "raysweep.perturbations", Perturbation)
