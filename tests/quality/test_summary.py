"""Counts of groups: tables 14 to 16 and figure 7."""

from math import isnan

import pytest

from raysweep.errors import UsageError
from raysweep.quality.reports import CellReports, FileReport, LintMessage, LintReports
from raysweep.quality.summary import code_table, pool, summarise
from raysweep.quality.taxonomy import Severity
from raysweep.stats.intervals import mean_interval


def message(file_id, code, line=1, in_prompt=False):
    return LintMessage(file_id, code, f"symbol-{code}", line, 0, in_prompt)


REPORTS = LintReports(
    (
        FileReport("a", "linted", 8.0, 10, 12, "no_final_newline"),
        FileReport("b", "linted", 5.0, 4, 5, "no_final_newline,cut_short"),
        FileReport("c", "linted", None, 0, 5, "cut_short"),
        FileReport("d", "linted", None, 0, 0),
        FileReport("e", "timeout"),
    ),
    (
        message("a", "C0114", in_prompt=True),
        message("a", "C0304", 12),
        message("a", "W0613", 1, in_prompt=True),
        message("a", "W0613", 2),
        message("b", "C0114", in_prompt=True),
        message("b", "W0613"),
        message("b", "C0301"),
        message("c", "E0001"),
    ),
)


def test_a_groups_summary():
    group = summarise("base", REPORTS)
    assert (group.files, group.linted, group.scores, group.mean_score) == (5, 4, (8.0, 5.0), 6.5)
    assert group.interval == mean_interval([8.0, 5.0], limits=(0, 10))
    assert group.unscored == {"no statements": 1, "syntax error": 1, "timeout": 1}
    assert group.traps == {"cut_short": 2, "no_final_newline": 2}
    assert [(c.code, c.messages, c.files, c.in_prompt, c.per_100_files) for c in group.codes] == [
        ("W0613", 3, 2, 1, 75.0),
        ("C0301", 1, 1, 0, 25.0),
        ("E0001", 1, 1, 0, 25.0),
    ]
    assert [(c.code, c.per_100_files) for c in group.cutting_codes] == [("C0114", 50.0), ("C0304", 25.0)]


def test_severities_and_tiers_leave_out_what_cutting_causes_and_codes_without_a_tier_count():
    reports = LintReports((FileReport("a", "linted", 1.0, 1),), (message("a", "W9999"),))
    assert {tier.name: rate for tier, rate in summarise("x", reports).tiers.items() if rate} == {"no tier": 100.0}
    group = summarise("base", REPORTS)
    assert group.severities == {**dict.fromkeys(Severity, 0.0), "E": 25.0, "W": 75.0, "C": 25.0}
    assert {(t.severity, t.name): rate for t, rate in group.tiers.items() if rate} == {
        ("E", "Tier 1 (blockers)"): 25.0,
        ("W", "Tier 2 (moderate)"): 75.0,
        ("C", "Low"): 25.0,
    }


def test_a_group_without_files_has_no_numbers():
    group = summarise("empty", LintReports((), ()))
    assert isnan(group.mean_score) and isnan(group.interval.low) and group.codes == () and group.unscored == {}
    assert isnan(group.severities[Severity.ERROR])


def test_a_table_has_a_row_for_each_code_and_lists_cuts_last():
    first = summarise("base", REPORTS)
    second = summarise("clean", LintReports(REPORTS.files[1:2], REPORTS.messages[4:7]))
    rows = code_table([first, second, summarise("none", LintReports((), ()))])
    assert [(row.code, row.per_100_files[:2], row.caused_by_cutting) for row in rows] == [
        ("W0613", (75.0, 100.0), False),
        ("C0301", (25.0, 100.0), False),
        ("E0001", (25.0, 0.0), False),
        ("C0114", (50.0, 100.0), True),
        ("C0304", (25.0, 0.0), True),
    ]
    assert all(isnan(row.per_100_files[2]) for row in rows)


def test_reports_of_cells_are_pooled_and_a_message_on_none_of_the_files_is_refused():
    cell = CellReports("m", "full", "C1", 1, "p", REPORTS)
    pooled = summarise("both", pool([cell, cell]))
    assert (pooled.files, pooled.codes[0].messages, pooled.codes[0].files) == (10, 6, 4)
    with pytest.raises(UsageError, match="group x: messages of 'a'"):
        summarise("x", LintReports(REPORTS.files[1:], REPORTS.messages))
