"""Counts what pylint says of groups of files: the numbers of the study's tables 14 to 16 and figure 7.

A group is any set of files, such as the base models', a training set's, or those of one ratio. Counts are given for
100 files, since groups have different sizes, and the study prints counts whose sizes are unknown.

A mean score is that of the files that have one: pylint prints none for a file that it can't parse, so a group with
many syntax errors loses its worst files there. `GroupSummary.unscored` says how many, by reason; compare both. The
interval is that of a simple random sample from very many files; where a large share of the population was linted, it is
wider than necessary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

from raysweep.errors import UsageError
from raysweep.quality.reports import CellReports, LintOutcome, LintReports
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING, Severity, Tier, tier_of, tiers
from raysweep.stats.intervals import Interval, mean_interval

SCORES = (0.0, 10.0)
"""The range of pylint's scores."""
SYNTAX_ERROR, UNREADABLE, NO_STATEMENTS = "syntax error", "unreadable", "no statements"
"""Why pylint gives a file that it has linted no score; the other reasons are the outcomes of files not linted."""
_REASONS = {"E0001": SYNTAX_ERROR, "F0002": UNREADABLE, "F0010": UNREADABLE}


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often a group has one code."""

    code: str
    symbol: str
    messages: int
    files: int  # with at least one such message
    in_prompt: int  # messages on lines that are the prompt's alone
    per_100_files: float  # messages; NaN without files

    @property
    def caused_by_cutting(self) -> bool:
        """Whether only the way in which files are cut out causes the code."""
        return self.code in CAUSED_BY_CUTTING


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """What pylint says of a group of files."""

    group: str
    files: int  # of the group
    linted: int  # for which there is a result: all but those beyond a limit, and crashes; counts are per 100 of these
    scores: tuple[float, ...]  # of the files that have one, in the files' order
    mean_score: float  # of these; NaN without any
    interval: Interval  # of the mean, 95 %
    unscored: Mapping[str, int]  # files without a score, by reason
    codes: tuple[CodeCount, ...]  # most frequent first, without those that cutting causes
    cutting_codes: tuple[CodeCount, ...]  # those that cutting causes, most frequent first
    severities: Mapping[Severity, float]  # messages per 100 files, without those that cutting causes
    tiers: Mapping[Tier, float]  # likewise
    traps: Mapping[str, int]  # files, by `Trap`


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A row of tables 14 to 16: one code in all groups."""

    code: str
    symbol: str
    tier: Tier
    caused_by_cutting: bool
    per_100_files: tuple[float, ...]  # of each group, in the groups' order


def summarise(group: str, reports: LintReports) -> GroupSummary:
    """Return what pylint says of a group of files; raise UsageError if a message belongs to none of the files."""
    if strange := {message.file_id for message in reports.messages} - {file.file_id for file in reports.files}:
        raise UsageError(
            f"group {group}: messages of {min(strange)!r}, which is none of its files; pass its report too"
        )
    linted = [file for file in reports.files if file.outcome == LintOutcome.LINTED]
    symbols = {message.code: message.symbol for message in reports.messages}
    in_prompt = Counter(message.code for message in reports.messages if message.in_prompt)
    with_code = Counter(code for _, code in {(message.file_id, message.code) for message in reports.messages})
    messages = Counter(message.code for message in reports.messages)
    counts = [
        CodeCount(code, symbols[code], number, with_code[code], in_prompt[code], _per_100(number, len(linted)))
        for code, number in sorted(messages.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    uncut = [count for count in counts if not count.caused_by_cutting]
    of_severity, of_tier = Counter[Severity](), Counter[tuple[Severity, str]]()
    for count in uncut:
        tier = tier_of(count.code)
        of_severity[tier.severity] += count.messages
        of_tier[tier.severity, tier.name] += count.messages
    scores = tuple(file.score for file in linted if file.score is not None)
    return GroupSummary(
        group=group,
        files=len(reports.files),
        linted=len(linted),
        scores=scores,
        mean_score=sum(scores) / len(scores) if scores else nan,
        interval=mean_interval(scores, limits=SCORES),
        unscored=_unscored(reports),
        codes=tuple(uncut),
        cutting_codes=tuple(count for count in counts if count.caused_by_cutting),
        severities={severity: _per_100(of_severity[severity], len(linted)) for severity in Severity},
        tiers={tier: _per_100(of_tier[tier.severity, tier.name], len(linted)) for tier in tiers()},
        traps=dict(sorted(Counter(trap for file in reports.files for trap in file.traps.split(",") if trap).items())),
    )


def pool(cells: Iterable[CellReports]) -> LintReports:
    """Return the reports of several cells as one; ids of files, which each cell has its own of, are made unique."""
    reports = [(number, cell.reports) for number, cell in enumerate(cells)]
    return LintReports(
        tuple(replace(file, file_id=f"{number} {file.file_id}") for number, one in reports for file in one.files),
        tuple(replace(each, file_id=f"{number} {each.file_id}") for number, one in reports for each in one.messages),
    )


def code_table(groups: Sequence[GroupSummary]) -> list[CodeRow]:
    """Return a row for each code of any group, per 100 files; the most frequent first, those that cutting causes last.

    With base, clean_ft and perturbed_ft as groups it is table 14, with ratios table 15, with sizes table 16.
    """
    by_group = [{count.code: count for count in (*group.codes, *group.cutting_codes)} for group in groups]
    symbols = {code: count.symbol for counts in by_group for code, count in counts.items()}
    rows = [
        CodeRow(
            code,
            symbol,
            tier_of(code),
            code in CAUSED_BY_CUTTING,
            tuple(
                counts[code].per_100_files if code in counts else _per_100(0, group.linted)
                for counts, group in zip(by_group, groups, strict=True)
            ),
        )
        for code, symbol in symbols.items()
    ]
    totals = Counter({code: sum(counts[code].messages for counts in by_group if code in counts) for code in symbols})
    return sorted(rows, key=lambda row: (row.caused_by_cutting, -totals[row.code], row.code))


def _unscored(reports: LintReports) -> dict[str, int]:
    reasons = {message.file_id: _REASONS[message.code] for message in reports.messages if message.code in _REASONS}
    unscored = Counter(
        reasons.get(file.file_id, NO_STATEMENTS) if file.outcome == LintOutcome.LINTED else file.outcome
        for file in reports.files
        if file.score is None
    )
    return dict(sorted(unscored.items()))


def _per_100(count: int, files: int) -> float:
    return 100 * count / files if files else nan
