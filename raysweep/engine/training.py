"""Training through Ray Train: in the trial's process for one worker on a small machine, else in worker processes.

Both run the same loop behind the same shim (`raysweep.engine.checkpoints`); checkpoints lie in the store, so a run that
is started again resumes whatever happened to Ray.
"""

from __future__ import annotations

from typing import Any

from raysweep.engine.base import TrainWork
from raysweep.engine.checkpoints import TrainingServices
from raysweep.engine.cluster import Placement
from raysweep.errors import RaysweepError
from raysweep.progress import ProgressFile
from raysweep.records import TrainingStep
from raysweep.storage.files import Files

REPORTS = 20
"""Reports a training makes to Ray Train, at most: all workers must make the same ones."""


class WorkerServices(TrainingServices):
    """The shim in a Ray Train worker process: it also reports to Ray Train."""

    def __init__(self, work: Files, progress: ProgressFile) -> None:
        from ray import train

        context = train.get_context()
        super().__init__(work, progress, rank=context.get_world_rank(), world_size=context.get_world_size())

    def report(self, step: TrainingStep) -> None:
        """Tell progress, and now and then Ray Train."""
        from ray import train

        super().report(step)
        if step.step == step.total_steps or step.step % max(1, step.total_steps // REPORTS) == 0:
            train.report({"step": step.step, "loss": step.loss, "learning_rate": step.learning_rate})


def train_with_ray(work: TrainWork, progress: ProgressFile, placement: Placement) -> dict[str, Any]:
    """Train a model and return the trainer's counts; raise RaysweepError when the training failed."""
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    in_trial = placement.in_trial

    def loop(config: dict[str, Any]) -> dict[str, Any]:
        files = work.work
        services = TrainingServices(files, progress) if in_trial else WorkerServices(files, progress)
        if services.rank == 0:
            progress.update("training", force=True)  # the wait for workers is over: from here on a hang counts
        return work.run(services)

    filesystem, path = work.work.filesystem()
    trainer = TorchTrainer(
        loop,
        train_loop_config={},
        torch_config=TorchConfig(backend="nccl" if placement.gpus else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=0 if in_trial else work.workers,
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
        raise RaysweepError(f"training of {work.label} ended without a result")
    return dict(counts)
