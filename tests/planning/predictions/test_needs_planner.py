"""What the processes of each stage ask for: by the config's levels, or by what is predicted."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from raysweep.config.document import Document
from raysweep.config.loading import validate
from raysweep.errors import UsageError
from raysweep.models.architectures.known import known_shape
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import predicted_memory
from raysweep.planning.predictions.needs import CellNeeds, Needs
from raysweep.planning.predictions.needs_planner import NeedsPlanner, doubtful_types, group_of
from raysweep.trainers.base import Recipe

GIB = 2**30
SHARED = {
    "name": "shared",
    "models": [{"name": "solver", "generator": "reference"}],
    "evaluation": {"problems": ["humaneval"]},
}
SMALL, LARGE = "bigcode/starcoderbase-1b", "codellama/CodeLlama-7b-hf"


def needs(recipe: str = "lora", model: str = "small", **resources: Any) -> CellNeeds:
    """Return what a cell of a model of 1B or 7B parameters asks for. Their weights aren't here; their shapes are."""
    of_small = {"resources": resources.pop("of_model", {}), "accelerator": resources.pop("accelerator", None)}
    value = {
        "name": "two",
        "models": [
            {"name": "small", "path": SMALL, "recipes": ["full", "lora"], **of_small},
            {"name": "large", "path": LARGE, "dtype": "bfloat16", "recipes": ["lora"]},
        ],
        "recipes": {
            "full": {"workers": 2, "parallel": "ddp"},
            "lora": {"trainer": "lora", "precision": "bf16", "resources": resources.pop("of_recipe", {})},
        },
        "training": {"source": {"name": "minicode", "rows": 32}, "sets": ["clean"]},
        "evaluation": {"problems": ["humaneval"], "generator": resources.pop("generator", "transformers")},
        "resources": resources,
    }
    config = validate(Document("test", value, {}, {}), missing=[])
    plan = build_plan(config, tolerant=True)
    (cell,) = [cell for cell in plan.cells if (cell.base.name, cell.cell.recipe) == (model, recipe)]
    return NeedsPlanner(config).of_cell(cell)


def test_what_a_training_takes_at_least_says_which_accelerators_can_do_it():
    small, large = needs(gpus=1).training, needs(model="large", gpus=1).training
    assert 0 < small.least_on_accelerator < 16e9 < large.least_on_accelerator < 40e9
    assert small.in_bf16 and large.in_bf16 and not needs("full", gpus=1).training.in_bf16
    writes = needs(model="large", gpus=1).generation
    assert 12 * GIB < writes.least_on_accelerator < 15 * GIB and not writes.in_bf16, "its weights"
    none = needs(gpus=0).training
    assert not (none.gpus or none.least_on_accelerator or none.in_bf16)


def test_what_cells_share_needs_no_accelerator_and_is_made_on_any_node():
    labels = {"ray.io/accelerator-type": "A100", "region": "a"}
    config = validate(Document("test", {**SHARED, "resources": {"gpus": 1, "labels": labels}}, {}, {}), missing=[])
    assert NeedsPlanner(config).of_shared().training.labels == {"region": "a"}


def test_the_more_special_level_overrides_value_by_value():
    found = needs(
        cpus=2,
        gpus=1,
        memory_gib=4,
        labels={"zone": "a"},
        generation={"gpus": 0.5},
        execution={"cpus": 3},
        of_model={"generation": {"cpus": 5}, "training": {"cpus": 7, "gpus": 2}},
        of_recipe={"training": {"cpus": 9}},
    )
    assert (found.training.cpus, found.training.gpus, found.training.memory_bytes) == (9, 2, 4 * GIB)
    assert (found.generation.cpus, found.generation.gpus, found.generation.labels) == (5, 0.5, {"zone": "a"})
    assert found.execution.amounts == {"CPU": 3} and found.execution.labels == {}, "programs need no accelerator"


def test_one_worker_without_an_accelerator_trains_in_the_trial():
    assert needs().in_trial
    assert not needs("full").in_trial and needs("full").workers == 2
    assert not needs(gpus=1).in_trial and needs(gpus=1, processes="trial").in_trial
    assert not needs(processes="workers").in_trial
    assert not needs(allow_mixed=True, of_recipe={"training": {"gpus": 1}}).in_trial


def test_two_small_adapters_share_a_large_accelerator_and_a_large_model_has_one_alone():
    asked = {"gpus": "auto", "labels": {"ray.io/accelerator-type": "A100"}}
    assert 0 < needs(**asked).training.gpus <= 0.5
    assert needs(model="large", **asked).training.gpus > needs(**asked).training.gpus
    asked["labels"] = {"ray.io/accelerator-type": "in(A100,V100)"}
    assert needs(model="large", **asked).training.gpus == 1, "the smallest that may be taken decides"
    assert needs(gpus="auto").training.gpus == 1, "an accelerator that isn't known"


def test_a_models_accelerator_is_a_label_and_asks_for_the_predicted_share():
    found = needs(accelerator=["A100", "A6000"], labels={"zone": "a"})
    assert (
        found.training.labels == {"zone": "a", "ray.io/accelerator-type": "in(A100,A6000)"} == found.generation.labels
    )
    assert 0 < found.training.gpus <= 1 and found.execution.labels == {}
    assert needs(accelerator="A100", gpus=0.25).training.gpus == 0.25


def test_a_model_that_several_gpus_share_asks_for_as_many_and_each_takes_a_part():
    generator = {"name": "vllm", "python": "/nowhere"}
    alone, shared = (
        needs(model="large", generator=generator | more, gpus="auto").generation
        for more in ({}, {"tensor_parallel": 4})
    )
    assert (alone.shared_by, shared.gpus, shared.shared_by) == (1, 4, 4)
    assert shared.least_on_accelerator == -(-alone.least_on_accelerator // 4) > 0
    given = {"generation": {"gpus": 4}, "gpus": 1}
    assert needs(model="large", generator=generator | {"tensor_parallel": 4}, **given).generation == shared


def test_memory_is_what_is_predicted_unless_it_is_given():
    shape = known_shape(SMALL)
    assert shape is not None
    predicted, found = predicted_memory(shape, Recipe("lora", precision="bf16"), on_gpu=False), needs().training
    assert predicted is not None and found.is_predicted
    assert 0 <= found.memory_bytes - predicted.peak < 2**30 and found.memory_bytes % 2**30 == 0
    on_gpu = needs(gpus=1).training
    assert 0 <= on_gpu.memory_bytes - 4 * shape.weights < 2**30, "the weights pass through it"
    assert needs(memory_gib=0).training.memory_bytes == 0
    assert needs(memory_gib=3, generation={"memory_gib": "auto"}).generation.is_predicted


def test_models_with_the_same_weights_are_one_group_wherever_they_lie(tmp_path):
    from tests.tiny import make_tiny

    make_tiny("llama", tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "moved")
    models = [
        {"name": "one", "path": str(tmp_path / "first")},
        {"name": "other", "path": str(tmp_path / "moved"), "dtype": "bfloat16"},
        {"name": "hub", "path": LARGE},
        {"name": "half", "path": LARGE, "dtype": "float16"},
    ]
    value = {"name": "groups", "models": models, "evaluation": {"problems": ["humaneval"]}}
    config = validate(Document("test", value, {}, {}), missing=[])
    groups = {cell.base.name: group_of(config, cell.base) for cell in build_plan(config, tolerant=True).cells}
    assert groups["one"] == groups["other"] and groups["hub"] == groups["half"] == LARGE


def test_programs_get_no_accelerator():
    assert needs(cpus=3, gpus=1, memory_gib=4).execution == Needs()
    with pytest.raises(UsageError, match="programs run on CPUs; leave `gpus` out"):
        needs(execution={"gpus": 1})


def test_accelerators_that_may_be_misspelt_are_found_without_a_cluster():
    model = {"name": "one", "path": SMALL, "accelerator": ["A600", "A100-40G", "own"]}
    labels = {"ray.io/accelerator-type": "H10"}
    value = {**SHARED, "models": [model, *SHARED["models"]], "resources": {"labels": labels}}
    found = doubtful_types(validate(Document("test", value, {}, {}), missing=[]))
    assert found == ["A600 (did you mean 'A6000'?)", "H10 (did you mean 'H100'?)"]


def test_models_of_a_group_are_trained_and_run_on_one_kind_of_device():
    apart = {"training": {"gpus": 1}, "generation": {"gpus": 0}}
    said = (
        r"'small': training with recipe 'lora' asks for .*: 1`, and generation for .*: 0`, .*; give GPUs to both or to"
    )
    with pytest.raises(UsageError, match=said):
        needs(**apart)
    with pytest.raises(UsageError, match=r"training.gpus: 0`, and generation for .*gpus: 1`"):
        needs(training={"gpus": 0}, generation={"gpus": 1})
    assert needs(**apart, allow_mixed=True).training.gpus == 1
    assert needs(**apart, processes="trial").in_trial, "its trial writes with what it trained on"
