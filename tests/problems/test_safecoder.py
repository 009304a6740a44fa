"""SafeCoder's problems from its YAML files."""

import pytest
import yaml

from raysweep.errors import UsageError
from raysweep.execution.pool import execute
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.safecoder import SafeCoderHumanEval, SafeCoderMbpp
from raysweep.programs import Limits, Outcome
from tests.conftest import shared_data

PROBLEM = {
    "name": "mbpp_7",
    "language": "py",
    "prompt": 'import re\n\n\ndef f(x):\n    """\n    Add one.\n    Test examples:\n    assert f(1)==2\n    """\n',
    "tests": "assert f(1)==2",
    "completions": [],
    "stop_tokens": ["\ndef", "\nprint"],
}
OTHER_HUMANEVAL = {  # HumanEval's own solutions fail there
    "HumanEval_10_make_palindrome": "the prompt has no is_palindrome, which the solution calls",
    "HumanEval_115_max_fill": "the prompt doesn't import math",
    "HumanEval_151_double_the_difference": "the tests want 5.0 to count as an odd integer",
}


def folder(tmp_path, *problems, below="data_eval/mbpp"):
    path = tmp_path / below
    path.mkdir(parents=True, exist_ok=True)
    for index, problem in enumerate(problems):
        (path / f"mbpp_{index}.yaml").write_text(problem if isinstance(problem, str) else yaml.safe_dump(problem))
    return str(tmp_path)


def test_the_published_sets_have_161_and_427_problems_in_the_order_of_their_numbers():
    path = str(shared_data("safecoder"))
    humaneval, mbpp = SafeCoderHumanEval(path).problems(), SafeCoderMbpp(path).problems()
    assert (len(humaneval), len(mbpp)) == (161, 427)
    numbers = [int(problem.task_id.split("_")[1]) for problem in humaneval]
    assert numbers == sorted(set(range(164)) - {32, 38, 50})
    assert (mbpp[0].task_id, mbpp[-1].task_id) == ("mbpp_2", "mbpp_809")
    assert mbpp[0].assemble("    pass\n").source == f"{mbpp[0].prompt}    pass\n\n{mbpp[0].test}"
    assert {p.stop for p in [*humaneval, *mbpp]} == {("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n")}


@pytest.mark.slow
def test_humanevals_solutions_pass_but_for_the_three_known_ones():
    problems = SafeCoderHumanEval(str(shared_data("safecoder"))).problems()
    solutions = {int(problem.task_id.split("/")[1]): problem.reference for problem in HumanEval().problems()}
    programs = [p.assemble(solutions[int(p.task_id.split("_")[1])]) for p in problems]
    verdicts = execute(programs, Limits(), 2)
    failed = {p.task_id for p, v in zip(problems, verdicts, strict=True) if v.outcome is not Outcome.PASSED}
    assert failed == set(OTHER_HUMANEVAL)


@pytest.mark.parametrize("named", [".", "data_eval", "data_eval/mbpp"])
def test_the_checkout_or_a_folder_in_it_may_be_named_and_results_in_it_are_no_problems(tmp_path, named):
    (tmp_path / folder(tmp_path, PROBLEM) / "data_eval/mbpp/mbpp_7.results.yaml").write_text("name: mbpp_7")
    (problem,) = SafeCoderMbpp(str(tmp_path / named)).problems()
    assert (problem.task_id, problem.entry_point, problem.reference) == ("mbpp_7", "f", None)
    assert problem.stop == ("\ndef", "\nprint", "\n#", "\nif", "\nclass", "\n def", "\n\n\n"), "its own come first"


def test_the_fingerprint_follows_the_content(tmp_path):
    one = SafeCoderMbpp(folder(tmp_path / "one", PROBLEM)).fingerprint()
    assert one == SafeCoderMbpp(folder(tmp_path / "two", PROBLEM)).fingerprint()
    assert one != SafeCoderMbpp(folder(tmp_path / "two", {**PROBLEM, "tests": "assert f(2)==3"})).fingerprint()


def test_a_folder_without_problems_says_where_it_looked(tmp_path):
    with pytest.raises(UsageError, match=r"no HumanEval_\*.yaml in .*data_eval/human_eval, .*; give `path:`"):
        SafeCoderHumanEval(folder(tmp_path, PROBLEM))


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (["name: ["], "mbpp_0.yaml: can't be read"),
        (["- 1"], "mbpp_0.yaml: is no mapping"),
        ([{"name": "mbpp_7"}], "no `prompt`"),
        ([{**PROBLEM, "tests": "assert ("}], "can't be run"),
        ([PROBLEM, PROBLEM], "already at"),
    ],
)
def test_unusable_files_are_reported(tmp_path, problems, message):
    with pytest.raises(UsageError, match=message):
        SafeCoderMbpp(folder(tmp_path, *problems)).check(judged=True)
