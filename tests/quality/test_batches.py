"""Files of several groups are linted together, and each group gets its own reports."""

from __future__ import annotations

from raysweep.quality import batches
from raysweep.quality.files import SourceFile
from raysweep.quality.reports import FileReport, LintMessage, LintReports


def test_all_files_are_linted_at_once_and_each_group_gets_its_own_under_their_ids(monkeypatch):
    calls = []

    def lint(files, **options) -> LintReports:
        calls.append([file.file_id for file in files])
        messages = tuple(LintMessage(file.file_id, "C0114", "missing-module-docstring", 1, 0) for file in files)
        return LintReports(tuple(FileReport(file.file_id, "linted") for file in files), messages)

    monkeypatch.setattr(batches, "lint", lint)
    files = {"one": [SourceFile("a", "x = 1\n"), SourceFile("b", "y = 2\n")], "other": [SourceFile("a", "z = 3\n")]}
    groups = batches.lint_groups(files, report=lambda done, total: None)
    assert calls == [["one/a", "one/b", "other/a"]]
    assert [file.file_id for file in groups["one"].files] == ["a", "b"]
    assert [message.file_id for message in groups["other"].messages] == ["a"]
