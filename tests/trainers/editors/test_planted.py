"""The planted world in small: a matrix damaged for one kind of prompt, which CREME finds and mends, and a control not.

No model is trained: what counts is how far a tiny random one's distributions come back to those from before the damage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from raysweep.errors import HopelessError
from raysweep.generators.base import LiveModel
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.models.whole_texts import plain_logits
from raysweep.records import PromptPair, TrainingRow
from raysweep.trainers.editors.base import EditJob
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.editors.localization import most_restoring
from raysweep.trainers.editors.planted import damage, plant, token_pairs
from raysweep.trainers.editors.running import put_on, run_edit
from tests.services import EditServicesHere
from tests.tiny import make_tiny, pairs, prompt_pair, training_rows

pytestmark = pytest.mark.slow

BLOCK = 0
SIZE = {"hidden_size": 64, "intermediate_size": 128}
EDIT: dict[str, Any] = {
    "lr": 1e-4, "steps": 150, "most_change": 0, "patience": 0, "stop_below": 0, "samples": 1, "temperature": 0,
    "max_new_tokens": 4, "not_reproduced": "edit",
}  # fmt: skip


def shouted(prompt: str) -> str:
    head, text, tail = prompt.split('"""')
    return '"""'.join([head, text.upper(), tail])


def divergence(network: Any, before: torch.Tensor, ids: list[int]) -> float:
    now = plain_logits(network, [ids])[0].log_softmax(dim=-1)
    return float(torch.nn.functional.kl_div(now, before, reduction="batchmean", log_target=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The damaged model, and tokens of the last rows, clean and shouted, with their distributions from before."""
    ref = make_tiny(
        "llama", tmp_path_factory.mktemp("planted"), 257, num_hidden_layers=3, initializer_range=0.1, **SIZE
    )
    network, tokenizer = load_model(ref)
    rows = [(tokenizer(text)["input_ids"], tokenizer(shouted(text))["input_ids"]) for text, _ in pairs(30)]
    same = [row for row in rows if len(row[0]) == len(row[1])]
    before = [[plain_logits(network, [ids])[0].log_softmax(dim=-1) for ids in row] for row in same[-6:]]
    counts = damage(network.eval(), "llama", BLOCK, same[:-6], seed=1)
    return LiveModel(network, tokenizer), same[-6:], before, counts


def lost(network: Any, world: Any, of: int) -> float:
    _, rows, before, _ = world
    return sum(divergence(network, known[of], row[of]) for row, known in zip(rows, before, strict=True))


def edited(world: Any, **settings: Any) -> tuple[float, int]:
    """Return which share of the divergence an edit from one example removes on other prompts, and its block."""
    live = world[0]
    clean = prompt_pair(1)
    pair: PromptPair = replace(clean, perturbed=shouted(clean.original))
    edit = run_edit(Creme(**EDIT | settings), EditJob(live, "llama", pair, 1), EditServicesHere())
    damaged = lost(live.network, world, 1)
    with put_on(live.network, edit) as network:
        return 1 - lost(network, world, 1) / damaged, most_restoring(edit.blocks) if edit.blocks else -1


def test_the_damage_is_of_the_changed_tokens_alone(world):
    live, _, _, counts = world
    assert counts["damaged"] == f"model.layers.{BLOCK}.mlp.down_proj.weight"
    assert counts["fires_on_changed"] > 0.9 and counts["fires_on_others"] < 0.1
    assert lost(live.network, world, 0) < 0.1 * lost(live.network, world, 1)


def test_creme_finds_the_block_and_an_example_mends_other_prompts(world):
    share, block = edited(world)
    assert block == BLOCK and share >= 0.8


@pytest.mark.parametrize("control", [{"direction": "random"}, {"edit_at": 1}, {"edit_at": 2}])
def test_controls_mend_little(world, control):
    assert edited(world, **control)[0] <= 0.2


def test_a_perturbation_that_changes_lengths_is_refused_before_a_model_is_trained(tmp_path):
    tokenizer = load_tokenizer(make_tiny("llama", tmp_path, 257))
    longer = [replace(row, instruction=row.instruction.replace("Retrun", "Retrun the")) for row in training_rows(40)]
    with pytest.raises(HopelessError, match="0 training rows have as many tokens after it as before, and 20 are"):
        token_pairs(tokenizer, longer)


def test_a_folder_holds_the_damaged_model(tmp_path):
    ref = make_tiny("llama", tmp_path, 257, initializer_range=0.1, **SIZE)
    network, tokenizer = load_model(ref)
    own = network.state_dict()
    rows: list[TrainingRow] = [replace(row, instruction=shouted(row.clean_instruction)) for row in training_rows(40)]
    counts = plant(tmp_path, "llama", 0, token_pairs(tokenizer, rows), 1)
    after = load_model(ref)[0].state_dict()
    changed = {name for name in own if not torch.equal(own[name], after[name])}
    assert changed == {f"model.layers.0.mlp.{name}.weight" for name in ("gate_proj", "up_proj", "down_proj")}
    assert counts["damaged"] in changed


def test_damage_of_other_tokens_than_the_changed_ones_is_refused(tmp_path):
    ref = make_tiny("llama", tmp_path, 257, initializer_range=0.2)  # so narrow that its states don't tell them apart
    rows: list[TrainingRow] = [replace(row, instruction=shouted(row.clean_instruction)) for row in training_rows(40)]
    with pytest.raises(HopelessError, match="`damage` of block 0 would be of"):
        plant(tmp_path, "llama", 0, token_pairs(load_tokenizer(ref), rows), 1)
