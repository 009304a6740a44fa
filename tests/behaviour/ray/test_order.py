"""Cells run on the accelerators that they may use, the longest first, and no accelerator has two at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.behaviour.ray.unlike_nodes import GPUS
from tests.paths import REPO
from tests.patience import PATIENCE

pytestmark = pytest.mark.ray


def test_cells_run_where_they_may_the_longest_first_and_one_at_a_time() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # AF_UNIX paths must stay short
    try:
        command = [sys.executable, "-m", "tests.behaviour.ray.unlike_nodes", str(folder / "u")]
        out = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=PATIENCE)
        assert out.returncode == 0, out.stderr[-3000:]
        found = json.loads(out.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert found["errors"] == {} and len(found["ran"]) == 8
    cells = {name: ran for name, ran in found["ran"].items() if name != "CPU-1"}  # that one may run anywhere
    for name, (kind, began, _) in cells.items():
        assert kind == name.partition("-")[0]
        assert sum(one[0] == kind and one[1] <= began < one[2] for one in cells.values()) <= GPUS[kind]
    begun = sorted((began, name) for name, (kind, began, _) in cells.items() if kind == "V100")
    assert [name for _, name in begun] == ["V100-3", "V100-2", "V100-1"]
    begun = sorted((began, name) for name, (kind, began, _) in cells.items() if kind == "A100" and name != "A100-split")
    assert begun[-1][1] == "A100-1"
