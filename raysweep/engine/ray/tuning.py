"""The Ray engine: Ray tasks make the artefacts that cells share; then Ray Tune runs a trial for each cell."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from raysweep.engine.base import Engine, EngineSettings, Stages, Task
from raysweep.engine.ray.cluster import Cluster, Placement, placement
from raysweep.engine.ray.orphans import watch_orphans
from raysweep.engine.ray.preflight import live_nodes, require_feasible_beside
from raysweep.engine.ray.ray_lost import watch_ray
from raysweep.engine.ray.stages import RayStages
from raysweep.engine.ray.stalls import watch_stalls
from raysweep.errors import last_line

log = logging.getLogger("raysweep")

GAVE_UP = "gave_up"
"""Metric that a trial reports before it raises an error, since its process has used up all attempts."""


class RayEngine(Engine):
    """Runs shared artefacts as Ray tasks and cells as Tune trials."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._cluster = Cluster(settings.ray, settings.address)

    def __enter__(self) -> RayEngine:
        """Connect to Ray or start it; begin to report stalls and to free orphaned placement groups."""
        log.info("%s", self._cluster.start())
        self._watches = ExitStack()
        self._watches.enter_context(watch_stalls(self.settings.folder.below("progress")))
        self._watches.enter_context(watch_orphans())
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect; stop Ray if this engine started it."""
        self._watches.close()
        self._cluster.stop()

    def check(self, tasks: Sequence[Task]) -> None:
        """Check that the live nodes can hold each task."""
        for workers in sorted({task.workers for task in tasks}):
            placed = placement(self.settings.resources, workers)
            driver = {} if placed.in_trial else self._cluster.driver_bundle(placed)
            require_feasible_beside(driver, placed, workers, live_nodes(), "the Ray cluster")

    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks in parallel, each after those in its `after`."""
        import ray

        refs: dict[str, Any] = {}
        for task in tasks:
            placed = self._placement(task)
            if task.uses_other_processes:
                placed = replace(placed, in_trial=False)
            bundle = dict(self._cluster.driver_bundle(placed))
            options = {
                "num_cpus": bundle.pop("CPU", 0),
                "num_gpus": bundle.pop("GPU", 0),
                "memory": bundle.pop("memory", None),
                "resources": bundle,
                "label_selector": dict(placed.labels) if placed.in_trial else {},
                "max_retries": self.settings.recovery.retries + 1,  # after deaths of the process, counted in `attempts`
                "max_calls": 1 if task.workers else 0,  # end the process after a training, since it keeps gigabytes
                "name": f"make {task.id}",
            }
            dependencies = [refs[name] for name in task.after if name in refs]
            refs[task.id] = ray.remote(**options)(_run_task).remote(task, self._stages(placed), *dependencies)
        errors: dict[str, str] = {}
        names, pending = {ref: name for name, ref in refs.items()}, list(refs.values())
        with watch_ray():
            while pending and not (errors and self.settings.fail_fast):
                (ended,), pending = ray.wait(pending, num_returns=1)
                try:
                    ray.get(ended)
                except Exception as error:
                    log.debug("%s failed", names[ended], exc_info=True)
                    errors[names[ended]] = last_line(error)
        return errors

    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run a Tune trial for each cell; Tune's own results lie in ``tune/`` of the sweep's folder."""
        if not tasks:
            return {}
        from ray import tune
        from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback

        by_id = {task.id: task for task in tasks}
        placements = {task.id: self._placement(task) for task in tasks}
        stages = {name: self._stages(placed) for name, placed in placements.items()}
        bundles = {name: self._cluster.driver_bundle(placed) for name, placed in placements.items()}
        filesystem, path = self.settings.folder.below("tune").filesystem()
        selectors = {name: dict(placed.labels) if placed.in_trial else {} for name, placed in placements.items()}
        failures = _failure_callback()
        trainable = tune.with_resources(
            _with_cell_name(tune.with_parameters(_trial, tasks=by_id, stages=stages)),
            lambda config: tune.PlacementGroupFactory(
                [bundles[config["cell"]]], bundle_label_selector=[selectors[config["cell"]]]
            ),
        )
        trainable.__name__ = trainable.__qualname__ = "Cell"  # in Ray's dashboard
        tuner = tune.Tuner(
            trainable,
            param_space={"cell": tune.grid_search(list(by_id))},
            # a reused actor would grow by about 0.2 GB with each cell that it trains
            tune_config=tune.TuneConfig(reuse_actors=False, trial_name_creator=_cell, trial_dirname_creator=_cell),
            run_config=tune.RunConfig(
                name=time.strftime("%Y%m%d-%H%M%S"),
                storage_path=path,
                storage_filesystem=filesystem,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self.settings.recovery.retries + 1),
                callbacks=[failures, JsonLoggerCallback(), CSVLoggerCallback()],
                stop=failures if self.settings.fail_fast else None,
            ),
        )
        with watch_ray():
            results = tuner.fit()
        failed = {str(r.config["cell"]): r.error for r in results if r.error and r.config}
        for name, error in failed.items():
            log.debug("%s failed: %s", name, error)
        return {name: last_line(error) for name, error in failed.items()}

    def _placement(self, task: Task) -> Placement:
        return placement(self.settings.resources, task.workers)

    def _stages(self, placed: Placement) -> RayStages:
        resources = self.settings.resources
        executors = None if resources.executors == "auto" else resources.executors
        return RayStages(placed, resources.generators, executors)


def _with_cell_name(function: Any) -> Any:
    """Return a trainable that Ray's dashboard shows with the name of its cell."""
    from ray.tune.trainable.function_trainable import wrap_function

    class CellTrainable(wrap_function(function)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return f"cell {self.config['cell']}"

    return CellTrainable


def _trial(config: dict[str, Any], tasks: Mapping[str, Task], stages: Mapping[str, Stages]) -> None:
    from ray import tune

    try:
        numbers = dict(tasks[config["cell"]].run(stages[config["cell"]]))
    except Exception:
        tune.report({GAVE_UP: 1})
        raise
    tune.report(numbers)


def _run_task(task: Task, stages: Stages, *dependencies: Any) -> None:
    task.run(stages)


def _cell(trial: Any) -> str:
    return str(trial.config["cell"])


def _failure_callback() -> Any:
    """Return a Tune callback, which is also a stopper, that decides how the sweep continues after a failed trial.

    As a callback it lets Tune restart only trials whose process died: a trial that raised an error has used up its
    attempts in its process (`raysweep.engine.attempts`). As a stopper it ends all trials once one has failed.
    """
    import ray
    from ray import tune

    class FailureCallback(tune.Callback, tune.Stopper):  # type: ignore[misc]
        failed = False
        trials: Any = ()

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            if result.get(GAVE_UP):
                trial.max_failures = 0

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.failed = True

        def __call__(self, trial_id: str, result: Any) -> bool:
            return False

        def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
            self.trials = trials

        def stop_all(self) -> bool:
            running = (trial for trial in self.trials if trial.status == "RUNNING") if self.failed else ()
            for trial in running:  # Tune itself would wait ten seconds for them
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
            return self.failed

    return FailureCallback()
