"""Kind ``repair-claims``: what the repair study says in words, beside the same numbers of a sweep.

The study's own tables are not at hand, so nothing but its claims is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Id, Text
from raysweep.analysis.exhibits.claims import Cells, Finder, claims_table, yes
from raysweep.analysis.exhibits.program_repair.cases import WON_RULE, CasesWon, RepairCase, cases_won
from raysweep.analysis.exhibits.program_repair.faulty_lines import cases_by_fault
from raysweep.analysis.exhibits.program_repair.models import HEADLINE_RULE, RepairExhibit, pairs_of
from raysweep.analysis.exhibits.program_repair.regime_costs import trained_models, two_digits
from raysweep.analysis.exhibits.program_repair.regime_pairs import cases_between, place_of
from raysweep.analysis.exhibits.program_repair.size_trend import size_steps
from raysweep.analysis.exhibits.recipes.regimes import NONE, Regime
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.published.reference import PublishedClaim
from raysweep.analysis.tables.table import TableCell
from raysweep.units import count, decimal

CHOSEN = (
    "Fine-tuning methods are compared on the models that were chosen by validation loss, where a sweep chooses some."
)
AGREES = (
    "Agrees: of numbers of cases, whether the printed share of them lies inside the interval of this sweep's; of words "
    "and of the largest gain, whether some cases are as they say. A sweep with other models or problem sets than the "
    "study's has other cases."
)


@EXHIBITS.register("repair-claims")
class RepairClaims(RepairExhibit):
    """A table with a row for each claim of the study."""

    place: ClassVar[str] = "program_repair/07-claims"

    id: Id = "repair-claims"
    title: Text = "Claims of the repair study"
    study: Text = "apr"
    """The name by which `raysweep compare` knows it."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        finders = _finders(evidence, self)
        return claims_table(self, evidence, self.study, finders, HEADLINE_RULE, CHOSEN, WON_RULE, AGREES)


def _finders(evidence: Evidence, exhibit: RepairExhibit) -> Mapping[str, Finder]:
    models = exhibit.models(evidence)
    chosen = [one for one in models if one.is_chosen or one.regime == NONE]
    main = chosen if any(one.is_chosen for one in models) else models
    tests = select_test_sets(evidence.frame, exhibit.test_sets).names

    def between(first: Regime, second: Regime) -> list[RepairCase]:
        return cases_between(evidence, pairs_of(main, first, second)[0], tests)

    def shares(regime: str) -> list[float]:
        trained = [one for one in trained_models(evidence, models) if one.model.regime == regime]
        return [one.share for one in trained if not math.isnan(one.share)]

    def below(won: CasesWon) -> tuple[str, bool]:
        return f"{won.lost:,} of {count(won.cases, 'case')}, shown in {won.shown_lost:,}", won.lost > 0

    def both_ways(won: CasesWon) -> tuple[str, bool]:
        return _ways(won, "case"), won.won > 0 and won.lost > 0

    def mostly(won: CasesWon) -> tuple[str, bool]:
        return _ways(won, "step", " to the next larger model"), won.won > won.lost

    return {
        "lora-above-ia3": lambda claim: _won(between("ia3", "lora"), claim),
        "lora-gain": lambda claim: _gain(between(NONE, "lora"), claim),
        "full-below-none": lambda claim: _said(between(NONE, "full"), below),
        "faulty-lines": lambda claim: _said(cases_by_fault(evidence, models, tests), both_ways),
        "larger-better": lambda claim: _said(size_steps(evidence, exhibit), mostly),
        "lora-share": lambda claim: _shares(shares("lora"), claim),
        "ia3-share": lambda claim: _shares(shares("ia3"), claim),
    }


def _said(cases: Sequence[RepairCase], say: Callable[[CasesWon], tuple[str, bool]]) -> Cells | None:
    """Return what is said of the cases that were won, and whether the study agrees; None without a case."""
    if not cases:
        return None
    text, agrees = say(cases_won(cases))
    return TableCell.said(text), yes(agrees)


def _ways(won: CasesWon, noun: str, to: str = "") -> str:
    number, shown = count(won.cases, noun), f"shown in {won.shown_won:,} and {won.shown_lost:,}"
    return f"higher in {won.won:,} and lower in {won.lost:,} of {number}{to}, {shown}"


def _won(cases: Sequence[RepairCase], claim: PublishedClaim) -> Cells | None:
    if not cases:
        return None
    won = cases_won(cases)
    shown = f"shown in {won.shown_won:,}, the reverse in {won.shown_lost:,}"
    text = f"{won.won:,} of {count(won.cases, 'case')}; {shown}"
    cell = replace(TableCell.said(text), interval=f"[{round(won.low):,}, {round(won.high):,}]")
    return cell, yes(won.low <= claim.value * won.cases <= won.high)


def _gain(cases: Sequence[RepairCase], claim: PublishedClaim) -> Cells | None:
    if not cases:
        return None
    known = [case for case in cases if not math.isnan(case.gain)]
    zero = f"; {count(len(cases) - len(known), 'case')} with 0 before fine-tuning left out"
    if not known:
        return TableCell.said(f"undefined{zero}"), TableCell.said("–")
    best = max(known, key=lambda case: case.gain)
    where = f"{best.second.cell.model} on {place_of(best)}"
    text = f"{decimal(100 * best.gain, 0, '+')} % ({where}){zero if len(known) < len(cases) else ''}"
    return TableCell.said(text), yes(best.gain >= claim.value)


def _shares(shares: Sequence[float], claim: PublishedClaim) -> Cells | None:
    if not shares:
        return None
    ends = dict.fromkeys(two_digits(share) for share in (min(shares), max(shares)))
    return TableCell.said(f"{' to '.join(ends)} %"), yes(min(shares) <= claim.value <= max(shares))
