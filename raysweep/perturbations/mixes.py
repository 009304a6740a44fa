"""Aggregates of perturbations: each row gets one member, all equally likely (`draw`), or all in turn (`stack`).

Source: study.md section 2. A third way, a row for each member (`union`), is a matter of training sets.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.records import Segment, Spec

STACK = "stack"
COMPOSE = ("draw", STACK)
NO_TRANSLATOR = "none"


class Mix(Perturbation):
    """A group of methods. A new group is a subclass that names its `members`.

    Args:
        strength: multiplies every member's strength.
        strengths: a member's own strength by its name; 1 where not given.
        compose: ``draw`` one member for a row, or ``stack`` them: one after the other.
        language: arguments by name (tagger, synonyms, translator) for the members that take them. With translator
            ``none``, members that translate are left out.

    Raises:
        UsageError: for a name that is no member, a product of strengths over 20, an unknown way to compose, or where
            no member is left.
    """

    level = "mixed"
    members: tuple[str, ...]

    def __init__(
        self,
        strength: float = 1.0,
        strengths: Mapping[str, float] | None = None,
        compose: str = "draw",
        language: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(strength)
        own = dict(strengths or {})
        for name in own:
            if name not in self.members:
                raise UnknownName(f"member of perturbation {self.name}", name, self.members)
        if compose not in COMPOSE:
            raise UsageError(f"perturbation {self.name}: compose {compose!r} is none of {', '.join(COMPOSE)}")
        self._stacked = compose == STACK
        self._parts = [
            Spec(name, {"strength": strength * own.get(name, 1.0), **_taken(name, language or {})})
            for name in self.members
            if not _is_left_out(name, language or {})
        ]
        if not self._parts:
            raise UsageError(f"perturbation {self.name}: each member translates, and translator is {NO_TRANSLATOR}")
        self._methods = [PERTURBATIONS.create(part) for part in self._parts]
        self._language = dict(language or {})

    @property
    def parts(self) -> Sequence[Spec]:
        """The members with their arguments; none where they are stacked."""
        return () if self._stacked else self._parts

    @property
    def pinned(self) -> Mapping[str, Any]:
        """What the members found on this machine, for each that takes it."""
        found = {key: value for method in self._methods for key, value in method.pinned.items()}
        return {"language": {**self._language, **found}} if found else {}

    @property
    def neural(self) -> bool:
        """Whether any member asks a model."""
        return any(method.neural for method in self._methods)

    def fingerprint(self) -> Mapping[str, str]:
        """Return what the members' texts depend on."""
        return {key: value for method in self._methods for key, value in method.fingerprint().items()}

    def pick(self, rng: random.Random) -> Perturbation:
        """Return one member, drawn uniformly; all of them where they are stacked."""
        return self if self._stacked else rng.choice(self._methods).pick(rng)

    def rate_text(self) -> str:
        """Return the members with their strengths."""
        members = ", ".join(f"{method.name} at strength {method.strength:g}" for method in self._methods)
        return f"each row {'all' if self._stacked else 'one'} of {members}"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text changed by a drawn member, or by all."""
        return "".join(segment.text for segment in self.perturb([Segment(text, True)], rng, protected))

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the segments changed by one drawn member, or by all in turn."""
        if not self._stacked:
            return self.pick(rng).perturb(segments, rng, protected)
        changed = list(segments)
        for method in self._methods:
            changed = method.perturb(changed, rng, protected)
        return changed


def _taken(name: str, language: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in language.items() if key in PERTURBATIONS.parameters(name)}


def _is_left_out(name: str, language: Mapping[str, Any]) -> bool:
    return language.get("translator") == NO_TRANSLATOR and "translator" in PERTURBATIONS.parameters(name)


@PERTURBATIONS.register("C")
class Characters(Mix):
    """The character-level methods."""

    title = "Characters"
    members = ("C1", "C2", "C3")


@PERTURBATIONS.register("W")
class Words(Mix):
    """The word-level methods."""

    title = "Words"
    members = ("W1", "W2", "W3")


@PERTURBATIONS.register("S")
class Sentences(Mix):
    """The sentence-level methods."""

    title = "Sentences"
    members = ("S1", "S2", "S3")


@PERTURBATIONS.register("mix_all")
class All(Mix):
    """All nine methods."""

    title = "All"
    members = (*Characters.members, *Words.members, *Sentences.members)


@PERTURBATIONS.register("mix")
class Chosen(Mix):
    """Methods of one's choice: a mix that leaves one out, or puts others together.

    Args:
        members: at least one, each once; no aggregates, and none that needs arguments of its own.

    Others: as `Mix`.

    Raises:
        UsageError: as `Mix`; no members, one twice, or one that can't be a member.
    """

    title = "Mix"

    def __init__(
        self,
        members: list[str],
        strength: float = 1.0,
        strengths: Mapping[str, float] | None = None,
        compose: str = "draw",
        language: Mapping[str, Any] | None = None,
    ) -> None:
        if not members or len(set(members)) < len(members):
            raise UsageError(f"perturbation mix: members are {members}; name at least one, and none twice")
        for name in members:
            if issubclass(PERTURBATIONS.get(name), Mix):
                raise UsageError(f"perturbation mix: member {name!r} is a mix itself; name its members")
            if needed := PERTURBATIONS.needed(name):
                raise UsageError(
                    f"perturbation mix: member {name!r} needs arguments of its own ({', '.join(needed)}), which no mix "
                    "can give; leave it out"
                )
        self.members = tuple(members)
        super().__init__(strength, strengths, compose, language)

    @property
    def set_name(self) -> str:
        """The members too: two mixes draw independently of each other."""
        return " ".join([self.name, *self.members])
