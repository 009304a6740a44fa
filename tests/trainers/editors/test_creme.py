"""CREME on all architectures: what its edit minimises, changes and leaves, and where it edits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from raysweep.generators.transformers import Transformers
from raysweep.models.families.blocks import blocks_of
from raysweep.models.whole_texts import plain_logits
from raysweep.records import Decoding, GenerationRequest
from raysweep.trainers.editors.base import EditJob, ModelEdit, NotReproduced
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.editors.localization import most_restoring
from raysweep.trainers.editors.running import put_on, run_edit
from raysweep.trainers.editors.states import block_states, matrix_of, outputs, with_change
from raysweep.trainers.editors.texts import TextReader
from tests.services import EditServicesHere
from tests.tiny import prompt_pair
from tests.trainers.editors import EDITED, FIRST

pytestmark = pytest.mark.slow

EAGER: dict[str, Any] = {"stop_below": 0.0, "lr": 2e-3}
"""Settings with which an edit takes steps even where the prompts' states are close."""


def edited(editor: Creme, job: EditJob, services: EditServicesHere | None = None) -> ModelEdit:
    return run_edit(editor, job, services or EditServicesHere())


def block_output(job: EditJob, block: int, ids: list[int]) -> torch.Tensor:
    return outputs(job.base.network, blocks_of(job.base.network, job.family), ids)[block]


@pytest.mark.parametrize("family", EDITED)
def test_one_named_tensor_changes_and_the_states_come_closer(family, make_edit):
    job = make_edit(family)
    tokens = TextReader(job.base).pair(job.pair)
    assert len(tokens.original) != len(tokens.perturbed)
    edit = edited(Creme(edit_at=1, keep_weight=0, **EAGER), job)
    assert list(edit.tensors) == [matrix_of(job, 1).name]
    shared = min(len(tokens.original), len(tokens.perturbed))
    wanted, found = (block_output(job, 1, ids)[-shared:] for ids in (tokens.original, tokens.perturbed))
    with put_on(job.base.network, edit):
        closer = block_output(job, 1, tokens.perturbed)[-shared:]
    before, after = float((found - wanted).square().mean()), float((closer - wanted).square().mean())
    assert after < 0.99 * before
    assert edit.counts["losses"][0][1] == pytest.approx(before, rel=1e-4)
    assert edit.counts["final_loss"] == pytest.approx(after, rel=1e-3)  # the whole model agrees with the one matrix
    assert torch.equal(block_output(job, 1, tokens.perturbed)[-shared:], found)


@pytest.mark.parametrize("keep", ["kl", "mse"])
def test_equal_prompts_have_loss_0_and_change_nothing(keep, make_edit):
    job = make_edit("llama", pair=replace(prompt_pair(1), perturbed=prompt_pair(1).original))
    edit = edited(Creme(edit_at=0, keep=keep), job)
    assert edit.counts["losses"] == [[0, 0.0]]
    assert (edit.counts["relative_change"], edit.counts["stopped"]) == (0.0, "loss low enough")
    assert "gives its base's very logits" in edit.counts["changes_nothing"]
    (name,) = edit.tensors
    assert torch.equal(edit.tensors[name], job.base.network.state_dict()[name])


@pytest.mark.parametrize("family", EDITED)
def test_a_change_moves_the_blocks_output_by_what_its_keys_say(family, make_edit):
    job = make_edit(family)
    network, ids = job.base.network, TextReader(job.base).pair(job.pair).perturbed
    matrix = matrix_of(job, 0)
    change = 0.1 * torch.randn(matrix.weight.shape, generator=torch.Generator().manual_seed(0))
    states = block_states(network, matrix, ids)
    expected = states.output + states.keys @ change.T
    with with_change(matrix, lambda: change):
        added = block_states(network, matrix, ids).output
    with put_on(network, ModelEdit(tensors={matrix.name: matrix.changed(change)})):
        written = block_states(network, matrix, ids).output
    torch.testing.assert_close(added, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(written, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("keep", ["kl", "mse"])
def test_with_a_large_lambda_the_clean_logits_stay(keep, make_edit):
    def moved(keep_weight: float) -> float:
        job = make_edit("llama")
        network, ids = job.base.network, TextReader(job.base).pair(job.pair).original
        with torch.no_grad():
            before = plain_logits(network, [ids])
            with put_on(network, edited(Creme(edit_at=1, keep=keep, keep_weight=keep_weight, **EAGER), job)):
                return float((plain_logits(network, [ids]) - before).abs().max())

    assert moved(1e9) < 1e-4 < moved(0)


def test_the_more_lambda_the_less_the_clean_prompt_moves(make_edit):
    settings = {**EAGER, "steps": 60, "patience": 0, "most_change": 1.0, "edit_at": 1}
    edits = [edited(Creme(keep_weight=weight, **settings), make_edit("llama")) for weight in (0.0, 1.0, 100.0)]
    moved = [edit.counts["logits"]["original"] for edit in edits]
    assert moved[0] > moved[1] > moved[2]


def test_the_change_stays_within_its_bound(make_edit):
    edit = edited(Creme(edit_at=1, most_change=0.02, **{**EAGER, "lr": 0.1}), make_edit("llama"))
    assert 0.019 < edit.counts["relative_change"] <= 0.02 + 1e-6


def test_the_relative_change_is_that_of_the_rounded_tensor(make_edit):
    job = make_edit("llama")
    job.base.network.to(torch.bfloat16)
    swallowed = edited(Creme(edit_at=0, most_change=1e-6, **EAGER), job)
    assert swallowed.counts["relative_change"] == 0 and swallowed.counts["changes_nothing"]
    edit = edited(Creme(edit_at=0, most_change=0.02, **EAGER), job)
    ((name, stored),) = edit.tensors.items()
    own = job.base.network.state_dict()[name]
    assert stored.dtype == torch.bfloat16
    assert edit.counts["relative_change"] == pytest.approx(
        float((stored.float() - own.float()).norm() / own.float().norm())
    )


def test_steps_without_progress_end_it_and_the_lowest_loss_is_kept(make_edit):
    edit = edited(Creme(edit_at=1, most_change=1e3, patience=3, **{**EAGER, "lr": 5.0}), make_edit("llama"))
    counts = edit.counts
    losses = [loss for _, loss in counts["losses"]]
    assert (counts["stopped"], counts["step_taken"]) == ("no progress", losses.index(min(losses)))
    assert counts["steps"] == counts["step_taken"] + 3
    assert counts["final_loss"] == min(losses)


@pytest.mark.parametrize(("place", "block"), [("first", 0), ("middle", 1), ("last", 1), (0, 0)])
def test_a_block_is_chosen_by_its_place(place, block, make_edit):
    edit = edited(Creme(edit_at=place, steps=1), make_edit("qwen2"))
    assert (edit.counts["block"], edit.counts["blocks"], edit.counts["edit_at"]) == (block, 2, place)
    assert edit.counts["tensor"] == f"model.layers.{block}.mlp.down_proj.weight"
    assert not edit.blocks


def test_a_random_block_depends_on_the_seed_and_the_pairs_names_alone(make_edit):
    def block(seed: int, number: int) -> int:
        edit = edited(Creme(edit_at="random", steps=1), make_edit("llama", seed=seed, pair=prompt_pair(number)))
        return int(edit.counts["block"])

    assert {block(seed, 1) for seed in range(8)} == {0, 1}
    assert block(3, 1) == block(3, 1)


def greedy(job: EditJob, tokens: int) -> str:
    """What the base writes for the original prompt."""
    request = GenerationRequest("", job.pair.task_id, job.pair.original, stop=job.pair.stop)
    return Transformers(job.base, Decoding(max_new_tokens=tokens)).generate([request])[0].text


@pytest.mark.parametrize("family", FIRST)
def test_localization_chooses_the_block_and_writes_as_many_tokens_as_the_evaluation(family, make_edit):
    lengths = []
    for tokens in (3, 5) if family == "llama" else (3, 12):  # others may write the same first tokens
        job = make_edit(family, max_new_tokens=tokens)
        right = greedy(job, tokens)
        services = EditServicesHere(lambda completion, right=right: completion == right)
        edit = edited(Creme(samples=1, temperature=0.0, embeddings=tokens == 3, **EAGER), job, services)
        blocks = [-1, 0, 1] if tokens == 3 else [0, 1]
        assert [(found.positions, found.block) for found in edit.blocks] == [
            (positions, block) for positions in ("all", "last") for block in blocks
        ]
        assert edit.counts["block"] == most_restoring(edit.blocks) and edit.counts["seconds"]["localization"] > 0
        lengths.append(max(map(len, services.judged)))
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("keep", ["kl", "mse"])
def test_states_of_what_the_original_prompt_writes_are_aligned_and_kept(keep, make_edit):
    job = make_edit("llama")
    network, tokens = job.base.network, TextReader(job.base).pair(job.pair)
    ids = torch.tensor([tokens.original])
    with torch.no_grad():
        for _ in range(4):
            ids = torch.cat([ids, plain_logits(network, ids.tolist())[:, -1:].argmax(-1)], dim=1)
    written = ids[0, -4:].tolist()
    texts = [[*prompt, *written] for prompt in (tokens.original, tokens.perturbed)]

    def seen() -> list[torch.Tensor]:
        logits = plain_logits(network, texts[:1])[0, -4:].log_softmax(-1)
        return [*(block_output(job, 0, text)[-4:] for text in texts), logits]

    settings = {**EAGER, "steps": 3, "most_change": 0, "returns": "last", "patience": 0, "lr": 0.05}
    editor = Creme(edit_at=0, span="written", written_tokens=4, keep=keep, keep_weight=0.1, **settings)
    edit = edited(editor, job)
    with torch.no_grad():
        original, perturbed, expected = seen()
        with put_on(network, edit):
            now, aligned, logits = seen()
    kept = (now - original).square().mean()
    if keep == "kl":
        kept = (expected.exp() * (expected - logits)).sum(-1).mean()
    counts = edit.counts
    assert counts["losses"][0][1] == pytest.approx(float((perturbed - original).square().mean()), rel=1e-4)
    assert counts["final_loss"] == pytest.approx(float((aligned - original).square().mean() + 0.1 * kept), rel=1e-3)
    assert counts["step_taken"] == 3 and counts["relative_change"] > 0.1  # the last step's, beyond the default bound


def test_a_placebo_has_the_block_and_the_size_of_the_edit_and_another_direction(make_edit):
    own = make_edit("llama").base.network.state_dict()
    found, placebo, again, nothing = (
        edited(Creme(edit_at=1, direction=direction, **EAGER), make_edit("llama"))
        for direction in ("descent", "random", "random", "none")
    )
    (name,) = found.tensors
    assert placebo.counts["relative_change"] == pytest.approx(found.counts["relative_change"], rel=1e-4)
    change, other = (edit.tensors[name] - own[name] for edit in (found, placebo))
    assert abs(float(torch.nn.functional.cosine_similarity(change.flatten(), other.flatten(), dim=0))) < 0.2
    assert torch.equal(placebo.tensors[name], again.tensors[name])
    assert torch.equal(nothing.tensors[name], own[name]) and nothing.counts["changes_nothing"]


def test_a_pair_whose_samples_pass_alike_is_not_reproduced(make_edit):
    job = make_edit("llama")
    with pytest.raises(NotReproduced, match="pass at a rate of 1\\.00"):
        edited(Creme(max_new_tokens=4), job)
    edit = edited(Creme(max_new_tokens=4, not_reproduced="edit"), job)
    assert math.isnan(edit.blocks[0].restoration) and edit.counts["block"] == most_restoring(edit.blocks)
