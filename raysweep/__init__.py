"""raysweep: how robust are code models, and how much does fine-tuning on perturbed data help? See README.md.

Public API: `run`, `plan`, `load_results`, `raysweep.metrics.pass_at_k`, and the registries' decorators. All else may
change. Nothing heavy is imported here: the processes of slots, which run programs, import this package too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from raysweep.config import SweepConfig
    from raysweep.plans import SweepPlan
    from raysweep.sweep import SweepResult

__version__ = "0.1.0"


def run(
    config: str | Path | Mapping[str, Any],
    *,
    storage: str | None = None,
    engine: str = "ray",
    address: str | None = None,
) -> SweepResult:
    """Run a sweep from a YAML file or a mapping, as `raysweep run` does.

    Args:
        config: path of a config file, or its content.
        storage: the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
        engine: ray, or local (in this process, without Ray).
        address: of a running Ray; None: RAY_ADDRESS, else one is started.

    Raises:
        UsageError: everything that is wrong with config, files and resources, before work starts.
    """
    from raysweep.making import RunOptions
    from raysweep.sweep import run_sweep

    return run_sweep(_config(config), RunOptions(storage, engine, address))


def plan(config: str | Path | Mapping[str, Any]) -> SweepPlan:
    """Return a sweep's cells, pairs and keys; make nothing."""
    from raysweep.planning import build_plan

    return build_plan(_config(config))


def load_results(sweep: str, storage: str | None = None) -> pandas.DataFrame:
    """Return a sweep's scores, one number a row.

    Columns: model, recipe, training_set, seed, problem_set, perturbation, metric, value, low, high, n. Training set
    ``base`` and recipe ``none``: not fine-tuned; perturbation ``clean``: not perturbed; low, high: a 95 % interval; NaN
    where undefined, with the reasons by row number in ``frame.attrs["notes"]``.
    """
    from raysweep.sweep import open_folder

    return open_folder(sweep, storage).frame()


def _config(config: str | Path | Mapping[str, Any]) -> SweepConfig:
    from raysweep.config_file import config_from, load_config

    return config_from(config, "config") if isinstance(config, Mapping) else load_config(config)
