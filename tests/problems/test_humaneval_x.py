"""HumanEval in Java, C++ and Python: its files, and what must be there to judge it."""

import json

import pytest

from raysweep.errors import UsageError
from raysweep.execution.oracle import oracle_of
from raysweep.problems.base import problem_set_of
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.problems.jsonl import JsonlProblems
from raysweep.problems.runtimes import check_runtime
from raysweep.programs import DEFAULT_SANDBOX, Oracle
from raysweep.records import Spec
from raysweep.stages.test_sets import build_test_set
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs


@pytest.fixture(params=["java", "cpp"])
def problems(request):
    return HumanEvalX(str(shared_data("humaneval_x", f"humaneval_{request.param}.jsonl.gz")), request.param)


def test_has_the_164_published_problems_whose_programs_bring_what_their_tests_call_outside(problems):
    published = problems.problems()
    assert len(published) == 164
    for problem in published:
        assert f"{problem.entry_point}(" in problem.test
        assert problem.entry_point in problem.declaration
        program = problem.assemble(problem.reference)
        assert program.source == f"{problem.prompt}{problem.reference}\n{problem.test}"
        assert (program.language, program.declaration) == (problems.language, problem.declaration)
        assert oracle_of(program) is Oracle.OUTSIDE, problem.task_id
    assert HumanEvalX(str(problems.path)).language == problems.language, "as the task ids say"


def test_perturbed_prompts_differ_inside_their_last_comment_only(problems):
    rows = build_test_set(problems, Spec("C3", {"strength": 20}), seed=1)
    assert sum(row.changed for row in rows) >= 163
    for row in rows:
        assert row.prompt.lower() == row.clean_prompt.lower()
        start = row.clean_prompt.rfind("//" if row.task_id == "CPP/50" else "/*")
        assert row.prompt[:start] == row.clean_prompt[:start]
        end = row.clean_prompt.find("\n" if row.task_id == "CPP/50" else "*/", start)
        assert row.prompt[end:] == row.clean_prompt[end:]


def test_problems_can_be_read_without_a_compiler_and_judged_with_one(problems, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    problems.check(judged=True)
    package = {"java": "default-jdk-headless", "cpp": r"g\+\+"}[problems.language]
    with pytest.raises(UsageError, match=rf"this machine has no .*the package {package}\)"):
        check_runtime(problems.language, problems.problems(), DEFAULT_SANDBOX)


def test_problems_whose_headers_are_missing_are_named_if_they_are_judged(monkeypatch):
    needs("cpp")
    missing = {"boost/any.hpp": "libboost-dev", "openssl/md5.h": "libssl-dev"}
    monkeypatch.setattr("raysweep.problems.runtimes.missing_headers", lambda: missing)
    problems = HumanEvalX(str(shared_data("humaneval_x", "humaneval_cpp.jsonl.gz"))).problems()
    with pytest.raises(UsageError, match=r"CPP/22, CPP/137, CPP/162 include "):
        check_runtime("cpp", problems, DEFAULT_SANDBOX)
    with pytest.raises(UsageError, match=r"CPP/22 includes boost/any.hpp, .* install libboost-dev "):
        check_runtime("cpp", problems[:137], DEFAULT_SANDBOX)
    check_runtime("cpp", problems[:22], DEFAULT_SANDBOX)


ROW = {"prompt": "class A {\n    /* Double. */\n    int f(int a) {\n", "canonical_solution": "return 2 * a; } }"}


@pytest.mark.parametrize(
    ("language", "rows", "message"),
    [
        (None, ["Java/0", "CPP/0"], r"rows.jsonl:2: 'CPP/0' is a problem in C\+\+, and this set's language is Java"),
        (None, ["CPP/0", "Java/0"], r"rows.jsonl:2: 'Java/0' is a problem in Java, and this set's language is C\+\+"),
        ("java", ["CPP/0"], r"rows.jsonl:1: .*give each language a file of its own, and name the right `language`"),
        ("cpp", ["Python/0"], r"rows.jsonl:1: 'Python/0' is a problem in Python"),
        ("cpp", ["JavaScript/0"], r"rows.jsonl:1: 'JavaScript/0' is a problem in JavaScript"),
    ],
)
def test_a_row_in_another_language_than_the_set_is_refused_with_its_line(tmp_path, language, rows, message):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**ROW, "task_id": task_id}) + "\n" for task_id in rows))
    with pytest.raises(UsageError, match=message):
        HumanEvalX(str(path), language).check()


def test_a_rows_own_language_counts_more_than_its_id_and_other_ids_say_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"task_id": "mine/1"}, {"task_id": "java"}, {"task_id": "CPP/3", "language": "Java"}]
    path.write_text("".join(json.dumps({**ROW, **row}) + "\n" for row in rows))
    HumanEvalX(str(path), "java").check()
    with pytest.raises(UsageError, match=r"rows.jsonl:3: 'CPP/3' is a problem in Java, and this set's language is C"):
        HumanEvalX(str(path), "cpp").check()


def test_another_language_or_file_is_reported(tmp_path):
    with pytest.raises(UsageError, match=r"language 'jav' \(did you mean 'java'\?\)"):
        HumanEvalX("x", "jav")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"task_id": "a", "prompt": "def f(x):\\n"}\n')
    with pytest.raises(UsageError, match=r"rows.jsonl:1: `prompt` opens no function in java"):
        HumanEvalX(str(path), "java").check()
    with pytest.raises(UsageError, match="begins with none of Java/, CPP/ and Python/, so `language` must be given"):
        HumanEvalX(str(path))


TESTS = "\n\nMETADATA = {'author': 'jt'}\n\n\ndef check(root):\n    assert root(4) == 2\n\ncheck(root)"
PYTHON = {"task_id": "Python/0", "prompt": 'def root(x):\n    """Return a half power."""\n', "test": TESTS}
PYTHON |= {"canonical_solution": "    return x ** 0.5\n", "declaration": "def root(x):\n"}


def test_a_published_row_in_python_has_the_function_that_its_tests_call_and_the_imports_of_codegeex(tmp_path):
    path = tmp_path / "humaneval_python.jsonl"
    path.write_text(json.dumps(PYTHON) + "\n")
    problems, _ = problem_set_of(str(path), 0, judged=True)
    (problem,) = problems.problems()
    assert (problems.name, problems.language, problem.entry_point) == ("humaneval-x", "python", "root")
    program = problem.assemble(problem.reference)
    assert program.text == PYTHON["prompt"] + PYTHON["canonical_solution"] and program.tests.count("\ncheck(root)") == 1
    needs_them = "    return math.sqrt(np.sum([x])) if Optional else Counter()\n"
    used = "import math\nimport numpy as np\nfrom typing import Counter\nfrom typing import Optional\n"
    assert problem.assemble(needs_them).text == f"{used}from collections import Counter\n{problem.prompt}{needs_them}"
    assert "".join(part.text for part in problems.segments(problem) if part.natural).strip() == "Return a half power."


def test_names_that_a_prompt_in_python_defines_are_read_from_the_candidate(tmp_path):
    path = tmp_path / "rows.jsonl"
    test = "def check(root):\n    assert root(Pair(4)) == 2\n\ncheck(root)\n"
    path.write_text(json.dumps({**PYTHON, "prompt": f"class Pair(int): pass\n{PYTHON['prompt']}", "test": test}) + "\n")
    assert HumanEvalX(str(path)).problems()[0].test.startswith("global Pair\ndef check")


def test_a_row_in_python_whose_tests_call_nothing_is_refused_with_a_way_that_works(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**PYTHON, "test": TESTS.removesuffix("check(root)")}) + "\n")
    with pytest.raises(UsageError, match=r"rows.jsonl:1: `test` must end with a line check\(NAME\), which names"):
        HumanEvalX(str(path)).check()
    path.write_text(json.dumps({**PYTHON, "entry_point": "root"}) + "\n")
    assert JsonlProblems(str(path)).problems()[0].entry_point == "root"
