"""What pylint's codes count as: severities, the study's tiers, and codes that cutting out a file causes.

A severity is a code's first letter. The study's table 12 divides severities into tiers and names some twenty codes;
taxonomy.csv holds these (source ``study``) and, in the same tiers, further codes that completions often cause (source
``raysweep``: our own reading of the tiers' names). A code that is in neither has no tier but counts for its severity.

Source: Liu et al. 2026, "Improving the Robustness of Large Language Models for Code Tasks via Fine-tuning with
Perturbed Data", table 12, where the code W0404 carries an older symbol, reimported-module.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

TABLE = "taxonomy.csv"


class Severity(StrEnum):
    """pylint's categories of messages, by the first letter of their codes, worst first."""

    FATAL = "F"
    ERROR = "E"
    WARNING = "W"
    REFACTOR = "R"
    CONVENTION = "C"
    INFORMATION = "I"


class TierSource(StrEnum):
    """Who put a code into its tier."""

    STUDY = "study"  # table 12 names the code
    RAYSWEEP = "raysweep"  # our own reading of the tiers
    SEVERITY = "severity"  # its severity has one tier
    NONE = "none"  # nobody


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of a severity."""

    severity: Severity
    name: str  # such as Tier 1 (blockers); `NO_TIER` where a code has none
    source: TierSource


NO_TIER = "no tier"
ONE_TIER = MappingProxyType({Severity.FATAL: "Critical", Severity.INFORMATION: "Info"})
"""The tier of each severity that has one only."""
CAUSED_BY_CUTTING = MappingProxyType(
    {
        "C0114": "a completion continues a prompt, which has no module docstring",
        "C0304": "generation ends at a stop string or a token, not after a line break",
        "C0305": "blank lines before a stop string stay at the file's end",
    }
)
"""Codes that only the way causes in which files are cut out of generated text, with the reason.

They count in pylint's score as all others; tables list them apart.
"""


def severity_of(code: str) -> Severity:
    """Return the severity of one of pylint's codes; raise ValueError for another code."""
    return Severity(code[:1])


def tier_of(code: str) -> Tier:
    """Return the tier of one of pylint's codes; raise ValueError for another code."""
    severity = severity_of(code)
    if code in _table():
        name, source = _table()[code]
        return Tier(severity, name, source)
    if severity in ONE_TIER:
        return Tier(severity, ONE_TIER[severity], TierSource.SEVERITY)
    return Tier(severity, NO_TIER, TierSource.NONE)


def tiers() -> list[Tier]:
    """Return all tiers in the table's order, each severity's ending with `NO_TIER` unless it has one only.

    `Tier.source` is STUDY, or NONE for `NO_TIER`.
    """
    named: dict[Severity, dict[str, None]] = {severity: {} for severity in Severity}
    for code, (name, source) in _table().items():
        if source is TierSource.STUDY:
            named[severity_of(code)][name] = None
    for severity, name in ONE_TIER.items():
        named[severity][name] = None
    return [
        tier
        for severity, names in named.items()
        for tier in (
            *(Tier(severity, name, TierSource.STUDY) for name in names),
            *(() if severity in ONE_TIER else (Tier(severity, NO_TIER, TierSource.NONE),)),
        )
    ]


def symbols() -> Mapping[str, str]:
    return {row["code"]: row["symbol"] for row in _rows()}


@cache
def _table() -> Mapping[str, tuple[str, TierSource]]:
    return {row["code"]: (row["tier"], TierSource(row["source"])) for row in _rows()}


def _rows() -> list[dict[str, str]]:
    return list(csv.DictReader((files("raysweep.quality") / TABLE).read_text(encoding="utf-8").splitlines()))
