"""Rows that leak test problems, and rows that only look like it."""

from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.problems.base import ProblemSet
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.repair.defects4j import Defects4J
from raysweep.problems.repair.humaneval_java import HumanEvalJava
from raysweep.problems.repair.quixbugs import QuixBugs
from raysweep.prompts.repair.hunks import Hunk, hunk_in, marked
from raysweep.records import Problem, SourceRow
from raysweep.training_sets.developer_patches import DeveloperPatches
from raysweep.training_sets.leakage import LeakFinder
from tests.conftest import shared_data
from tests.problems.repair.rows import ADD, GCD, lines, quixbugs
from tests.problems.repair.test_defects4j import written

TEXT = "Return the longest of all the words in a sentence, the first one where several are equally long."
BODY = """    words = sentence.split()
    best = max(len(word) for word in words)
    return [w for w in words if len(w) == best][0]
"""


class Two(ProblemSet):
    name = "two"

    def problems(self):
        example = '    >>> longest_word("a bb")\n    "bb"\n'
        prompt = f'def longest_word(sentence):\n    """{TEXT} Blanks part words.\n{example}    """\n'
        other = 'def add(a, b):\n    """Add two."""\n'
        return [
            Problem("HumanEval/12", prompt, "longest_word", "", BODY),
            Problem("HumanEval/53", other, "add", "", "    return a + b\n"),
        ]

    def fingerprint(self):
        return {}


def rules(**row):
    given = {"row_id": "r", "instruction": "Something else.", "output": "pass", **row}
    return [(leak.task_id, leak.rule) for leak in LeakFinder({"two": Two()}).leaks([SourceRow(**given)])]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"task_id": "HumanEval_12_longest_word"}, "task id"),
        ({"task_id": "Java/12"}, "task id"),
        ({"task_id": "openai_humaneval/12"}, "task id"),
        ({"task_id": "HumanEvalPlus/12"}, "task id"),
        ({"instruction": TEXT.upper() + "\nBlanks part words"}, "instruction"),
        (
            {"instruction": f"{TEXT} And so on.", "output": "```python\ndef longest_word(s):\n    pass\n```"},
            "first sentence",
        ),
        ({"output": BODY}, "solution"),
        ({"output": f"from typing import List\nimport re\n\n\ndef longest_word(sentence):\n{BODY}"}, "solution"),
        ({"output": f"Here:\n```python\ndef other(sentence):\n{BODY}```\nDone."}, "solution"),
        ({"instruction": f"I have to do this: {TEXT.replace('equally', 'just as')}"}, "docstring overlap"),
        ({"output": BODY.replace("best", "best", 1) + "\nprint(1)"}, "solution overlap"),
    ],
)
def test_a_row_that_gives_a_problem_away_is_found_once_by_its_strictest_rule(row, rule):
    assert rules(**row) == [("HumanEval/12", rule)]


@pytest.mark.parametrize(
    "row",
    [
        {"task_id": "MBPP/12"},
        {"task_id": "HumanEval/1"},
        {"instruction": "Return the longest of all the words in a list."},
        {"instruction": TEXT[:40]},
        {"output": "def longest_word(s):\n    return max(s.split(), key=len)"},
    ],
)
def test_a_row_that_is_only_about_the_same_is_not(row):
    assert rules(**row) == []


def test_a_rejected_response_gives_a_problem_away_too():
    assert rules(rejected=f"```python\ndef longest_word(sentence):\n{BODY}```") == [("HumanEval/12", "solution")]
    assert rules(rejected="pass") == []


def test_earlier_turns_give_a_problem_away_too():
    turns = ("Hello.", "Hi.", "Write it.", f"def longest_word(sentence):\n{BODY}")
    assert rules(history=turns) == [("HumanEval/12", "solution")]
    assert rules(history=("add two", "No.")) == [("HumanEval/53", "instruction")]
    assert rules(history=turns[:2]) == []


def test_a_system_text_gives_a_problem_away_too():
    assert rules(system=f"Write as here:\n```python\ndef longest_word(sentence):\n{BODY}```") == [
        ("HumanEval/12", "solution")
    ]
    assert rules(system=f"Be terse. {TEXT}") == [("HumanEval/12", "docstring overlap")]
    assert rules(system="Be terse.") == []


def test_short_texts_count_only_where_they_are_equal():
    assert rules(instruction="add two") == [("HumanEval/53", "instruction")]
    assert rules(output="def add(a, b):\n    return a + b") == [("HumanEval/53", "solution")]
    assert rules(output="def add(a, b):\n    return a + b + 1") == []


def test_each_description_and_solution_of_humaneval_is_found_and_no_other():
    problems = HumanEval()
    finder = LeakFinder({"humaneval": problems})
    for number, text in ((23, "Return length of given string"), (53, "Add two numbers x and y")):
        leaks = finder.leaks([SourceRow("r", text, "pass")])
        assert [(leak.task_id, leak.rule) for leak in leaks] == [(f"HumanEval/{number}", "instruction")]
    rows = [SourceRow(p.task_id, "Solve it.", p.reference) for p in problems.problems()]
    found = {(leak.row_id, leak.task_id) for leak in finder.leaks(rows)}
    assert {(row.row_id, row.row_id) for row in rows} <= found
    others = {pair for pair in found if pair[0] != pair[1]}
    assert len(others) < 10, others


def repair_row(row_id: str, before: str, buggy: str, after: str, fixed: str, task_id: str = "") -> SourceRow:
    instruction = marked(Hunk(before, buggy, after), "//")
    return SourceRow(row_id, instruction, fixed, language="java", task_id=task_id)


def test_repair_rows_leak_by_their_whole_functions_and_never_by_a_fix_alone(tmp_path: Path) -> None:
    problem_set = QuixBugs(quixbugs(tmp_path, GCD), language="java")
    (problem,) = problem_set.problems()
    hunk = hunk_in(problem.prompt)[0]
    rows = [
        repair_row("same", hunk.before, hunk.buggy, hunk.after, "    return a;\n"),
        repair_row("mended", hunk.before, "    return 0;\n", hunk.after, "    return gcd(b, a % b);\n"),
        repair_row("fix alone", "int f(int a, int b) {\n", "    return a;\n", "}\n", problem.reference or ""),
        repair_row("by name", "int f() {\n", "    g();\n", "}\n", "    h();\n", "QuixBugs/GCD"),
    ]
    leaks = {(leak.row_id, leak.rule) for leak in LeakFinder({"quixbugs": problem_set}).leaks(rows)}
    assert leaks == {("same", "solution"), ("mended", "solution"), ("by name", "task id")}


def test_quixbugs_in_python_is_its_java_and_humaneval_java_is_humaneval(tmp_path: Path) -> None:
    python = QuixBugs(quixbugs(tmp_path, GCD))
    java = HumanEvalJava(lines(tmp_path / "humaneval_java.jsonl", ADD))  # its FIB4 is HumanEval/46
    row = repair_row("r", "int f() {\n", "    g();\n", "}\n", "    h();\n")
    of_humaneval = [f"{name}/46" for name in ("HumanEval", "Java", "Go", "JavaScript", "js", "Rust", "humaneval-x/Go")]
    of_repair = [
        "HumanEval-Java/FIB4",
        "HumanEvalJava/FIB4",
        "HumanEval_Java/FIB4",
        "QuixBugs/GCD",
        "quixbugs-java/GCD",
    ]
    same = [*of_humaneval, *of_repair, "QuixBugs_Python/gcd"]
    rows = [replace(row, row_id=name, task_id=name) for name in [*same, "HumanEval/4", "Go/4", "Defects4J/Chart-4"]]
    found = {leak.row_id for leak in LeakFinder({"quixbugs": python, "humaneval-java": java}).leaks(rows)}
    assert found == set(same)


def test_a_row_without_words_is_not_about_a_problem_without_a_description(tmp_path: Path) -> None:
    finder = LeakFinder({"quixbugs": QuixBugs(quixbugs(tmp_path, GCD))})
    assert not list(
        finder.leaks(
            [SourceRow("r", "", "def gcd(a, b):\n    return 1"), SourceRow("s", "...", "x", entry_point="gcd")]
        )
    )


def test_patches_by_developers_of_evaluated_projects_are_found_by_id_and_by_lines(tmp_path: Path) -> None:
    paths = written(tmp_path)
    (tmp_path / "Chart" / "patches" / "9.src.patch").write_text(
        "diff --git a/src/B.java b/src/B.java\n--- a/src/B.java\n+++ b/src/B.java\n@@ -1,4 +1,3 @@ class B {\n"
        " void check(List<Range> ranges) {\n-    requireNonNull(ranges, message);\n"
        "     compute(ranges, first, last);\n }\n"
    )
    finder = LeakFinder({"defects4j": Defects4J(**paths)})
    head, fix, call = (
        "void check(List<Range> ranges) {\n",
        "    requireNonNull(ranges, message);\n",
        "    compute(ranges, first, last);\n",
    )
    rows = [
        repair_row("id of a problem", "int g() {\n", "    h();\n", "}\n", "    i();\n", "Defects4J/Chart-4"),
        repair_row("id of another bug", "int g() {\n", "    h();\n", "}\n", "    i();\n", "chart_9"),
        repair_row("lines", f"class B {{\n{head}", "", f"{call}}}\n", fix),
        repair_row("as clm has it", head, call, "}\n", f"{fix}{call}"),
        repair_row("wider", "", f"{head}{call}", "}\n", f"{head}{fix}{call}"),
        repair_row("with another change", head, f"{call}    end();\n", "}\n", f"{fix}{call}    finish();\n"),
        repair_row("with a comment", f"{head}    // first\n", "", f"{call}}}\n", fix),
        repair_row("elsewhere", "void other(List<Range> ranges) {\n", "", f"{call}}}\n", fix),
        repair_row("another fix", head, "", f"{call}}}\n", "    requireNonNull(ranges, text);\n"),
        repair_row("few words", "int f() {\n", "    b();\n", "", "    b(1);\n    if (a())\n"),
    ]
    found = {leak.row_id: (leak.task_id, leak.rule) for leak in finder.leaks(rows)}
    assert found == {
        "id of a problem": ("Defects4J/Chart-4", "task id"),
        **dict.fromkeys(
            ("id of another bug", "lines", "as clm has it", "wider", "with another change", "with a comment"),
            ("Defects4J/Chart-9", "developer patch"),
        ),
    }
    assert not list(LeakFinder({"quixbugs": QuixBugs(quixbugs(tmp_path, GCD))}).leaks(rows[:5]))


@pytest.mark.slow
def test_all_of_defects4js_patches_are_found_by_their_ids_and_nearly_all_by_their_lines() -> None:
    folder = shared_data("defects4j")
    clm = shared_data("clm_apr") / "defects4j"
    problems = Defects4J(
        str(clm / "codegen_finetune_result" / "codegen_input.json"),
        str(clm / "defects4j_loc.txt"),
        str(folder / "src_patches.tar.gz"),
    )
    patches = DeveloperPatches([problems])
    changes = list(problems.developer_patches())
    rows = [
        repair_row(str(number), fault.hunk.before, fault.hunk.buggy, fault.hunk.after, fault.fixed)
        for number, (_, fault) in enumerate(changes)
    ]
    by_lines = {id for row, (id, _) in zip(rows, changes, strict=True) if patches.found(row)}
    assert len({id for id, _ in changes}) == 864 and len(by_lines) > 800  # the others are of a few words
    assert all(patches.found(replace(row, task_id=id)) for row, (id, _) in zip(rows, changes, strict=True))
