"""pylint on batches: each file's report is the one that pylint gives the file alone."""

import sys

import pytest

from raysweep.errors import RaysweepError, UsageError
from raysweep.quality import linting
from raysweep.quality.files import SourceFile
from raysweep.quality.linting import LintLimits, describe, fingerprint, lint
from raysweep.quality.reports import FileReport, LintMessage, LintReports
from tests.quality.alone import Printed, alone, printed
from tests.quality.tricky import PLAIN, TRICKY

FILES = [SourceFile(name, text) for name, text in TRICKY.items()]
SLOW = "import pandas\nimport torch\n\nprint(pandas.DataFrame().nothing, torch.nn.nothing)\n"
"""A file that takes pylint seconds and a few hundred MiB."""


SOME = ("syntax error", "uses what it changed", "uses it of math", "imports the next one", "skips itself", "hierarchy")
"""Files of several kinds; those that others change come after them."""


@pytest.fixture(scope="module")
def reports() -> LintReports:
    return lint(FILES)


def all_printed(reports: LintReports) -> dict[str, Printed]:
    return {file.file_id: printed(reports, file.file_id) for file in reports.files}


@pytest.mark.slow
def test_some_files_get_what_pylint_gives_them_alone(reports, tmp_path):
    """In a batch with all others; `test_each_file_gets_what_pylint_gives_it_alone` runs pylint on each of them."""
    found = all_printed(reports)
    assert list(found) == [file.file_id for file in FILES]
    files = [file for file in FILES if file.file_id in SOME]
    assert {one.file_id: alone(one, tmp_path / one.file_id) for one in files} == {name: found[name] for name in SOME}


@pytest.mark.slow
def test_the_order_of_the_files_changes_no_report(reports):
    """For every third file here, for all in `test_each_file_gets_what_pylint_gives_it_alone`."""
    files = FILES[::-3]
    backwards = lint(files)
    assert [report.file_id for report in backwards.files] == [file.file_id for file in files]
    found = all_printed(reports)
    assert all_printed(backwards) == {file.file_id: found[file.file_id] for file in files}


@pytest.mark.long
def test_each_file_gets_what_pylint_gives_it_alone(reports, tmp_path):
    """In small: test_some_files_get_what_pylint_gives_them_alone."""
    reference = {file.file_id: alone(file, tmp_path / str(number)) for number, file in enumerate(FILES)}
    assert all_printed(reports) == reference
    assert all_printed(lint(FILES[::-1])) == reference


@pytest.mark.slow
def test_the_reports_are_of_many_kinds_and_their_scores_pylints_formula(reports):
    """The comparisons above would mean little if all files were fine, or none had a score."""
    messages = {file.file_id: [m for m in reports.messages if m.file_id == file.file_id] for file in reports.files}
    codes = {message.code for message in reports.messages}
    assert {code[0] for code in codes} == set("FEWRCI") and not codes & {"R0801", "R0401"}
    assert "E1101" in {message.code for message in messages["uses it of math"]}
    scored = [file for file in reports.files if file.score is not None]
    assert 0 < len(scored) < len(reports.files)
    for file in scored:
        kinds = [message.code[0] for message in messages[file.file_id]]
        errors, others = kinds.count("E"), sum(kind in "WRC" for kind in kinds)
        expected = 0 if "F" in kinds else max(0, 10 - (5 * errors + others) / file.statements * 10)
        assert file.score == pytest.approx(expected)


@pytest.mark.slow
def test_equal_texts_are_linted_once_and_reported_each():
    reports = lint([SourceFile("a", PLAIN), SourceFile("b", PLAIN, prompt_lines=4), SourceFile("c", "x = 1\n")])
    first, second, _ = reports.files
    assert first.score == second.score is not None
    assert first.seconds > 0 == second.seconds
    assert [(m.file_id, m.code, m.in_prompt) for m in reports.messages] == [
        ("a", "C0114", False),
        ("b", "C0114", True),
        ("c", "C0103", False),
        ("c", "C0114", False),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits,outcome", [(LintLimits(cpu_seconds=1), "timeout"), (LintLimits(memory_mib=100), "memory")]
)
def test_a_file_beyond_a_limit_costs_only_its_own_report(limits, outcome):
    files = [SourceFile("before", PLAIN), SourceFile("slow", SLOW), SourceFile("after", PLAIN + "x = 1\n")]
    reports = lint(files, limits)
    assert [file.outcome for file in reports.files] == ["linted", outcome, "linted"]
    assert [file.score is None for file in reports.files] == [False, True, False]
    assert not [message for message in reports.messages if message.file_id == "slow"]


@pytest.mark.slow
def test_a_process_that_dies_is_started_again_for_the_files_that_are_left(monkeypatch, tmp_path):
    """The child is replaced by one that ends before any file with the text `die`, as the kernel might end it."""
    child = tmp_path / "child.py"
    child.write_text(
        "import json, pathlib, sys\n"
        "job = json.load(sys.stdin)\n"
        "print(json.dumps({'ready': True}), flush=True)\n"
        "for number in range(job['count']):\n"
        "    if 'die' in pathlib.Path(job['folder'], str(number), job['file_name']).read_text():\n"
        "        sys.exit(1)\n"
        "    print(json.dumps({'outcome': 'linted', 'seconds': 1.0, 'score': 10.0, 'statements': 1}), flush=True)\n"
    )
    monkeypatch.setattr(linting, "_CHILD", child)
    files = [SourceFile(str(number), text) for number, text in enumerate(["die", "a", "b", "die again", "c"])]
    assert [file.outcome for file in lint(files).files] == ["crashed", "linted", "linted", "crashed", "linted"]


def test_a_process_that_does_not_start_says_why(monkeypatch, tmp_path):
    child = tmp_path / "child.py"
    child.write_text("raise ImportError('no module named astroid')\n")
    monkeypatch.setattr(linting, "_CHILD", child)
    for call in (describe, lambda: lint([SourceFile("a", PLAIN)])):
        with pytest.raises(RaysweepError, match=r"can't be started .*no module named astroid"):
            call()


@pytest.mark.slow
def test_no_configuration_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "pylintrc").write_text("[MAIN]\ndisable=all\n")
    monkeypatch.setenv("PYLINTRC", str(tmp_path / "pylintrc"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = [message.code for message in lint([SourceFile("a", "import pylintrc\n")]).messages]
    assert found == ["C0114", "E0401", "W0611"]


@pytest.mark.slow
def test_codes_are_described_in_pylints_words():
    described = describe()
    assert described["C0200"].symbol == "consider-using-enumerate"
    assert "enumerate" in described["C0200"].description
    assert {code[0] for code in described} == set("FEWRCI")


def test_keys_name_pylints_version_and_configuration():
    found = fingerprint()
    assert found["pylint"].split(".")[0] == "4"
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "--disable=R0801,R0401" in found["arguments"] and {"astroid", "file"} <= set(found)


def test_without_pylint_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for call in (fingerprint, describe, lambda: lint([SourceFile("a", PLAIN)])):
        with pytest.raises(UsageError, match=r"pylint: pip install 'pylint\S+'"):
            call()


def test_two_files_with_one_id_and_limits_below_one_are_refused_and_no_files_have_no_reports():
    with pytest.raises(UsageError, match="two files to lint have the id 'a'"):
        lint([SourceFile("a", PLAIN), SourceFile("a", "x = 1\n")])
    for limits in ({"cpu_seconds": 0}, {"wall_factor": 0.5}, {"memory_mib": 0}):
        with pytest.raises(UsageError, match="each is 1 or more"):
            LintLimits(**limits)
    assert lint([]) == LintReports((), ())


def test_all_files_are_linted_at_once_and_each_group_gets_its_own_under_their_ids(monkeypatch):
    calls = []

    def lint(files, **options) -> LintReports:
        calls.append([file.file_id for file in files])
        messages = tuple(LintMessage(file.file_id, "C0114", "missing-module-docstring", 1, 0) for file in files)
        return LintReports(tuple(FileReport(file.file_id, "linted") for file in files), messages)

    monkeypatch.setattr(linting, "lint", lint)
    files = {"one": [SourceFile("a", "x = 1\n"), SourceFile("b", "y = 2\n")], "other": [SourceFile("a", "z = 3\n")]}
    groups = linting.lint_groups(files, report=lambda done, total: None)
    assert calls == [["one/a", "one/b", "other/a"]]
    assert [file.file_id for file in groups["one"].files] == ["a", "b"]
    assert [message.file_id for message in groups["other"].messages] == ["a"]
