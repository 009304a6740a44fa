"""Checks of how models compute attention (`attention`): that it is what runs, and that it can run there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence

from raysweep.config.checks.mistakes import Mistake
from raysweep.config.document import KeyPath
from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Doubt, MissingInput
from raysweep.generators.base import GENERATORS, TRANSFORMERS
from raysweep.models.loading import FLASH
from raysweep.trainers.kinds import fine_tunes

_OTHER = "take `attention: sdpa`, whose kernels on GPUs are FlashAttention's, too"


def attention_mistakes(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[Mistake]:
    """Yield where a model's `attention` isn't what runs, or can't run. `place`: of the model."""
    if model.attention is None:
        return
    generator = GENERATORS.get((model.generator or config.evaluation.generator).name)
    trained = [name for name in model.recipes if fine_tunes(config.recipes[name].trainer)]
    own = generator.environment or not generator.needs_model
    if own and not model.recipes:
        what = f"generator {generator.name} computes attention in its own way"
        yield (*place, "attention"), f"{what}; leave it out, or take generator {TRANSFORMERS}"
        return
    if own:
        yield (*place, "attention"), Doubt(f"it counts in trainings alone: generator {generator.name} has its own")
    if model.attention == FLASH:
        trained += [model.pretrain.recipe] if model.pretrain else []
        yield from ((path or (*place, "attention"), why) for path, why in _flash(config, model, trained, bool(own)))


def _flash(
    config: SweepConfig, model: ModelConfig, trained: Sequence[str], only_trains: bool
) -> Iterator[tuple[KeyPath, str | MissingInput]]:
    if importlib.util.find_spec("flash_attn") is None:
        yield (
            (),
            MissingInput(
                f"`attention: {FLASH}` needs the package flash_attn where it runs: `pip install flash-attn "
                f"--no-build-isolation` beside CUDA's compiler; or {_OTHER}"
            ),
        )
    stages = [("training", name) for name in trained if not only_trains or name in model.recipes]
    stages += [] if only_trains else [("generation", name) for name in ("", *model.recipes)]
    if not all(config.asked(stage, model.name, name).gpus for stage, name in stages):
        yield (), f"{FLASH} runs on GPUs alone; ask for one (`resources.gpus: 1`), or {_OTHER}"
    way = f"{FLASH} computes in 16 bits; write"
    if not only_trains and model.dtype in ("float32", "tf32"):
        yield (), f"{way} the model's `dtype: bfloat16`, not {model.dtype}, or {_OTHER}"
    for name in dict.fromkeys(trained):
        if (precision := config.recipes[name].precision) in ("float32", "tf32"):
            yield ("recipes", name, "precision"), f"{way} `precision: bf16`, not {precision}, or {_OTHER}"
