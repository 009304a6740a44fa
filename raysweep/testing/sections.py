"""The contract of sections of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from raysweep.analysis.exhibits.answers import ShownAnswer
from raysweep.analysis.exhibits.base import PROGRAM_REPAIR, Evidence, SideBySideTask
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.exhibits.edit_pages import PairPage, ShownEdit
from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.base import ON_DEMAND, SECTIONS, Content, PairSamples, Report, Section
from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice
from raysweep.analysis.tables.costs import Cost
from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.analysis.tables.score_book import Failure, Order, ScoreBook
from raysweep.analysis.tables.table import FORMATS, Column, Row, Table, TableCell, written
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.quality.reports import CellReports, FileReport, LintedStratum, LintMessage, LintReports
from raysweep.records import BASE, CLEAN, NOT_TUNED, Completion, Difference, Score, Spec
from raysweep.testing.contract import WithoutArguments, elsewhere, no_global_generator
from raysweep.testing.metrics import prompts, results

SEED, PROBLEMS = 42, "examples"
EMPTY = Report("empty", "A sweep without results", "", (), Order(), ())
"""The records of a sweep that has none."""
PASSED = {BASE: (0.75, 0.5), CLEAN: (0.875, 0.5), "C1": (0.75, 0.625)}
"""By training set: pass@1 on clean prompts and on perturbed ones."""


@cache
def small_report() -> Report:
    """Return the records of a small sweep: two models, three training sets, two test sets, one failed cell."""
    order = Order(
        models=("small", "large"),
        training_sets=tuple(PASSED),
        problem_sets=(PROBLEMS,),
        perturbations=(CLEAN, "C1"),
        headline="C1",
        words={"C1": "neighbouring keys"},
        training_words={"C1": "neighbouring keys"},
        trained_with={CLEAN: CLEAN, "C1": "C1"},
    )
    scores, failures = list(_scores(order)), [Failure("large", "full", "C2", SEED, "no space is left")]
    linted = [_linted(model, name) for model in order.models for name in order.training_sets]
    drawn = draw(list(read_exhibits().values()), Evidence(ScoreBook.of(scores, order, failures), linted=linted))
    completions = [Completion(f"task/{number:02d}", 0, "    return 1\n", "eos", 4, "0" * 64) for number in range(8)]
    cell = ("small", "full", "C1", SEED)
    return Report(
        name="sweep",
        title="A small sweep",
        notice="",
        scores=scores,
        order=order,
        failures=failures,
        settings=[("strengths", "C1 1")],
        config_yaml="name: sweep\n",
        provenance=[("machine", "4 CPUs")],
        samples=[
            PairSamples("small", "C1", SEED, "full", PROBLEMS, "C1", prompts(8), completions, results("+-++x+-+"))
        ],
        outcomes=[PairOutcomes(*cell, PROBLEMS, name, {"passed": 5, "failed": 3}, 0) for name in (CLEAN, "C1")],
        trainings=[ReportedTraining("small", "C1", "full", SEED, 64, 0, {}, 4, ((1, 2.5), (4, 1.5)), 1.5)],
        differences=[Difference(*cell, CLEAN, PROBLEMS, "C1", "pass@1_difference", 0.125, -0.1, 0.3, 8)],
        drawn=replace(
            drawn,
            side_by_side=(_task(),),
            pairs=(_pair(),),
            groups={**drawn.groups, PROGRAM_REPAIR: [_patches()]},
        ),
        signature="1 sample; raysweep 0.1",
        costs=[Cost("small", trainings=1, training_hours=0.5)],
        linted=linted,
        choices=[_choice()],
        strata=[LintedStratum(PROBLEMS, name, 32, 8, 0, "pylint 4.1") for name in ("tuned", "bases")],
    )


def _scores(order: Order) -> Iterator[Score]:
    for model in order.models:
        for name, (clean, perturbed) in PASSED.items():
            cell = (model, NOT_TUNED if name == BASE else "full", name, SEED, PROBLEMS)
            yield Score(*cell, CLEAN, "pass@1", clean, clean - 0.2, 1.0, 8)
            for metric, value in (("pass@1", perturbed), ("RD", 1 - perturbed / clean), ("drop", perturbed - clean)):
                yield Score(*cell, "C1", metric, value, value - 0.2, value + 0.2, 8)


def _task() -> SideBySideTask:
    answers = [("before fine-tuning", "return x - 1"), ("full", "return x + 1")]
    shown = tuple(ShownAnswer(label, label == "full", "judged", text) for label, text in answers)
    return SideBySideTask("Completions", "small", "task/01", "def f(x):", shown)


def _choice() -> ReportedChoice:
    chosen = ReportedCandidate("lora.lr1e-4", 0.25, 8, 8, is_chosen=True)
    other = ReportedCandidate("lora.lr1e-5", 0.5, 8, 8, is_chosen=False)
    return ReportedChoice("small", "lora", "C1", SEED, (chosen, other))


def _patches() -> Table:
    cell = TableCell("12.5", "[2.0, 40.0]", 12.5, 2.0, 40.0, state="value", n=8)
    columns = (Column("plausible@1 (%)", PROBLEMS),)
    return Table("Patches", "", ("model", "regime"), columns, (Row(("small", "full"), (cell,)),))


def _pair() -> PairPage:
    before = tuple(ShownAnswer(f"base, {number}", not number, "judged", "return x") for number in range(2))
    edit = ShownEdit("creme", "", ("restored 25.0 %", "block 1 of 2"), (), before[:1])
    return PairPage("small", "examples-C1-pair1", "task/01", "def f(x):", "def f(y):", before, (edit,))


def _linted(model: str, training_set: str) -> CellReports:
    files = tuple(FileReport(f"task/{number:02d}", "linted", 7.5, 4, 6) for number in range(4))
    messages = (LintMessage("task/00", "W0613", "unused-argument", 1, 0),)
    recipe = NOT_TUNED if training_set == BASE else "full"
    return CellReports(model, recipe, training_set, SEED, PROBLEMS, LintReports(files, messages))


class SectionContract(WithoutArguments):
    """Tests of what `raysweep.analysis.sections.base` asks of a section of the report.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
    """

    make: Callable[..., Section]
    registry = SECTIONS

    def report(self) -> Report:
        """Return the records of a sweep. Override it for a section that needs others to have something to show."""
        return small_report()

    def content(self) -> Content:
        """Return what the section shows of these records; fail if that is nothing."""
        content = _drawn(self.part(), self.report())
        assert content is not None, "draw() shows something of a sweep; override `report` if these records lack it"
        return content

    def test_it_shows_a_sweep(self) -> None:
        """A section that never shows anything is none."""
        assert isinstance(self.content(), Content), "draw() returns a Content, or None where it has nothing to show"

    def test_a_sweep_without_results_has_a_report(self) -> None:
        """All cells may have failed."""
        content = _drawn(self.part(), EMPTY)
        assert content is None or isinstance(content, Content), "draw() returns None where it has nothing to show"

    def test_it_reads_only_the_records_that_it_names(self) -> None:
        """The others may be empty."""
        part, report = self.part(), self.report()
        others = {name: getattr(EMPTY, name) for name in ON_DEMAND if name not in part.reads}
        assert repr(_drawn(part, report)) == repr(_drawn(part, replace(report, **others))), (
            f"`reads` names the records on demand that draw() reads; it reads others than {part.reads}"
        )

    def test_equal_records_give_equal_content_in_every_process(self) -> None:
        """A report is written again from the stored results, on any machine."""
        part, report = self.part(), self.report()
        with no_global_generator():
            first = repr(_drawn(part, report))
        assert repr(_drawn(part, report)) == first, "equal records give equal content"
        assert elsewhere(_content_of, self.spec(), report) == first, "another process gives the same content"

    def test_its_tables_and_figures_are_files_too(self) -> None:
        """`raysweep report --format` writes them."""
        content = self.content()
        assert self.part().in_files or not (content.all_tables or content.figures), (
            "a section with tables or figures has `in_files` True: they are files too"
        )
        for table in content.all_tables:
            assert all(written(table, format) for format in FORMATS), f"the table {table.title!r} can be a file"

    def test_the_page_shows_it(self) -> None:
        """Its template takes its content."""
        part, content = self.part(), self.content()
        try:
            page = render_report(self.report(), [(part, content)])
        except Exception as error:
            pytest.fail(f"its template {part.template} shows what draw() returns, and not {error!r}")
        assert f'<section id="{part.name}"' in page, f"its template {part.template} begins with an element of its name"


def _drawn(part: Section, report: Report) -> Content | None:
    try:
        return part.draw(report)
    except Exception as error:
        pytest.fail(f"draw() raises nothing: without what it needs it shows less, or returns None, and not {error!r}")


def _content_of(spec: Spec, report: Report) -> str:
    return repr(SECTIONS.create(spec).draw(report))
