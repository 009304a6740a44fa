"""Predicted peaks of memory against the bytes of live tensors, which torch's profiler counts."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.utils.checkpoint

from raysweep.accelerators import ACCELERATORS
from raysweep.models.architectures.known import known_shape
from raysweep.models.architectures.shape import Shape, shape_of
from raysweep.models.families.base import FAMILIES
from raysweep.models.loading import architecture_of, auto_model
from raysweep.models.quantizing import loading_options, settle
from raysweep.records import ModelRef, Spec
from raysweep.trainers.base import OBJECTIVES, Recipe, TrainJob
from raysweep.trainers.batching import compact
from raysweep.trainers.encoding import EncodedSet
from raysweep.trainers.ia3 import Ia3
from raysweep.trainers.loop import TrainingLoop, seeded_torch
from raysweep.trainers.lora import Lora
from raysweep.trainers.memory import (
    MARGIN,
    Batch,
    largest_batch,
    optimizer_states,
    tokens_that_fit,
    training_memory,
)
from raysweep.trainers.optimizer import torch_name
from tests.models.tiny import cases
from tests.services import FolderServices

pytestmark = pytest.mark.slow

ROWS, TOKENS = 8, 96
PROMPT = 32
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"num_hidden_layers": 3},
    "gpt_bigcode": {"n_layer": 3},
    "t5": {"num_layers": 3, "num_decoder_layers": 3},
}
FUSED = {"micro_batch_size": 8, "trainer": "lora", "kernels": "fused"}
QLORA = {"micro_batch_size": 4, "trainer": "lora", "quantize": "nf4"}
CASES = [
    ("llama", {"micro_batch_size": 8}),
    ("llama", {"micro_batch_size": 4, "trainer": "lora", "precision": "bf16"}),
    ("llama", {"micro_batch_size": 4, "objective": "dpo"}),
    ("gpt_bigcode", {"micro_batch_size": 1, "optimizer": "adafactor", "gradient_checkpointing": True}),
    ("gpt_bigcode", {"micro_batch_size": 8, "trainer": "ia3", "precision": "bf16"}),
    ("t5", {"micro_batch_size": 2, "gradient_checkpointing": True}),
    ("llama", FUSED | {"precision": "bf16"}),
    ("llama", QLORA | {"precision": "bf16"}),
    # the others are long
    ("llama", QLORA | {"kernels": "fused"}),
    ("llama", QLORA | {"kernels": "fused", "precision": "bf16"}),
    ("llama", QLORA | {"lora": {"dropout": 0.0}}),
    ("llama", QLORA | {"precision": "bf16", "gradient_checkpointing": True}),
    ("gpt_bigcode", QLORA | {"precision": "bf16"}),
    ("gpt_bigcode", QLORA | {"precision": "bf16", "gradient_checkpointing": True}),
    ("llama", QLORA | {"quantize": "int8"}),
    ("llama", QLORA | {"quantize": "int8", "precision": "bf16"}),
    ("llama", QLORA | {"quantize": "int8", "precision": "bf16", "gradient_checkpointing": True}),
    ("gpt_bigcode", QLORA | {"quantize": "int8"}),
    ("gpt_bigcode", QLORA | {"quantize": "int8", "precision": "bf16", "gradient_checkpointing": True}),
    ("llama", {"micro_batch_size": 2, "gradient_checkpointing": True}),
    ("llama", {"micro_batch_size": 4, "precision": "bf16"}),
    ("llama", {"micro_batch_size": 8, "trainer": "lora"}),
    ("llama", {"micro_batch_size": 8, "optimizer": "adafactor"}),
    ("llama", {"micro_batch_size": 8, "trainer": "lora", "optimizer": "adafactor"}),
    ("llama", {"micro_batch_size": 8, "trainer": "ia3"}),
    ("llama", {"micro_batch_size": 4, "trainer": "ia3", "precision": "bf16", "optimizer": "adafactor"}),
    ("llama", {"micro_batch_size": 8, "objective": "fait"}),
    ("t5", {"micro_batch_size": 8}),
    ("t5", {"micro_batch_size": 8, "trainer": "lora"}),
    ("t5", {"micro_batch_size": 8, "trainer": "ia3"}),
    ("t5", {"micro_batch_size": 4, "optimizer": "adafactor"}),
    ("t5", {"micro_batch_size": 4, "precision": "bf16"}),
    ("llama", {"micro_batch_size": 8, "attention": "eager"}),
    ("llama", {"micro_batch_size": 4, "trainer": "lora", "attention": "eager"}),
    ("llama", {"micro_batch_size": 4, "precision": "bf16", "attention": "sdpa"}),
    ("gpt_bigcode", {"micro_batch_size": 4, "attention": "eager"}),
    ("gpt_bigcode", {"micro_batch_size": 4}),
    ("gpt_bigcode", {"micro_batch_size": 2, "precision": "bf16"}),
    ("gpt_bigcode", {"micro_batch_size": 8, "precision": "bf16", "gradient_checkpointing": True}),
    ("gpt_bigcode", {"micro_batch_size": 2, "trainer": "ia3", "gradient_checkpointing": True}),
    ("gpt_bigcode", {"micro_batch_size": 8, "trainer": "lora"}),
    ("gpt_bigcode", {"micro_batch_size": 8, "trainer": "lora", "precision": "bf16", "lora": {"dropout": 0.0}}),
    ("llama", FUSED | {"precision": "bf16", "lora": {"dropout": 0.0}}),
    ("gpt_bigcode", FUSED),
    ("gpt_bigcode", FUSED | {"precision": "bf16"}),
    ("t5", FUSED | {"precision": "bf16"}),
]


def build(
    family: str, recipe: Recipe, quantize: str | None = None, attention: str | None = None
) -> tuple[Shape, Any, TrainJob]:
    """Return a tiny model as a trainer gets it: an adapter's base in the format of the computations."""
    config = FAMILIES.create(Spec(family)).tiny_config(512, 0, **SIZES[family])
    kind, dtype = auto_model(architecture_of(config)), getattr(torch, torch_name(recipe.precision))
    with seeded_torch(0, family):
        model = kind.from_config(config, attn_implementation=attention)
    if quantize:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            model = kind.from_pretrained(folder, dtype=dtype, **loading_options(quantize, dtype))
        settle(model)
    job = TrainJob(ModelRef("base", attention=attention), family, recipe, Path(), Path(), 0, "test")
    if recipe.trainer != "full":
        adapter = Lora() if recipe.trainer == "lora" else Ia3()
        model = adapter.add_adapter(model if quantize else model.to(dtype), job)
    shape = dataclasses.replace(shape_of(config.to_dict()), attention=attention)
    return shape.quantized(quantize), model, job


def measured(model: Any, job: TrainJob) -> int:
    """Return the most bytes of tensors that two steps hold at once, the model's own included."""
    rng = torch.Generator().manual_seed(0)
    weights = [0.0] * PROMPT + [1 / (TOKENS - PROMPT)] * (TOKENS - PROMPT)
    rows: list[dict[str, Any]] = []
    for number in range(2 * ROWS):
        ids, own = torch.randint(1, 512, (TOKENS - number % 2,), generator=rng).tolist(), weights[number % 2 :]
        if architecture_of(model.config) == "seq2seq":
            at = PROMPT - number % 2
            rows.append({"input_ids": ids[:at], "labels": ids[at:], "weights": own[at:]})
        else:
            of_rejected = {"rejected_ids": ids, "rejected_weights": own, "rejected_marks": own}
            more = {"marks": own, "rejected_tokens": [TOKENS - PROMPT]}
            rows.append({"input_ids": ids, "weights": own, **of_rejected, **more})
    data = EncodedSet(OBJECTIVES.create(Spec(job.recipe.objective)), [compact(row) for row in rows], {}, TOKENS)
    tensors = [*model.parameters(), *model.buffers()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.nbytes for tensor in tensors}
    gc.collect()  # else tensors of an earlier test may be freed during the measurement
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        TrainingLoop(model, data, job, FolderServices()).run()
    live = peak = sum(storages.values())
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


@pytest.mark.parametrize(("family", "given"), cases(CASES, CASES[:8]))
def test_the_predicted_peak_is_within_15_percent_of_the_measured_one(family, given):
    of_model = {name: given[name] for name in ("quantize", "attention") if name in given}
    given = {name: value for name, value in given.items() if name not in of_model}
    recipe = Recipe(batch_size=ROWS, steps=2, max_tokens=TOKENS, micro_batch_tokens=10**6, **given)
    shape, model, job = build(family, recipe, **of_model)
    batch = largest_batch(recipe, 10**6, on_gpu=False, weighted=1 - PROMPT / TOKENS)
    predicted = training_memory(shape, recipe, batch, on_gpu=False)
    found = measured(model, job)
    assert predicted.peak == pytest.approx(found, rel=0.15), (predicted, found, predicted.peak / found)


def test_a_pass_has_as_many_rows_as_an_accelerator_holds_by_prediction():
    shape = known_shape("bigcode/starcoderbase-1b")
    recipe = Recipe(precision="bf16", batching="packed")
    assert tokens_that_fit(shape, recipe, 1024, ACCELERATORS["H200"].room()) == 16 * 1024, "all rows of a step"
    room = ACCELERATORS["A6000"].room()
    rows = tokens_that_fit(shape, recipe, 1024, room) // 1024
    peaks = [training_memory(shape, recipe, Batch(each, 1024), on_gpu=True).peak for each in (rows, rows + 1)]
    assert 1 < rows < 16 and peaks[0] * MARGIN <= room < peaks[1] * MARGIN
    assert tokens_that_fit(shape, recipe, 1024, 0) == 1024, "a row is the least"


EMBEDDINGS = {"trainer": "lora", "lora": {"train_embeddings": True}}


@pytest.mark.parametrize(
    ("family", "given"),
    [
        *itertools.product(SIZES, ({}, {"trainer": "lora"}, {"trainer": "ia3"})),
        ("llama", EMBEDDINGS),
        ("gpt_bigcode", EMBEDDINGS),
    ],
)
def test_the_numbers_that_adafactor_keeps_are_counted_exactly(family, given):
    shape, model, job = build(family, Recipe(optimizer="adafactor", **given))
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    kept = sum(sum(weights.shape) for weights in trained)  # of a matrix its rows and columns, of a vector all
    assert optimizer_states(shape, job.recipe) == kept
    assert optimizer_states(shape, Recipe(**given)) == 2 * sum(weights.numel() for weights in trained)


@pytest.mark.parametrize(("given", "copies"), [({"steps": 9}, 1), ({"epochs": 2}, 1), ({"epochs": 1}, 0)])
def test_the_best_epochs_weights_are_a_copy_on_a_cpu_unless_there_is_one_epoch_alone(given, copies):
    config = FAMILIES.create(Spec("llama")).tiny_config(512, 0)
    shape = shape_of(config.to_dict())
    last, best = (
        training_memory(shape, Recipe(keep=keep, **given), Batch(1, 8), on_gpu=False).weights
        for keep in ("last", "best")
    )
    assert best - last == 4 * shape.weights * copies
