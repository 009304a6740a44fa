"""Trainings that a worker can't hold are refused before they start, with the nearest setting that fits."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from raysweep.config.loading import config_from, load_config
from raysweep.config.resources import StageConfig
from raysweep.errors import UsageError
from raysweep.machine import Accelerator, Accelerators, Memory
from raysweep.models.architectures.known import known_shape
from raysweep.planning.plan import ModelPlan
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions import costs, rooms, trainable
from raysweep.planning.predictions.fit import Room
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.planning.predictions.trainable import require_fit, settings_that_fit
from raysweep.trainers.base import Recipe
from raysweep.trainers.memory import largest_batch, training_memory
from tests.paths import NANO
from tests.tiny import make_tiny

GIB = 2**30
SHAPE = known_shape("deepseek-ai/deepseek-coder-1.3b-base")
FULL = Recipe()


def peak(**changes: Any) -> int:
    assert SHAPE is not None
    recipe = dataclasses.replace(FULL, micro_batch_size=1, **changes)
    return training_memory(SHAPE, recipe, largest_batch(recipe, 1024, True, costs.WEIGHTED), True).peak


def found(room: int) -> dict[str, object]:
    assert SHAPE is not None
    return settings_that_fit(SHAPE, FULL, Room(room, "a test"), on_gpu=True)


def test_the_nearest_setting_is_the_first_that_fits_alone():
    assert found(peak(gradient_checkpointing=True)) == {"gradient_checkpointing": True}
    assert found(peak(gradient_checkpointing=True) - 1) != {"gradient_checkpointing": True}


@pytest.mark.parametrize("gib", [8, 16, 24, 40])
def test_what_is_proposed_fits(gib):
    change = found(gib * GIB)
    assert change and peak(**change) <= gib * GIB


@pytest.mark.parametrize(
    ("settings", "never"),
    [
        ({"compile": True}, "workers"),
        ({"compat": "safecoder"}, "precision"),
        ({"parallel": "zero3"}, "no such setting"),
    ],
)
def test_what_the_recipe_contradicts_is_not_proposed(settings, never):
    recipe = dataclasses.replace(FULL, **settings)
    for gib in range(6, 60, 3):
        room = Room(gib * GIB, "a test")
        change = settings_that_fit(SHAPE, recipe, room, on_gpu=True)
        assert never not in change and change.get("parallel") != ("zero2" if "parallel" in settings else "")
        assert "workers" not in settings_that_fit(SHAPE, recipe, room, on_gpu=False)


def test_bf16_is_not_proposed_to_an_accelerator_without_it():
    for has_bf16 in (True, False):
        rooms = [Room(gib * GIB, "a test", has_bf16) for gib in range(2, 60)]
        assert any("precision" in settings_that_fit(SHAPE, FULL, room, on_gpu=True) for room in rooms) == has_bf16


V100 = Accelerators((Accelerator("Tesla V100-SXM2-32GB", 32 * GIB, has_bf16=False),), "CUDA 13.0", True, False)


@pytest.mark.parametrize(
    ("label", "is_refused"), [("V100", True), ("in(V100,A100)", False), ("A100", False), ("", True)]
)
def test_bf16_is_refused_where_every_accelerator_that_is_asked_for_lacks_it(mine, monkeypatch, label, is_refused):
    monkeypatch.setattr(rooms, "gpus", lambda: 1)
    monkeypatch.setattr(rooms, "accelerators", lambda: V100)
    labels = {"ray.io/accelerator-type": label} if label else {}
    loaded = config(mine, recipe={"precision": "bf16"}, gpus=1, labels=labels)
    cells = [artefact for cell in build_plan(loaded).cells for artefact in cell.artefacts]
    if not is_refused:
        return require_fit(loaded, cells)
    source = "the accelerator V100" if label else "Tesla V100-SXM2-32GB"
    message = f"cell mine.full.clean.s42 (and 1 training more) can't be trained: {source} has neither bf16 nor TF32"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}; give .*`precision: float16`"):
        require_fit(loaded, cells)


@pytest.mark.parametrize(("emulates", "on_gpu"), [(True, False), (False, False), (True, True)])
def test_16_bits_are_warned_of_where_the_cpu_that_trains_emulates_them(mine, monkeypatch, caplog, emulates, on_gpu):
    monkeypatch.setattr(trainable, "emulates", lambda precision: emulates and precision == "bf16")
    labels = {"gpus": 1, "labels": {"ray.io/accelerator-type": "A100"}} if on_gpu else {}
    loaded = config(mine, recipe={"precision": "bf16"}, **labels)
    require_fit(loaded, [artefact for cell in build_plan(loaded).cells for artefact in cell.artefacts])
    told = "mine would be trained in bf16, which this machine's CPU only emulates"
    assert [told in line for line in caplog.messages] == [True] * (emulates and not on_gpu)


def test_a_base_model_that_is_made_here_must_fit_too(monkeypatch):
    loaded = load_config(NANO)
    plans = [cell.base for cell in build_plan(loaded).cells]
    monkeypatch.setattr(rooms, "memory", lambda: Memory(2**19, 2**19, None))
    with pytest.raises(UsageError, match=r"base model llama \(and 1 training more\) can't be trained"):
        require_fit(loaded, plans)


def test_settings_are_added_up_where_none_fits_alone_and_nothing_is_proposed_where_none_helps():
    change = found(16 * GIB)
    assert len(change) > 1
    assert found(GIB) == {}


def test_sharing_divides_what_it_shares():
    weights = 4 * SHAPE.weights
    for parallel, parts in {
        "ddp": (weights, 2 * weights, 2 * weights),
        "zero1": (weights, 2 * weights, 3 * weights // 4),  # ZeRO keeps a copy of its share of the weights
        "zero2": (weights, weights // 4, 3 * weights // 4),
        "zero3": (weights // 4, weights // 4, 3 * weights // 4),
    }.items():
        recipe = dataclasses.replace(FULL, workers=4, parallel=parallel)
        memory = training_memory(SHAPE, recipe, largest_batch(recipe, 1024, True), True)
        gradients = memory.gradients * (2 if parallel == "zero1" else 1)
        assert (memory.weights, gradients, memory.optimizer) == parts, parallel
    offloading = dataclasses.replace(FULL, offload="optimizer")
    assert training_memory(SHAPE, offloading, largest_batch(FULL, 1024, True), True).optimizer == 0


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model."""
    return make_tiny("llama", tmp_path_factory.mktemp("mine")).location


def config(mine: str, recipe: Any = (), **resources: Any) -> Any:
    value = {
        "name": "small",
        "models": [{"name": "mine", "path": mine, "recipes": ["full"]}],
        "recipes": {"full": {"batch_size": 8, "max_tokens": 384, **dict(recipe)}},
        "training": {"source": {"name": "minicode", "rows": 32}, "sets": ["clean", "C1"]},
        "evaluation": {"problems": ["humaneval"]},
        "resources": resources,
    }
    return config_from(value, "test")


def test_one_error_names_the_cell_the_prediction_what_there_is_and_the_way_out(mine, monkeypatch):
    loaded = config(mine)
    cells = [artefact for cell in build_plan(loaded).cells for artefact in cell.artefacts]
    require_fit(loaded, cells)
    monkeypatch.setattr(rooms, "memory", lambda: Memory(3 * 2**20, 2**20, None))
    with pytest.raises(UsageError) as error:
        require_fit(loaded, cells)
    text = str(error.value)
    assert text.startswith("cell mine.full.clean.s42 (and 1 training more) can't be trained: this machine has ")
    assert re.search(r"this machine has room for 3 MiB, and [\d.]+ MiB are needed \(weights", text)
    assert "the nearest settings of `recipes.full` that fit: gradient_checkpointing: true" in text
    require_fit(loaded, cells, is_here=False)  # the memory of other machines isn't known
    require_fit(loaded, [each for each in cells if not isinstance(each, ModelPlan)])  # the models exist already


def room(**asked: Any) -> Room | None:
    general = {"cpus": 1.0, "gpus": 0.0, "memory_gib": "auto", "custom": {}, "labels": {}}
    return room_of_worker(StageConfig.model_validate(general | asked))


def test_the_room_of_a_worker_is_told_by_the_config_the_label_or_the_machine(monkeypatch):
    assert room(memory_gib=2).bytes == 2 * GIB
    label = {"ray.io/accelerator-type": "in(A100,H200)"}
    found = room(gpus=1, labels=label)
    assert (found.bytes, found.source) == (141 * GIB - GIB // 2, "the accelerator A100 or H200")
    half = room(gpus=0.5, labels={"ray.io/accelerator-type": "A100"})
    assert (half.bytes, half.source, half.share) == (40 * GIB - GIB // 2, "the accelerator A100", 0.5)
    assert room(gpus=1, labels={"ray.io/accelerator-type": "in(A100,T4)"}) is None, "T4 may hold it"
    monkeypatch.setattr(rooms, "gpus", lambda: 0)
    assert room(gpus=1) is None
