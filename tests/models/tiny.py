"""Tiny models of every family, made from configs and a tokenizer trained on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raysweep.models.scratch import prepare_scratch
from raysweep.records import ModelRef
from raysweep.trainers.full import initialise
from raysweep.trainers.loop import own_torch_rng

FAMILIES = ("llama", "gpt_bigcode", "codegen")
SIZES = {
    "llama": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_inner": 48},
    "codegen": {"n_embd": 32, "n_layer": 2, "n_inner": 48, "rotary_dim": 4},
}


def pairs(count: int = 40) -> list[tuple[str, str]]:
    """Prompts and bodies shaped like MiniCode's, of different lengths."""
    made = []
    for i in range(count):
        k, more = i % 8 + 2, " and the last ones too" * (i % 3)
        prompt = f'def f{i}(xs):\n    """Return the numbers of the list that are above `{k}`{more}.\n    """\n'
        made.append((prompt, f"    return [x for x in xs if x > {k}]\n" if i % 2 else f"    return xs[:{k}]\n"))
    return made


def make_tiny(family: str, folder: Path, **size: object) -> ModelRef:
    """Write a tiny model with random weights; `folder` then loads with AutoModelForCausalLM."""
    prepare_scratch(family, [p + o for p, o in pairs()], 320, {**SIZES[family], **size}, folder)
    with own_torch_rng(0, family):
        model, _ = initialise(ModelRef(str(folder)))
    model.save_pretrained(folder)
    return ModelRef(str(folder))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelRef]:
    """A tiny model of each family. One thread: more only wait for each other at this size."""
    torch.set_num_threads(1)
    return {family: make_tiny(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}
