"""Aggregates of perturbations, composed by `draw`: each row gets one member, all equally likely.

Source: study.md section 2.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.errors import UnknownName
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.records import Segment, Spec


class Mix(Perturbation):
    """A group of methods, one of which is drawn for a row. A new group is a subclass that names its `members`.

    Args:
        strength: multiplies every member's strength.
        strengths: a member's own strength by its name; 1 where not given.

    Raises:
        UsageError: for a name that is no member, or a product of strengths over 20.
    """

    level = "mixed"
    members: ClassVar[tuple[str, ...]]

    def __init__(self, strength: float = 1.0, strengths: Mapping[str, float] | None = None) -> None:
        super().__init__(strength)
        own = dict(strengths or {})
        for name in own:
            if name not in self.members:
                raise UnknownName(f"member of perturbation {self.name}", name, self.members)
        self._methods = [
            PERTURBATIONS.create(Spec(name, {"strength": strength * own.get(name, 1.0)})) for name in self.members
        ]

    def pick(self, rng: random.Random) -> Perturbation:
        """Return one member, drawn uniformly."""
        return rng.choice(self._methods).pick(rng)

    def rate_text(self) -> str:
        """Return the members with their strengths."""
        members = ", ".join(f"{method.name} at strength {method.strength:g}" for method in self._methods)
        return f"each row one of {members}"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text changed by a drawn member."""
        return self.pick(rng).perturb_text(text, rng, protected)

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the segments changed by one drawn member."""
        return self.pick(rng).perturb(segments, rng, protected)


@PERTURBATIONS.register("C")
class Characters(Mix):
    """The character-level methods."""

    title = "Characters"
    members = ("C1", "C2", "C3")
