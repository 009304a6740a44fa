"""pylint on batches: each file's report is the one that pylint gives the file alone."""

import random
import subprocess
import sys

import pytest

from raysweep.errors import RaysweepError, UsageError
from raysweep.quality import linting
from raysweep.quality.files import SourceFile
from raysweep.quality.linting import LintLimits, describe, fingerprint, lint
from raysweep.quality.reports import LintReports
from tests.quality.alone import Printed, alone, printed
from tests.quality.tricky import PLAIN, TRICKY

FILES = [SourceFile(name, text) for name, text in TRICKY.items()]
SLOW = "import pandas\nimport torch\n\nprint(pandas.DataFrame().nothing, torch.nn.nothing)\n"
"""A file that takes pylint seconds and a few hundred MiB."""


SOME = (
    "plain", "syntax error", "class A with c", "uses what it changed", "uses it of math", "imports the next one",
    "switches all off", "skips itself", "lone surrogate", "deep brackets", "brains", "hierarchy",
)  # fmt: skip
"""Files of each kind; those that others change come after them."""


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
    assert len(files) == len(SOME)
    assert {one.file_id: alone(one, tmp_path / str(n)) for n, one in enumerate(files)} == {
        name: found[name] for name in SOME
    }


@pytest.mark.slow
def test_the_order_of_the_files_changes_no_report(reports):
    files = list(FILES)
    random.Random(7).shuffle(files)
    shuffled = lint(files)
    assert [report.file_id for report in shuffled.files] == [file.file_id for file in files]
    assert all_printed(shuffled) == all_printed(reports)


@pytest.mark.slow
@pytest.mark.long
def test_each_file_gets_what_pylint_gives_it_alone(reports, tmp_path):
    """`test_some_files_get_what_pylint_gives_them_alone` holds it for some files, the next one in another order."""
    reference = {file.file_id: alone(file, tmp_path / str(number)) for number, file in enumerate(FILES)}
    assert all_printed(reports) == reference
    assert all_printed(lint(FILES[::-1])) == reference


@pytest.mark.slow
def test_the_reports_are_of_many_kinds(reports):
    """The comparisons above would mean little if all files were fine, or none had a score."""
    found = all_printed(reports)
    codes = {message[0] for _, messages in found.values() for message in messages}
    assert {code[0] for code in codes} == set("FEWRCI")
    assert {score is None for score, _ in found.values()} == {True, False}
    assert not codes & {"R0801", "R0401"}
    assert "E1101" in {code for code, *_ in found["uses it of math"][1]}


@pytest.mark.slow
def test_the_score_is_pylints_formula(reports):
    for file in reports.files:
        if file.score is None:
            continue
        codes = [message.code[0] for message in reports.messages if message.file_id == file.file_id]
        errors, others = codes.count("E"), sum(code in "WRC" for code in codes)
        expected = 0 if "F" in codes else max(0, 10 - (5 * errors + others) / file.statements * 10)
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
    with pytest.raises(RaysweepError, match=r"can't be started .*no module named astroid"):
        lint([SourceFile("a", PLAIN)])
    with pytest.raises(RaysweepError, match=r"can't be started .*no module named astroid"):
        describe()


@pytest.mark.slow
def test_no_configuration_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "pylintrc").write_text("[MAIN]\ndisable=all\n")
    monkeypatch.setenv("PYLINTRC", str(tmp_path / "pylintrc"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert [message.code for message in lint([SourceFile("a", "import pylintrc\n")]).messages] == [
        "C0114",
        "E0401",
        "W0611",
    ]


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
        with pytest.raises(UsageError, match=r"pylint: pip install 'pylint\S+' 'ruff\S+'"):
            call()


def test_two_files_with_one_id_are_refused():
    with pytest.raises(UsageError, match="two files to lint have the id 'a'"):
        lint([SourceFile("a", PLAIN), SourceFile("a", "x = 1\n")])


def test_no_files_have_no_reports():
    assert lint([]) == LintReports((), ())


@pytest.mark.parametrize("limits", [{"cpu_seconds": 0}, {"wall_factor": 0.5}, {"memory_mib": 0}])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(UsageError, match="each is 1 or more"):
        LintLimits(**limits)


def test_importing_the_folder_loads_no_linter():
    code = (
        "import raysweep.quality.linting, raysweep.quality.ruff_check, raysweep.quality.summary, sys\n"
        "print([name for name in ('pylint', 'astroid', 'ruff', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
