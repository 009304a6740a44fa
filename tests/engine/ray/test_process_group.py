"""What the trial of a training imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import raysweep.engine.ray.training as training
from raysweep.engine.ray.process_group import torch_group

training._ray_trainer()
torch_group()
print("torch" in sys.modules)
"""


@pytest.mark.slow
def test_a_trial_sets_a_training_up_without_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"], done.stderr
