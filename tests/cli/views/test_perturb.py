"""What `raysweep perturb` prints and writes."""

import io
import json

import pytest
from rich.console import Console

from raysweep.cli.views.perturb import preview, summary, write_problem_rows
from raysweep.errors import UsageError
from raysweep.problems.jsonl import JsonlProblems
from raysweep.records import Problem, PromptRow, Spec
from raysweep.stages.test_sets import build_test_set

CLEAN = 'def f(x):\n    """Check it.\n\n    Then say so."""\n'
AFTER = 'def f(x):\n    """Chefk it.\n\n    Then say so."""\n'


def row(task_id, after=AFTER, compiles=True):
    return PromptRow(task_id, after, CLEAN, "C1", after != CLEAN, compiles)


def printed(rows, limit=5, **console):
    out = io.StringIO()
    preview(rows, Console(file=out, width=40, **console), limit)
    return out.getvalue()


ON_A_TERMINAL = {"force_terminal": True, "color_system": "standard"}
WORDS = '"""Elements, containing x."""\n', '"""Elements, control x."""\n'
BRACKETS = CLEAN.replace('"""Check', '"""[bold]Chefk')
PREVIEWS = {
    "marks in a file": lambda: printed([row("own/1")]),
    "marks on a terminal without colours": lambda: printed([row("own/1")], force_terminal=True, no_color=True),
    "colours": lambda: printed([row("own/1")], **ON_A_TERMINAL),
    "the first of many rows": lambda: printed([row("own/0", CLEAN), *(row(f"own/{n}") for n in range(1, 5))], limit=2),
    "brackets": lambda: printed([row("own/1", BRACKETS)]),
    "characters or whole words, by method": lambda: "".join(
        printed([PromptRow("T/1", WORDS[1], WORDS[0], method, True, True)]) for method in ("C1", "W2", "S1")
    ),
}


@pytest.mark.parametrize("name", PREVIEWS)
def test_changes_are_shown(name, snapshot):
    assert PREVIEWS[name]().replace("\x1b", "ESC") == snapshot


def test_the_summary_counts_rows_that_no_longer_compile():
    assert summary([row("a", compiles=False), row("b", CLEAN)]) == "2 rows, 1 changed, 1 unchanged, 1 not compiling"
    assert summary([]) == "0 rows, 0 changed, 0 unchanged, 0 not compiling"


def test_text_in_brackets_is_shown_as_it_is():
    assert "[bold]Che" in printed([row("own/1", CLEAN.replace('"""Check', '"""[bold]Chefk'))]).replace("{+", "")


def test_the_same_rows_come_out_with_their_prompts_replaced(tmp_path):
    rows = [
        {
            "prompt": CLEAN,
            "task_id": f"own/{n}",
            "entry_point": "f",
            "canonical_solution": "    return é\n",
            "level": [n],
        }
        for n in range(3)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(fields) + "\n" for fields in rows))
    problems = JsonlProblems(str(path))
    after = build_test_set(problems, Spec("C3"), seed=1, limit=2)
    write_problem_rows(problems.problems(), after, tmp_path / "out.jsonl")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == [fields | {"prompt": done.prompt} for fields, done in zip(rows[:2], after, strict=True)]
    assert [list(fields) for fields in written] == [list(fields) for fields in rows[:2]]
    assert JsonlProblems(str(tmp_path / "out.jsonl")).problems()[0].prompt == after[0].prompt


def test_a_problem_without_a_file_is_written_with_humanevals_fields(tmp_path):
    problem = Problem("own/1", CLEAN, "f", "def check(c): pass", "    return x\n")
    write_problem_rows([problem], [row("own/1")], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "task_id": "own/1",
        "prompt": AFTER,
        "entry_point": "f",
        "canonical_solution": "    return x\n",
        "test": "def check(c): pass",
    }


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"out.jsonl can't be written .*choose another file"):
        write_problem_rows([], [], tmp_path / "none" / "out.jsonl")
