"""Makes the package of this folder usable in tests: installed by pip, as by a user, or linked, which takes no time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

SOURCE = Path(__file__).parent


def install(target: Path) -> None:
    """Build a wheel of the package and install it into a folder; nothing is downloaded."""
    with tempfile.TemporaryDirectory() as scratch:
        source = shutil.copytree(SOURCE, Path(scratch, "plugin"))  # the build writes beside it
        pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
        done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def link(target: Path) -> None:
    """Write into a folder what makes Python find the package and its entry points there."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    about = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [[f"[{group}]", *(f"{name} = {place}" for name, place in parts.items())] for group, parts in groups]
    (about / "entry_points.txt").write_text("\n".join(line for group in lines for line in group) + "\n")
    (target / "raysweep_extra").symlink_to(SOURCE / "raysweep_extra")


def environment(notes: Path) -> dict[str, str]:
    """Return the environment of a command in which the package writes down things in `notes`."""
    notes.mkdir(exist_ok=True)
    own = {"RAYSWEEP_EXTRA_FOLDER": str(notes), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "HF_HUB_OFFLINE": "1"}
