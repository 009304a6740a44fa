"""ruff as a second opinion."""

import json
import re
import stat
import subprocess
import sys

import pytest

from raysweep.errors import UsageError
from raysweep.quality import ruff_check
from raysweep.quality.files import SourceFile
from raysweep.quality.linting import ARGUMENTS
from raysweep.quality.ruff_check import check_with_ruff, ruff_fingerprint
from raysweep.quality.summary import count_codes
from raysweep.quality.taxonomy import ALIKE, pylint_code
from tests.quality.tricky import PLAIN, TRICKY


def test_pylint_reports_each_code_that_stands_beside_one_of_ruffs():
    rules = subprocess.run(
        [sys.executable, "-m", "ruff", "rule", "--all", "--output-format=json"], capture_output=True, check=True
    )
    told = subprocess.run(
        [sys.executable, "-m", "pylint", *ARGUMENTS, "--list-msgs-enabled"], capture_output=True, text=True, check=True
    )
    enabled = set(re.findall(r"\(([A-Z]\d{4})\)", told.stdout.partition("Disabled messages")[0]))
    codes = {rule["code"] for rule in json.loads(rules.stdout) if not rule["preview"]} | ALIKE.keys()
    beside = {code: own for code in codes if (own := pylint_code(code))}
    assert not {code: own for code, own in beside.items() if own not in enabled}
    assert len(beside) > 50


def test_messages_and_counts_of_a_batch():
    files = [SourceFile("fine", PLAIN), SourceFile("unused", "import os\n" + PLAIN, prompt_lines=1)]
    reports = check_with_ruff([*files, SourceFile("broken", "def f(:\n")])
    assert [file.file_id for file in reports.files] == ["fine", "unused", "broken"]
    assert {(file.outcome, file.score) for file in reports.files} == {("linted", None)}
    assert {(m.file_id, m.code) for m in reports.messages} == {("unused", "F401"), ("broken", "invalid-syntax")}
    (unused,) = [m for m in reports.messages if m.code == "F401"]
    assert (unused.symbol, unused.line, unused.column, unused.in_prompt) == ("unused-import", 1, 7, True)
    assert {c.code: c.per_100_files for c in count_codes(reports.messages, 3)}["F401"] == pytest.approx(100 / 3)


@pytest.mark.slow
def test_tricky_files_get_what_ruff_gives_them_alone():
    files = [SourceFile(name, text) for name, text in TRICKY.items()]
    together = check_with_ruff(files)
    for file in files[::20]:
        alone = check_with_ruff([file])
        assert alone.messages == tuple(m for m in together.messages if m.file_id == file.file_id)
    assert {file.outcome for file in together.files} == {"linted"}


def test_many_files_go_in_several_calls(monkeypatch):
    monkeypatch.setattr(ruff_check, "MOST_FILES", 2)
    files = [SourceFile(str(number), f"import os{number}\n") for number in range(5)]
    reports = check_with_ruff(files)
    assert [file.file_id for file in reports.files] == list("01234")
    assert sorted(m.file_id for m in reports.messages if m.code == "F401") == list("01234")


def test_a_file_on_which_ruff_fails_costs_only_its_own_report(monkeypatch, tmp_path):
    """Its command is replaced by one that fails whenever the file with the text `fail` is among its files."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nfor one in "$@"; do grep -qs fail "$one" && exit 2; done\necho "[]"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("sys.executable", str(python))
    files = [SourceFile(str(number), "fail" if number == 3 else "x = 1\n") for number in range(7)]
    assert [file.outcome for file in check_with_ruff(files).files] == ["linted"] * 3 + ["crashed"] + ["linted"] * 3


def test_keys_name_ruffs_version_and_rules_and_without_ruff_the_extra_is_named(monkeypatch):
    assert {"ruff", "arguments"} == set(ruff_fingerprint()) and check_with_ruff([]).files == ()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for call in (ruff_fingerprint, lambda: check_with_ruff([])):
        with pytest.raises(UsageError, match=r"ruff: pip install 'pylint\S+' 'ruff\S+'"):
            call()
