"""Problems for sweeps that need any, and the smallest sweep of all: the reference solutions on three of them.

A store judges all reference solutions of a set, whatever a sweep's limit.
"""

from __future__ import annotations

from typing import Any

from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig

FEW_PROBLEMS = {"name": "minicode", "count": 12}
"""For `evaluation.problems`, in a list."""


def few(name: str = "s", **evaluation: Any) -> SweepConfig:
    """Return the config of a sweep of reference solutions, on clean prompts and on those of C1."""
    judged = {"problems": [FEW_PROBLEMS], "perturbations": ["C1"], "limit": 3, **evaluation}
    models = [{"name": "reference", "generator": "reference"}]
    return config_from({"name": name, "allow_code_execution": True, "models": models, "evaluation": judged}, "test")
