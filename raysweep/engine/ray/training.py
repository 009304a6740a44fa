"""Trains through Ray Train: in the trial's process if there is one worker on CPUs, or else in worker processes.

Both run the same training with the same services (`raysweep.engine.checkpoints`). Checkpoints lie in the store, so a
training resumes even on another Ray.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from typing import Any

from typing_extensions import override

from raysweep.engine.base import TrainingRun
from raysweep.engine.checkpoints import Notice, TrainingServices
from raysweep.engine.jobs import require_versions
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster import drains
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.cluster.cordons import outside_cordons, own_node, require_open_node
from raysweep.engine.ray.disk import storage_of_ray
from raysweep.engine.ray.numbers import meter
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.engine.services import ModelService
from raysweep.errors import RaysweepError
from raysweep.execution.isolation.kernel import return_memory
from raysweep.machine import own_process
from raysweep.records import TrainingStep
from raysweep.storage.files import Files
from raysweep.storage.store import Store

NOTICE_SECONDS = 2.0
"""Time between two questions whether this process' node is drained."""
TUNE_REPORTS = 20
"""Approximate number of reports to Ray in a training, besides those after epochs with a validation loss."""


class MeasuredServices(TrainingServices):
    """Services that also report to Ray's metrics, and ask for a checkpoint when this process' node is drained."""

    tags: Mapping[str, str] = {"model": "", "recipe": ""}
    _asked_ray = -math.inf  # when it last did, on the monotonic clock
    _latest_notice: Notice | None = None
    _passed_on = 0  # the step of the latest report that Tune or Train got

    @override
    def report(self, step: TrainingStep) -> None:
        super().report(step)
        if self.rank == 0:
            meter.report_step(step, self.tags)

    def notice(self) -> Notice | None:
        """Return the notice that this process' node is taken away; asks Ray every few seconds."""
        if time.monotonic() - self._asked_ray > NOTICE_SECONDS:
            self._latest_notice = drains.own_notice()
            self._asked_ray = time.monotonic()
        return self._latest_notice

    def is_due(self, step: TrainingStep) -> bool:
        """Return True if Tune or Train gets a report. It depends on the steps alone: all workers report together."""
        is_regular = step.step - self._passed_on >= step.total_steps / TUNE_REPORTS
        if is_regular or step.step == step.total_steps or step.validation_loss is not None:
            self._passed_on = step.step
            return True
        return False


class TrialServices(MeasuredServices):
    """Services in the trial's own process, which also report to Tune."""

    @override
    def report(self, step: TrainingStep) -> None:
        from ray import tune

        super().report(step)
        if self.is_due(step):
            tune.report(metrics_of(step))


class WorkerServices(MeasuredServices):
    """Services in a worker process of Ray Train, which also report to Ray Train, and through it to Tune."""

    def __init__(self, checkpoints: Files, progress: ProgressFile, model_service: ModelService) -> None:
        from ray import train

        context = train.get_context()
        rank, world_size = context.get_world_rank(), context.get_world_size()
        super().__init__(checkpoints, progress, model_service, rank=rank, world_size=world_size)
        nodes = self._of_all(own_node())
        if rank == 0:
            drains.note_nodes(progress, nodes)

    @override
    def report(self, step: TrainingStep) -> None:
        from ray import train

        super().report(step)
        if self.is_due(step):
            train.report(metrics_of(step))

    def notice(self) -> Notice | None:
        """Return which nodes of the workers are taken away, as Ray Train tells all of them alike. It is a barrier."""
        from ray import train

        info, known = train.get_preemption_info(), self._latest_notice
        if info is not None and (known is None or known.machines.keys() != set(info.preempted_node_ids)):
            self._latest_notice = drains.notice_of(info.preempted_node_ids, (info.deadline_ms or 0) / 1000)
        return self._latest_notice


def metrics_of(step: TrainingStep) -> dict[str, float]:
    """Return a report's numbers as Tune's loggers get them; those that are not known are left out."""
    metrics = {
        **step.numbers,
        **step.held_out,
        "step": step.step,
        "loss": step.loss,
        "learning_rate": step.learning_rate,
        "gradient_norm": step.gradient_norm,
        "tokens": step.tokens,
        "tokens_per_second": step.tokens_per_second,
        "mfu": step.mfu,
        "memory_gib": step.memory_bytes / 2**30,
        "validation_loss": step.validation_loss,
    }
    return {name: value for name, value in metrics.items() if value is not None}


def train_with_ray(
    training: TrainingRun,
    progress: ProgressFile,
    placement: Placement,
    tags: Mapping[str, str],
    *,
    is_capped: bool = False,
) -> dict[str, Any]:
    """Train a model and return the trainer's counts; raise RaysweepError if the training fails.

    `tags`: of metrics: the names of model and recipe. `is_capped`: workers, which may have waited long for their
    places, ask whether there are GPU-hours left.
    """
    from ray import train, tune
    from ray.train.backend import BackendConfig
    from ray.tune.integration.ray_train import TuneReportCallback

    from raysweep.engine.ray.process_group import torch_group

    in_trial = placement.in_trial
    in_tune = tune.get_context().get_trial_id() is not None  # else a base model trains, which cells share

    filesystem, path = storage_of_ray(training.checkpoints)
    trainer = _ray_trainer()(
        _worker_loop(training, progress, placement, tags, in_tune=in_tune, is_capped=is_capped),
        train_loop_config={},
        backend_config=BackendConfig() if in_trial else torch_group(),
        scaling_config=_scaling_config(placement, training.workers),
        run_config=train.RunConfig(
            name="ray_train",
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=train.FailureConfig(  # `raysweep.engine.attempts` begins again, with places of the keeper
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
            callbacks=[TuneReportCallback()] if in_tune and not in_trial else [],
        ),
    )
    with nullcontext() if in_trial else drains.excusing_drains(progress):
        counts = trainer.fit().return_value
    if counts is None:
        raise RaysweepError(f"training of {training.label} ended without a result")
    return dict(counts)


def _worker_loop(
    training: TrainingRun,
    progress: ProgressFile,
    placement: Placement,
    tags: Mapping[str, str],
    *,
    in_tune: bool,
    is_capped: bool,
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what each worker does, in Ray's form; it takes no config. The arguments are those of `train_with_ray`."""
    in_trial = placement.in_trial

    def loop(_: dict[str, Any]) -> dict[str, Any]:
        if not in_trial:
            require_open_node()
        require_versions(training.versions, "trains")
        if is_capped and not in_trial:
            meter.require_gpu_hours("training")
        services_class = WorkerServices if not in_trial else TrialServices if in_tune else MeasuredServices
        store = Store(training.storage, expected=True)
        slots = max(1, int(placement.cpus))
        with ExitStack() as stack:
            if not in_trial:  # otherwise the task reports what it holds
                own_process()
                stack.enter_context(held_resources(progress.activity.id))
            stages = stack.enter_context(LocalStages(slots))
            model_service = stack.enter_context(ModelService(stages, store, progress, training.sandbox))
            services = services_class(training.checkpoints, progress, model_service)
            services.tags = tags
            services.accelerator_share = min(1.0, placement.gpus or 1.0)
            if services.rank == 0:  # the workers were scheduled; from now on a hang counts as a stall
                progress.update("training", force=True)
            counts = training.train(services)
        gc.collect()
        return_memory()  # the trial waits for its generation, which needs it
        return counts

    return loop


def _ray_trainer() -> Any:
    """Return Ray's trainer without two of its callbacks.

    The cleaner of placement groups, whose job orphans.py does, asks the dashboard of the Ray that was started last on
    its machine whether the controller is alive. If that is another Ray, which doesn't know the controller, it ends a
    training that works. The one for data sets, of which a training here has none, would start a process.
    """
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    left_out = PlacementGroupCleanerCallback, DatasetsCallback

    class RayTrainer(DataParallelTrainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [callback for callback in callbacks if not isinstance(callback, left_out)]

    return RayTrainer


def _scaling_config(placement: Placement, workers: int) -> Any:
    from ray import train

    if placement.in_trial:
        return train.ScalingConfig(num_workers=0, use_gpu=False)
    return train.ScalingConfig(
        num_workers=workers,
        use_gpu=bool(placement.gpus),
        resources_per_worker=placement.amounts,
        label_selector=outside_cordons(placement.labels) or None,
    )
