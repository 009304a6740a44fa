"""What commands print: whole numbers on any terminal, JSON that every parser reads."""

from __future__ import annotations

import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from raysweep.cli.views.console import LONGEST_LINE, print_json
from raysweep.cli.views.results import print_result, print_scores
from raysweep.config.loading import load_config
from raysweep.sweep.overview.scores import ScoreTable
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO

TABLE = ScoreTable(
    "minicode: pass@1",
    ("clean", "C1", "C2", "C3", "C"),
    tuple((("gpt_bigcode", "lora", name, "42"), ("0.812", *["0.375 (-0.54)"] * 4)) for name in ("base", "clean")),
)


def printed(width: int) -> str:
    out = io.StringIO()
    print_scores(TABLE, Console(file=out, width=width, force_terminal=True, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_every_number_and_name_of_a_score_table_is_whole_at_any_width(width):
    shown = printed(width)
    assert "…" not in shown
    assert shown.count("0.812") == 2 and shown.count("0.375") == shown.count("(-0.54)") == 8
    assert shown.count("gpt_bigcode") == 2


def test_a_score_table_is_one_line_a_model_where_there_is_room_and_fits_80_columns():
    assert "0.375 (-0.54)" in printed(120)
    assert max(map(len, printed(80).splitlines())) <= 80 and "model" in printed(80)


def test_json_has_null_where_a_number_is_none(capsys):
    print_json({"a": math.nan, "b": [math.inf, 1.5], "c": (1, {"d": math.nan})})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": [1, {"d": None}]}


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_the_title_and_the_notes_are_lines_of_their_own_at_any_width(width):
    out = io.StringIO()
    title = "minicode: pass@1 on 320 problems (RD: share of clean pass@1 lost)"
    table = dataclasses.replace(TABLE, title=title, notes=("codes: neighbouring keys (C1), swapped characters (C2)",))
    print_scores(table, Console(file=out, width=width, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    assert (lines[0], lines[-1]) == (title, table.notes[0])


@pytest.mark.slow
def test_a_limited_run_a_model_without_a_pass_and_an_error_of_two_cells_are_said_once(tmp_path, capsys):
    overrides = ["recipes.bad={epochs: 1, batch_size: 16, max_tokens: 9}", "models.0.recipes=[tiny, bad]"]
    overrides += ["recovery.retries=0", "evaluation.limit=3", "training.sets=[clean, C1]"]
    result = run_sweep(load_config(NANO, overrides), RunOptions(str(tmp_path), "local"))
    print_result(result, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "limited run: evaluated on the first 3 problems of every problem set, not on all."
    (zero,) = [line for line in lines if "no test set" in line]
    assert zero.startswith("3 models pass no test set (llama.base, ") and "cut at the token limit" in zero
    (failed,) = [line for line in lines if line.startswith("failed: ")]
    assert failed.startswith("failed: llama.bad.clean.s7, llama.bad.C1.s7: none of 64 training rows can be used")
    many = dict.fromkeys((f"llama.bad.clean.s{seed}" for seed in range(50)), "no memory " * 50)
    print_result(dataclasses.replace(result, errors=many), as_json=False)
    (failed,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert "s2 and 47 more tasks: no memory" in failed and len(failed) == LONGEST_LINE
