"""The section `resources` of a sweep's config, and its overrides for a stage, a model and a recipe.

Nothing of it is part of an artefact's key.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag, field_validator

from raysweep.config.fields import Amount, AmountOrZero, Count, Strict, UnitMark, form
from raysweep.errors import did_you_mean

STAGES = ("training", "generation", "execution")
BY_PREDICTION = "auto"
"""In place of a number: what `raysweep plan` predicts."""


def _whole_above_one(gpus: float) -> float:
    if gpus > 1 and gpus % 1:
        raise ValueError(f"{gpus:g} GPUs can't be had: give a share below 1, or a whole number")
    return gpus


def _rule(number: str) -> BeforeValidator:
    def check(text: str) -> str:
        if text == BY_PREDICTION:
            return text
        plain = _WITH_UNIT.fullmatch(text)
        way = f"; write {plain[1]}" if plain else did_you_mean(text, [BY_PREDICTION])
        raise ValueError(f"must be {number} or {BY_PREDICTION!r}, not {text!r:.60}{way}")

    return BeforeValidator(check)


_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?) *(?:G|GB|GiB|GPUs?|actors?)", re.IGNORECASE)
"""A number with the unit that its key has anyway."""
Executors = Annotated[
    Annotated[Literal["auto"], _rule("a whole number"), Tag("rule")] | Annotated[Count, Tag("written")],
    Discriminator(form),
]
Gpus = Annotated[
    Annotated[Literal["auto"], _rule("a number"), Tag("rule")]
    | Annotated[AmountOrZero, AfterValidator(_whole_above_one), Tag("written")],
    Discriminator(form),
    UnitMark("GPUs"),
]
Memory = Annotated[
    Annotated[Literal["auto"], _rule("a number of GiB"), Tag("rule")] | Annotated[AmountOrZero, Tag("written")],
    Discriminator(form),
    UnitMark("GiB"),
]


def _selector(condition: str) -> str:
    if _SELECTOR.fullmatch(condition):
        return condition
    raise ValueError(
        f"{condition!r} selects no label; give a value such as `A100`, several as `in(A100,H100)`, or what must not be "
        "as `!A100` or `!in(A100,H100)`"
    )


_VALUE = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_SELECTOR = re.compile(rf"!?(?:{_VALUE}|in\({_VALUE}(?:, ?{_VALUE})*\))")
Labels = dict[str, Annotated[str, AfterValidator(_selector)]]


def values_of(condition: str) -> list[str]:
    """Return the values that the condition of a label names: those of ``A100`` and of ``!in(A100,H100)``."""
    return re.findall(_VALUE, condition.partition("(")[2] or condition)


class StageConfig(Strict):
    """What one process of a stage asks for; null: what the level above asks for."""

    cpus: Annotated[Amount, UnitMark("CPUs")] | None = None
    """CPUs of one process."""
    gpus: Gpus | None = None
    """GPUs of one process."""
    memory_gib: Memory | None = None
    """Memory that Ray reserves for one process."""
    custom: dict[str, Amount] | None = None
    """Further resources of one process, by the names that Ray knows them by."""
    labels: Labels | None = None
    """Labels of the nodes to run on."""


class StagesConfig(Strict):
    """What the processes of each stage ask for, where it differs from `resources`."""

    training: StageConfig = StageConfig()
    """Of a training worker."""
    generation: StageConfig = StageConfig()
    """Of a generation actor."""
    execution: StageConfig = StageConfig()
    """Of an execution actor, which has 1 CPU and nothing else unless it is given here."""

    @field_validator("execution")
    @classmethod
    def _no_gpus(cls, execution: StageConfig) -> StageConfig:
        if execution.gpus:
            raise ValueError("programs run on CPUs; leave `gpus` out")
        return execution


class ResourcesConfig(StagesConfig):
    """Resources of a training worker and of a generating process, and the number of processes of a cell."""

    cpus: Annotated[Amount, UnitMark("CPUs")] = 1
    """CPUs of one worker."""
    gpus: Gpus = 0.0
    """GPUs of one worker: a share below 1, a whole number, or `auto`: the share that its predicted memory takes."""
    memory_gib: Memory = "auto"
    """Memory that Ray reserves for one worker; 0 reserves none, `auto` what is predicted, in whole GiB."""
    processes: Literal["auto", "trial", "workers"] = "auto"
    """Where one worker trains: `trial`, in the cell's own process, or `workers`; `auto`: the first without a GPU."""
    generators: Annotated[Count, UnitMark("actors")] = 1
    """Processes that generate one cell's completions at a time."""
    executors: Annotated[Executors, UnitMark("actors")] = "auto"
    """Actors that execute one cell's programs; `auto` starts with one and adds more while CPUs are free."""
    custom: dict[str, Amount] = {}
    """Further resources of a worker, by the names that Ray knows them by."""
    labels: Labels = {}
    """Labels of the nodes to run on, as Ray's label selectors: `{ray.io/accelerator-type: "in(A100,H100)"}`."""
    allow_mixed: bool = False
    """Whether models of one group may run on unlike accelerators and versions; the report says so."""
