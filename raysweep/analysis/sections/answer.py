"""Says what a sweep asked, and which model to choose: with the title it is the report's first screen."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.frame import ScoreBook
from raysweep.analysis.tables.pooling import EDITED
from raysweep.analysis.tables.quantities import problems_text
from raysweep.records import CLEAN
from raysweep.units import count

FEW = 3
"""So many models, perturbations and members of a mix are named; of more there is the number."""
REPAIR = "plausible@1"
"""The metric of problem sets whose answers are patches."""


@SECTIONS.register("answer")
class AnswerSection(Section):
    """What was asked, and the model to choose: how sure that is, what it costs, what to do next."""

    title = "Answer"
    place = 5
    reads = ("drawn",)
    in_files = False
    template = "answer.html"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.scores:
            return None
        return Content(question(report.book), values={"conclusions": report.drawn.conclusions})


def question(book: ScoreBook) -> str:
    """Return what a sweep asked, for readers who don't know it: its models, problems and prompts."""
    models, were = _listed(book.models, "code model"), "was" if len(book.models) == 1 else "were"
    changes = [f"fine-tuning{_ways(book)}"] * bool(book.tuned_sets) + ["editing"] * (EDITED in book.training_sets)
    when = f", before and after {' or '.join(changes)}" if changes else ""
    measured = any("pass@1" in book.metrics(problems) for problems in book.problem_sets)
    passing = " pass@1: the share of programs that pass all tests of their problem." if measured else ""
    return f"{models} {were} asked to {_tasks(book)}{when}: {_prompts(book)}.{passing}"


def _ways(book: ScoreBook) -> str:
    tuned = {recipe for _, recipe, training_set, _ in book.cells() if training_set in book.tuned_sets}
    recipes = [name for name in book.order.recipes if name in tuned]
    ways = [f"by the recipes {_in_one_list(recipes)}"] if 1 < len(recipes) <= FEW else []
    ways += [f"with {book.order.seeds} seeds each"] if tuned and book.order.seeds > 1 else []
    return f" ({', '.join(ways)})" if ways else ""


def _listed(names: Sequence[str], noun: str) -> str:
    if len(names) > FEW:
        return count(len(names), noun)
    return f"The {noun}{'s' if len(names) > 1 else ''} {' and '.join(names)}"


def _tasks(book: ScoreBook) -> str:
    sets: dict[str, list[str]] = {}
    for name in book.problem_sets:
        verb = "repair the faulty programs of" if REPAIR in book.metrics(name) else "solve"
        sets.setdefault(verb, []).append(_problems(book, name))
    return " and ".join(f"{verb} {_in_one_list(problems)}" for verb, problems in sets.items())


def _in_one_list(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _problems(book: ScoreBook, problems: str) -> str:
    tests = (CLEAN, *book.perturbations)
    sizes = {score.n for test in tests for score in book.all_scores(problems, test, "pass@1")}
    return f"{problems_text(sizes)} of {problems}" if sizes else f"the problems of {problems}"


def _prompts(book: ScoreBook) -> str:
    if not book.perturbations:
        return "from prompts as they are"
    labels = [_label(book, name) for name in book.perturbations]
    changes = f"{count(len(labels), 'perturbation')}, such as {_label(book, book.headline)}"
    if len(labels) <= FEW:
        changes = _in_one_list(labels)
    return f"from prompts as they are, and from prompts changed by {changes}"


def _label(book: ScoreBook, name: str) -> str:
    members = book.order.members.get(name, ()) if name == book.headline else ()
    if not 1 < len(members) <= FEW:
        return book.order.test_label(name)
    one_of = _in_one_list([book.order.test_label(member) for member in members])
    return f"{book.order.words.get(name, 'a mix')} ({name}: for each prompt one of {one_of})"
