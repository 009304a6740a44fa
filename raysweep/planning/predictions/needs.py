"""What processes ask Ray for, as records that travel to workers, and the conditions on labels of nodes in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.units import size

TINY = 1e-6
"""Resources are counted in ten thousandths; sums of shares differ by less than this."""
ANY_NUMBER = 1_000_000


@dataclass(frozen=True)
class Needs:
    """What one process asks Ray for; by default what an execution actor does. `labels`: a label selector of Ray."""

    cpus: float = 1
    gpus: float = 0
    memory_bytes: int = 0
    is_predicted: bool = False  # the memory; where no node has as much, it asks for what the largest one has
    custom: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    least_on_accelerator: int = 0  # predicted bytes that it takes there at least; 0: not known
    in_bf16: bool = False
    shared_by: int = 1  # how many accelerators of one node share a model, as the config has it (`tensor_parallel`)

    @property
    def amounts(self) -> dict[str, float]:
        """The resources by Ray's name, without those of which none is asked for."""
        resources = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory_bytes), **self.custom}
        return {name: amount for name, amount in resources.items() if amount}

    @property
    def in_words(self) -> str:
        """The amounts, and the type of accelerator if one is named: ``1 CPU, 2 GPU on A100``."""
        kind = self.labels.get(ACCELERATOR_LABEL, "") if self.gpus else ""
        return amounts_text(self.amounts) + f" on {kind}" * bool(kind)

    @cached_property
    def occupied(self) -> dict[str, float]:
        """What a process takes of a node. A share lies on one accelerator, so two of .35 take all of it."""
        amounts = self.amounts
        return {**amounts, "GPU": 1 / int(1 / self.gpus + TINY)} if 0 < self.gpus < 1 else amounts

    def times_in(self, free: Mapping[str, float]) -> int:
        parts = [(free.get(name, 0.0) + TINY) // amount for name, amount in self.occupied.items()]
        return max(0, int(min(parts, default=ANY_NUMBER)))


def amounts_text(amounts: Mapping[str, float]) -> str:
    """Return amounts by Ray's names in words, such as ``1 CPU, 6.2 MiB of memory``."""
    parts = (f"{size(n)} of memory" if name == "memory" else f"{n:g} {name}" for name, n in amounts.items())
    return ", ".join(parts) or "nothing"


@dataclass(frozen=True)
class CellNeeds:
    """What the processes of a task ask for: a training worker, a generation actor, an execution actor.

    `in_trial`: the task's own process trains, and holds what training asks for.
    """

    training: Needs = Needs()
    generation: Needs = Needs()
    execution: Needs = Needs()
    workers: int = 0  # training workers; 0: the task trains nothing
    in_trial: bool = True

    @property
    def stages(self) -> list[tuple[str, Needs, int]]:
        """Each stage's name, what a process of it asks for, and how many of them must run at a time."""
        return [
            ("training", self.training, self.workers),
            ("generation", self.generation, 1),
            ("execution", self.execution, 1),
        ]

    def each(self, change: Callable[[Needs], Needs]) -> CellNeeds:
        return replace(
            self,
            training=change(self.training),
            generation=change(self.generation),
            execution=change(self.execution),
        )

    def capped(self, most_memory: Callable[[Needs], float]) -> CellNeeds:
        """Return the same, but with no more memory on a prediction alone than a process can have.

        `most_memory`: the bytes of the largest node that a process may run on.
        """

        def of(stage: Needs) -> Needs:
            if not stage.is_predicted:
                return stage
            return replace(stage, memory_bytes=int(min(stage.memory_bytes, most_memory(stage))))

        return self.each(of)


def _values_of(condition: str) -> list[str]:
    from raysweep.config.resources import values_of  # a tenth of a second for workers, which only read this module

    return values_of(condition)


def names_in(condition: str) -> list[str]:
    """Return the values that a label may have: of ``A100``, and of ``in(A100,H100)``; none where others may, too.

    Of ``in()``, which no label satisfies, it is the empty one.
    """
    return [] if not condition or condition.startswith("!") else _values_of(condition) or [""]


def without(condition: str, values: Collection[str]) -> str:
    """Return a label's condition that matches what another one does, but for these values.

    It is empty where all labels match, and ``in()``, which none matches, where a list has no other values.
    """
    if named := names_in(condition):
        left = [name for name in named if name and name not in values]
        return left[0] if len(left) == 1 else f"in({','.join(left)})"
    excluded = sorted({*_values_of(condition), *values})
    return f"!in({','.join(excluded)})" if excluded else ""


def matches_one(condition: str, value: str | None) -> bool:
    """Return True if a label's value satisfies a selector's condition; pass None if the node has no such label."""
    return (value in _values_of(condition)) != condition.startswith("!")
