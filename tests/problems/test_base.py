"""Problem sets that a command line names."""

import gzip
import json

import pytest

from raysweep.errors import UsageError
from raysweep.problems.base import problem_set_of, problems_entry
from tests.problems.repair.rows import ADD, GCD, lines, quixbugs

EVALPLUS = {
    "task_id": "HumanEval/0",
    "prompt": "def one():\n",
    "entry_point": "one",
    "canonical_solution": "    return 1\n",
    "base_input": [[]],
    "plus_input": [[]],
    "atol": 0,
}
MBPP_PLUS = {**EVALPLUS, "task_id": "Mbpp/2", "prompt": '"""\nOne.\n"""\n', "assertion": "assert one() == 1"}
MBPP_PLUS = {**MBPP_PLUS, "canonical_solution": "def one():\n    return 1\n"}
GOOGLES = {"task_id": 11, "text": "One.", "code": "def one():\n    return 1", "test_list": ["assert one() == 1"]}
DEEPSEEKS = {"task_id": 11, "prompt": "One.", "code": GOOGLES["code"], "test": GOOGLES["test_list"]}
HUMANEVALS = {name: EVALPLUS[name] for name in ("task_id", "prompt", "entry_point", "canonical_solution")}
MULTIPL_E = {"name": "HumanEval_0_one", "language": "py", "prompt": "def one():\n", "tests": "assert one() == 1"}
HUMANEVAL_X = {name: "class Solution {\n    int f() {\n" for name in ("prompt", "declaration")}
HUMANEVAL_X |= {"task_id": "Java/0", "canonical_solution": "return 1; } }", "test": "class Main { }"}


@pytest.mark.parametrize(
    ("row", "name", "task_id"),
    [
        (EVALPLUS, "humaneval-plus", "HumanEval/0"),
        (MBPP_PLUS, "mbpp-plus", "Mbpp/2"),
        (GOOGLES, "mbpp", "MBPP/11"),
        (DEEPSEEKS, "mbpp", "MBPP/11"),
        ({**HUMANEVALS, "test": "def check(one):\n    assert one() == 1\n"}, "jsonl", "HumanEval/0"),
        ({**HUMANEVALS, "task_id": "mine/0", "test": "def check(one):\n    pass\n"}, "jsonl", "mine/0"),
        (MULTIPL_E, "jsonl", "HumanEval_0_one"),
    ],
)
def test_a_files_path_is_enough_where_its_rows_say_which_set_it_is(tmp_path, row, name, task_id):
    lines, array, zipped = tmp_path / "a.jsonl", tmp_path / "a.json", tmp_path / "a.jsonl.gz"
    lines.write_text(json.dumps(row) + "\n")
    array.write_text(json.dumps([row]))
    zipped.write_bytes(gzip.compress(lines.read_bytes()))
    for path in (lines, array, zipped):
        problem_set, entry = problem_set_of(str(path), 7, judged=True)
        assert entry == {"name": name, "path": str(path)}
        assert [problem.task_id for problem in problem_set.problems()] == [task_id]
    assert problems_entry(f"mine={lines}", 7) == {"name": name, "as": "mine", "path": str(lines)}
    assert problems_entry(f"mbpp={lines}", 7) == {"name": "mbpp", "path": str(lines)}


@pytest.mark.parametrize(("more", "name"), [({}, "humaneval-x"), ({"language": "java"}, "jsonl")])
def test_rows_of_humaneval_x_are_known_by_what_they_say_of_their_language(tmp_path, more, name):
    (tmp_path / "java.jsonl").write_text(json.dumps({**HUMANEVAL_X, **more}))
    problem_set, entry = problem_set_of(str(tmp_path / "java.jsonl"), 7, judged=False)
    assert (entry["name"], problem_set.language, problem_set.problems()[0].language) == (name, "java", "java")


def test_repair_sets_are_known_by_their_rows_and_a_name_chooses_the_language(tmp_path):
    path, add = quixbugs(tmp_path, GCD), lines(tmp_path / "hj.jsonl.gz", ADD)
    assert problems_entry(add, 7) == {"name": "humaneval-java", "path": add}
    for text, name, language in ((path, "quixbugs", "python"), (f"quixbugs-java={path}", "quixbugs-java", "java")):
        problem_set, entry = problem_set_of(text, 7, judged=True)
        assert (entry["name"], entry.get("as", "quixbugs")) == ("quixbugs", name)
        (problem,) = problem_set.problems()
        assert (problem.task_id, problem.language) == ("QuixBugs/gcd", language)
    assert problems_entry(f"quixbugs-cpp={path}", 7) == {"name": "quixbugs", "as": "quixbugs-cpp", "path": path}


def test_a_set_that_reads_a_file_says_where_its_data_is_from():
    with pytest.raises(UsageError, match=r"reads a file: give humaneval-x=PATH; it is from https://github.com/THUDM"):
        problems_entry("humaneval-x", 7)


@pytest.mark.parametrize("text", ["", "{broken", "[]", "[1]"])
def test_a_file_that_says_nothing_is_left_to_its_sets_own_check(tmp_path, text):
    (tmp_path / "a.jsonl").write_text(text)
    assert problems_entry(str(tmp_path / "a.jsonl"), 7)["name"] == "jsonl"
    assert problems_entry(str(tmp_path / "none.jsonl"), 7)["name"] == "jsonl"
