"""Aggregates of perturbations: each row gets one member, all equally likely (`draw`), or all in turn (`stack`).

Training sets know a third way, one row for each member: `union`, in `raysweep.training_sets.selection`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.records import Segment, Spec

STACK = "stack"
COMPOSE = ("draw", STACK)
NO_TRANSLATOR = "none"
"""The translator with which members that translate are left out."""


class Mix(Perturbation):
    """A group of methods. A new group is a subclass that names its `members`.

    Args:
        strength: multiplies every member's strength.
        strengths: strength of single members by name; 1 for the others.
        compose: ``draw`` one member for each row, or ``stack``: apply all members one after the other.
        language: arguments (tagger, synonyms, translator) for the members that take them. With translator ``none``,
            members that translate are left out.

    Raises:
        UsageError: a name in `strengths` is no member, a product of strengths is over 20, `compose` is unknown, or no
            member is left.
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
        by_member = dict(strengths or {})
        for name in by_member:
            if name not in self.members:
                raise UnknownName(f"member of perturbation {self.name}", name, self.members)
        if compose not in COMPOSE:
            raise UsageError(f"perturbation {self.name}: compose {compose!r} is none of {', '.join(COMPOSE)}")
        self._stacked = compose == STACK
        self._parts = [
            Spec(name, {"strength": strength * by_member.get(name, 1.0), **_accepted(name, language or {})})
            for name in self.members
            if not is_left_out(name, language or {})
        ]
        if not self._parts:
            raise UsageError(f"perturbation {self.name}: each member translates, and translator is {NO_TRANSLATOR}")
        self._methods = [PERTURBATIONS.create(part) for part in self._parts]
        pinned = {key: value for method in self._methods for key, value in method.pinned.items()}
        self.pinned = {"language": {**(language or {}), **pinned}} if pinned else {}
        self.neural = any(method.neural for method in self._methods)
        self.caution = "; ".join(dict.fromkeys(method.caution for method in self._methods if method.caution))
        self.keeps_segments = all(method.keeps_segments for method in self._methods)

    @property
    def parts(self) -> Sequence[Spec]:
        """The members with their arguments; empty for a stack, whose rows no single member makes."""
        return () if self._stacked else self._parts

    @property
    @override
    def deterministic(self) -> bool:
        no_choice = self._stacked or len(self._methods) == 1
        return self.strength == 0 or (no_choice and all(method.deterministic for method in self._methods))

    @property
    def set_name(self) -> str:
        """The name that draws depend on, beside seed, source and row: sets of another name draw other members."""
        return self.name

    @override
    def fingerprint(self) -> Mapping[str, str]:
        fingerprint = {key: value for method in self._methods for key, value in method.fingerprint().items()}
        packages = {part.name: PERTURBATIONS.plugin_spec(part.name) for part in self._parts}
        return fingerprint | {
            f"{key} {name}": text for name, versions in packages.items() for key, text in versions.items()
        }

    def draw(self, rng: random.Random) -> Perturbation:
        """Return the method for one row: a member, all equally likely; for a stack the mix itself."""
        return self if self._stacked else rng.choice(self._methods)

    @override
    def rate_text(self) -> str:
        members = ", ".join(f"{m.in_words()} ({m.name}) at strength {m.strength:g}" for m in self._methods)
        return f"each row {'all' if self._stacked else 'one'} of {members}"

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        if not self._stacked:
            return self.draw(rng).perturb(segments, rng, protected)
        changed = list(segments)
        for method in self._methods:
            changed = method.perturb(changed, rng, protected)
        return changed


def row_methods(perturbation: Perturbation, method: Spec) -> Sequence[Spec]:
    """Return the methods that make the rows of a set: an aggregate's members, or the method itself."""
    return (isinstance(perturbation, Mix) and perturbation.parts) or (method,)


def members_of(method: Perturbation) -> list[Perturbation]:
    """Return an aggregate's members, or the method itself; a stack counts as one method."""
    parts = method.parts if isinstance(method, Mix) else ()
    return [PERTURBATIONS.create(part) for part in parts] or [method]


def _accepted(name: str, language: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in language.items() if key in PERTURBATIONS.parameters(name)}


def is_left_out(name: str, language: Mapping[str, Any]) -> bool:
    """Return True for a method that translates, if the translator is ``none``."""
    return language.get("translator") == NO_TRANSLATOR and "translator" in PERTURBATIONS.parameters(name)


@PERTURBATIONS.register("C")
class Characters(Mix):
    """The character-level methods."""

    title = "Characters"
    words = "typos"
    members = ("C1", "C2", "C3")


@PERTURBATIONS.register("W")
class Words(Mix):
    """The word-level methods."""

    title = "Words"
    words = "changed words"
    members = ("W1", "W2", "W3")


@PERTURBATIONS.register("S")
class Sentences(Mix):
    """The sentence-level methods."""

    title = "Sentences"
    words = "changed sentences"
    members = ("S1", "S2", "S3")


@PERTURBATIONS.register("mix_all")
class All(Mix):
    """All nine methods."""

    title = "All"
    words = "all nine methods"
    members = (*Characters.members, *Words.members, *Sentences.members)


@PERTURBATIONS.register("mix")
class Chosen(Mix):
    """A mix of chosen methods.

    Args:
        members: names of at least one method, each once; no aggregates, and none with arguments that have no default.

    Raises:
        UsageError: see `Mix`; also for no members, one given twice, or one that can't be a member.
    """

    title = "Mix"
    words = "mix"

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
            if needed := PERTURBATIONS.required_arguments(name):
                raise UsageError(
                    f"perturbation mix: member {name!r} needs arguments of its own ({', '.join(needed)}), which no mix "
                    "can give; leave it out"
                )
        self.members = tuple(members)
        super().__init__(strength, strengths, compose, language)

    @property
    @override
    def set_name(self) -> str:
        """The name and the members, so that two mixes draw independently of each other."""
        return " ".join([self.name, *self.members])
