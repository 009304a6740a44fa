"""Trains through Ray Train: in the trial's process if there is one worker on CPUs, or else in worker processes.

Both run the same training with the same services (`raysweep.engine.services`). Checkpoints lie in the store, so a
training resumes even on another Ray.
"""

from __future__ import annotations

from typing import Any

from raysweep.engine.base import TrainingRun
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster import Placement
from raysweep.engine.services import ModelService, TrainingServices
from raysweep.errors import RaysweepError
from raysweep.records import TrainingStep
from raysweep.storage.files import Files
from raysweep.storage.store import Store

REPORTS = 20
"""Approximate number of reports to Ray Train in a training; all workers must report at the same steps."""


class WorkerServices(TrainingServices):
    """Services in a worker process of Ray Train, which also report to Ray Train."""

    def __init__(self, checkpoints: Files, progress: ProgressFile, model_service: ModelService) -> None:
        from ray import train

        context = train.get_context()
        rank, world_size = context.get_world_rank(), context.get_world_size()
        super().__init__(checkpoints, progress, model_service, rank=rank, world_size=world_size)

    def report(self, step: TrainingStep) -> None:
        """Write progress; at some steps report to Ray Train."""
        from ray import train

        super().report(step)
        if step.step == step.total_steps or step.step % max(1, step.total_steps // REPORTS) == 0:
            train.report({"step": step.step, "loss": step.loss, "learning_rate": step.learning_rate})


def train_with_ray(training: TrainingRun, progress: ProgressFile, placement: Placement) -> dict[str, Any]:
    """Train a model and return the trainer's counts; raise RaysweepError if the training fails."""
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    in_trial = placement.in_trial

    def loop(config: dict[str, Any]) -> dict[str, Any]:
        services_class = TrainingServices if in_trial else WorkerServices
        store = Store(training.storage, expected=True)
        slots = max(1, int(placement.cpus))
        with LocalStages(slots) as stages, ModelService(stages, store, progress, training.sandbox) as model_service:
            services = services_class(training.checkpoints, progress, model_service)
            if services.rank == 0:  # the workers were scheduled; from now on a hang counts as a stall
                progress.update("training", force=True)
            return training.train(services)

    filesystem, path = training.checkpoints.filesystem()
    trainer = TorchTrainer(
        loop,
        train_loop_config={},
        torch_config=TorchConfig(backend="nccl" if placement.gpus else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=0 if in_trial else training.workers,
            use_gpu=bool(placement.gpus),
            resources_per_worker=None if in_trial else placement.worker,
            label_selector=None if in_trial else dict(placement.labels) or None,
        ),
        run_config=train.RunConfig(
            name="ray_train",
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    counts = trainer.fit().return_value
    if counts is None:
        raise RaysweepError(f"training of {training.label} ended without a result")
    return dict(counts)
