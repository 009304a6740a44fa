"""A sweep whose trainer and generator need no torch imports none: neither the command nor what runs in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raysweep
from tests.steady import Sweep

pytestmark = pytest.mark.slow

CODE = """
import sys
from raysweep.cli.app import main
try:
    main(["run", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code
print([name for name in ("torch", "transformers", "peft") if name in sys.modules], file=sys.stderr)
"""


def test_a_sweep_without_networks_imports_no_torch(installed, tmp_path):
    sweep = Sweep(tmp_path, installed)
    command = [sys.executable, "-c", CODE, str(sweep.write()), "--engine", "local", "--storage", str(sweep.store)]
    done = subprocess.run(command, capture_output=True, text=True, env=sweep.environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
    frame = raysweep.load_results("steady", storage=str(sweep.store))
    passed = frame[(frame.metric == "pass@1")].set_index(["training_set", "perturbation"]).value
    assert len(passed) == 4 and passed["base", "clean"] != passed["C1", "clean"], "a trained model answers otherwise"
    assert passed.min() > 0 and passed.max() < 1
