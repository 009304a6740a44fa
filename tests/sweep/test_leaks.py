"""`raysweep leaks`: which rows leak test problems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.sweep.leaks import find_leaks
from tests.paths import NANO

PROBLEM = {
    "task_id": "T/0",
    "prompt": 'def mean(xs):\n    """Return the mean of the numbers that the list holds."""\n',
    "entry_point": "mean",
    "canonical_solution": "    return sum(xs) / len(xs)\n",
    "test": "def check(c):\n    assert c([2]) == 2\n",
}
ROWS = [
    {"instruction": "Sort a list.", "output": "sorted(xs)"},
    {"instruction": "Average, please.", "output": "    return sum(xs) / len(xs)\n"},
    {"instruction": "Return the mean of the numbers that the list holds.", "output": "mean(xs)"},
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "problems.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: s\ntraining: {source: {name: jsonl, path: rows.jsonl}, sets: [clean]}\n"
        "evaluation: {problems: [{name: jsonl, as: mine, path: problems.jsonl}]}\n"
    )
    return path


def test_each_leak_is_listed_with_row_problem_and_rule(config, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["leaks", str(config)])
    lines = capsys.readouterr().out.splitlines()
    assert not ended.value.code and len(lines) == 3
    assert lines[0] == "row 2 gives mine T/0 away (solution): Average, please."
    assert lines[1].startswith("row 3 gives mine T/0 away (instruction): Return the mean")
    assert lines[2] == "2 of 3 rows give 1 evaluated problem away; `training.decontaminate: drop` leaves them out"


def test_rows_without_leaks_and_rows_that_can_not_leak(config, capsys):
    (config.parent / "rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    for path, said in ((config, "0 of 1 row give 0 evaluated problems away"), (NANO, "sources can't")):
        with pytest.raises(SystemExit):
            main(["leaks", str(path)])
        assert said in capsys.readouterr().out


def test_leaks_are_counted_once_searched(config):
    told: list[int] = []
    found = find_leaks(load_config(config, with_models=False), told.append)
    assert (found.rows, len(found.leaks), told) == (3, 2, [1, 2, 3])


def test_rows_are_searched_without_the_weights_of_a_teacher(config):
    text = config.read_text().replace("rows.jsonl}", "rows.jsonl, rejected: {teacher: large}}")
    config.write_text(f"{text}models: [{{name: large, path: ./not-here}}]\n")
    found = find_leaks(load_config(config, with_models=False), lambda number: None)
    assert len(found.leaks) == 2 and found.makes_rejected
