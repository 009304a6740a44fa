"""Problems from a user's file."""

import json
import pickle
import re
from dataclasses import replace

import pytest

from raysweep.errors import UsageError
from raysweep.execution import execute
from raysweep.execution.oracle import oracle_of
from raysweep.execution.pool import Executor
from raysweep.problems.file_problems import problem_fields
from raysweep.problems.jsonl import JsonlProblems, humaneval_problem
from raysweep.programs import Level, Limits, Oracle, Outcome, Sandbox
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow
from tests.execution.compiled.processes import needs
from tests.paths import REPO

ROW = {
    "task_id": "own/1",
    "prompt": 'def twice(n):\n    """Double it."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * n\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    "difficulty": {"level": 3},
}


def problem_set(tmp_path, *rows):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlProblems(str(path))


def test_a_docstring_in_single_quotes_gives_a_file_another_key_and_no_other_file(tmp_path):
    assert "docstrings" not in problem_set(tmp_path, ROW).fingerprint()
    single = {**ROW, "prompt": "def twice(n):\n    'Double it.'\n"}
    assert problem_set(tmp_path, single).fingerprint()["docstrings"] == 2


def without(name):
    return {key: value for key, value in ROW.items() if key != name}


def test_a_row_becomes_a_problem_that_gives_the_row_back(tmp_path):
    (problem,) = problem_set(tmp_path, ROW).problems()
    assert (problem.task_id, problem.prompt, problem.entry_point) == ("own/1", ROW["prompt"], "twice")
    assert (problem.reference, problem.test, problem.language) == (ROW["canonical_solution"], ROW["test"], "python")
    assert problem_fields(problem) == ROW
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert len({problem, problem}) == 1
    of_no_file = Problem("own/1", ROW["prompt"], "twice", ROW["test"], ROW["canonical_solution"])
    assert problem_fields(of_no_file) == without("difficulty")
    (problem,) = problem_set(tmp_path, without("test")).problems()
    assert problem.test == "" and "test" not in problem_fields(problem), "the test may be absent"


def test_a_solution_that_is_null_is_none(tmp_path):
    code = {"task_id": "j/1", "language": "java", "prompt": "class S {\n    int one() {\n", "canonical_solution": None}
    for row in ({**ROW, "canonical_solution": None}, code):  # mxeval's problems have the field, and most no solution
        (problem,) = problem_set(tmp_path, row).problems()
        assert problem.reference is None and problem_fields(problem) == row


@pytest.mark.parametrize("name", ["task_id", "prompt", "entry_point", "canonical_solution"])
def test_a_missing_field_is_named_with_file_and_line(tmp_path, name):
    problems = problem_set(tmp_path, ROW, without(name))
    for use in (problems.check, problems.problems):
        with pytest.raises(UsageError, match=rf"own.jsonl:2: the row has no `{name}`"):
            use()


def test_a_missing_file_and_a_task_id_that_comes_twice_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"own.jsonl:2: task_id 'own/1' is already at .*own.jsonl:1"):
        problem_set(tmp_path, ROW, ROW).problems()
    with pytest.raises(UsageError, match="doesn't exist"):
        JsonlProblems(str(tmp_path / "none.jsonl"))


def test_the_fingerprint_follows_the_content(tmp_path):
    one = problem_set(tmp_path, ROW).fingerprint()
    assert one == problem_set(tmp_path, ROW).fingerprint()
    assert one != problem_set(tmp_path, ROW | {"prompt": "def twice(n):\n"}).fingerprint()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test": "def check(f):\n    assert f(2) = 4\n"}, "`test` of problem 'own/1' can't be run: .* in its line 2"),
        ({"test": "def check(f):\n\0"}, "the `test` of problem 'own/1' can't be run"),
        ({"entry_point": "twice it"}, r"check\(twice it\) is no call; correct `entry_point`"),
        ({"test": " "}, "has no `test`"),
    ],
)
def test_tests_that_cannot_judge_are_found_before_work_starts(tmp_path, changed, message):
    problems = problem_set(tmp_path, {**ROW, **changed})
    problems.check()
    with pytest.raises(UsageError, match=message):
        problems.check(judged=True)


@pytest.mark.parametrize(
    "test",
    [
        "import unittest\nclass Cases(unittest.TestCase):\n    def test(it):\n        it.assertEqual(twice(2), 4)\n",
        "assert twice(2) == 4\n",
        "# check the result\nclass Tool:\n    def check(self):\n        pass\nassert twice(2) == 4\n",
    ],
)
def test_tests_without_a_check_are_refused_with_a_line_that_makes_them_one(tmp_path, test):
    with pytest.raises(UsageError, match="it defines no function `check`, which is called with the cand") as error:
        problem_set(tmp_path, {**ROW, "test": test}).check(judged=True)
    advice = re.search("add `(def check.*?)`", str(error.value))[1]
    problems = problem_set(tmp_path, {**ROW, "test": f"{test}{advice}\n"})
    problems.check(judged=True)
    (problem,) = problems.problems()
    programs = [problem.assemble(text) for text in (problem.reference, "    return n\n")]
    right, wrong = execute([replace(one, oracle=Oracle.INSIDE) for one in programs], Limits(timeout=3), 1)
    assert (right.outcome, wrong.outcome) == (Outcome.PASSED, Outcome.FAILED)


def test_tests_that_compile_with_a_warning_or_hold_texts_in_other_languages_judge(tmp_path):
    warned = "def check(f):\n    assert f('\\d') is not '\\d'\n"
    for test in (
        warned,
        f"if True:\n    {ROW['test'].replace(chr(10), chr(10) + '    ')}",
        'TEXT = """\n#include <x>\nclass Main {\n"""\n' + ROW["test"],
    ):
        problem_set(tmp_path, {**ROW, "test": test}).check(judged=True)


def test_tests_call_the_prompts_helpers_and_not_those_that_a_candidate_defines():
    prompt = "import math\n\ndef encode(n):\n    return math.floor(n) + 1\n\n\ndef decode(n):\n    '''Decode.'''\n"
    row = {"task_id": "T/0", "prompt": prompt, "entry_point": "decode", "canonical_solution": "    return n - 1\n"}
    test = "def check(candidate):\n    assert candidate(encode(4)) == 4\n"
    problem = humaneval_problem(JsonRow("file:1", {**row, "test": test}))
    assert problem.test.endswith(test) and "def encode(n):" in problem.test
    liar = "    return n\n\ndef encode(n):\n    return n\n"
    right, wrong = execute([problem.assemble(problem.reference or ""), problem.assemble(liar)], Limits(timeout=3), 1)
    assert (right.outcome, wrong.outcome) == (Outcome.PASSED, Outcome.FAILED)


MULTIPL_E = {
    "name": "HumanEval_23_strlen",
    "language": "py",
    "prompt": 'def zero():\n    return 0\n\ndef strlen(string: str) -> int:\n    """Return the length."""\n',
    "tests": "def check(f):\n    assert f('') == zero()\n\ndef test_check():\n    check(strlen)\n\ntest_check()\n",
    "stop_tokens": ["\nclass", "\n@"],
}


def test_rows_of_multipl_e_are_problems_whose_tests_run_as_they_are(tmp_path):
    programs = []
    for row in (MULTIPL_E, {**MULTIPL_E, "stop_tokens": None}, {**MULTIPL_E, "doctests": "transform"}):
        (problem,) = problem_set(tmp_path, row).problems()
        problem_set(tmp_path, row).check(judged=True)
        assert (problem.task_id, problem.entry_point, problem.reference) == ("HumanEval_23_strlen", "strlen", None)
        assert problem.stop[:2] == ("\nclass", "\n@") or row["stop_tokens"] is None
        programs += [problem.assemble(text) for text in ("    return len(string)\n", "    return 1\n")]
    outcomes = [verdict.outcome for verdict in execute(programs, Limits(timeout=3), 1)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED] * 3


def test_tests_of_multipl_e_state_a_class_of_the_prompt_that_a_library_has_too(tmp_path):
    prompt, tests = f"class Counter: pass\n{MULTIPL_E['prompt']}", f"Counter()\n{MULTIPL_E['tests']}"
    (problem,) = problem_set(tmp_path, {**MULTIPL_E, "prompt": prompt, "tests": tests}).problems()
    assert problem.test.startswith("global Counter\n") and problem.test.endswith(tests)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x = 1"}, "`prompt` opens no function"),
        ({"stop_tokens": "\ndef"}, "`stop_tokens` must be a list of texts"),
        ({"language": "java", "prompt": "class A {"}, "`language` is 'java'; of MultiPL-E's problems only those in py"),
        (
            {"language": "java", "task_id": "HumanEval_23_strlen"},
            "`language` is 'java'; of MultiPL-E's problems only t",
        ),
        ({"name": 3}, "`name` must be a string"),
    ],
)
def test_unusable_rows_of_multipl_e_are_reported_with_their_line(tmp_path, row, message):
    with pytest.raises(UsageError, match=rf"own\.jsonl:1: {message}"):
        problem_set(tmp_path, {**MULTIPL_E, **row}).problems()


@pytest.mark.parametrize("task_id", [0, 11, "11"])
def test_a_task_id_may_be_a_whole_number(tmp_path, task_id):
    (problem,) = problem_set(tmp_path, ROW | {"task_id": task_id}).problems()
    assert problem.task_id == str(task_id) and problem_fields(problem)["task_id"] == task_id
    for wrong in (True, 1.5, None):
        with pytest.raises(UsageError, match="`task_id` must be a string"):
            problem_set(tmp_path, ROW | {"task_id": wrong}).problems()


JAVA_ROW = {
    "task_id": "own/1",
    "prompt": "class Solution {\n    /* Double it. */\n    public int twice(int n) {\n",
    "canonical_solution": "        return 2 * n;\n    }\n}\n",
    "test": "public class Main {\n    public static void main(String[] args) {\n"
    "        if (new Solution().twice(2) != 4) throw new AssertionError();\n    }\n}\n",
    "language": "Java",
}


def test_a_file_in_java_has_programs_whose_tests_run_outside(tmp_path):
    problems = problem_set(tmp_path, JAVA_ROW)
    (problem,) = problems.problems()
    assert (problems.language, problem.language, problem.entry_point) == ("java", "java", "twice")
    program = problem.assemble(problem.reference)
    assert program.declaration == JAVA_ROW["prompt"]
    assert oracle_of(program) is Oracle.OUTSIDE
    assert [segment.text for segment in problems.segments(problem) if segment.natural] == ["Double it."]
    declared = problem_set(tmp_path, {**JAVA_ROW, "declaration": "class Solution { public int twice(int n) {"})
    assert declared.problems()[0].assemble("").declaration.startswith("class Solution { public")


@pytest.mark.slow
def test_the_rows_that_the_docs_show_are_solved_by_their_references(tmp_path):
    needs("java", "cpp")
    shown = re.findall(r"```json\n(.*?)```", (REPO / "docs" / "own-model.md").read_text(), re.DOTALL)
    rows = [row for row in map(json.loads, shown) if "test" in row]  # not those for training
    assert [row.get("language", "python") for row in rows] == ["python", "java", "cpp"]
    problems = [problem for row in rows for problem in problem_set(tmp_path, row).problems()]
    programs = [problem.assemble(problem.reference) for problem in problems]
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        verdicts = executor.run(programs, Limits(timeout=5))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 3
    assert {oracle_of(program) for program in programs} == {Oracle.OUTSIDE}


def test_a_language_that_there_is_not_or_another_one_is_refused_and_other_names_are_known(tmp_path):
    assert problem_set(tmp_path, {**ROW, "language": "py"}).language == "python"
    assert problem_set(tmp_path, {**JAVA_ROW, "language": "C++", "prompt": "int f(int a) {\n"}).language == "cpp"
    for *rows, message in (
        ({**ROW, "language": "rust"}, r"own.jsonl:1: programs in the `language` 'rust' can't be run; known: python,"),
        ({**JAVA_ROW, "language": "jav"}, r"own.jsonl:1: .* 'jav' \(did you mean 'java'\?\)"),
        (JAVA_ROW, {**ROW, "task_id": "own/2"}, "own.jsonl:2: its `language` is python, and the first row's is java"),
        ({**JAVA_ROW, "prompt": "class A {"}, r"own.jsonl:1: `prompt` opens no function in java"),
    ):
        with pytest.raises(UsageError, match=message):
            problem_set(tmp_path, *rows).problems()


@pytest.mark.parametrize(
    ("language", "tests"),
    [
        ("java", JAVA_ROW["test"]),
        ("java", "import java.util.*;\nclass Main {\n  public static void main(String[] a) { }\n}"),
        ("cpp", "#include <cassert>\nint main() {\n    assert(f(1) == 2);\n}"),
        ("cpp", "int main(){ return f(1) != 2; }"),
    ],
)
def test_a_compiled_row_without_its_language_is_told_to_name_it(tmp_path, language, tests):
    for more in ({}, {"entry_point": "twice"}):
        row = {key: value for key, value in JAVA_ROW.items() if key != "language"} | {"test": tests, **more}
        with pytest.raises(UsageError, match=rf'jsonl:1: the row has no `language`.*; add "language": "{language}" to'):
            problem_set(tmp_path, row).check(judged=True)
