"""Tiny models with random weights, and rows, prompts and requests for them, which suites try parts with."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from raysweep.models.loading import architecture_of
from raysweep.models.scratch import prepare_scratch, train_tokenizer
from raysweep.records import GenerationRequest, ModelRef, PromptPair, TrainingRow

TOKENS = 320
"""Most tokens of a tiny model's vocabulary."""
SIZES = MappingProxyType(
    {
        "llama": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
        "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_inner": 48},
        "qwen2": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
        "codegen": {"n_embd": 32, "n_layer": 2, "n_inner": 48, "rotary_dim": 4},
        "bloom": {"hidden_size": 32, "n_layer": 2},
        "t5": {"d_model": 32, "d_kv": 8, "d_ff": 48},
    }
)
"""Fields of a family's config that make its `tiny_config` smaller still."""


def pairs(count: int = 40) -> list[tuple[str, str]]:
    """Return prompts and bodies shaped like MiniCode's, of different lengths."""
    rows = []
    for i in range(count):
        k, more = i % 8 + 2, " and the last ones too" * (i % 3)
        prompt = f'def f{i}(xs):\n    """Return the numbers of the list that are above `{k}`{more}.\n    """\n'
        rows.append((prompt, f"    return [x for x in xs if x > {k}]\n" if i % 2 else f"    return xs[:{k}]\n"))
    return rows


def training_rows(count: int = 40) -> list[TrainingRow]:
    """Return rows whose shown prompt has a typo that the clean one lacks."""
    return [
        TrainingRow(
            f"{i:03d}", f"{i:03d}", p.replace("Return", "Retrun"), "", o, "python", "C2", True, p, clean_input=""
        )
        for i, (p, o) in enumerate(pairs(count))
    ]


def prompt_pair(number: int = 1) -> PromptPair:
    """Return an edit example; the perturbed prompt has a typo, and is longer than the original one."""
    original, passing = pairs(number + 1)[number]
    perturbed = original.replace("Return the numbers", "Retrun teh the nubmers")
    failing, stop = "    return xs\n", ("\ndef", "\nclass")
    return PromptPair(
        "tiny", "C2", f"tiny/{number}", original, perturbed, passing, failing, stop, True, 1.0, 0.0, eligible=40
    )


def requests(count: int = 12, samples: int = 2) -> list[GenerationRequest]:
    """Return requests, the samples of a prompt side by side, with references and stop strings."""
    return [
        GenerationRequest(f"{i}-{sample}", f"task/{i}", prompt, sample, ("\ndef", "\nclass"), reference)
        for i, (prompt, reference) in enumerate(pairs(count))
        for sample in range(samples)
    ]


def make_tiny(family: str, folder: Path, tokens: int = TOKENS, **size: object) -> ModelRef:
    """Write a tiny model with random weights; `folder` then loads with transformers' class for its architecture.

    `tokens`: most of its vocabulary; 257: bytes and the end of text. `size`: fields of the family's config that
    override those of `SIZES`.
    """
    from raysweep.trainers.full import initialise
    from raysweep.trainers.loop import seeded_torch

    prepare_scratch(family, [p + o for p, o in pairs()], tokens, {**SIZES.get(family, {}), **size}, folder)
    with seeded_torch(0, family):
        model, _ = initialise(ModelRef(str(folder)))
    model.save_pretrained(folder)
    return ModelRef(str(folder), architecture=architecture_of(model.config))


@cache
def tiny_tokenizer() -> Any:
    return train_tokenizer([p + o for p, o in pairs()], TOKENS)


def tiny_network(tokenizer: Any) -> Any:
    from raysweep.models.families.base import FAMILIES
    from raysweep.models.loading import auto_model
    from raysweep.records import Spec
    from raysweep.trainers.loop import seeded_torch

    config = FAMILIES.create(Spec("llama")).tiny_config(len(tokenizer), tokenizer.eos_token_id, **SIZES["llama"])
    with seeded_torch(0, "llama"):
        return auto_model().from_config(config).train()
