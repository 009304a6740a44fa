"""The contract of a perturbation: one way of changing natural-language text."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from raysweep.errors import UsageError
from raysweep.records import Segment, Spec
from raysweep.registry import Registry


@dataclass(frozen=True, slots=True)
class Text:
    """A text to perturb: its segments, the generator of its noise, and the words that may not be changed."""

    segments: Sequence[Segment]
    rng: random.Random
    protected: frozenset[str]


class Perturbation(ABC):
    """One way of changing text, registered under its short name (``C1``).

    A perturbation is a pure function of (segments, generator, protected words, strength): it keeps no state, draws only
    from the generator it is given, and never fails on any text; text that it can't change comes back as it is.
    Strength 1 is the study's rate, 0 changes nothing. Verbatim segments come back untouched, line breaks are kept,
    and a word whose first alphanumeric run is protected is skipped (study.md section 3).
    """

    name: ClassVar[str]
    title: ClassVar[str]  # ReCode's name, shown in tables
    level: ClassVar[str]  # character | word | sentence | mixed | none

    def __init__(self, strength: float = 1.0) -> None:
        if not 0 <= strength <= 20:
            raise UsageError(f"perturbation {self.name}: strength {strength} is not between 0 and 20")
        self.strength = strength

    @abstractmethod
    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return one natural-language segment, changed."""

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, the natural ones changed. Methods that need whole sentences override this."""
        return [Segment(self.perturb_text(s.text, rng, protected), True) if s.natural else s for s in segments]

    def perturb_all(self, texts: Sequence[Text]) -> list[list[Segment]]:
        """Return the segments of many texts. Methods that are faster with many at once override this."""
        return [self.perturb(text.segments, text.rng, text.protected) for text in texts]

    def pick(self, rng: random.Random) -> Perturbation:
        """Return the method to apply to one row: itself, or for an aggregate the member it draws."""
        return self

    @property
    def set_name(self) -> str:
        """What `pick` hangs on beside seed, source and row: sets of another name draw other members."""
        return self.name

    @property
    def parts(self) -> Sequence[Spec]:
        """The methods that make the rows of a set: an aggregate's members; none where it is this one itself."""
        return ()

    @property
    def pinned(self) -> Mapping[str, Any]:
        """Arguments that fix what was found on this machine (``auto``), for keys and for other machines."""
        return {}

    @property
    def neural(self) -> bool:
        """Whether it asks a model, which is faster on an accelerator."""
        return False

    def fingerprint(self) -> Mapping[str, str]:
        """Return what else texts depend on, for keys and manifests: language resources, with their versions.

        A method with an argument `path` returns what lies there too; then the path itself counts no more.
        """
        return {}

    def rate_text(self) -> str:
        """Return what share of a text changes at this strength, for reports (`share`); empty where none is known."""
        return ""

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return `text` as ReCode's code perturbs it, bit for bit (``compat: recode``, study.md section 4)."""
        raise UsageError(f"perturbation {self.name} has no `compat: recode`; methods with it: C1, C2, C3")


def share(rate: float, what: str) -> str:
    """Return a probability as ``10.8 % of letters``; above 1 it is certain."""
    return f"{100 * min(1.0, rate):.3g} % of {what}"


PERTURBATIONS: Registry[Perturbation] = Registry("perturbation", "raysweep.perturbations")
