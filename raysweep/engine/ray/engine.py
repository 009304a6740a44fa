"""The Ray engine: Ray tasks make the artefacts that cells share; then Ray Tune runs a trial for each cell."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from typing_extensions import override

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.attempts import root_cause
from raysweep.engine.base import Engine, EngineSettings, Stages, Task
from raysweep.engine.ledger import GPU_HOURS
from raysweep.engine.placing.cells import ANY, CellToPlace
from raysweep.engine.placing.fits import IdleNodes, unplaceable
from raysweep.engine.placing.groups import pools_of_groups, warn_of_absent
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.progress import ProgressFile, require_ended_well
from raysweep.engine.ray.cluster.cluster import Cluster, Placements, placements
from raysweep.engine.ray.cluster.cordons import leave_cordoned_node, outside_cordons
from raysweep.engine.ray.cluster.drains import MOST_DRAINS, begin_here
from raysweep.engine.ray.cluster.idle import watch_idle
from raysweep.engine.ray.cluster.lives import ask_nodes_for_lives, watch_lives
from raysweep.engine.ray.cluster.node_versions import require_equal_versions
from raysweep.engine.ray.cluster.node_watch import watching_nodes
from raysweep.engine.ray.cluster.nodes import DriverLabels, autoscaler_runs, nodes_by_id, present_driver_labels
from raysweep.engine.ray.cluster.orphans import watch_orphans
from raysweep.engine.ray.cluster.ray_lost import watch_ray
from raysweep.engine.ray.cluster.shared_store import require_shared_store
from raysweep.engine.ray.disk import storage_of_ray
from raysweep.engine.ray.hosts.keeper import start_keeper
from raysweep.engine.ray.hosts.order import Turns, cell_order
from raysweep.engine.ray.hosts.reuse import MAY_GO_ON, can_reuse, may_go_on, reusing_processes, trainable_of
from raysweep.engine.ray.numbers import meter
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.engine.ray.numbers.loggers import make_loggers
from raysweep.engine.ray.stages import RayStages
from raysweep.errors import Stopped, UsageError, last_line
from raysweep.machine import limit_kernel_caches, own_process
from raysweep.planning.predictions.needs import CellNeeds
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")

PART = 16
"""So many cells' work lies together in Ray's object store."""
GAVE_UP = "gave_up"
"""Metric that a trial reports before it raises an error, since its process has used up all attempts."""


class RayEngine(Engine):
    """Runs shared artefacts as Ray tasks and cells as Tune trials.

    Raises:
        UsageError: a logger's package isn't installed, or it doesn't take its arguments.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._cluster = Cluster(settings.ray, settings.address)
        self._loggers = make_loggers(settings.loggers)
        self._nodes = IdleNodes()  # when work began
        self._to_choose_for: Sequence[CellToPlace] = ()  # all tasks that were checked
        self._pools: dict[str, str] = {}  # of the groups of models

    def __enter__(self) -> RayEngine:
        log.info("%s", self._cluster.start())
        settings, progress = self.settings, self._progress
        self._watches = ExitStack()
        self._watches.enter_context(meter.running_meter(settings.sweep, settings.folder, settings.max_gpu_hours))
        self._watches.enter_context(watch_orphans())
        self._watches.enter_context(watch_lives(progress))
        ask_nodes_for_lives()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._watches.__exit__(*exception)
        self._cluster.stop()

    def check(self, tasks: Sequence[Task]) -> None:
        """Check that the live nodes can hold each task, and have the same software and the same store as this process.

        With an autoscaler, what no live node can hold is only warned of.
        """
        may_grow = not self._cluster.owned and autoscaler_runs()
        self._nodes = IdleNodes(nodes_by_id(), may_grow=may_grow)
        if tasks and not self._cluster.owned:
            self._watches.enter_context(watching_nodes(self._check_nodes, may_grow=may_grow))
        asked: dict[str, tuple[list[str], CellNeeds]] = {}
        for task in tasks:
            needs = task.needs.capped(self._nodes.most_memory)
            asked.setdefault(repr(needs), ([], needs))[0].append(task.id)
        self._watches.enter_context(
            watch_idle(self._progress, {task.id: self._placed(task).training.in_words for task in tasks})
        )
        problems = unplaceable(asked.values(), self._nodes, self._cluster.waiting_driver)
        if problems and not may_grow:
            raise UsageError("\n".join(problems))
        for problem in problems:
            log.warning(
                "on the nodes that are there now, %s; the sweep waits until the autoscaler starts others", problem
            )
        self._to_choose_for = self._to_place(tasks)
        self._pools = self._chosen_pools(self._to_choose_for)
        if may_grow:  # else each group has an accelerator that is there
            pins = self.settings.pins
            records = {group: pins.place(group) for group in pins.pools_of(self._pools)} if pins else {}
            warn_of_absent(self._pools, self._nodes, records)

    def _check_nodes(self, nodes: Mapping[str, NodeFacts]) -> None:
        allow_mixed = self.settings.resources.allow_mixed
        require_equal_versions(nodes, self.settings.runtimes, allow_mixed=allow_mixed)
        require_shared_store(nodes, Files(self.settings.folder.root, expected=True), allow_mixed=allow_mixed)

    @override
    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        import ray

        self._bind_groups(tasks)
        drivers = present_driver_labels()
        refs: dict[str, Any] = {}
        generating = {task.id: task.base for task in tasks if task.generates}
        keeper: Any = start_keeper(generating, may_grow=self._nodes.may_grow) if generating else None
        for task in tasks:
            placed = self._placed(task).on(self._pools.get(task.group, ANY))
            if task.uses_other_processes:
                placed = placed.elsewhere
            bundle = dict(self._cluster.driver_bundle(placed.training))
            options = {
                "num_cpus": bundle.pop("CPU", 0),
                "num_gpus": bundle.pop("GPU", 0),
                "memory": bundle.pop("memory", None),
                "resources": bundle,
                "label_selector": outside_cordons(placed.training.labels) if placed.in_trial else drivers,
                "max_retries": self._most_deaths,  # of the process; `attempts` counts them
                "max_calls": int(task.needs.workers > 0),  # end a process that trained: it keeps gigabytes
                "name": f"make {task.id}",
            }
            dependencies = [refs[name] for name in task.after if name in refs]
            stages = self._stages(task, placed, keeper if task.generates else None)
            progress = self._progress
            refs[task.id] = ray.remote(**options)(_run_task).remote(task, stages, progress, *dependencies)
        errors: dict[str, str] = {}
        failed = False
        names, pending = {ref: name for name, ref in refs.items()}, list(refs.values())
        with watch_ray():
            while pending and not (failed and self.settings.fail_fast):
                (ended,), pending = ray.wait(pending, num_returns=1)
                try:
                    ray.get(ended)
                except Exception as error:
                    log.debug("%s failed", names[ended], exc_info=True)
                    errors[names[ended]] = last_line(error)
                    failed = failed or not isinstance(root_cause(error), Stopped)
                if names[ended] in generating:
                    keeper.end_cell.remote(names[ended])  # its hosts end
        return errors

    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run a Tune trial for each cell; Tune's own results lie in ``tune/`` of the sweep's folder."""
        if not tasks:
            return {}
        from ray import tune

        self._bind_groups(tasks)
        placed = {task.id: self._placed(task) for task in tasks}
        keeper = start_keeper(
            {task.id: task.base for task in tasks}, self._to_place(tasks), self._pools, self._nodes.may_grow
        )
        sent = {task.id: replace(task, folders={}) for task in tasks}
        work = {name: (sent[name], self._stages(sent[name], asked, keeper)) for name, asked in placed.items()}
        filesystem, path = storage_of_ray(self.settings.folder.below("tune"))
        bundles = {name: self._cluster.driver_bundle(asked.training) for name, asked in placed.items()}
        run = time.strftime("%Y%m%d-%H%M%S")
        followed = _callback(keeper, self.settings.folder.below(f"tune/{run}"), {task.id: task for task in tasks})
        tuner = tune.Tuner(
            _trainable(work, placed, bundles, self._progress),
            tune_config=tune.TuneConfig(
                search_alg=cell_order(Turns(keeper, len(tasks), self.settings.max_gpu_hours is not None)),
                num_samples=len(tasks),
                reuse_actors=can_reuse(),
                trial_name_creator=_cell,
                trial_dirname_creator=_cell,
            ),
            run_config=tune.RunConfig(
                name=run,
                storage_path=path,
                storage_filesystem=filesystem,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self._most_deaths),
                callbacks=[followed, *self._loggers],
                stop=followed if self.settings.fail_fast else None,
            ),
        )
        with watch_ray(), reusing_processes():
            results = tuner.fit()
        failed = {str(r.config["cell"]): r.error for r in results if r.error and r.config}
        for name, error in failed.items():
            log.debug("%s failed: %s", name, error)
        return {name: last_line(error) for name, error in failed.items()}

    def _chosen_pools(self, cells: Sequence[CellToPlace]) -> dict[str, str]:
        groups = {cell.group for cell in cells if cell.group and cell.is_on_accelerators}
        bound = self.settings.pins.pools_of(groups) if self.settings.pins else {}
        return pools_of_groups(cells, self._nodes, bound)

    def _bind_groups(self, tasks: Sequence[Task]) -> None:
        if self.settings.pins is None:
            return
        pools = {group: self._pools[group] for group in sorted({task.group for task in tasks} & self._pools.keys())}
        if pools != {group: self.settings.pins.choose_pool(group, pool) for group, pool in pools.items()}:
            self._pools = self._chosen_pools(self._to_choose_for)  # another sweep has just bound them elsewhere

    @property
    def _progress(self) -> Files:
        return self.settings.folder.below("progress")

    @property
    def _most_deaths(self) -> int:
        """How often Ray starts a task's process again; `raysweep.engine.attempts` ends it earlier, with a reason.

        It bounds the starts of a process that dies before it can count itself, so it isn't endless.
        """
        return self.settings.recovery.retries + 1 + MOST_DRAINS

    def _placed(self, task: Task) -> Placements:
        labels = {node.labels.get(ACCELERATOR_LABEL, "") for node in self._nodes.nodes.values()}
        return placements(task.needs.capped(self._nodes.most_memory), labels - {""})

    def _to_place(self, tasks: Sequence[Task]) -> list[CellToPlace]:
        most = self._nodes.most_memory
        cells = {task.id for task in tasks}
        return [
            CellToPlace(
                task.id,
                task.needs.capped(most),
                task.hours,
                task.group,
                tuple(name for name in task.after if name in cells),
            )
            for task in tasks
        ]

    def _stages(self, task: Task, placed: Placements, keeper: Any = None) -> RayStages:
        resources = self.settings.resources
        executors = None if resources.executors == "auto" else resources.executors
        is_capped = self.settings.max_gpu_hours is not None
        return RayStages(placed, resources.generators, executors, keeper, task.base, task.recipe, is_capped)


def _trainable(
    work: Mapping[str, tuple[Task, RayStages]],
    placed: Mapping[str, Placements],
    bundles: Mapping[str, Mapping[str, float]],
    progress: Files,
) -> Any:
    """Return what Tune runs for each cell, together with what its trial asks Ray for; the mappings are by cell."""
    from ray import tune

    drivers = DriverLabels()

    def resources(config: Mapping[str, Any]) -> Any:
        in_pool = placed[config["cell"]].on(config["pool"])
        selector = outside_cordons(in_pool.training.labels) if in_pool.in_trial else drivers.now()
        return tune.PlacementGroupFactory([bundles[config["cell"]]], bundle_label_selector=[selector])

    trainable = tune.with_resources(
        trainable_of(tune.with_parameters(_trial, parts=_in_parts(work), progress=progress)), resources
    )
    trainable.__name__ = trainable.__qualname__ = trainable._name = "Cell"  # in Ray's dashboard, and for Tune
    return trainable


def _in_parts(work: Mapping[str, tuple[Task, RayStages]]) -> tuple[dict[str, int], list[Any]]:
    """A trial reads one part, not the work of ten thousand cells; a part holds once what its cells share."""
    import ray

    names = list(work)
    parts = [names[start : start + PART] for start in range(0, len(names), PART)]
    part_of = {name: number for number, part in enumerate(parts) for name in part}
    return part_of, [ray.put({name: work[name] for name in part}) for part in parts]


def _trial(config: dict[str, Any], parts: tuple[Mapping[str, int], Sequence[Any]], progress: Files) -> None:
    import ray
    from ray import tune

    own_process()
    limit_kernel_caches()
    leave_cordoned_node()
    ask_nodes_for_lives()
    part_of, references = parts
    try:
        begin_here(ProgressFile(progress, config["cell"]))
        task, stages = ray.get(references[part_of[config["cell"]]])[config["cell"]]
        require_ended_well(task.after, ProgressFile(progress, task.id))
        with held_resources(task.id):
            numbers = dict(task.run(stages.on(config["pool"])))
        if hours := meter.gpu_hours(task.id):
            numbers[GPU_HOURS] = hours
    except Stopped:  # nothing failed; the cell has no results
        return
    except Exception:
        tune.report({GAVE_UP: 1})
        raise
    tune.report({**numbers, MAY_GO_ON: int(may_go_on())})


def _run_task(task: Task, stages: Stages, progress: Files, *dependencies: Any) -> None:
    own_process()
    leave_cordoned_node()
    ask_nodes_for_lives()
    begin_here(ProgressFile(progress, task.id))
    with held_resources(task.id):
        task.run(stages)


def _cell(trial: Any) -> str:
    return str(trial.config["cell"])


def _callback(keeper: Any, files: Files, tasks: Mapping[str, Task]) -> Any:
    """Return a Tune callback, which is also a stopper, that decides how the sweep continues after a failed trial.

    As a callback it lets Tune restart only trials whose process died: a trial that raised an error has used up its
    attempts in its process (`raysweep.engine.attempts`). As a stopper it ends all trials once one has failed. It tells
    the keeper of the hosts which cells have ended, and writes to `files` where each one's artefacts lie.
    """
    import ray
    from ray import tune

    class CellCallback(tune.Callback, tune.Stopper):  # type: ignore[misc]
        def __init__(self, keeper: Any, tasks: Mapping[str, Task]) -> None:  # what a method names is stored with it
            self._keeper, self._tasks, self._failed = keeper, tasks, False
            self._trials: Any = ()

        def __getstate__(self) -> dict[str, Any]:
            """Leave out what ends with this process: Tune stores this object with its results."""
            return {**self.__dict__, "_keeper": None, "_tasks": {}, "_trials": ()}

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            name = _cell(trial)
            files.write(f"{name}/artefacts.json", json.dumps(self._tasks[name].folders, indent=2) + "\n")

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            if result.get(GAVE_UP):
                trial.max_failures = 0

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self._keeper.end_cell.remote(_cell(trial))

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self._failed = True
            self._keeper.end_cell.remote(_cell(trial))

        def __call__(self, trial_id: str, result: Any) -> bool:
            return False

        def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
            self._trials = trials

        def stop_all(self) -> bool:
            running = (trial for trial in self._trials if trial.status == "RUNNING") if self._failed else ()
            for trial in running:  # Tune itself would wait ten seconds for them
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
            return self._failed

    return CellCallback(keeper, tasks)
