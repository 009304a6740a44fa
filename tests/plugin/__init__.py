"""Builds and installs the package of this folder for a test, as `pip install` does it for a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def install(target: Path) -> None:
    """Build a wheel of the package and install it into a folder; nothing is downloaded."""
    with tempfile.TemporaryDirectory() as scratch:
        source = shutil.copytree(Path(__file__).parent, Path(scratch, "plugin"))  # the build writes beside it
        pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
        done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def environment(notes: Path) -> dict[str, str]:
    """Return the environment of a command in which the package writes down things in `notes`."""
    notes.mkdir(exist_ok=True)
    own = {"RAYSWEEP_EXTRA_FOLDER": str(notes), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "HF_HUB_OFFLINE": "1"}
