"""Where things lie that tests read."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / "configs"
NANO = REPO / "tests" / "nano.yaml"
"""A sweep of a few seconds: a tiny model, whose programs all fail, on a small MiniCode."""
EVERYTHING = REPO / "tests" / "everything.yaml"
"""A sweep with a part of nearly each kind."""
_SOLVER = {"name": "solver", "generator": {"name": "fake", "share": 0.5}}
WITH_SOLVER = f"models={json.dumps([*yaml.safe_load(NANO.read_text())['models'], _SOLVER])}"
"""An override that adds a model which solves some problems: a sweep that fails all programs would be noticed."""
