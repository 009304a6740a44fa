"""The contract of a table or figure that a file defines: a class reads the file's keys and draws it from a sweep.

The class is the file's `kind`. Its fields are the file's keys; pydantic checks them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName
from raysweep.analysis.comparisons.estimate import rates_over_seeds
from raysweep.analysis.exhibits.answers import Answers, NoAnswers, ShownAnswer
from raysweep.analysis.exhibits.edit_pages import PairPage
from raysweep.analysis.exhibits.edits import Edits
from raysweep.analysis.figures.look import ReportFigure
from raysweep.analysis.tables.choices import ReportedChoice
from raysweep.analysis.tables.frame import ALL_SEEDS, ModelVariant, ScoreFrame
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import UsageError, did_you_mean
from raysweep.metrics.base import CellLabels
from raysweep.quality.reports import CellReports
from raysweep.records import BASE
from raysweep.registry import Registry

Text = Annotated[str, Field(min_length=1)]


def _no_list(value: object) -> object:
    if isinstance(value, list):
        written = ", ".join(f"{one}: 1" for one in value)
        raise ValueError(f"must be a mapping of metrics to digits after the point, not {value!r}; write {{{written}}}")
    return value


Digits = Annotated[
    dict[str, Annotated[int, Field(ge=0, le=6)]],
    Field(min_length=1),
    BeforeValidator(_no_list, json_schema_input_type=dict[str, int]),
]
"""Metrics, each with its digits after the point."""
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class NothingToDraw(UsageError):
    """A sweep has no number for a table or figure; the text says what it lacks.

    `there`: what the sweep has instead, for who asked by name; the page's list of what it leaves out is without it.
    """

    def __init__(self, why: str, there: str = "") -> None:
        super().__init__(f"{why}{there}")
        self.why = why


@dataclass(frozen=True)
class Evidence:
    """What a sweep has found, as far as tables and figures show it.

    Attributes:
        frame: scores and failures.
        rates: verdicts by problem of each cell, on clean prompts and the headline's at least, and what `Exhibit.reads`
            names; of base models and after clean fine-tuning on all. Empty if unknown.
        trainings: what the trainings reported.
        linted: what a linter says of completions.
        answers: what the models answered.
        edits: models that were edited from one edit example, and prompts that a model rewrote.
        choices: which recipe of a group was chosen for a model, and among which.
        by_seed: scores and failures with a variant for each seed, where `frame` has means over seeds; None: it has not.
    """

    frame: ScoreFrame
    rates: Mapping[CellLabels, Mapping[TestSetName, ProblemRates]] = field(default_factory=dict)
    trainings: Sequence[ReportedTraining] = ()
    linted: Sequence[CellReports] = ()
    answers: Answers = field(default_factory=NoAnswers)
    edits: Edits = field(default_factory=Edits)
    choices: Sequence[ReportedChoice] = ()
    by_seed: ScoreFrame | None = None

    @property
    def each_seed(self) -> ScoreFrame:
        """The scores with a variant for each seed."""
        return self.by_seed or self.frame

    @property
    def pools_seeds(self) -> bool:
        """Whether several seeds have one row, also in what is drawn from `each_seed`."""
        return self.by_seed is not None

    def for_kind(self, kind: type[Exhibit]) -> Evidence:
        """Return the evidence as a kind of exhibit reads it."""
        return replace(self, frame=self.each_seed) if kind.reads_seeds else self

    def rates_of(self, variant: ModelVariant, training_set: str) -> Mapping[TestSetName, ProblemRates]:
        """Return the verdicts of a variant after a training, by test set; the base model's belong to all variants.

        Those of a variant for all seeds are means over these, problem by problem.
        """
        if training_set == BASE:
            return self._of_bases.get(variant.model, {})
        if variant.seed == ALL_SEEDS:
            return self._over_seeds.get((variant.model, variant.recipe, training_set), {})
        return self.rates.get(CellLabels(variant.model, variant.recipe, training_set, variant.seed), {})

    @cached_property
    def _over_seeds(self) -> Mapping[tuple[str, str, str], Mapping[TestSetName, ProblemRates]]:
        seeds: dict[tuple[str, str, str], dict[TestSetName, list[ProblemRates]]] = {}
        for cell, by_test in self.rates.items():
            of_group = seeds.setdefault((cell.model, cell.recipe, cell.training_set), {})
            for test_set, rates in by_test.items():
                of_group.setdefault(test_set, []).append(rates)
        return {
            group: {test_set: rates_over_seeds(rates) for test_set, rates in by_test.items()}
            for group, by_test in seeds.items()
        }

    @cached_property
    def _of_bases(self) -> Mapping[str, Mapping[TestSetName, ProblemRates]]:
        return {cell.model: by_test for cell, by_test in self.rates.items() if cell.training_set == BASE}


@dataclass(frozen=True)
class Conclusion:
    """What a sweep says of one test set, in three sentences: the answer, how sure it is, what it costs.

    `cost` is empty where nothing is known of it.
    """

    answer: str
    sure: str
    cost: str


Group = Literal[
    "summaries",
    "comparisons",
    "grids",
    "recipes",
    "tests",
    "more tests",
    "quality",
    "edits",
    "edit rows",
    "program repair",
    "",
]
"""Groups of tables without a figure, which sections of the report show; "": no section shows them."""
SUMMARIES: Final = "summaries"  # scores of one model
COMPARISONS: Final = "comparisons"  # scores over models
GRIDS: Final = "grids"  # scores in the form of a study
RECIPES: Final = "recipes"  # recipes of one model side by side
TESTS: Final = "tests"  # over models
MORE_TESTS: Final = "more tests"  # of one model
QUALITY: Final = "quality"  # of code
EDITS: Final = "edits"  # of models edited from one edit example, over pairs
EDIT_ROWS: Final = "edit rows"  # a row for each edit
PROGRAM_REPAIR: Final = "program repair"  # of models that repair programs, by how they were fine-tuned


Counted = Literal["model", "recipe", "mix", "perturbation"]
"""What `Exhibit.at_least` counts: base models, most recipes of a model, the mixes of methods that are trained on and
judged on (in a sweep without any, all perturbations that are), the perturbations of test prompts."""


@dataclass(frozen=True)
class SideBySideTask:
    """One task with the completions of several models. `label`: which models, in words."""

    title: str
    label: str
    task_id: str
    prompt: str
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True)
class Unasked:
    """A table or figure that a report doesn't show. `why`: what the sweep lacks, a clause about it."""

    id: str
    why: str


@dataclass(frozen=True)
class Drawn:
    """Tables, figures, conclusions, completions side by side, pages of edits; all empty where there is nothing to show.

    `groups`: the tables of each group. `pairs`: the pages of edits; `pairs_left_out`: of how many more there is none.
    `left_out`: the tables and figures whose question can't be asked of the sweep.
    """

    tables: tuple[Table, ...] = ()
    figures: tuple[ReportFigure, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    groups: Mapping[str, Sequence[Table]] = field(default_factory=dict)
    side_by_side: tuple[SideBySideTask, ...] = ()
    pairs: tuple[PairPage, ...] = ()
    pairs_left_out: int = 0
    left_out: tuple[Unasked, ...] = ()


def unknown_metric(frame: ScoreFrame, metric: str) -> str:
    """Return that a sweep has no such metric, with the one that may be meant; empty if it has it, or no number yet."""
    known = dict.fromkeys(name for problems in frame.problem_sets for name in frame.metrics(problems))
    return "" if metric in known or not known else f"it has no metric {metric!r}{did_you_mean(metric, known)}"


@dataclass(frozen=True)
class Need:
    """What a sweep must have for a kind to show anything. `lacking`: a clause about one that hasn't."""

    is_met: Callable[[Evidence], bool]
    lacking: str


NOTHING_MORE = Need(lambda evidence: True, "")
EDITED_MODELS = Need(
    lambda evidence: bool(evidence.edits.made or evidence.edits.rewritten),
    "it has no edited models and no rewritten prompts",
)
REPAIRS = Need(
    lambda evidence: any(EXACT in evidence.frame.metrics(name) for name in evidence.frame.problem_sets),
    "it has no numbers of a problem set for repair yet",
)
LINTED = Need(lambda evidence: bool(evidence.linted), "no completion was linted (`evaluation.quality`)")
LANGUAGES = Need(
    lambda evidence: len(set(evidence.frame.order.languages.values())) > 1, "its problems are all in one language"
)
EXACT = "exact match@1"
"""The metric that every problem set for repair has."""


class Head(TypedDict):
    """The words of a table: its title, caption and label."""

    title: str
    caption: str
    label: str


class FileKeys(BaseModel):
    """A mapping of keys in a file; unknown keys and values of other types are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Exhibit(FileKeys, ABC):
    """A table or figure: what it shows, of which models, training sets and test sets.

    A kind that gives each of its keys a value needs no file: it is a table or figure by itself.

    `draw` returns tables in the order of the sweep's problem sets and models, and each figure with the table of its
    numbers. What the sweep lacks is left out, and the caption says so. Equal results give equal tables.
    """

    name: ClassVar[str]
    has_figure: ClassVar[bool] = False  # whether the kind has figures
    has_table: ClassVar[bool] = True  # whether it has tables
    reads_seeds: ClassVar[bool] = False  # whether it is rendered from scores with a variant for each seed, not for all
    subject: ClassVar[Need] = NOTHING_MORE
    place: ClassVar[str] = ""  # of a kind of raysweep that needs no file: where its file would be, for its order

    id: Id
    """The name on the command line and in files: ``table-4``."""
    title: Text
    """``{headline}`` is replaced by the perturbation of the primary metric."""
    source: str = ""
    """The study's table or figure that it reproduces."""
    caption: str = ""
    group: Group = ""
    """Of its tables, which says where on the page they are; empty: with its figures, or only in files."""

    at_least: Mapping[Counted, Annotated[int, Field(ge=1)]] = {}
    """How many of each a sweep must have for the question to be asked: ``{model: 2, mix: 2}``. A report leaves the
    item out of other sweeps; one that is named is rendered wherever there are numbers."""

    @abstractmethod
    def draw(self, evidence: Evidence) -> Drawn:
        """Return the tables and figures; raise NothingToDraw where the sweep has no number for them."""

    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        """Return of which cells `draw` reads the verdicts by problem: (training set, perturbation of the test set).

        They are many, so a sweep keeps in memory what is named here, and what `Evidence.rates` always has.

        Args:
            frame: the names that the sweep's config has; it need not have scores.
        """
        return ()

    def titled(self, frame: ScoreFrame, *parts: str) -> str:
        """Return the title with what tells several tables apart: a problem set, a model."""
        return ", ".join(
            [self.title.replace("{headline}", frame.headline or "perturbed prompts"), *filter(None, parts)]
        )

    def head(self, frame: ScoreFrame, *parts: str, said: Sequence[str] = ()) -> Head:
        """Return what all tables begin with. `parts`: what tells several apart; `said`: sentences of the caption."""
        label = "-".join([self.id, *parts])
        return {"title": self.titled(frame, *parts), "caption": self.captioned(*said), "label": label}

    def captioned(self, *sentences: str) -> str:
        """Return the caption, more sentences, and the source."""
        source = f"It has the form of the {self.source}." if self.source else ""
        return " ".join(filter(None, (self.caption.strip(), *sentences, source)))


EXHIBITS: Registry[Exhibit] = Registry("kind of table or figure", "raysweep.analysis.exhibits", Exhibit)
