"""One training set of the study in small, on a simulated cluster of three kinds of accelerators (`make paper-mini`).

In small: tests/behaviour/ray/test_order.py places cells on types of accelerators, tests/config/test_schema.py compares
this config with the study's, and tests/analysis/exhibits/scores/test_grid.py draws the study's tables.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.sweep.folder import open_folder
from tests.paths import REPO
from tests.patience import PATIENCE

pytestmark = [pytest.mark.ray, pytest.mark.long]  # the benchmark starts the Ray of its simulated cluster

GROUPS = [
    ["starcoderbase-1b"],
    ["starcoderbase-3b"],
    ["codegen-2b"],
    ["codellama-7b-hf", "codellama-7b-hf-float16"],
    ["deepseek-coder"],
]
"""Models of one group are trained, and write their completions, on one type."""
SHORT = [
    "training.sets=[mix_all]",
    "training.source.rows=32",
    "recipes.pretrain.steps=12",
    "recipes.lora-7b.epochs=1",
    "recipes.lora-7b-float16.epochs=1",
    "evaluation.perturbations=[clean, C1, mix_all]",
    "evaluation.samples=1",
    "evaluation.max_new_tokens=24",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("paper-mini") / "store"


@pytest.fixture(scope="module")
def measured(store) -> dict:
    pytest.importorskip("deepspeed")
    if not shutil.which("apertium"):
        pytest.skip("needs Apertium: apt-get install apertium-eng-spa")
    sets = [word for override in SHORT for word in ("--set", override)]
    command = [sys.executable, "benchmarks/paper_mini.py", "--storage", str(store), *sets]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, timeout=2 * PATIENCE)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"
    return json.loads(done.stdout)


def test_every_model_of_the_column_is_judged(measured):
    assert (measured["exit codes"], measured["cells"], measured["pairs without results"]) == ([0, 0], 12, 0)


def test_each_group_ran_on_one_type_of_accelerator(measured):
    used = measured["accelerators"]
    assert sorted(used) == sorted(name for group in GROUPS for name in group)
    for group in GROUPS:
        assert len({kind for name in group for kind in used[name]}) == 1, used
    assert used["starcoderbase-1b"] == used["deepseek-coder"] == ["A100"], "two workers share a training"


def test_the_tables_have_the_papers_shape(measured, store):
    for model in (name for group in GROUPS for name in group):
        for problems in ("mini-humaneval", "mini-mbpp"):
            table = open_folder("paper-mini", str(store)).path / "tables" / f"{model}-on-{problems}.csv"
            header, *rows = csv.reader(table.read_text().splitlines())
            assert [row[0] for row in rows] == ["base", "mix_all"], table
            assert {"pass@1 (%) clean", "pass@1 (%) C1", "pass@1 (%) mix_all", "RD (%) C1"} <= set(header), table
