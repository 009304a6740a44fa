"""Writes one headline per model: what it loses under the headline's perturbation and under each other one.

The headline's training set has the same perturbation. Without one it is the widest mix of the training sets, else the
one with which most completions pass under that perturbation, and the sentence says so. Nothing is chosen or ordered by
RD, which also falls when clean pass@1 falls. Each edited model is judged without the problem that it was edited from,
so its RD is not compared with the base's: G-RIR says what edits restore, on the same problems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from raysweep.analysis.exhibits.base import SUMMARIES
from raysweep.analysis.figures.effects import Effects, all_panels
from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.pooling import EDITED
from raysweep.analysis.tables.quantities import DROP, problems_text
from raysweep.metrics.restoration import G_RIR
from raysweep.records import BASE, CLEAN
from raysweep.units import decimal


@dataclass(frozen=True)
class Drop:
    """What a model loses under one perturbation. RDs are shares of clean pass@1; NaN if undefined or missing."""

    label: str  # "changed case (C3)"
    base_rd: float
    tuned_rd: float  # NaN for edited models
    restored: float = math.nan  # share of the loss that edits restore, G-RIR; NaN for other models


@dataclass(frozen=True)
class Finding:
    """One model's headline. RDs are shares of clean pass@1; NaN if undefined or missing."""

    label: str  # the model variant's label
    problem_set: str
    perturbation: str
    tuned_on: str  # the headline's training set, or ""
    base_rd: float
    tuned_rd: float  # NaN for edited models
    sentence: str
    detail: str  # clean and perturbed pass@1 behind every RD of the sentence, and the number of problems
    drops: tuple[Drop, ...]  # one for each perturbation, that under which fewest pass first; empty if there is one only
    drops_of: str  # the models of `drops` in words: "without fine-tuning → fine-tuned on typos (C)"
    restored: float = math.nan  # share of the loss that edits restore, G-RIR; NaN for other models

    @property
    def complete(self) -> bool:
        return not (math.isnan(self.base_rd) or math.isnan(self.tuned_rd))


@SECTIONS.register("findings")
class FindingsSection(Section):
    """What each model loses, in sentences, a figure of pass@1, and a table of each model's scores."""

    title = "Findings"
    place = 10
    reads = ("drawn",)
    template = "findings.html"

    @override
    def draw(self, report: Report) -> Content:
        frame = report.frame
        panels = all_panels(frame)
        values = {
            "findings": findings(frame),
            "panels": [Effects.of(frame, [panel]) for panel in panels],
            "several_sets": len(frame.problem_sets) > 1,
            "caption": effects_caption(report),
            "under": report.order.test_label(frame.headline),
            "runs": report.training_runs,
            "ways": [(name, frame.order.ways[name]) for name in frame.training_sets if name in frame.order.ways],
            "tuned": bool(frame.tuned_sets) or not frame.order.ways.keys() & set(frame.training_sets),
            "left_out": frame.order.left_out if EDITED in frame.training_sets else "",
        }
        figures = [Effects.of(frame, panels, report.signature)] if panels else []
        return Content(tables=report.drawn.groups.get(SUMMARIES, ()), figures=figures, values=values)


def effects_caption(report: Report) -> str:
    frame = report.frame
    under = report.order.test_label(frame.headline)
    over = "over problems"
    if report.training_runs:
        over += f"; those of fine-tuned models, means over {report.training_runs}, are over problems and training seeds"
    alone = [name for name in frame.perturbations if name != frame.headline]
    others = " Other perturbations have a mark without a band, so that bands don't hide each other." if alone else ""
    return (
        f"pass@1 is the share of programs that pass all tests. Bands, at clean prompts and {under}, are 95 % intervals "
        f"{over}.{others} RD, at the right, is the relative degradation under {under}: the share of its clean pass@1 "
        "that a model loses."
    )


def findings(frame: ScoreFrame) -> list[Finding]:
    if not frame.headline:
        return []
    return [_finding(frame, variant, problems) for problems in frame.problem_sets for variant in frame.variants]


def percent(share: float, digits: int = 0) -> str:
    """Format a share as percent: 0.474 gives ``47 %``; a share that is no number gives a dash."""
    return "–" if math.isnan(share) else f"{decimal(100 * share, digits)} %"


def _finding(frame: ScoreFrame, variant: ModelVariant, problems: str) -> Finding:
    perturbation, order = frame.headline, frame.order
    tuned_on, choice = _tuned_on(frame, variant, problems)
    keys = [ScoreKey(variant, name, problems, perturbation) for name in (BASE, tuned_on, order.clean_set(tuned_on))]
    base, control = frame.value(keys[0], "RD"), frame.value(keys[2], "RD")
    tuned_rd, restored = _after(frame, keys[1])
    where = f" on {problems}" if len(frame.problem_sets) > 1 else ""
    under, way = order.test_label(perturbation), order.way(tuned_on)
    by = f", recipe {variant.recipe}{'' if choice else ','}" if variant.names_recipe else ""
    if math.isnan(base):
        score = frame.score(keys[0], "RD")
        reason = score.note if score is not None and score.note else "no result"
        sentence = f"what {variant.base_label} loses{where} under {under} can't be measured: {reason}"
    else:
        sentence = f"{variant.base_label} {_change_words(base)} of its pass@1{where} under {under}"
    if not math.isnan(tuned_rd):
        sentence += f"; {way}{by}{choice} it {_change_words(tuned_rd)}"
    if not math.isnan(restored):
        sentence += f"; {way}{by}{choice} it gets back {percent(restored)} of such a loss"
        sentence += " (G-RIR, without the problem that it was edited from)"
    if not math.isnan(control):
        sentence += f"; fine-tuned on clean prompts it {_change_words(control)}"
    names = ("before" if tuned_on in order.ways else "without fine-tuning", way, "fine-tuned on clean prompts")
    drops = tuple(
        Drop(
            order.test_label(name),
            frame.value(replace(keys[0], perturbation=name), "RD"),
            *_after(frame, replace(keys[1], perturbation=name)),
        )
        for name in (frame.worst_first if len(frame.perturbations) > 1 else ())
    )
    drops_of = " → ".join(names[:2] if any(not math.isnan(drop.tuned_rd) for drop in drops) else names[:1])
    if any(not math.isnan(drop.restored) for drop in drops):
        drops_of = f"{names[0]}, and what edits restore of that loss (G-RIR)"
    return Finding(
        variant.label,
        problems,
        perturbation,
        tuned_on,
        base,
        tuned_rd,
        f"{sentence}.",
        _detail(frame, names, keys),
        drops,
        drops_of,
        restored,
    )


def _after(frame: ScoreFrame, key: ScoreKey) -> tuple[float, float]:
    if key.training_set == EDITED:
        return math.nan, frame.value(key, G_RIR)
    return frame.value(key, "RD"), math.nan


def _tuned_on(frame: ScoreFrame, variant: ModelVariant, problems: str) -> tuple[str, str]:
    tuned = [name for name in frame.training_sets if name not in {BASE, *frame.order.clean_sets}]
    made_with = {name: frame.order.trained_with.get(name, name) for name in tuned}
    if frame.headline in tuned:
        return frame.headline, ""
    for wanted in (frame.headline, *frame.order.mixes):
        if same := [name for name in tuned if made_with[name] == wanted]:
            return same[0], ""
    passing = {name: frame.value(ScoreKey(variant, name, problems, frame.headline), "pass@1") for name in tuned}
    defined = [name for name in tuned if not math.isnan(passing[name])]
    if not defined:
        return (tuned[0] if tuned else ""), ""
    best = max(defined, key=lambda name: passing[name])
    return best, f", of {len(defined)} training sets the one that passes most there," if len(defined) > 1 else ""


def _detail(frame: ScoreFrame, names: Sequence[str], keys: Sequence[ScoreKey]) -> str:
    passes = [text for name, key in zip(names, keys, strict=True) if (text := _pass_rates(frame, name, key))]
    sizes = {score.n for key in keys if (score := frame.score(key, "pass@1")) is not None}
    problems = f" ({problems_text(sizes)})" if sizes else ""
    if len(passes) > 1 and keys[1].training_set == EDITED:
        passes[1] += f", {frame.order.left_out}"
    return f"pass@1 on clean and on perturbed prompts{problems}: {'; '.join(passes)}." if passes else ""


def _pass_rates(frame: ScoreFrame, name: str, key: ScoreKey) -> str:
    """Describe both pass@1 and their difference, which RD hides (study.md section 7); empty if one is unknown."""
    clean = frame.value(replace(key, perturbation=CLEAN), "pass@1")
    perturbed = frame.value(key, "pass@1")
    if math.isnan(clean) or math.isnan(perturbed):
        return ""
    points = DROP.format(perturbed - clean)
    return f"{name} {percent(clean, 1)} and {percent(perturbed, 1)} ({points} points)"


def _change_words(rd: float) -> str:
    return f"{'gains' if percent(rd).startswith('−') else 'loses'} {percent(abs(rd))}"
