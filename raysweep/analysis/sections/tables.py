"""Sections that show tables, and figures, below a sentence or two; in the order of the page."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.exhibits.base import COMPARISONS, GRIDS, MORE_TESTS, PROGRAM_REPAIR, QUALITY, RECIPES, TESTS
from raysweep.analysis.sections.base import SECTIONS, Content, Folded, Report, Section
from raysweep.analysis.tables.choices import candidate_table, choice_table
from raysweep.analysis.tables.costs import cost_table
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.outcomes import outcome_tables
from raysweep.analysis.tables.quality_tables import quality_tables
from raysweep.analysis.tables.table import by_problem_set
from raysweep.analysis.tables.trainings import training_tables
from raysweep.units import count

MOST_ROWS = 40
"""Rows of a table that the page shows at once; longer tables of repairs are shown on demand."""
SEVERAL_RUNS = (
    " Numbers of each fine-tuned model are means over {runs}, with SD, the standard deviation between these, and with "
    "intervals over problems and training seeds. Its RD is the mean of the runs' RDs."
)


@SECTIONS.register("program-repair")
class ProgramRepairSection(Section):
    """Patches by family and fine-tuning method, methods compared, faulty lines in prompts, and what each takes."""

    title = "Repair"
    heading = "Program repair by fine-tuning method"
    place = 8
    without = "no model repairs programs"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        tables = report.drawn.groups.get(PROGRAM_REPAIR, ())
        if not tables:
            return None
        lead = (
            "Regime: the fine-tuning method of a model. Where recipes were chosen by validation loss, only the chosen "
            "model counts. A plausible patch passes all tests; whether it is correct only a person can say. The "
            "figures show how scores go with the size of models."
        )
        short, long = ([t for t in tables if (len(t.rows) > MOST_ROWS) == is_long] for is_long in (False, True))
        folded = [Folded(f"Case by case ({count(len(long), 'table')})", "Tables with many rows.", long)] if long else []
        return Content(lead, short, folded=folded)


@SECTIONS.register("tables")
class TablesSection(Section):
    """Scores of all models side by side, problem set by problem set."""

    title = "Tables"
    heading = "All scores"
    place = 30
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content:
        lead = "Numbers in brackets are 95 % intervals, over problems; n is the number of problems behind a number."
        if runs := report.training_runs:
            lead += SEVERAL_RUNS.format(runs=runs)
        grids = report.drawn.groups.get(GRIDS, ())
        folded = Folded(
            f"The same numbers in the study's tables ({len(grids)})",
            f"Each is a file in the sweep's folder `tables`, too; `raysweep report {report.name} --format latex` "
            "writes them for papers.",
            grids,
        )
        tables = by_problem_set(report.drawn.groups.get(COMPARISONS, ()))
        footnote = f"All numbers: {report.signature}." if report.signature else ""
        return Content(lead, tables, folded=[folded] if grids else [], footnote=footnote)


@SECTIONS.register("figures")
class FiguresSection(Section):
    """Figures and their numbers."""

    title = "Figures"
    place = 40
    without = "nothing to plot along ratios, sizes or models"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        figures = report.drawn.figures
        if not figures:
            return None
        labels = {figure.label for figure in figures}
        return Content(
            f"Each figure is a file in the sweep's folder `figures`, too; `raysweep report {report.name} --format pdf` "
            "writes them for papers.",
            [table for table in report.drawn.tables if table.label in labels],
            figures,
        )


@SECTIONS.register("evidence")
class EvidenceSection(Section):
    """Each recipe compared with the first, each fine-tuned model beside its baseline, and tests."""

    title = "Evidence"
    heading = "How sure is it?"
    place = 50
    without = "there are no two models to compare"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        groups = report.drawn.groups
        recipes, tests, more = (groups.get(group, ()) for group in (RECIPES, TESTS, MORE_TESTS))
        differences = difference_tables(report.frame)
        tables = [*recipes, *differences, *tests, *more]
        if not tables:
            return None
        said = (
            (recipes, "how recipes of one model differ"),
            (differences, "how each fine-tuned model differs from its baseline on the same problems"),
            (tests, "what tests over all models say"),
            (more, "what tests of one model say"),
        )
        *first, last = [clause for shown, clause in said if shown]
        lead = f"The tables show {', '.join(first)}{' and ' if first else ''}{last}."
        lead += " Edited models are compared with their base under Edits." if report.order.pairs else ""
        return Content(lead, tables)


@SECTIONS.register("choices")
class ChoicesSection(Section):
    """The chosen recipe of each group, with the losses of all candidates on demand."""

    title = "Choices"
    heading = "Which recipes were chosen"
    place = 55
    without = "no recipe was chosen by validation loss"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.choices:
            return None
        lead = (
            "Where a recipe has lists of numbers and `select`, a model was trained for each combination, and one was "
            "chosen by its loss on rows that it wasn't trained on. No test set had a part in the choice."
        )
        number = sum(len(choice.candidates) for choice in report.choices)
        table = candidate_table(report.choices, report.order, over_seeds=report.over_seeds)
        folded = [Folded(f"All {count(number, 'candidate')}", table.caption, [table])] if number else []
        chosen = choice_table(report.choices, report.order, over_seeds=report.over_seeds)
        return Content(lead, [chosen], folded=folded)


@SECTIONS.register("reasons")
class ReasonsSection(Section):
    """Outcomes, trainings and cost."""

    title = "Outcomes"
    heading = "Outcomes, trainings, cost"
    place = 60
    reads = ("outcomes", "costs")

    @override
    def draw(self, report: Report) -> Content | None:
        tables = outcome_tables(report.outcomes, report.order)
        tables += training_tables(report.trainings, report.order, over_seeds=report.over_seeds)
        tables += [cost_table(report.costs)] if report.costs else []
        lead = "How completions ended, how each model was trained, and what it took."
        return Content(lead, tables) if tables else None


@SECTIONS.register("quality")
class QualitySection(Section):
    """Code quality by model and training set."""

    title = "Code quality"
    place = 70
    without = "the config has no `evaluation.quality`"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.strata:
            return None
        tables = [
            *quality_tables(report.linted, report.strata, report.order),
            *report.drawn.groups.get(QUALITY, ()),
        ]
        lead = (
            "What pylint says of a sample of the completions of clean prompts, each with its prompt as one file. Base "
            "models are a separate sample."
        )
        none = (
            " No file could be linted: the cells that the sample is taken from have failed or are missing, or the "
            "linter failed, which the run and its log say."
        )
        return Content(lead if tables else lead + none, tables)
