"""Rows of faults and fixes: two shapes, one text for training and prompting."""

import json
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.problems.repair.minirepair import MiniRepair
from raysweep.prompts.repair.hunks import Hunk, hunk_of_context, marked
from raysweep.prompts.templates import Prompter, PromptTemplate, training_prompt
from raysweep.records import Problem, Spec
from raysweep.training_sets.build import build_rows
from raysweep.training_sets.perturbing import perturb_rows, perturber_of
from raysweep.training_sets.repair import MiniRepairRows, RepairRows
from tests.problems.repair.rows import lines

OURS = {"before": "f() {\n", "buggy": "    a();\n", "after": "}", "fixed": "    b();\n"}
NAMES = ("buggy function before", "buggy line", "buggy function after", "fixed line")
CLMS = dict(zip(NAMES, OURS.values(), strict=True))
HUNK = Hunk("f() {\n", "    a();\n", "}\n")


@pytest.mark.parametrize("row", [OURS, CLMS])
def test_both_shapes_give_the_same_row(tmp_path: Path, row: dict[str, str]) -> None:
    source = RepairRows(lines(tmp_path / "rows.jsonl", {**row, "task_id": "Defects4J/Chart-4", "project": "x"}))
    source.check()
    assert source.unread == ("project",)
    (read,) = source.rows()
    assert (read.instruction, read.output, read.language) == (marked(HUNK, "//"), "    b();\n", "java")
    assert (read.task_id, source.size) == ("Defects4J/Chart-4", 1)


def test_training_rows_hold_the_parts_as_context(tmp_path: Path) -> None:
    (read,) = RepairRows(lines(tmp_path / "rows.jsonl", OURS)).rows()
    (row,) = build_rows([read], [["clean"]], {})
    assert row.context is not None and hunk_of_context(row.context) == HUNK
    assert json.loads(row.context)["buggy"] == "    a();\n"


@pytest.mark.parametrize("name", ["python", "Python3", "py"])
def test_every_name_of_python_gives_pythons_marks(tmp_path: Path, name: str) -> None:
    row = {"before": "def f():\n", "buggy": "    a()\n", "after": "", "fixed": "    b()\n"}
    for given in ({**row, "language": name}, row):
        (read,) = RepairRows(lines(tmp_path / "rows.jsonl", given), language=name).rows()
        assert read.language == "python" and "# bug start: \n    a()\n" in read.instruction


@pytest.mark.parametrize("name", ["repair_plain", "repair_buggy_line", "repair_clm_buggy_line"])
def test_training_and_prompting_use_one_string(tmp_path: Path, name: str) -> None:
    (read,) = RepairRows(lines(tmp_path / "rows.jsonl", OURS)).rows()
    (row,) = build_rows([read], [["clean"]], {})
    template = PromptTemplate(name)
    problem = Problem("a", marked(HUNK, "//"), "f", "", language="java")
    asked = Prompter("native", True, template).request("r", problem, problem.prompt)
    assert training_prompt(row, template) == asked.prompt
    assert Prompter("native", False, template).request("r", problem, problem.prompt).prompt.startswith("f() {\n")
    assert "fix" not in Prompter("native", False, template).request("r", problem, problem.prompt).prompt


@pytest.mark.parametrize(
    "row, message",
    [
        ({**OURS, "fixed": "    a();"}, "rows.jsonl:2: `fixed` equals `buggy`"),
        ({**CLMS, "fixed line": "    a();\n"}, "rows.jsonl:2: `fixed line` equals `buggy line`"),
        ({"before": ""}, "rows.jsonl:2: the row has no `buggy`"),
        ({**OURS, "before": "f() { int n = "}, "rows.jsonl:2: `before` ends within a line.*to `buggy` and `fixed`"),
        (
            {**OURS, "language": "jav"},
            "rows.jsonl:2: language 'jav' .did you mean 'java'.. is none of python, java, cpp",
        ),
        ({**OURS, "before": "// bug start: \n// bug end \n"}, "rows.jsonl:2: the code holds the comment"),
    ],
)
def test_a_row_that_cannot_train_is_an_error_with_its_line(tmp_path: Path, row: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RepairRows(lines(tmp_path / "rows.jsonl", OURS, row)).check()


def test_mutants_of_training_tasks_are_rows_too() -> None:
    rows = list(MiniRepairRows(3, 20).rows())
    assert len(rows) >= 15
    assert rows == list(MiniRepairRows(3, 20).rows())
    for row in rows:
        assert "# bug start: \n" in row.instruction and row.output
        assert "".join(one.text for one in MiniRepairRows(3, 20).segments(row, row.instruction)) == row.instruction


def test_training_protects_the_words_that_a_test_protects(tmp_path: Path) -> None:
    before = "int largest(int[] numbers) {\n    // the largest of all numbers here\n"
    source = RepairRows(lines(tmp_path / "rows.jsonl", {**OURS, "before": before}))
    (row,) = source.rows()
    problem = Problem("a", row.instruction, "", "", language="java")
    assert source.protected(row) == MiniRepair(3).protected(problem) >= {"largest", "numbers"}
    (changed,) = perturb_rows([row], source, [perturber_of(source, Spec("C3"), 1)])[0]
    assert changed.instruction != row.instruction and changed.instruction.count("numbers") == 2
