"""Commands that run whole sweeps in processes of their own, with a Ray of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.paths import REPO
from tests.patience import PATIENCE


def start(config: Path, store: Path, temporary: str, *more: str) -> subprocess.Popen[str]:
    """Start the command that runs a config's sweep. `temporary`: a folder whose path is short enough for sockets."""
    own: dict[str, Any] = {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "raysweep", "run", str(config), "--storage", str(store), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
        env={**os.environ, **own, "TMPDIR": temporary, "RAY_TMPDIR": temporary},
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command, and return what it wrote."""
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
