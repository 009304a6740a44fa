"""Says which model to choose, how sure that is, what it costs and what to do next: the first thing in a report.

The sentences stand in choice.jinja and alone.jinja, beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from raysweep.analysis.comparisons.estimate import Estimate
from raysweep.analysis.exhibits.base import Conclusion, Remark
from raysweep.analysis.exhibits.choosing.candidates import Candidate, Choosing
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import EDITED
from raysweep.analysis.tables.quantities import PASS
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.analysis.templates import templates
from raysweep.errors import UsageError
from raysweep.records import BASE, CLEAN
from raysweep.stats import problems_needed
from raysweep.stats.intervals import COVERAGE
from raysweep.units import count, duration

RIVALS = 3
"""Of models that tie, so many are named."""
POWER = 0.8
"""The chance that so many problems show the lead of the best one over the second."""
SAME_CLEAN = 5e-4
"""Shares of clean prompts that differ by less are printed alike."""


def conclude(choosing: Choosing, trainings: Sequence[ReportedTraining], table: Table) -> Conclusion:
    chosen, base, second = choosing.chosen, choosing.base, choosing.second
    several = choosing.resampled_seeds > 1
    beside = {"without fine-tuning": base, "fine-tuned on clean prompts": choosing.clean_twin}
    gain = chosen.gain(base) if base is not None and base is not chosen else None
    lead, clean = choosing.lead, None if choosing.test == CLEAN else chosen.clean_mean
    known = [one for one in choosing.candidates if one.clean_mean is not None]

    def missing(one: Candidate) -> bool:
        return one.training_set != BASE and choosing.seeds > len(one.by_seed)

    best = max(known, key=lambda one: one.clean_mean or 0.0, default=chosen)
    return _said(
        "choice.jinja",
        choosing.frame,
        table,
        choosing=choosing,
        chosen=chosen,
        second=second,
        where=_where(choosing.frame, choosing.problem_set, choosing.test),
        score=lambda one: PASS.format(choosing.score_of(one)),
        tied=_tied(choosing),
        seeds=chosen.over_seeds,
        missing=missing,
        lacking=len(choosing.tied) == 1 and (missing(chosen) or missing(second)),
        trained=not chosen.training_set == second.training_set == BASE,
        only_edits=_only_edits(choosing.frame),
        others=[
            (words, other)
            for words, other in beside.items()
            if other is not None and other is not chosen and (choosing.is_clear or other is not second)
        ],
        over=count(choosing.best.n, "problem") + (f" and {choosing.resampled_seeds} seeds" if several else ""),
        gain=gain if gain is not None and not math.isnan(gain.low) and gain.value > 0 else None,
        lead=lead if lead is not None and lead.seeds > 1 and not math.isnan(lead.low) and lead.value > 0 else None,
        clean=clean,
        before=base.clean_mean if base not in (None, chosen, best) else None,
        best=best if (best.clean_mean or 0.0) > (clean or 0.0) + SAME_CLEAN else None,
        seconds=_seconds(chosen, trainings),
        needed=_problems_needed(choosing),
    )


def describe(alone: Candidate, frame: ScoreFrame, problem_set: str, test: str) -> Conclusion:
    seeds = alone.over_seeds
    return _said(
        "alone.jinja",
        frame,
        None,
        alone=alone,
        where=_where(frame, problem_set, test),
        seeds=seeds,
        over=count(len(alone.perturbed), "problem") + (f" and {seeds.seeds} seeds" if seeds.seeds > 1 else ""),
        test=test,
        label=frame.order.test_label(test),
        is_clean=test == CLEAN,
        unfinished=len(frame.models) > 1 or any(name != alone.training_set for name in (BASE, *frame.tuned_sets)),
        only_edits=_only_edits(frame),
    )


def _said(template: str, frame: ScoreFrame, table: Table | None, **facts: Any) -> Conclusion:
    environment = templates("exhibits/choosing")
    environment.filters.update(percent=PASS.format, share=share_text, interval=_interval, duration=duration)
    text = environment.get_template(template).render(facts, named=partial(name_of, frame))
    paragraphs = text.strip().split("\n\n")
    sentence, *points = (" ".join(paragraph.split()) for paragraph in paragraphs)
    remarks = [Remark(f"{question}?", answer) for question, _, answer in (point.partition("? ") for point in points)]
    return Conclusion(sentence, table, tuple(remark for remark in remarks if remark.text))


def _tied(choosing: Choosing) -> list[str]:
    """Return the names of models that tie, at most `RIVALS`; none where one is ahead."""
    names = [name_of(choosing.frame, one) for one in choosing.tied] if len(choosing.tied) > 1 else []
    more = [f"{len(names) - RIVALS} more"] if len(names) > RIVALS else []
    return [*names[:RIVALS], *more]


def _interval(found: Estimate) -> str:
    return f"{100 * COVERAGE:.0f} % interval {PASS.format(found.low)} to {PASS.format(found.high)}"


def share_text(share: float) -> str:
    """Return a share in whole percent, or in tenths, rounded down, where it is too small by less than one percent."""
    if share < COVERAGE <= round(share, 2):
        return f"{math.floor(1000 * share) / 10} %"
    return f"{100 * share:.0f} %"


def _where(frame: ScoreFrame, problem_set: str, test: str) -> str:
    if test == CLEAN:
        return f"On clean prompts of {problem_set}"
    return f"On {problem_set} under {frame.order.test_label(test)}"


def _only_edits(frame: ScoreFrame) -> bool:
    return EDITED in frame.training_sets and not frame.tuned_sets


def _seconds(candidate: Candidate, trainings: Sequence[ReportedTraining]) -> float | None:
    made_by = (candidate.base_model, candidate.recipe, candidate.training_set)
    seconds = [t.seconds for t in trainings if (t.model, t.recipe, t.training_set) == made_by]
    return sum(seconds) / len(seconds) if seconds and not any(map(math.isnan, seconds)) else None


def _problems_needed(choosing: Choosing) -> int | None:
    """Return about how many problems would tell the best two apart; None where there are as many, or none would."""
    chosen, second = choosing.chosen.perturbed, choosing.second.perturbed
    changes = [rate - second[task] for task, rate in chosen.items()]
    lead, apart = sum(changes) / len(changes), sum(map(abs, changes)) / len(changes)
    if lead <= 0 or len(choosing.tied) > 1 or choosing.resampled_seeds > 1:
        return None
    try:
        needed = problems_needed(lead, apart, POWER).n
    except UsageError:  # so small a lead that no number of problems shows it
        return None
    about = int(round(needed, 2 - len(str(needed))))
    return about if about > len(changes) else None


def name_of(frame: ScoreFrame, candidate: Candidate) -> str:
    if candidate.training_set == BASE:
        return candidate.model if _only_edits(frame) else f"{candidate.model} without fine-tuning"
    words = frame.order.training_label(candidate.training_set)
    return f"{candidate.model} fine-tuned on {'clean prompts' if candidate.training_set == CLEAN else words}"
