"""HumanEval-Java: whole classes, published positions, and the numbers of HumanEval."""

from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.repair.humaneval_java import HumanEvalJava, humaneval_number
from raysweep.programs import Outcome
from raysweep.prompts.repair.problems import RepairProblem
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs_junit
from tests.problems.repair.rows import ADD, lines


def test_a_model_sees_the_function_or_the_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl.gz", ADD)
    (function,), (file,) = HumanEvalJava(path).problems(), HumanEvalJava(path, context="file").problems()
    assert function.prompt == (
        "public static int add(int x, int y) {\n// bug start: \n    return x | y;\n// bug end \n}\n"
    )
    assert file.prompt.startswith("package humaneval.buggy;\n\n/* Add two")
    mended = str(ADD["java_buggy"]).replace("x | y", "x + y")
    assert function.assemble("        return x + y;\n").text == file.assemble("        return x + y;\n").text == mended
    natural = [one.text for one in HumanEvalJava(path, context="file").segments(file) if one.natural]
    assert natural == ["Add two numbers and nothing else."]


def test_published_positions_make_hunks_larger(tmp_path: Path) -> None:
    path, positions = lines(tmp_path / "rows.jsonl.gz", ADD), tmp_path / "loc.txt"
    positions.write_text("FIB4 8-10\n")
    (problem,) = HumanEvalJava(path, str(positions)).problems()
    assert problem.reference == "    public static int add(int x, int y) {\n        return x + y;\n"
    positions.write_text("FIB4 8-100\n")
    with pytest.raises(UsageError, match=r"loc.txt:1, FIB4: the hunk of lines 8 to 100 .* lies outside of the file"):
        HumanEvalJava(path, str(positions)).check()
    positions.write_text("\nFIB4 8\n")
    with pytest.raises(UsageError, match=r"loc.txt:2: a position must be NAME FIRST-END"):
        HumanEvalJava(path, str(positions)).check()


def test_rows_of_humaneval_x_are_sent_to_their_own_set(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl.gz", {"task_id": "Java/0", "prompt": "", "declaration": "", "test": ""})
    with pytest.raises(UsageError, match=r"gz:1: this is a row of HumanEval-X, which the problem set humaneval-x"):
        HumanEvalJava(path).check()


def test_names_stand_for_problems_of_humaneval() -> None:
    names = ["has_close_elements", "fib4", "digit_sum", "sum_squares", "add", "sort_array", "unknown"]
    assert [humaneval_number(name) for name in names] == ["0", "46", "66", "142", "53", "88", "unknown"]


@pytest.mark.long
def test_all_solutions_but_one_pass_and_no_faulty_program_does() -> None:
    """In small: tests/problems/repair/test_quixbugs.py, test_a_patch_in_java_passes_only_by_its_tests."""
    needs_junit()
    problem_set = HumanEvalJava(str(shared_data("humaneval_java", "humaneval_java.jsonl.gz")))
    problems = [problem for problem in problem_set.problems() if isinstance(problem, RepairProblem)]
    programs = [problem.assemble(problem.reference or "") for problem in problems]
    programs += [problem.assemble(problem.hunk.buggy) for problem in problems]
    with Executor(2) as executor:
        verdicts = executor.run(programs, HumanEvalJava.limits)
    failing = [one.task_id for one, v in zip(problems, verdicts, strict=False) if v.outcome != Outcome.PASSED]
    assert failing == ["HumanEval-Java/DO_ALGEBRA"]
    wrong = {verdict.outcome for verdict in verdicts[len(problems) :]}
    assert not wrong & {Outcome.PASSED, Outcome.HARNESS_ERROR}
