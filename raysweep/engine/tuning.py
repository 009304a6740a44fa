"""The Ray engine: Ray Tune schedules the cells, one trial a cell; shared inputs are tasks that run before."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from raysweep.engine.base import (
    Engine,
    EngineSettings,
    Stages,
    Task,
)
from raysweep.engine.cluster import Cluster, Placement, placement
from raysweep.engine.lost import noticed
from raysweep.engine.orphans import released
from raysweep.engine.preflight import live_nodes, require_feasible_beside
from raysweep.engine.stages import RayStages
from raysweep.engine.stalls import told
from raysweep.errors import last_line

log = logging.getLogger("raysweep")

GAVE_UP = "gave_up"
"""A trial reports it before it raises an error that no further attempt follows."""


class RayEngine(Engine):
    """Shared inputs as Ray tasks, cells as Tune trials."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._cluster = Cluster(settings.ray, settings.address)

    def __enter__(self) -> RayEngine:
        """Connect to Ray or start it."""
        log.info("%s", self._cluster.start())
        self._watches = ExitStack()
        self._watches.enter_context(told(self.settings.folder.below("progress")))
        self._watches.enter_context(released())
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the Ray that was started, if it was."""
        self._watches.close()
        self._cluster.stop()

    def check(self, tasks: Sequence[Task]) -> None:
        """Match every task against the live cluster."""
        for workers in sorted({task.workers for task in tasks}):
            asked = placement(self.settings.resources, workers)
            driver = {} if asked.in_trial else self._cluster.driver_bundle(asked)
            require_feasible_beside(driver, asked, workers, live_nodes(), "the Ray cluster")

    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks in parallel, each after those it names."""
        import ray

        refs: dict[str, Any] = {}
        for task in tasks:
            asked = replace(self._placed(task), in_trial=False) if task.spreads else self._placed(task)
            bundle = dict(self._cluster.driver_bundle(asked))
            options = {
                "num_cpus": bundle.pop("CPU", 0),
                "num_gpus": bundle.pop("GPU", 0),
                "memory": bundle.pop("memory", None),
                "resources": bundle,
                "label_selector": dict(asked.labels) if asked.in_trial else {},
                "max_retries": self.settings.recovery.retries + 1,  # of processes that die; `attempts` counts them
                "max_calls": 1 if task.workers else 0,  # a process that trained holds gigabytes until it ends
                "name": f"make {task.id}",
            }
            before = [refs[name] for name in task.after if name in refs]
            refs[task.id] = ray.remote(**options)(_run_task).remote(task, self._stages(asked), *before)
        errors: dict[str, str] = {}
        names, left = {ref: name for name, ref in refs.items()}, list(refs.values())
        with noticed():
            while left and not (errors and self.settings.fail_fast):
                (ended,), left = ray.wait(left, num_returns=1)
                try:
                    ray.get(ended)
                except Exception as error:
                    log.debug("%s failed", names[ended], exc_info=True)
                    errors[names[ended]] = last_line(error)
        return errors

    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run one Tune trial a cell; Tune's own results lie in the sweep's folder under ``tune/``."""
        if not tasks:
            return {}
        from ray import tune

        by_id = {task.id: task for task in tasks}
        placed = {task.id: self._placed(task) for task in tasks}
        stages = {name: self._stages(asked) for name, asked in placed.items()}
        bundles = {name: self._cluster.driver_bundle(asked) for name, asked in placed.items()}
        filesystem, path = self.settings.folder.below("tune").filesystem()
        selectors = {name: dict(asked.labels) if asked.in_trial else {} for name, asked in placed.items()}
        ends = _ends()
        trainable = tune.with_resources(
            _named(tune.with_parameters(_trial, tasks=by_id, stages=stages)),
            lambda config: tune.PlacementGroupFactory(
                [bundles[config["cell"]]], bundle_label_selector=[selectors[config["cell"]]]
            ),
        )
        trainable.__name__ = trainable.__qualname__ = "Cell"  # in Ray's dashboard
        tuner = tune.Tuner(
            trainable,
            param_space={"cell": tune.grid_search(list(by_id))},
            # no reuse of actors: a process that trained one cell after another grew by some 0.2 GB each
            tune_config=tune.TuneConfig(reuse_actors=False, trial_name_creator=_cell, trial_dirname_creator=_cell),
            run_config=tune.RunConfig(
                name=time.strftime("%Y%m%d-%H%M%S"),
                storage_path=path,
                storage_filesystem=filesystem,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self.settings.recovery.retries + 1),
                callbacks=[ends],
                stop=ends if self.settings.fail_fast else None,
            ),
        )
        with noticed():
            results = tuner.fit()
        failed = {str(r.config["cell"]): r.error for r in results if r.error and r.config}
        for name, error in failed.items():
            log.debug("%s failed: %s", name, error)
        return {name: last_line(error) for name, error in failed.items()}

    def _placed(self, task: Task) -> Placement:
        return placement(self.settings.resources, task.workers)

    def _stages(self, asked: Placement) -> RayStages:
        resources = self.settings.resources
        executors = None if resources.executors == "auto" else resources.executors
        return RayStages(asked, resources.generators, executors)


def _named(function: Any) -> Any:
    """Return a trainable that calls itself by its cell in Ray's dashboard."""
    from ray.tune.trainable.function_trainable import wrap_function

    class Cell(wrap_function(function)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return f"cell {self.config['cell']}"

    return Cell


def _trial(config: dict[str, Any], tasks: Mapping[str, Task], stages: Mapping[str, Stages]) -> None:
    from ray import tune

    try:
        numbers = dict(tasks[config["cell"]].run(stages[config["cell"]]))
    except Exception:
        tune.report({GAVE_UP: 1})
        raise
    tune.report(numbers)


def _run_task(task: Task, stages: Stages, *before: Any) -> None:
    task.run(stages)


def _cell(trial: Any) -> str:
    return str(trial.config["cell"])


def _ends() -> Any:
    """Return a Tune callback that lets only trials be started again whose process died, and a stopper with it.

    What raised an error has had its attempts in its process (`raysweep.attempts`). As a stopper it ends all trials once
    one has given up.
    """
    import ray
    from ray import tune

    class Ends(tune.Callback, tune.Stopper):  # type: ignore[misc]
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

    return Ends()
