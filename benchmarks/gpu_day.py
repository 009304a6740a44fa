"""Tells in twelve minutes on one accelerator whether what was counted and proven without one is so there.

    python benchmarks/gpu_day.py --out gpu_day.json [--seconds 700] [--arm NAME ...]
    python benchmarks/gpu_day.py --quick                     tiny shapes on a CPU, in less than two minutes

It needs what gpu.py needs, runs and writes as that does, and goes on where it was stopped. The most telling arm comes
first, and what was expected of an H200 stands beside each: by the kernels that kernels.py counts, and data sheets.

- rows: the largest relative differences of losses and gradients between packed and padded rows, by precision, and
  whether a row's logits change with another row, and whether the same pass gives the same bits again, all without
  dropout; whether dropout draws equal masks in float32 and in 16 bits
- packed, fused, tf32: trainings beside raysweep's other ways: `padded`, passes of 4,096 tokens at most, `plain`. For
  raysweep as it was before rows lay in one pass, run gpu.py of commit 85f85f76
- decode: sampling, and with an adapter beside its base or merged into it; milliseconds a token
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Mapping
from typing import Any

import gpu
import torch
from gpu import FULL, LORA, NEW, PROMPTS, RATES, SAMPLES, SEED, TEMPERATURE, TOP_P, Arm, Bench, Note, Training

from raysweep.generators.base import LiveModel
from raysweep.generators.transformers import Transformers
from raysweep.models.whole_texts import whole_pass
from raysweep.records import Decoding
from raysweep.trainers.base import Recipe
from raysweep.trainers.batching import collate, collate_packed
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.objectives.responses import weighted_loss
from raysweep.trainers.passes.attention import RowAttention

PADDED = {"batching": "padded", "micro_batch_tokens": 4096, "kernels": "plain"}
PACKED = {"batching": "packed"}


def rate_of(changes: Mapping[str, Any], bench: Bench, training: Training, model: Any, data: Any) -> float:
    """Return the tokens a second of raysweep's loop with some other settings of the recipe."""
    recipe = dataclasses.replace(training.recipe, **changes)
    return gpu.rate_of_raysweep(bench, dataclasses.replace(training, recipe=recipe), model, data)


FORMER = {"padded": PADDED, "plain": {"kernels": "plain"}, "float32": {"precision": "float32"}}
TRAININGS: Mapping[str, Training] = {
    "packed: train 1B, full, bf16": Training(
        "1B", dataclasses.replace(FULL, **PACKED), 20, ("padded", "SafeCoder without cuDNN attention", "TRL")
    ),
    "packed: train 7B, LoRA, bf16": Training("7B", dataclasses.replace(LORA, **PACKED), 6, ("padded",)),
    "fused: train 7B, LoRA, bf16, packed": Training(
        "7B",
        dataclasses.replace(LORA, **PACKED, kernels="fused"),
        6,
        ("plain", "SafeCoder without cuDNN attention", "TRL"),
    ),
    "tf32: train 1B, full": Training("1B", Recipe(precision="tf32", **PACKED), 8, ("float32",)),
}
EXPECTED: Mapping[str, Mapping[str, Any]] = {
    "H100": {
        "packed: train 1B, full, bf16": {"tokens_per_second": 43_000},
        "packed: train 7B, LoRA, bf16": {"tokens_per_second": 9_300},
        "fused: train 7B, LoRA, bf16, packed": {"tokens_per_second": 13_000},
        "tf32: train 1B, full": {"tokens_per_second": 15_000},
        "decode 1B": {"tokens_per_second": 120_000},
        "decode 7B": {"tokens_per_second": 7_500},
    },
    "H200": {
        "packed: train 1B, full, bf16": {"tokens_per_second": 49_000},
        "packed: train 7B, LoRA, bf16": {"tokens_per_second": 10_000},
        "fused: train 7B, LoRA, bf16, packed": {"tokens_per_second": 14_000},
        "tf32: train 1B, full": {"tokens_per_second": 15_000},
        "decode 1B": {"tokens_per_second": 125_000},
        "decode 7B": {"tokens_per_second": 7_700},
    },
}
"""Estimates of tokens a second, by card and arm, none of them measured: from the kernels that were counted, at 35 us of
the host each, and from data sheets at the shares that an H100 reached in the passes of before. TF32 is taken to be
three times as fast as float32."""


def rows(bench: Bench, note: Note) -> None:
    """Compare packed rows with padded ones, by losses and gradients of a model of two blocks."""
    for dtype in ("float32", "bfloat16", "float16"):
        masks = []
        for kind in ("float32", dtype):
            torch.manual_seed(SEED)
            ones = torch.ones(3871, bench.few(4096, 64), dtype=getattr(torch, kind), device=bench.device)
            masks.append(torch.ops.aten.native_dropout(ones, 0.1, True)[1])
        note(**{f"equal dropout masks, {dtype}": bool(torch.equal(*masks))})
    for name in ("1B", "7B"):
        for dtype in ("float32", "bfloat16"):
            note(**{f"{name}, {dtype}": _packed_beside_padded(bench, name, dtype)})


def _packed_beside_padded(bench: Bench, name: str, dtype: str) -> dict[str, Any]:
    config = bench.config(name)
    config.num_hidden_layers = 2
    with seeded_torch(SEED, "initialise"), torch.device(bench.device):
        network = gpu.auto_model().from_config(config, dtype=getattr(torch, dtype)).eval()
    some = bench.rows(name).rows[:6]
    lengths = [len(row["input_ids"]) for row in some]

    def computed(batch: dict[str, torch.Tensor]) -> tuple[float, torch.Tensor]:
        network.zero_grad()
        loss = weighted_loss(network, batch, batch["weights"])
        loss.backward()
        return float(loss.detach()), torch.cat([part.grad.float().flatten() for part in network.parameters()])

    def here(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: tensor.to(bench.device) for key, tensor in batch.items()}

    loss, gradient = computed(here(collate(some, max(lengths), 8)))
    told, packed = RowAttention(network), here(collate_packed(some))
    told.know(packed, some)
    found, other = computed(packed)
    repeats = torch.equal(computed(packed)[1], other)
    logits = []
    for change in (0, 1):
        packed["input_ids"][0, lengths[0] + 3] += change
        with torch.no_grad():
            given = {key: packed[key] for key in ("input_ids", "position_ids")}
            logits.append(whole_pass(network, **given).logits[0])
    begin, end = lengths[0], lengths[0] + lengths[1]
    apart = [torch.equal(logits[0][part], logits[1][part]) for part in (slice(begin), slice(end, None))]
    return {
        "difference_of_losses": abs(found - loss) / abs(loss),
        "difference_of_gradients": float((other - gradient).norm() / gradient.norm()),
        "others_are_equal": all(apart),
        "repeats": repeats,
    }


def tf32(bench: Bench, note: Note) -> None:
    """Train in TF32 beside float32."""
    if bench.device != "cuda":
        raise gpu.MissingError("an accelerator with TF32")
    gpu.train(TRAININGS["tf32: train 1B, full"], bench, note)


def decode(name: str, bench: Bench, note: Note) -> None:
    """Measure sampling in bf16; of the 7B also with an adapter, beside its base and merged into it."""
    recipe = dataclasses.replace(LORA, lora={"dropout": 0.0})
    kinds = ("base", "adapter", "merged") if name == "7B" else ("base",)
    rates: dict[str, float] = {}
    for kind in kinds:
        model = bench.build(name, "bfloat16") if kind == "base" else gpu.trainable(bench, name, recipe)
        model = model.merge_and_unload() if kind == "merged" else model
        model = gpu.peaked(model.bfloat16().eval()).requires_grad_(False)
        tokenizer = gpu.tokenizer_of(model.config.vocab_size)
        prompts, samples, new = bench.few(PROMPTS[name], 2), bench.few(SAMPLES, 3), bench.few(NEW, 4)
        requests = gpu.requests_of(model.config.vocab_size, prompts, samples)
        generator = Transformers(LiveModel(model, tokenizer), Decoding(new, TEMPERATURE, TOP_P, samples))
        generator.generate(requests[:2])
        bench.synchronise()
        began = time.perf_counter()
        tokens = gpu.written_tokens(generator.generate(requests))
        bench.synchronise()
        seconds = time.perf_counter() - began
        rates["raysweep" if kind == "base" else kind] = round(tokens / seconds, 1)
        note(tokens_per_second=dict(rates), **{f"ms a token, {kind}": round(1e3 * seconds / new, 1)})
        del model, generator
        bench.begin(with_cudnn=False)


def _train(name: str, seconds: float) -> dict[str, Arm]:
    return {name: Arm(functools.partial(gpu.train, TRAININGS[name]), seconds)}


ARMS: Mapping[str, Arm] = {
    "rows": Arm(rows, 30),
    **_train("packed: train 1B, full, bf16", 90),
    **_train("fused: train 7B, LoRA, bf16, packed", 150),
    "tf32: train 1B, full": Arm(tf32, 80),
    "decode 1B": Arm(functools.partial(decode, "1B"), 30),
    "decode 7B": Arm(functools.partial(decode, "7B"), 80),
    **_train("packed: train 7B, LoRA, bf16", 100),
}
"""The arms, the most telling first."""

if __name__ == "__main__":
    RATES.update({name: functools.partial(rate_of, changes) for name, changes in FORMER.items()})
    sys.exit(gpu.main(ARMS, 700, EXPECTED, __doc__))
