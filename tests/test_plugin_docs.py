"""examples/plugin, to which docs/plugins.md refers: installed by pip, tested and used as a reader would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPO

pytestmark = pytest.mark.slow

EXAMPLE = REPO / "examples" / "plugin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a copy of the package, in which pip may build, and `installed` with what pip makes of it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "plugin", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--target", str(folder / "installed"), str(folder / "plugin")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{REPO}:{folder / 'installed'}"
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
    )


@pytest.mark.long
def test_its_own_tests_pass(folder):
    """In small: `test_its_parts_work_together_in_one_evaluation`, and tests/contracts."""
    done = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "plugin/tests")
    assert done.returncode == 0, done.stdout


def test_its_parts_work_together_in_one_evaluation(folder):
    evaluate = "evaluate forgetful --problems arithmetic --perturbations X1 --allow-code-execution --storage store"
    done = python(folder, "-m", "raysweep", *evaluate.split(), "--json")
    assert done.returncode == 0, done.stderr
    assert '"timeouts"' in done.stdout and '"X1"' in done.stdout
