"""The contract of a section of the report: a class that reads records of a sweep and says what it shows of them.

The page shows the registered sections one below the other. `raysweep report` writes their tables and figures into
files, those of one section with ``--only NAME``. So a new number is one file: a class that is registered here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from raysweep.analysis.exhibits.base import Drawn
from raysweep.analysis.figures.look import ReportFigure
from raysweep.analysis.tables.choices import ReportedChoice
from raysweep.analysis.tables.costs import Cost
from raysweep.analysis.tables.frame import Failure, Number, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.analysis.tables.pooling import failures_over_seeds
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import RaysweepError, UsageError, did_you_mean
from raysweep.quality.reports import CellReports, LintedStratum
from raysweep.records import Completion, Difference, PromptRow, Result, Score
from raysweep.registry import Registry
from raysweep.units import count

Lines = Sequence[tuple[str, str]]  # (label, value) of readable text

ON_DEMAND = ("outcomes", "costs", "samples", "settings", "provenance", "drawn")
"""Fields of `Report` that take long to read: they are read if a section's `reads` names them."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """What the page shows of a `Completion`."""

    task_id: str
    sample: int
    text: str


@dataclass(frozen=True, slots=True)
class ShownResult:
    """What the page shows of a `Result`."""

    task_id: str
    sample: int
    outcome: str
    detail: str
    stderr: str
    program: str = ""


@dataclass(frozen=True)
class PairSamples:
    """The samples of one model on one test set. A result without its completion is shown with an empty one.

    `total`: number of the pair's results, where `results` has only some of them; None: all are there.
    """

    model: str
    training_set: str
    seed: int
    recipe: str
    problem_set: str
    perturbation: str
    prompts: Sequence[PromptRow]
    completions: Sequence[Completion | ShownText]
    results: Sequence[Result | ShownResult]
    total: int | None = None


@dataclass(frozen=True)
class Report:
    """The records of a sweep that its report is made from. Those of `ON_DEMAND` may be empty, all others are there."""

    name: str
    title: str
    notice: str  # a warning against wrong conclusions, shown first; "": none
    scores: Sequence[Score]
    order: Order
    failures: Sequence[Failure]
    limit: str = ""  # what a limited run left out; "": nothing
    settings: Lines = ()
    config_yaml: str = ""
    provenance: Lines = ()
    samples: Sequence[PairSamples] = ()
    by_seed: ScoreFrame | None = None  # scores and failures of each seed, where those above are means over seeds
    samples_per_pair: int | None = None  # see `raysweep.analysis.page.sample_viewer.samples_json`
    outcomes: Sequence[PairOutcomes] = ()
    trainings: Sequence[ReportedTraining] = ()
    differences: Sequence[Difference | Number] = ()
    drawn: Drawn = field(default_factory=Drawn)  # what files define
    signature: str = ""  # settings and versions that all numbers rest on
    costs: Sequence[Cost] = ()
    choices: Sequence[ReportedChoice] = ()  # of one recipe of a group
    linted: Sequence[CellReports] = ()
    strata: Sequence[LintedStratum] = ()  # of the sample that was linted

    @cached_property
    def frame(self) -> ScoreFrame:
        """The frame of all scores and differences, with the failures."""
        failures = failures_over_seeds(self.failures) if self.over_seeds else self.failures
        return ScoreFrame.of(self.scores, self.order, failures, self.differences)

    @property
    def over_seeds(self) -> bool:
        """Whether scores and differences are means over seeds."""
        return self.by_seed is not None

    @cached_property
    def training_runs(self) -> str:
        """``3 training runs (seeds 1, 2, 3)`` where numbers of fine-tuned models are means over them; otherwise empty.

        Those count that have numbers: ``up to 3`` where some models have fewer on a test set than others. The seeds are
        named where one model has them all.
        """
        seeds: dict[tuple[str, ...], set[int]] = {}
        for score in self.by_seed.scores() if self.by_seed else ():
            if score.training_set in self.frame.tuned_sets and not math.isnan(score.value):
                place = (score.model, score.recipe, score.training_set, score.problem_set, score.perturbation)
                seeds.setdefault(place, set()).add(score.seed)
        if not seeds:
            return ""
        number, found = max(map(len, seeds.values())), sorted(set[int]().union(*seeds.values()))
        up_to = "up to " if min(map(len, seeds.values())) < number else ""
        named = f" (seed{'s' * (number > 1)} {', '.join(map(str, found))})" if len(found) == number else ""
        return f"{up_to}{count(number, 'training run')}{named}"


@dataclass(frozen=True)
class Folded:
    """Tables that the page shows on demand, below a line that names them."""

    summary: str
    lead: str
    tables: Sequence[Table]


@dataclass(frozen=True)
class Content:
    """What a section shows.

    Attributes:
        lead: the sentences below its heading; text between backticks is code.
        footnote: to the lead, below the tables; empty: none.
        tables: a table with the label of a figure stands below it, the others after the figures.
        figures: see `tables`.
        folded: more tables, shown on demand.
        values: what a template of the section's own shows.
    """

    lead: str = ""
    footnote: str = field(default="", kw_only=True)
    tables: Sequence[Table] = ()
    figures: Sequence[ReportFigure] = ()
    folded: Sequence[Folded] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_tables(self) -> list[Table]:
        """The tables, also those on demand."""
        return [*self.tables, *(table for folded in self.folded for table in folded.tables)]


class Section(ABC):
    """A section of the report. Equal records give equal content.

    Attributes:
        name: on the command line, and of its anchor on the page.
        title: its link in the page's navigation.
        heading: on the page; empty: the title.
        place: sections stand in this order.
        reads: those of `ON_DEMAND` that it reads; all other fields of `Report` are always there, named or not.
        without: why a sweep has no such section, a clause that the page's end gives; empty: it says nothing of that.
        in_files: whether it has tables or figures, which are files too.
        template: the page's template, which begins with ``<section id="NAME"``; the usual one shows lead, figures and
            tables.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    heading: ClassVar[str] = ""
    place: ClassVar[int] = 75
    reads: ClassVar[tuple[str, ...]] = ()
    without: ClassVar[str] = ""
    in_files: ClassVar[bool] = True
    template: ClassVar[str] = "section.html"

    def __init_subclass__(cls) -> None:
        """Raise UsageError if `reads` names something that a report hasn't."""
        super().__init_subclass__()
        records = [record.name for record in fields(Report)]
        for name in cls.reads:
            if name not in records:
                section = f"{cls.__module__}.{cls.__qualname__}"
                raise UsageError(
                    f"section {section}: reads is {cls.reads!r}, and a Report has no {name!r}"
                    f"{did_you_mean(name, records)}; give a tuple of {', '.join(ON_DEMAND)}, or leave it out: "
                    "everything else of a Report is always there"
                )

    @abstractmethod
    def draw(self, report: Report) -> Content | None:
        """Return what the section shows; None where the sweep has nothing for it, and the page has no such section.

        It raises nothing, also for a sweep without any number.
        """


SECTIONS: Registry[Section] = Registry("section of the report", "raysweep.analysis.sections", Section)

Shown = Sequence[tuple[Section, Content]]
"""Sections with what they show."""


def all_sections() -> list[Section]:
    """Return the sections in the page's order."""
    sections = [SECTIONS.get(name)() for name in SECTIONS.names()]
    return sorted(sections, key=lambda section: (section.place, section.name))


def show(report: Report, sections: Iterable[Section] | None = None) -> Shown:
    """Return the sections that have something to show, with what it is; of all sections if none are given."""
    drawn = [(section, _drawn(section, report)) for section in (all_sections() if sections is None else sections)]
    return [(section, content) for section, content in drawn if content is not None]


def _drawn(section: Section, report: Report) -> Content | None:
    """Raise RaysweepError, which names the section, for an error in it."""
    try:
        return section.draw(report)
    except Exception as error:
        cls = type(section)
        where = f"the report's section {section.name!r} ({cls.__module__}.{cls.__qualname__})"
        raise RaysweepError(f"{where} ended with {type(error).__name__}: {error}") from error
