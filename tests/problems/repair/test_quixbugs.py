"""QuixBugs: right programs pass, faulty ones don't, in both languages."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.execution.oracle import reason_for_inside
from raysweep.execution.pool import Executor
from raysweep.problems.repair import base
from raysweep.problems.repair.minirepair import MiniRepair
from raysweep.problems.repair.quixbugs import QuixBugs
from raysweep.programs import Oracle, Outcome
from raysweep.prompts.repair.hunks import hunk_in
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.prompts.repair.styles import RepairAnswer
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs_junit
from tests.problems.repair.rows import GCD, LAST, lines, quixbugs


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(1) as executor:
        yield executor


def outcomes(executor: Executor, problems: list[RepairProblem], *, right: bool) -> dict[str, Outcome]:
    programs = [problem.assemble((problem.reference or "") if right else problem.hunk.buggy) for problem in problems]
    verdicts = executor.run(programs, QuixBugs.limits)
    return {problem.task_id: verdict.outcome for problem, verdict in zip(problems, verdicts, strict=True)}


def problems_of(problem_set: QuixBugs) -> list[RepairProblem]:
    return [problem for problem in problem_set.problems() if isinstance(problem, RepairProblem)]


def test_cases_and_graphs_in_python_tell_right_from_wrong(tmp_path: Path, executor: Executor) -> None:
    problems = problems_of(QuixBugs(quixbugs(tmp_path, GCD, LAST)))
    assert problems[0].prompt == (
        "def gcd(a, b):\n    if b == 0:\n        return a\n# bug start: \n    return gcd(a % b, b)\n# bug end \n"
    )
    assert problems[0].file_after.startswith('\n\n"""\nGreatest')
    reasons = [reason_for_inside(problem.assemble("")) for problem in problems]
    assert reasons == ["", "they set .value"], "tests of graphs hand over nodes of their own"
    assert set(outcomes(executor, problems, right=True).values()) == {Outcome.PASSED}
    wrong = outcomes(executor, problems, right=False)
    assert wrong == {"QuixBugs/gcd": Outcome.EXCEPTION, "QuixBugs/last": Outcome.FAILED}


@pytest.mark.parametrize("change", [("\n", "\r\n"), ("% b, b)\n", "% b, b)  \n"), ('\n\n\n"""', '\n"""')])
def test_however_a_file_ends_its_lines_the_faulty_lines_give_it_back(tmp_path: Path, change: tuple[str, str]) -> None:
    file = str(GCD["python_buggy"]).replace(*change)
    (problem,) = problems_of(QuixBugs(quixbugs(tmp_path, {**GCD, "python_buggy": file})))
    assert problem.assemble(problem.hunk.buggy).text == file
    assert problem.hunk.buggy.strip() == "return gcd(a % b, b)" and problem.file_after.lstrip().startswith('"""')


def test_comparisons_are_those_of_quixbugs_own_tests(tmp_path: Path) -> None:
    rows = [
        {**GCD, "name": "sqrt", "testcases": [[[2, 0.01], 1.4166]]},
        {**GCD, "name": "hanoi", "testcases": [[[1], [[1, 3]]]]},
        {**GCD, "name": "flatten", "testcases": [[[[1, [2]]], [1, 2]]]},
        {**GCD, "name": "levenshtein", "testcases": [[[number], 0] for number in range(5)]},
    ]
    tests = [problem.test.splitlines()[1:] for problem in QuixBugs(quixbugs(tmp_path, *rows)).problems()]
    assert tests[:3] == [
        ["    assert abs(candidate(2, 0.01) - 1.4166) <= 0.01"],
        ["    assert candidate(1) == [(1, 3)]"],
        ["    assert list(candidate([1, [2]])) == [1, 2]"],
    ]
    assert len(tests[3]) == 4 and not any("candidate(3)" in line for line in tests[3])


def test_a_hunk_in_java_lies_in_the_method_that_both_versions_have(tmp_path: Path) -> None:
    overload = "    public static int gcd(long a) {\n        return 1;\n    }\n}\n"
    (problem,) = problems_of(QuixBugs(quixbugs(tmp_path, GCD | {
        "java_buggy": str(GCD["java_buggy"]).removesuffix("}\n") + overload,
    }), language="java"))  # fmt: skip
    assert problem.hunk.buggy == "        return gcd(a % b, b); // wrong\n"
    assert problem.file_after == overload and problem.prompt.startswith("public static int gcd(int a, int b) {\n")


def test_lines_that_are_added_in_java_come_before_the_line_that_is_the_hunk(tmp_path: Path) -> None:
    buggy = str(GCD["java_correct"]).replace("package correct_", "package ")
    correct = str(GCD["java_correct"]).replace(
        "        return gcd", "        // first\n        a = a;\n        return gcd"
    )
    row = GCD | {"java_buggy": buggy, "java_correct": correct}
    (problem,) = problems_of(QuixBugs(quixbugs(tmp_path, row), language="java"))
    assert problem.hunk.buggy == "        return gcd(b, a % b);\n"
    assert problem.reference == "        a = a;\n        return gcd(b, a % b);\n"


def test_hunks_in_java_are_those_that_clm_marks_but_for_three() -> None:
    prompts = shared_data("clm_apr", "quixbugs", "codegen_finetune_result", "codegen_input.json")
    marked = {
        name.lower(): row["input"].split("// buggy lines start:\n")[1].split("// buggy lines end:")[0]
        for name, row in json.loads(prompts.read_text())["data"].items()
    }
    problems = problems_of(QuixBugs(str(shared_data("quixbugs", "quixbugs.jsonl.gz")), language="java"))
    ours = {problem.entry_point: hunk_in(problem.prompt)[0].buggy for problem in problems}
    assert set(ours) == set(marked)
    others = {name for name, buggy in ours.items() if "".join(buggy.split()) != "".join(marked[name].split())}
    assert others == {"breadth_first_search", "lcs_length", "shortest_path_lengths"}
    assert {name: ours[name].count("\n") for name in others} == {
        "breadth_first_search": 14,  # Java wants its last line, too, which clm's file has
        "lcs_length": 3,  # the third line is as wrong as the first
        "shortest_path_lengths": 1,  # another one: the file has changed since
    }


@pytest.mark.slow
def test_a_patch_in_java_passes_only_by_its_tests(tmp_path: Path, executor: Executor) -> None:
    needs_junit()
    (problem,) = problems_of(QuixBugs(quixbugs(tmp_path, GCD), language="java"))
    tricks = {
        "        return gcd(b, a % b);\n": Outcome.PASSED,
        "        System.exit(0);\n        return a;\n": Outcome.KILLED,
        '        System.out.println("OK (2 tests)");\n        return a;\n': Outcome.FAILED,
        '        throw new org.junit.AssumptionViolatedException("skip me");\n': Outcome.EXCEPTION,
    }
    edited = "package java_testcases.junit;\npublic class GCD_TEST {\n    @org.junit.Test public void test() {}\n}\n"
    program = problem.assemble("")
    inside = [dataclasses.replace(program, text=text, declaration="") for text in (edited, program.text)]
    programs = [*map(problem.assemble, tricks), dataclasses.replace(program, text=edited), *inside]
    verdicts = executor.run(programs, QuixBugs.limits)
    assert [verdict.outcome for verdict in verdicts[:-1]] == [*tricks.values(), *[Outcome.COMPILE_ERROR] * 2]
    assert {verdict.oracle for verdict in verdicts[:4]} == {Oracle.OUTSIDE}
    assert verdicts[-1].oracle == Oracle.INSIDE and verdicts[-1].outcome != Outcome.PASSED


@pytest.mark.long
@pytest.mark.parametrize("language", ["python", "java"])
def test_all_of_quixbugs(executor: Executor, language: str) -> None:
    """In small: test_a_patch_in_java_passes_only_by_its_tests.

    For Python: test_cases_and_graphs_in_python_tell_right_from_wrong.
    """
    if language == "java":
        needs_junit()
    problems = problems_of(QuixBugs(str(shared_data("quixbugs", "quixbugs.jsonl.gz")), language=language))
    assert len(problems) == 40
    assert set(outcomes(executor, problems, right=True).values()) == {Outcome.PASSED}
    wrong = outcomes(executor, problems, right=False)
    assert not {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.COMPILE_ERROR} & set(wrong.values()), wrong
    for problem in problems:
        exact = problem.patch(problem.reference or "", RepairAnswer.HUNK)
        assert exact is not None and exact.is_exact
        assert problem.assemble(problem.hunk.buggy).text == problem.file_before + problem.hunk.code + problem.file_after


def test_how_hunks_are_made_is_part_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem_set, mini = QuixBugs(quixbugs(tmp_path, GCD)), MiniRepair(3, "validation", 1)
    before = problem_set.fingerprint()
    assert mini.fingerprint()["repair"] == before["repair"] == base.VERSION
    monkeypatch.setattr(base, "VERSION", 99)
    assert problem_set.fingerprint() == {**before, "repair": 99}


def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"quixbugs\.jsonl doesn't exist"):
        QuixBugs(str(tmp_path / "quixbugs.jsonl"))
    path = quixbugs(tmp_path, GCD, {**GCD, "name": "same", "python_correct": GCD["python_buggy"]})
    with pytest.raises(UsageError, match="language 'jav'"):
        QuixBugs(path, language="jav")
    with pytest.raises(UsageError, match=r"quixbugs.jsonl.gz:2: the correct code is the faulty code"):
        QuixBugs(path).check()
    with pytest.raises(UsageError, match=r":1: .* read by the problem set repair, .*: repair=/"):
        QuixBugs(quixbugs(tmp_path, {"name": "a", "buggy": "a", "correct": "b", "tests": "assert a"})).check()


def test_the_classes_that_tests_share_are_needed_only_where_tests_use_them(tmp_path: Path) -> None:
    path = quixbugs(tmp_path, GCD)
    before = QuixBugs(path).fingerprint()
    (tmp_path / "support_files.json").unlink()
    assert [problem.entry_point for problem in QuixBugs(path).problems()] == ["gcd"]
    assert before["support"] and "support" not in QuixBugs(path).fingerprint()
    with pytest.raises(UsageError, match=r":1: its tests need java/Node\.java, which .*support_files\.json doesn't"):
        QuixBugs(path, language="java").check()
    with pytest.raises(UsageError, match=r":1: its tests need python/node\.py"):
        QuixBugs(lines(Path(path), LAST)).check()
