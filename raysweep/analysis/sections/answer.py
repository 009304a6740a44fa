"""Says what a sweep asked, and which model answers best: with the title it is the report's first screen."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import EDITED
from raysweep.analysis.tables.quantities import problems_text
from raysweep.analysis.templates import templates
from raysweep.records import CLEAN
from raysweep.units import count

FEW = 3
"""So many models, perturbations and members of a mix are named; of more there is the number."""
REPAIR = "plausible@1"
"""The metric of problem sets whose answers are patches."""


@SECTIONS.register("answer")
class AnswerSection(Section):
    """What was asked, and the model with the highest pass@1: how sure that is, and what it costs."""

    title = "Answer"
    place = 5
    reads = ("drawn",)
    in_files = False
    template = "answer.html"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.scores:
            return None
        return Content(question(report.frame), values={"conclusions": report.drawn.conclusions})


def question(frame: ScoreFrame) -> str:
    """Return what a sweep asked, for readers who don't know it: its models, problems and prompts."""
    order, sets = frame.order, frame.problem_sets
    tasks: dict[str, list[str]] = {}
    for name in sets:
        tests = (CLEAN, *frame.perturbations)
        sizes = {score.n for test in tests for score in frame.all_scores(name, test, "pass@1")}
        verb = "repair the faulty programs of" if REPAIR in frame.metrics(name) else "solve"
        tasks.setdefault(verb, []).append(f"{problems_text(sizes) if sizes else 'the problems'} of {name}")
    tuned = {recipe for _, recipe, training_set, _ in frame.cells() if training_set in frame.tuned_sets}
    text = (
        templates("sections")
        .get_template("question.jinja")
        .render(
            frame=frame,
            few=FEW,
            count=count,
            tasks=tasks,
            tuned=bool(frame.tuned_sets),
            edited=EDITED in frame.training_sets,
            recipes=[name for name in order.recipes if name in tuned],
            seeds=order.seeds if tuned else 1,
            mixed=[order.test_label(name) for name in order.members.get(frame.headline, ())],
            measured=any("pass@1" in frame.metrics(name) for name in sets),
        )
    )
    return " ".join(text.split())
