"""What cells take: the arithmetic of hours, disk and memory, and measured trainings in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from raysweep.accelerators import ACCELERATORS, data_sheet_of
from raysweep.config.loading import config_from
from raysweep.models.architectures.known import known_shape
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions import costs as predictions
from raysweep.planning.predictions.costs import (
    BANDWIDTH_SHARE,
    ESTIMATED,
    FLOPS_SHARES,
    MEASURED,
    generation_seconds,
    plan_costs,
    rows_on,
    steps_of,
    training_flops,
)
from raysweep.planning.predictions.needs_planner import NeedsPlanner
from raysweep.planning.predictions.rates import rate_of
from raysweep.planning.predictions.sizes import ASSUMED_PROMPT_TOKENS
from raysweep.records import ModelKind
from raysweep.storage.store import Store
from raysweep.trainers.base import Recipe
from raysweep.trainers.editors.base import EDITORS, Editor
from raysweep.trainers.memory import trained_weights
from tests.tiny import make_tiny

CODELLAMA = known_shape("codellama/CodeLlama-7b-hf")
ROWS = 64


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model."""
    return make_tiny("llama", tmp_path_factory.mktemp("mine")).location


def small(mine: str, **more: Any) -> Any:
    """Return the plan of a tiny model, fully tuned on three training sets."""
    value = {
        "name": "small",
        "models": [{"name": "mine", "path": mine, "recipes": ["full"]}],
        "recipes": {"full": {"batch_size": 8, "epochs": 2, "max_tokens": 384}},
        "training": {
            "source": {"name": "minicode", "rows": ROWS},
            "sets": ["clean", "C1", {"name": "half", "perturbation": "C1", "size": 0.5}],
        },
        "evaluation": {
            "problems": [{"name": "minicode", "count": 5}],
            "samples": 3,
            "temperature": 0.8,
            "max_new_tokens": 10,
        },
        **more,
    }
    return build_plan(config_from(value, "test"))


def commit_training(plan: Any, store: Store, at: int, **counts: Any) -> None:
    """Store an empty model for a cell, with the counts of its training."""
    with store.writing(plan.cells[at].model) as draft:
        (draft.folder / "model.safetensors").write_bytes(b"")
        draft.counts = counts


def test_a_full_training_takes_six_flops_a_weight_and_token_and_an_adapters_base_four():
    assert CODELLAMA is not None
    attention = 12 * 32 * 4096 * 512
    assert training_flops(CODELLAMA, Recipe(), 1000, 512) == (6 * CODELLAMA.weights + attention) * 1000
    lora = Recipe(trainer="lora")
    adapter = 32 * 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert trained_weights(CODELLAMA, lora) == adapter == 39_976_960  # what PEFT prints for these targets and rank 16
    assert training_flops(CODELLAMA, lora, 1, 512) == 4 * CODELLAMA.weights + 6 * adapter + attention
    again = training_flops(CODELLAMA, Recipe(gradient_checkpointing=True), 1000, 512)
    assert again == pytest.approx(4 / 3 * training_flops(CODELLAMA, Recipe(), 1000, 512))


def test_one_prompt_is_bound_by_reading_weights_and_many_by_flops():
    assert CODELLAMA is not None
    sheet = ACCELERATORS["A100"]
    one = generation_seconds(CODELLAMA, "bfloat16", 1, 1, 64, 100, sheet)
    assert one == pytest.approx(100 * CODELLAMA.weights * 2 / (sheet.bandwidth * BANDWIDTH_SHARE), rel=0.1)
    rows = 4096
    flops = 2 * CODELLAMA.weights * rows * (1 + ASSUMED_PROMPT_TOKENS)
    rate = sheet.half_flops * FLOPS_SHARES["16 bits"]
    assert generation_seconds(CODELLAMA, "bfloat16", rows, 1, rows, 1, sheet) == pytest.approx(flops / rate)
    once = 2 * CODELLAMA.weights * (rows + rows / 64 * ASSUMED_PROMPT_TOKENS)
    assert generation_seconds(CODELLAMA, "bfloat16", rows, 64, rows, 1, sheet) == pytest.approx(once / rate)


def test_a_card_writes_what_its_memory_holds_beside_the_weights_or_what_the_config_says():
    assert CODELLAMA is not None
    a6000, h200 = (rows_on(ACCELERATORS[name], CODELLAMA, 2, 312, None) for name in ("A6000", "H200"))
    of_a_token = 2 * 32 * 4096 * 2
    assert h200 == int((ACCELERATORS["H200"].room() - 2 * CODELLAMA.weights) * 0.6) // of_a_token // 512 > 2 * a6000
    assert rows_on(ACCELERATORS["A6000"], CODELLAMA, 2, 312, 5120) == 10
    assert rows_on(ACCELERATORS["A10G"], CODELLAMA, 4, 312, None) == 1, "it doesn't fit at all"


@pytest.mark.parametrize(
    ("device", "name", "gigabytes"),
    [
        ("NVIDIA H100 80GB HBM3", "H100", 80),
        ("NVIDIA A100-SXM4-80GB", "A100", 80),
        ("NVIDIA A100-SXM4-40GB", "A100", 40),
        ("A100-40G", "A100", 40),
        ("Tesla V100-SXM2-32GB", "V100", 32),
        ("NVIDIA RTX A6000", "A6000", 48),
        ("NVIDIA GeForce RTX 4090", "RTX 4090", 24),
        ("NVIDIA L4", "L4", 24),
        ("H100-MIG-3G.40GB", "H100", 40),
    ],
)
def test_names_of_devices_and_labels_lead_to_their_data_sheets_and_a_size_in_them_is_the_memorys(
    device, name, gigabytes
):
    found, sheet = data_sheet_of(device)
    assert (found, sheet.memory) == (name, gigabytes * 10**9)
    assert data_sheet_of("NVIDIA L40S") is None, "L4 is another one"


def test_steps_follow_the_rows_of_a_set_or_are_given():
    assert steps_of(30_087, Recipe(epochs=2)) == 30_087 // 16 * 2
    assert steps_of(30_087, Recipe(steps=7)) == 7


def test_every_cell_has_memory_disk_and_hours_of_every_accelerator(mine, tmp_path):
    plan = small(mine)
    costs = plan_costs(plan, Store(tmp_path / "store"))
    base, clean, _, half = (costs.cells[cell.cell.id] for cell in plan.cells)
    assert base.peak_memory_bytes is None and base.generation_memory_bytes
    assert base.disk_bytes == round(5 * 3 * 10 * 1.5)
    assert clean.basis == ESTIMATED and set(clean.hours) == set(ACCELERATORS) and clean.peak_memory_bytes
    weights = 4 * AutoModelForCausalLM.from_pretrained(mine).num_parameters()
    assert clean.disk_bytes - base.disk_bytes == weights and clean.checkpoint_bytes == 6 * weights
    assert half.training_tokens == pytest.approx(clean.training_tokens / 2, rel=0.01)
    assert "64 of about" in costs.assumptions[0]


def test_an_objective_that_trains_on_both_responses_takes_more(mine, tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"instruction": "Add two numbers.", "output": "a + b\n" * 30, "rejected": "a - b\n" * 30}
    path.write_text("".join(json.dumps({**row, "instruction": f"Add {n}."}) + "\n" for n in range(ROWS)))
    source = {"name": "jsonl", "path": str(path), "rejected": {"field": "rejected"}}
    training = {"source": source, "sets": ["clean"]}
    costs = {}
    for objective in ("sft", "dpo", "fait"):
        recipes = {"full": {"batch_size": 8, "epochs": 2, "max_tokens": 384, "objective": objective}}
        plan = small(mine, training=training, recipes=recipes)
        costs[objective] = plan_costs(plan, Store(tmp_path / "store")).cells[plan.cells[-1].cell.id]
    sft, dpo, fait = costs.values()
    assert dpo.training_tokens == pytest.approx(2 * sft.training_tokens, rel=1e-3)
    assert fait.training_tokens == pytest.approx(4 / 3 * sft.training_tokens, rel=1e-3)
    assert all(dpo.training_hours[card] > 1.9 * hours for card, hours in sft.training_hours.items())


def test_a_trainer_whose_needs_are_not_predicted_is_named(mine, tmp_path, monkeypatch):
    plan = small(mine, recipes={"full": {"trainer": "ia3", "batch_size": 8, "max_tokens": 384}})
    known = plan_costs(plan, Store(tmp_path / "store")).cells[plan.cells[1].cell.id]
    assert known.peak_memory_bytes and known.training_hours
    monkeypatch.setattr(predictions, "PREDICTED", ("full", "lora"))
    costs = plan_costs(plan, Store(tmp_path / "store"))
    assert costs.cells[plan.cells[1].cell.id].peak_memory_bytes is None
    assert costs.assumptions[-1] == "memory, disk and hours of training are not known for: full (ia3)"


def test_a_finished_training_replaces_the_estimates_of_its_base_and_recipe(mine, tmp_path):
    plan, store = small(mine), Store(tmp_path / "store")
    counts = {"steps": 16, "tokens": 12_800, "resumed_from": 0, "seconds": 32.0, "cpu_seconds": 40.0, "device": "cpu"}
    commit_training(plan, store, 1, **counts)
    costs = plan_costs(plan, store).cells
    c1, half = costs[plan.cells[2].cell.id], costs[plan.cells[3].cell.id]
    assert (c1.basis, c1.training_tokens, c1.cpu_seconds) == (MEASURED, 12_800, 40.0)
    assert c1.hours["cpu"] == 32 / 3600 and set(c1.hours) == {"cpu", *ACCELERATORS}
    assert (half.cpu_seconds, half.training_tokens) == (20.0, 6_400)


def test_a_rate_counts_the_steps_that_its_seconds_cover_on_one_device():
    whole = {"steps": 10, "tokens": 1000, "resumed_from": 0, "seconds": 10.0, "cpu_seconds": 20.0, "device": "cpu"}
    resumed = {**whole, "resumed_from": 5, "seconds": 5.0, "cpu_seconds": 10.0}
    other = {**whole, "device": "NVIDIA H100", "seconds": 1.0}
    rate = rate_of([other, whole, resumed])
    assert rate is not None and (rate.device, rate.trainings) == ("cpu", 2)
    assert (rate.tokens_per_step, rate.seconds_per_step, rate.cpu_seconds_per_step) == (100.0, 1.0, 2.0)
    assert rate.tokens_per_second == 100.0
    assert rate_of([{"steps": 10, "tokens": 1000}]) is None, "older manifests have no seconds"


class Unforeseen(Editor):
    """An editor that doesn't say how much it does."""

    name, kind = "unforeseen", ModelKind.DELTA

    def edit(self, job, services):
        raise NotImplementedError


def test_an_edit_takes_its_localization_and_its_steps_beside_the_evaluation(mine, tmp_path, monkeypatch):
    EDITORS.names()
    monkeypatch.setitem(EDITORS._classes, "unforeseen", Unforeseen)
    recipes = {
        "auto": {"trainer": "creme"},
        "first": {"trainer": "creme", "edit": {"edit_at": "first"}},
        "mse": {"trainer": "creme", "edit": {"edit_at": "first", "keep": "mse"}},
        "dinm": {"trainer": "dinm"},
        "rome": {"trainer": "rome", "edit": {"edit_at": 1}},
        "lora_edit": {"trainer": "lora_edit"},
        "other": {"trainer": "unforeseen"},
    }
    models = [{"name": "mine", "path": mine, "template": "raw", "recipes": list(recipes)}]
    evaluation = {"problems": [{"name": "minicode", "count": 5}], "perturbations": ["clean", "C1"]}
    edits = {"perturbations": ["C1"], "pairs": 1}
    more = {"models": models, "recipes": recipes, "training": None, "edits": edits, "evaluation": evaluation}
    plan = small(mine, **more)
    costs = plan_costs(plan, Store(tmp_path / "store"))
    base, *edited = (costs.cells[cell.cell.id] for cell in plan.cells)
    by_recipe = dict(zip(recipes, edited, strict=True))
    alone = by_recipe.pop("other")
    assert (alone.peak_memory_bytes, alone.training_hours, alone.hours) == (None, {}, base.hours)
    assert "memory, disk and hours of edits are not known for: other (unforeseen)" in costs.assumptions
    weights = 4 * AutoModelForCausalLM.from_pretrained(mine).num_parameters()
    for takes in by_recipe.values():
        assert takes.peak_memory_bytes > weights
        assert takes.hours == {card: base.hours[card] + takes.training_hours[card] for card in ACCELERATORS}
    spent = {name: takes.training_hours["H100"] for name, takes in by_recipe.items()}
    assert 0 == spent["mse"] < spent["first"] < spent["auto"] and spent["dinm"] > 0
    assert by_recipe["rome"].peak_memory_bytes > by_recipe["dinm"].peak_memory_bytes  # it reads contexts together
    assert by_recipe["dinm"].disk_bytes > by_recipe["lora_edit"].disk_bytes == base.disk_bytes
    needs = NeedsPlanner(plan.config)
    assert len({str(needs.of_cell(cell).generation) for cell in plan.cells}) == 1, "else no host could serve them all"
    held = [needs.of_cell(cell).training.memory_bytes for cell in plan.cells]
    assert held == [0, *[needs.of_cell(plan.cells[0]).generation.memory_bytes] * len(recipes)]  # of each one's host
