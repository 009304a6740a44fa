"""Files of several groups are linted together, and each group gets its own reports."""

from __future__ import annotations

import pytest

from raysweep.quality import batches
from raysweep.quality.batches import GroupReports, fingerprint_of_linters, lint_groups
from raysweep.quality.files import SourceFile
from raysweep.quality.reports import MESSAGES, SECOND, FileReport, LintMessage, LintReports
from raysweep.rows.parquet import ROWS

GROUPS = {"one": [SourceFile("a", "x = 1\n"), SourceFile("b", "y = 2\n")], "other": [SourceFile("a", "z = 3\n")]}


@pytest.fixture
def linters(monkeypatch) -> list[list[str]]:
    """Linters that report one message a file; the ids of the files that each call was given."""
    calls: list[list[str]] = []

    def check(files, **options) -> LintReports:
        calls.append([file.file_id for file in files])
        messages = tuple(LintMessage(file.file_id, "C0114", "missing-module-docstring", 1, 0) for file in files)
        return LintReports(tuple(FileReport(file.file_id, "linted", seconds=0.5) for file in files), messages)

    monkeypatch.setattr(batches, "lint", check)
    monkeypatch.setattr(batches, "check_with_ruff", check)
    return calls


@pytest.mark.parametrize("second_opinion", [False, True])
def test_all_files_go_to_a_linter_at_once_and_each_group_gets_its_own_under_their_ids(linters, second_opinion):
    groups = lint_groups(GROUPS, second_opinion=second_opinion, report=lambda done, total: None)
    assert linters == [["one/a", "one/b", "other/a"]] * (1 + second_opinion)
    assert [file.file_id for file in groups["one"].reports.files] == ["a", "b"]
    assert [message.file_id for message in groups["other"].reports.messages] == ["a"]
    seconds = [group.second and [message.file_id for message in group.second] for group in groups.values()]
    assert seconds == ([["a", "b"], ["a"]] if second_opinion else [None, None])


def test_a_group_is_written_as_rows_with_counts(linters, tmp_path):
    group = lint_groups(GROUPS, second_opinion=False, report=lambda done, total: None)["one"]
    group.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ROWS, MESSAGES}
    assert group.counts() == {"rows": 2, "messages": 2, "outcomes": {"linted": 2}, "cpu_seconds": 1.0}
    GroupReports(group.reports, ()).write(tmp_path)
    assert (tmp_path / SECOND).exists()


def test_the_fingerprint_has_the_second_linter_where_it_is_asked():
    assert "second" not in fingerprint_of_linters(second_opinion=False)
    assert set(fingerprint_of_linters(second_opinion=True)["second"]) == {"ruff", "arguments"}
