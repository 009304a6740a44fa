"""raysweep: how robust are code models, and how much does fine-tuning on perturbed data help? See README.md.

Public API: `run`, `plan`, `status`, `load_results`, `load_differences`, `load_problems`, `load_quality`,
`load_samples`, `raysweep.metrics.pass_at_k`, and what docs/plugins.md says that parts may import. Everything else may
change. This module imports nothing heavy, because the processes that run generated programs import it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from raysweep.config.schema import SweepConfig
    from raysweep.sweep.numbers import SavedNumbers
    from raysweep.sweep.overview.plan import ComparedPlan
    from raysweep.sweep.overview.status import SweepStatus
    from raysweep.sweep.run import SweepResult


def __getattr__(name: str) -> str:
    """Return ``raysweep.__version__``, read from `raysweep.machine` on first use."""
    if name == "__version__":
        from raysweep.machine import VERSION

        return VERSION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    loaders = ["load_differences", "load_problems", "load_quality", "load_results", "load_samples"]
    return ["__version__", *loaders, "plan", "run", "status"]


def run(
    config: str | Path | Mapping[str, Any],
    *,
    storage: str | None = None,
    engine: str = "ray",
    address: str | None = None,
    max_gpu_hours: float | None = None,
) -> SweepResult:
    """Run a sweep from a YAML file or a mapping, as `raysweep run` does.

    Args:
        config: the path of a config file, or its content.
        storage: a folder or URI for the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
        engine: ray, or local (in this process, without Ray).
        address: the address of a running Ray; None: $RAY_ADDRESS, else a Ray is started on this machine.
        max_gpu_hours: once all runs of the sweep have used so many, no cell and no stage on GPUs starts; None: any.

    Raises:
        UsageError: the config, its files or the resources are unusable; the message lists all errors. Nothing has been
            started then.
    """
    from raysweep.sweep.run import run_sweep
    from raysweep.sweep.tasks import RunOptions

    return run_sweep(_config(config), RunOptions(storage, engine, address, max_gpu_hours=max_gpu_hours))


def plan(config: str | Path | Mapping[str, Any], *, storage: str | None = None) -> ComparedPlan:
    """Return the plan of a sweep: its cells, evaluations and keys. Nothing is made or written.

    It is a `raysweep.planning.plan.SweepPlan`, and computes on demand what `raysweep plan` shows: `facts` has cells,
    memory, disk, hours, and what the store lacks, as records, and `frame()` the cells as a table.

    Args:
        config: a config's path, or a mapping with the same keys.
        storage: a folder or URI of the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
    """
    from raysweep.planning.planner import build_plan
    from raysweep.sweep.overview.plan import ComparedPlan

    return ComparedPlan.of(build_plan(_config(config)), storage)


def status(sweep: str, storage: str | None = None) -> SweepStatus:
    """Return the state of a sweep, as `raysweep status` shows it: of each cell, of shared inputs, of GPU-hours.

    Its `frame()` is a table with a cell in each row: cell, state (waiting, running, done, failed or stopped), amount
    (of the stage), error, done and pairs (evaluations), model (its folder), base, dropped, group.

    Raises:
        UsageError: the store has no such sweep.
    """
    from raysweep.sweep.folder import open_folder
    from raysweep.sweep.overview.status import sweep_status

    return sweep_status(open_folder(sweep, storage))


def load_results(sweep: str, storage: str | None = None) -> pandas.DataFrame:
    """Return a sweep's scores as a table with one number in each row.

    Columns: model, recipe, training_set, seed, problem_set, perturbation, metric, value, low, high, n, note. Models
    that are not fine-tuned have the training set ``base`` and the recipe ``none``; prompts that are not perturbed have
    the perturbation ``clean``. `low` and `high` are the ends of a 95 % interval. The metric ``GPU-hours`` is of a cell,
    in all runs of the sweep; its problem set and perturbation are empty. Models that were edited from one edit example
    have ``G-RIR``, ``clean_change``, ``RI``, ``edit_seconds`` and others, which docs/store.md describes. An undefined
    number is NaN, and its note says why. ``frame.attrs["signature"]`` says what all numbers rest on: samples, decoding,
    seeds, isolation and the versions that made the results.

    The numbers are those of the last report. A warning says so while the sweep runs, and before its first report, when
    there are none. The other `load_` functions but `load_samples`, which needs no report, warn too.

    Raises:
        UsageError: the store has no such sweep.
    """
    return _numbers(sweep, storage).frame()


def load_samples(sweep: str, storage: str | None = None) -> pandas.DataFrame:
    """Return a sweep's completions with their prompts and verdicts as a table with one completion in each row.

    Columns: model, recipe, training_set, seed; problem_set, perturbation, draw (perturbation sample), task_id, sample
    (of the prompt, from 0); prompt (as perturbed), clean_prompt, shown (what the model was given: the prompt in its
    template; missing if its tokenizer is not here any more), completion, stop (why it ended: a stop string, ``eos`` or
    ``length``), tokens; passed (missing after a harness error, which says nothing about the program), outcome,
    detail, seconds, oracle (where the tests ran: ``outside`` or ``inside`` the program's process); edited (whether the
    model was edited from this very problem, which then counts in none of its scores).

    Raises:
        UsageError: the store has no such sweep.
    """
    from raysweep.sweep.folder import open_folder
    from raysweep.sweep.samples import samples_frame

    return samples_frame(open_folder(sweep, storage))


def load_problems(sweep: str, storage: str | None = None) -> pandas.DataFrame:
    """Return a sweep's verdicts problem by problem: a row for each cell, test set, perturbation sample and problem.

    Columns: model, recipe, training_set, seed, problem_set, perturbation, draw, task_id; n (completions with a
    verdict), passed, harness_errors (completions without one); and, beside the clean prompt of the same problem, pairs
    (completions with a verdict on both prompts), lost (of these, passed on the clean prompt only), won (passed on this
    prompt only).

    Raises:
        UsageError: the store has no such sweep, or it was not analysed yet.
    """
    return _numbers(sweep, storage).problems_frame()


def load_quality(sweep: str, storage: str | None = None, *, messages: bool = False) -> pandas.DataFrame:
    """Return what pylint says of a sample of a sweep's completions as a table with one file in each row.

    Columns: model, recipe, training_set, seed, problem_set, task_id; outcome (``linted``, ``timeout``, ``memory`` or
    ``crashed``), score (of 10; missing where pylint gives none, as for a syntax error), statements, lines; numbers of
    messages: fatal, error, warning, refactor, convention, information, and caused_by_cutting (those that only the way
    of cutting out a file causes, which the others leave out); traps (such as ``cut_short``, comma separated).

    The sample of the base models (training set ``base``) is one of its own: don't pool it with the others.

    Args:
        sweep: its name.
        storage: a folder or URI of the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
        messages: return a row for each message instead. Columns: those up to task_id; code, symbol, severity, tier,
            line (from 1), column (from 0), in_prompt (on a line of the prompt), caused_by_cutting.

    Raises:
        UsageError: the store has no such sweep, it lints no completions, or it was not analysed yet.
    """
    return _numbers(sweep, storage).quality_frame(messages=messages)


def load_differences(sweep: str, storage: str | None = None) -> pandas.DataFrame:
    """Return the differences of a sweep's cells to their baselines as a table with one number in each row.

    Columns: model, recipe, training_set, seed; against (the baseline's training set: ``base``, the model before
    fine-tuning, or ``clean``), problem_set, perturbation, metric, value, low, high, n, note. `low` and `high` are the
    ends of a 95 % interval over problems, which both cells share. docs/store.md describes the metrics.

    Raises:
        UsageError: the store has no such sweep, or it was not analysed yet.
    """
    return _numbers(sweep, storage).differences_frame()


def _numbers(sweep: str, storage: str | None) -> SavedNumbers:
    """Open a sweep's numbers; warn if it still runs or has none yet."""
    from raysweep.sweep.folder import open_folder
    from raysweep.sweep.numbers import SavedNumbers
    from raysweep.sweep.overview.status import warn_of_unfinished

    folder = open_folder(sweep, storage)
    warn_of_unfinished(folder)
    return SavedNumbers(folder)


def _config(config: str | Path | Mapping[str, Any]) -> SweepConfig:
    from raysweep.config.loading import config_from, load_config

    return config_from(config, "config") if isinstance(config, Mapping) else load_config(config)
