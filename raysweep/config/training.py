"""The schema of what models are changed by: sources of training rows, training sets, edit examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from raysweep.config.document import KeyPath
from raysweep.config.fields import (
    Amount,
    Count,
    CountOrZero,
    DefaultMark,
    Name,
    SectionsMark,
    Share,
    SourceConfig,
    SourceSpec,
    Strict,
    UnitMark,
    declared,
    registered_or_declared,
)
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import CLEAN
from raysweep.training_sets.selection import Choice

CHOICE: Any = Choice()
"""The record that travels to workers: its defaults are the config's."""
ONLY = ""
"""The name of a config's source where it has one alone, under `training.source`."""

PerturbationName = Annotated[str, registered_or_declared(PERTURBATIONS, "perturbations")]


class TrainingSetConfig(Strict):
    """The training sets; a bare name means that perturbation on every row."""

    name: Name
    """Name of the set in results and files."""
    perturbation: Annotated[PerturbationName, DefaultMark("the set's name")]
    """Perturbation of its rows."""
    ratio: Annotated[Share, UnitMark("share of the rows")] = CHOICE.ratio
    """How many rows are perturbed; the others stay clean."""
    draw: CountOrZero = CHOICE.draw
    """Number of the random choice of the perturbed rows; another number perturbs other rows."""
    size: Annotated[Amount, UnitMark("x the source's rows")] = CHOICE.size
    """How many rows the set has."""
    compose: Literal["draw", "union", "stack"] = CHOICE.compose
    """A mix's methods: one at random for each row, a row for each method, or all in turn on each row."""
    source: Annotated[str, declared("training.sources", "training source")] | None = None
    """Which of `training.sources` its rows come from; null where there is `training.source` alone."""

    @property
    def choice(self) -> Choice:
        return Choice(self.ratio, self.draw, self.size, self.compose)

    @property
    def is_clean(self) -> bool:
        return self.perturbation == CLEAN and self.size == 1

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "perturbation": value}
        if isinstance(value, Mapping) and "perturbation" not in value and "name" in value:
            return {**value, "perturbation": value["name"]}
        return value


@dataclass(frozen=True)
class RowSource:
    """A source of training rows as a config has it.

    Attributes:
        name: its name under `training.sources`, or `ONLY`.
        rows: where its rows come from.
        validation: where the validation rows of its sets come from; None: they have none.
    """

    name: str
    rows: SourceConfig
    validation: SourceConfig | None

    @property
    def place(self) -> KeyPath:
        return ("training", "source") if self.name == ONLY else ("training", "sources", self.name)

    @property
    def validation_place(self) -> KeyPath:
        return ("training", "validation") if self.name == ONLY else ("training", "validations", self.name)

    @property
    def words(self) -> str:
        return ".".join(map(str, self.place))


class TrainingConfig(Strict):
    """Where training rows come from, and which training sets are made of them."""

    source: Annotated[SourceSpec | None, SectionsMark()] = None
    """Where the rows of all sets come from: `{name: jsonl, path: rows.jsonl}`."""
    sources: dict[Name, SourceSpec] = {}
    """In place of `source`, with its keys: several by name; each set names its own: `{name: a, source: evol}`."""
    decontaminate: Literal["report", "drop"] = "report"
    """Rows that leak test problems: only reported, or left out too."""
    validation: SourceSpec | None = None
    """Rows that aren't trained on and leak no test problem: their loss and measures that compare recipes are kept."""
    validations: dict[Annotated[str, declared("training.sources", "training source")], SourceSpec] = {}
    """In place of `validation`, beside `sources`: such rows for the sets of each source, by its name."""
    sets: Annotated[list[TrainingSetConfig], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.source is None) == (not self.sources):
            raise ValueError(
                f"must name {'either ' if self.sources else ''}one `source`, from which all sets take their rows, or "
                "several by name as `sources: {evol: ..., mine: ...}`"
            )
        if self.sources and self.validation is not None:
            raise ValueError("beside `sources`, `validations` names the validation rows of each, not `validation`")
        lacking = [trained.name for trained in self.sets if self.sources and trained.source is None]
        if lacking:
            raise ValueError(
                f"set {lacking[0]!r} must name its source, one of {', '.join(self.sources)}, as in "
                f"{{name: {lacking[0]}, source: {next(iter(self.sources))}}}"
            )
        return self

    @property
    def row_sources(self) -> tuple[RowSource, ...]:
        if self.source is not None:
            return (RowSource(ONLY, self.source, self.validation),)
        used = {trained.source for trained in self.sets}
        return tuple(
            RowSource(name, rows, self.validations.get(name)) for name, rows in self.sources.items() if name in used
        )

    def source_of(self, training_set: str) -> RowSource:
        name = next(trained.source for trained in self.sets if trained.name == training_set)
        return next(source for source in self.row_sources if source.name == (name or ONLY))

    def clean_set_of(self, training_set: str) -> str:
        """Return the name of the set that has all rows of the same source as they are; empty if there is none."""
        source = next((trained.source for trained in self.sets if trained.name == training_set), None)
        return next((trained.name for trained in self.sets if trained.source == source and trained.is_clean), "")


class EditsConfig(Strict):
    """The edit examples that models are edited from: a problem's clean prompt and its perturbed one."""

    perturbations: Annotated[list[PerturbationName], Field(min_length=1)]
    """Perturbations, of those of `evaluation`; an edited model is evaluated on that of its example and on `clean`."""
    pairs: Annotated[Count, UnitMark("edit examples")] = 5
    """How many of each problem set and perturbation, of problems whose clean prompt the model solves more often."""
    least_lost: Annotated[float, Field(gt=0, le=1), UnitMark("share of the samples")] = 0.3
    """How much more often it must solve a clean prompt: with few samples, smaller losses are mostly chance."""
    new_draws: bool = False
    """Whether edited models sample with other random numbers than their bases, by whose samples they were chosen."""
    found_on: Literal["scored", "own"] = "scored"
    """Samples of the base that show what broke: those that score it, too, or own ones, which cost as many again."""
    transfer: bool = False
    """Whether edited models are evaluated on the other ones of `perturbations` too, for a control and a matrix."""
    judged_on: Literal["category", "broken"] = "category"
    """Problems that edited models are evaluated on: all, or those which lose `least_lost` under its perturbation."""
    problems: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """Ids of the problems to take in place of randomly selected ones, such as HumanEval/49."""
