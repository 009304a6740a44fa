from __future__ import annotations

import pytest

from raysweep.config.loading import load_config
from raysweep.planning.models import could_generate
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.faster import faster_ways
from tests.paths import NANO

GPU = "resources.gpus=1"
LORA = ["recipes.own={trainer: lora, steps: 2}", "models.0.recipes=[own]", "models.0.dtype=bfloat16"]
SHARED = ["recipes.tiny.workers=2", "recipes.tiny.parallel=zero2"]
A100 = "resources.labels={ray.io/accelerator-type: A100}"
LARGE = [
    "models.0.dtype=bfloat16",
    "models.0.pretrain.size={hidden_size: 4096, num_hidden_layers: 32, intermediate_size: 11008}",
]
MERGES = "evaluation.generator={name: transformers, merge: false}"


@pytest.mark.parametrize(
    ("overrides", "begin"),
    [
        ([GPU, *LORA], "adapters of llama stay beside their base"),
        ([GPU, *SHARED], "recipe tiny shares llama among 2 workers by zero2: where an accelerator holds"),
        ([GPU, *SHARED, A100], "recipe tiny shares llama among 2 workers by zero2: the accelerator A100 holds it"),
        ([GPU, *LARGE], "vLLM could run llama (`generator: vllm`"),
        ([GPU, *LARGE, "evaluation.temperature=0.001"], None),
        (LORA, None),
        ([GPU, *LORA, "models.0.dtype=float32"], None),
        ([GPU, *LORA, MERGES], None),
        ([GPU, "recipes.tiny.workers=2", "recipes.tiny.parallel=ddp"], None),
    ],
)
def test_only_settings_that_would_help_are_named(overrides, begin):
    config = load_config(NANO, overrides)
    lines = faster_ways(config, build_plan(config).cells, could_generate)
    assert [line.startswith(begin or "") for line in lines] == [True] * (begin is not None), lines
