"""Samples files of any length: equal programs run once, rows keep the file's order, a killed command resumes."""

import gzip
import json
import signal
import subprocess
import sys
import tracemalloc
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.jsonl import JsonlProblems
from raysweep.problems.repair.own import OwnRepairs
from raysweep.problems.repair.quixbugs import QuixBugs
from raysweep.programs import DEFAULT_SANDBOX, Limits, Oracle, Outcome, Verdict
from raysweep.prompts.answers.ways import Extract
from raysweep.storage.blocks import Blocks
from raysweep.storage.files import Files
from raysweep.tools.samples.results import ResultsFile
from raysweep.tools.samples.run import SampleJob, SampleRun
from raysweep.tools.samples.scores import SampleScores
from tests.execution.compiled.processes import needs
from tests.patience import PATIENCE, eventually
from tests.problems.repair.rows import GCD, quixbugs

CPP = {"language": "cpp", "prompt": "int f() {\n", "test": "#include <cassert>\nint main() { assert(f() == 1); }\n"}
FIELDS = {"prompt": "def f():\n", "entry_point": "f", "test": "def check(f):\n    assert f() == 1\n"}
RIGHT, WRONG = "    return 1\n", "    return 2\n"


def problems(folder: Path, *rows: dict) -> Path:
    path = folder / "p.jsonl"
    rows = rows or (FIELDS, FIELDS)
    lines = [{"task_id": f"T/{at}", "canonical_solution": RIGHT, **row} for at, row in enumerate(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def samples(folder: Path, *rows: tuple[int, str], name: str = "s.jsonl") -> Path:
    path = folder / name
    lines = [json.dumps({"task_id": f"T/{task}", "completion": text, "at": at}) for at, (task, text) in enumerate(rows)]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def run(folder: Path, path: Path, out: Path | None, workers: int = 2, **limits: float) -> SampleScores:
    problem_set = JsonlProblems(str(folder / "p.jsonl"))
    return SampleRun(SampleJob(path, problem_set, out, Limits(**limits), DEFAULT_SANDBOX, workers), silent).run(silent)


def silent(done: int) -> None:
    """Show no progress."""


def rows_of(out: Path) -> list[dict]:
    content = out.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(content) if out.suffix == ".gz" else content).splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_rows_come_out_in_the_files_order_and_equal_programs_run_once(tmp_path, ending):
    """And the whole file is checked before any work."""
    problems(tmp_path)
    path = samples(tmp_path, *[(0, RIGHT)] * 5, (7, RIGHT), name=f"s{ending}")
    with pytest.raises(UsageError, match=r"s(\.gz)?:6: no problem of jsonl has the task_id 'T/7'"):
        run(tmp_path, path, tmp_path / "o.jsonl")
    assert not (tmp_path / "o.jsonl.part").exists()
    slow = "    import time\n    time.sleep(0.5)\n    return 1\n"  # the first row's verdict comes last
    path = samples(tmp_path, (0, slow), (0, RIGHT), (1, WRONG), (0, slow), (1, WRONG), (1, RIGHT), name=f"s{ending}")
    scores = run(tmp_path, path, out := tmp_path / f"o.jsonl{ending}")
    rows = rows_of(out)
    assert [row["at"] for row in rows] == list(range(6))
    assert [row["passed"] for row in rows] == [True, True, False, True, False, True]
    assert (scores.samples, scores.tasks) == (6, 2)
    assert scores.programs == 3  # both tasks have the same prompt and tests
    assert scores.outcomes == {"passed": 4, "failed": 2}
    assert scores.pass_at_k[1].value == pytest.approx(2 / 3)


def test_harness_errors_are_null_and_reported_and_run_again_by_the_next_command(tmp_path, monkeypatch):
    class Broken(AbstractContextManager):
        def __init__(self, slots, sandbox):
            pass

        def __exit__(self, *error):
            pass

        def stream(self, work):
            for key, program, _ in work:
                yield key, Verdict(Outcome.HARNESS_ERROR, "no process", oracle=program.oracle)

    problems(tmp_path)
    path = samples(tmp_path, (0, RIGHT), (1, WRONG))
    with monkeypatch.context() as patch:
        patch.setattr("raysweep.tools.samples.run.Executor", Broken)
        scores = run(tmp_path, path, tmp_path / "o.jsonl")
    assert (scores.harness_errors, scores.harness_error) == (2, "no process")
    assert [row["passed"] for row in rows_of(tmp_path / "o.jsonl")] == [None, None]
    assert run(tmp_path, path, tmp_path / "o.jsonl").outcomes == {"passed": 1, "failed": 1}


def test_progress_counts_reference_solutions_which_run_right_before_the_samples_of_their_problem(tmp_path, monkeypatch):
    problems(tmp_path, *[{**FIELDS, "prompt": f"# {at}\ndef f():\n"} for at in range(3)])
    path = samples(tmp_path, (0, WRONG), (0, f"{WRONG}# again\n"), (2, WRONG), (0, WRONG))
    sent: list[str] = []

    def stream(self, work):
        items = list(work)
        sent.extend(
            f"{program.text[2]} {'reference' if RIGHT in program.text else 'sample'}" for _, program, _ in items
        )
        return plain(self, items)

    plain = Executor.stream
    monkeypatch.setattr(Executor, "stream", stream)
    job = SampleJob(path, JsonlProblems(str(tmp_path / "p.jsonl")), None, Limits(), DEFAULT_SANDBOX, 1)
    sample_run = SampleRun(job, silent)
    told: list[int] = []
    sample_run.run(told.append)
    assert sent == ["0 reference", "0 sample", "0 sample", "2 reference", "2 sample"]
    assert sample_run.runs == 6 and told == sorted(told) and told[0] == 0
    assert {1, 2, 3} <= set(told)


def test_samples_judged_before_their_reference_are_judged_again_where_that_runs(tmp_path, monkeypatch):
    """A kill loses nothing of it, and no verdict from the wrong place is kept."""
    point = "class P:\n    def __init__(self, n): self.n = n\n    def __eq__(self, other): return self.n == other.n\n"
    own = {"prompt": f"{point}def f(n):\n", "test": "def check(f):\n    assert f(1) == f(1)\n"}
    problems(tmp_path, {**FIELDS, **own, "canonical_solution": "    return P(n)\n"}, FIELDS)
    path = samples(tmp_path, (0, "    return P(n + 0)\n"), (0, "    return P(id([n]))\n"), (1, RIGHT), (1, WRONG))
    out = tmp_path / "o.jsonl"
    judged: list[str] = []
    monkeypatch.setattr(ResultsFile, "save_verdict", lambda _, key, verdict: judged.append((len(key), verdict.oracle)))
    scores = run(tmp_path, path, out)
    assert [row["oracle"] for row in rows_of(out)] == ["inside", "inside", "outside", "outside"]
    assert [row["passed"] for row in rows_of(out)][2:] == [True, False] and rows_of(out)[0]["passed"]
    assert sorted(judged) == [(16, "inside")] * 2 + [(16, "outside")] * 2 + [(32, "inside"), (32, "outside")]
    assert scores.programs == 4
    job = SampleJob(path, JsonlProblems(str(tmp_path / "p.jsonl")), None, Limits(), DEFAULT_SANDBOX, 1)
    strict = replace(job, sandbox=replace(DEFAULT_SANDBOX, require_oracle=Oracle.OUTSIDE))
    with pytest.raises(UsageError, match=r"the tests of T/0 .its reference solution has another outcome.* leave these"):
        SampleRun(strict, silent).run(silent)
    left_out = replace(strict, samples=samples(tmp_path, (1, RIGHT)))
    assert SampleRun(left_out, silent).run(silent).outcomes == {"passed": 1}


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    problems(tmp_path)
    path = samples(tmp_path, (0, RIGHT))
    job = SampleJob(path, JsonlProblems(str(tmp_path / "p.jsonl")), None, Limits(), DEFAULT_SANDBOX, 1)
    sample_run = SampleRun(job, silent)
    samples(tmp_path, (0, WRONG))
    with pytest.raises(UsageError, match="changed while it was read"):
        sample_run.run(silent)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    problems(tmp_path)
    peaks = []
    for count in (200, 8_000):
        path = samples(tmp_path, *[(at % 2, (RIGHT, WRONG)[at // 2 % 2]) for at in range(count)])
        run(tmp_path, path, tmp_path / "o.jsonl")  # warm up: imports take memory once
        tracemalloc.start()
        run(tmp_path, path, tmp_path / "o.jsonl")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**19


def command(folder: Path, out: str, *more: str) -> list[str]:
    options = ["--problems", "p.jsonl", "--out", out, "--workers", "2", "--allow-code-execution", "--json", *more]
    return [sys.executable, "-m", "raysweep", "execute", "s.jsonl", *options]


def saved(out: Path) -> int:
    """Return the number of verdicts that a command which resumes would find."""
    return len(Blocks(Files(f"{out}.part.verdicts/blocks"), Verdict).read())


HELD = """
import sys, threading
from raysweep.cli.app import main
from raysweep.tools.samples.results import ResultsFile

left, save = int(sys.argv.pop(1)), ResultsFile.save_verdict

def save_and_wait(self, *judged):
    global left
    save(self, *judged)
    left -= 1
    if left == 0:
        threading.Event().wait()

ResultsFile.save_verdict = save_and_wait
main()
"""
"""The command, which waits once it has saved so many verdicts."""


def stopped(folder: Path, out: str, count: int, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Give the command, and send it a signal once it has saved so many more verdicts."""
    before = saved(folder / out)
    held = [sys.executable, "-c", HELD, str(count), *command(folder, out)[3:]]
    running = subprocess.Popen(held, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert eventually(lambda: running.poll() is not None or saved(folder / out) == before + count)
    finally:
        running.send_signal(number)
    shown, err = running.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(held, running.returncode, shown, err)


def slow_samples(folder: Path) -> None:
    problems(folder)
    slow = "    import time\n    time.sleep(0.1)\n    return {}  # {}\n"
    samples(folder, *[(at % 2, slow.format(1 + at % 3, at % 30)) for at in range(60)])


@pytest.mark.slow
def test_a_killed_command_resumes_and_writes_the_same_bytes(tmp_path):
    slow_samples(tmp_path)
    out = tmp_path / "o.jsonl.gz"
    for _ in range(2):
        assert stopped(tmp_path, out.name, 5, signal.SIGKILL).returncode < 0
    (tmp_path / f"{out.name}.part.verdicts" / "blocks" / f"{'0' * 32}.json").write_bytes(b'{"0011')
    with (tmp_path / f"{out.name}.part").open("ab") as file:
        file.write(b'{"task_id": "T/')
    done = subprocess.run(command(tmp_path, out.name), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "kept 9 of 30 verdicts" in done.stderr  # and one of the reference solution that both problems have
    scores = json.loads(done.stdout)
    assert scores["kept"] == 9 and scores["samples"] == 60 and scores["programs"] == 30
    run(tmp_path, tmp_path / "s.jsonl", tmp_path / "undisturbed.jsonl.gz")
    assert out.read_bytes() == (tmp_path / "undisturbed.jsonl.gz").read_bytes()
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


@pytest.mark.slow
def test_ctrl_c_prints_what_is_kept_and_the_command_that_resumes(tmp_path):
    slow_samples(tmp_path)
    done = stopped(tmp_path, "o.jsonl", 2, signal.SIGINT)
    assert (done.returncode, done.stdout) == (130, "")
    assert "\nstopped; the verdicts so far are kept in o.jsonl.part, and this command resumes:\n" in done.stderr
    assert "raysweep execute s.jsonl --problems p.jsonl --out o.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
    changed = command(tmp_path, "o.jsonl", "--timeout", "3")
    other = subprocess.run(changed, cwd=tmp_path, capture_output=True, text=True)
    assert other.returncode == 2 and "begun with timeout 5.0 (now 3.0)" in other.stderr


@pytest.mark.long
@pytest.mark.slow
def test_a_file_may_have_programs_in_several_languages_and_what_is_missing_counts_for_its_own_rows(
    tmp_path, monkeypatch
):
    """In small: tests/execution/compiled/test_judging.py."""
    needs("cpp")
    java = {"language": "java", "prompt": "class Solution {\n    int f() {\n", "test": "class Main { }"}
    problems(tmp_path, FIELDS, CPP, java, {**CPP, "prompt": f"#include <boost/any.hpp>\n{CPP['prompt']}"})
    with pytest.raises(UsageError, match=r"p\.jsonl:2: its `language` is cpp.*give each language a file"):
        JsonlProblems(str(tmp_path / "p.jsonl")).problems()
    problem_set = JsonlProblems(str(tmp_path / "p.jsonl")).mixed()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("raysweep.problems.runtimes.missing_headers", lambda: {"boost/any.hpp": "libboost-dev"})
    in_cpp = ["return 1; }\n", "return 2; }\n", "return one; }\n", "int f() { return 1; }\n"]
    path = samples(tmp_path, (0, RIGHT), *((1, text) for text in in_cpp), (0, WRONG))
    job = SampleJob(path, problem_set, tmp_path / "o.jsonl", Limits(timeout=5), DEFAULT_SANDBOX, 1)
    scores = SampleRun(job, silent).run(silent)
    rows = rows_of(tmp_path / "o.jsonl")
    assert [row["passed"] for row in rows] == [True, True, False, False, False, False]
    assert rows[3]["result"].startswith("failed: line 2: 'one' was not declared")
    assert scores.outcomes == {"passed": 2, "failed": 2, "compile_error": 2}
    assert scores.advice.startswith("2 of 6 samples don't compile: a repeated signature in 1; --extract auto finds a")
    assert job.settings({"python", "cpp"})["toolchain"].startswith("g++ ")
    no_jdk, in_java = "JAVA_HOME is .*, which holds no JDK", (2, "return 1; } }")
    with pytest.raises(UsageError, match=no_jdk):
        SampleRun(replace(job, samples=samples(tmp_path, in_java)), silent)
    with pytest.raises(UsageError, match=r"T/3 includes boost/any.hpp, which this machine lacks; install libboost"):
        SampleRun(replace(job, samples=samples(tmp_path, (3, "return 1; }\n"))), silent)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=rf"this machine has no g\+\+.*; and {no_jdk}"):
        SampleRun(replace(job, samples=samples(tmp_path, in_java, (1, ""))), silent)


@pytest.mark.slow
def test_programs_are_taken_out_of_samples_where_that_is_asked_for(tmp_path):
    problems(tmp_path)
    fenced = "Sure:\n```python\ndef f():\n    return 1\n```\n"
    path = samples(tmp_path, (0, fenced), (1, fenced), (1, RIGHT), (1, "nothing"))
    out, problem_set = tmp_path / "o.jsonl", JsonlProblems(str(tmp_path / "p.jsonl"))
    scores = run(tmp_path, path, out)
    assert scores.outcomes == {"passed": 1, "syntax_error": 3} and not scores.found
    assert scores.advice.startswith("3 of 4 samples don't compile: fenced code (```) or tags in 2, no indentation in 1")
    assert "program" not in rows_of(out)[0]
    plain = SampleJob(path, problem_set, out, Limits(), DEFAULT_SANDBOX, 2)
    job = replace(plain, extract=Extract.AUTO)
    scores = SampleRun(job, silent).run(silent)
    assert scores.outcomes == {"passed": 3, "syntax_error": 1} and not scores.advice
    assert scores.found == {"fence": 2, "body": 1, "nothing": 1} and scores.programs == 2
    first, *_, last = rows_of(out)
    assert (first["completion"], first["program"]) == (fenced, "def f():\n    return 1\n")
    assert (first["found"], last["found"]) == ("fence", "nothing")
    assert job.settings() != plain.settings()


def test_for_repair_a_completion_is_a_patch_and_a_solution_the_whole_patched_file(tmp_path):
    mended = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n"
    rows = [{"completion": "    return gcd(b, a % b)\n"}, {"solution": mended}, {"solution": GCD["python_buggy"]}]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps({"task_id": "QuixBugs/gcd", **row}) + "\n" for row in rows))
    job = SampleJob(path, QuixBugs(quixbugs(tmp_path, GCD)), tmp_path / "o.jsonl", Limits(), DEFAULT_SANDBOX, 1)
    SampleRun(job, silent).run(silent)
    judged = rows_of(tmp_path / "o.jsonl")
    assert [row["passed"] for row in judged] == [True, True, False]
    assert judged[1]["program"] == mended


def test_a_reference_that_only_takes_lines_out_tells_where_tests_run(tmp_path):
    code = "class Tally:\n    def up(self, n):\n        n += 1\n        return n\n"
    tests = "def test_it():\n    t = Tally()\n    assert t.up(3) == 3\n"
    row = {"name": "T/0", "buggy": code, "correct": code.replace("        n += 1\n", ""), "tests": tests}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    path = samples(tmp_path, (0, "        pass\n"))
    job = SampleJob(path, OwnRepairs(str(tmp_path / "p.jsonl")), None, Limits(), DEFAULT_SANDBOX, 1)
    assert SampleRun(job, silent).run(silent).outcomes == {"passed": 1}
