"""IA3 through PEFT: trains vectors that scale keys, values and the inside of the feed-forward layers.

Liu et al. 2022, https://arxiv.org/abs/2205.05638. The vectors begin with 1, so weight decay leaves them alone.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from raysweep.errors import HopelessError
from raysweep.models.families.base import ia3_targets
from raysweep.trainers.adapters import AdapterTrainer, require_modules, task_type
from raysweep.trainers.base import TRAINERS, Ia3Settings, TrainJob


@TRAINERS.register("ia3")
class Ia3(AdapterTrainer):
    """Trains scaling vectors; `recipe.ia3` holds some of `Ia3Settings`."""

    neutral = "ia3_l"

    @override
    def config(self, model: Any, job: TrainJob) -> Any:
        from peft import IA3Config

        ia3 = Ia3Settings(**job.recipe.ia3)
        targets, feedforward = ia3_targets(job.family)
        if ia3.targets is not None:
            targets = list(ia3.targets)
            feedforward = [name for name in feedforward if name in targets]
        if ia3.feedforward is not None:
            feedforward = list(ia3.feedforward)
        if not targets:
            raise HopelessError(f"PEFT knows no modules of {job.family} models that IA3 scales; give `ia3.targets`")
        if extra := sorted(set(feedforward) - set(targets)):
            raise HopelessError(f"`ia3.feedforward` names {extra[0]!r}, which `ia3.targets` doesn't; add it there")
        require_modules(model, targets, "ia3.targets", job.family)
        return IA3Config(
            task_type=task_type(model),
            revision=job.base.revision,
            target_modules=targets,
            feedforward_modules=feedforward,
        )
