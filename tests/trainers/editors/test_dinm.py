"""DINM on all architectures: its losses, the matrix that it trains, and its block."""

from __future__ import annotations

import pytest
import torch

from raysweep.trainers.editors.descent import divergence
from raysweep.trainers.editors.dinm import Dinm, DinmLosses
from raysweep.trainers.editors.places import dinm_distances
from raysweep.trainers.editors.running import run_edit
from raysweep.trainers.editors.states import frozen, matrix_of, outputs, relative_distance
from raysweep.trainers.editors.texts import TextReader
from tests.services import EditServicesHere
from tests.trainers.editors import EDITED

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", EDITED)
def test_one_named_tensor_changes_and_the_loss_falls(family, make_edit):
    job = make_edit(family)
    edit = run_edit(Dinm(edit_at=1), job, EditServicesHere())
    assert list(edit.tensors) == [matrix_of(job, 1).name]
    assert edit.counts["losses"][-1][1] < edit.counts["losses"][0][1]
    assert edit.counts["steps"] == edit.counts["step_taken"] == 10


@pytest.mark.parametrize("has_gradient", [False, True])
def test_kl_has_a_gradient_in_one_mode_only(has_gradient, make_edit):
    job = make_edit("llama")
    network, tokens = job.base.network, TextReader(job.base).pair(job.pair)
    with frozen(network):
        matrix, apart = matrix_of(job, 1), divergence(network, tokens.original)
        editor = Dinm(dinm_kl_grad=has_gradient)
        losses = DinmLosses(network, matrix, [(tokens.perturbed, tokens.passing)], apart, editor)
        change = torch.randn(matrix.weight.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        kept = losses.kept(change)
        assert kept.requires_grad == has_gradient and float(kept.detach()) > 0
        (whole,) = torch.autograd.grad(losses.total(change), [change])
        (of_target,) = torch.autograd.grad(losses.total(change) - kept, [change])
        assert torch.equal(whole, of_target) != has_gradient


def test_with_kls_gradient_the_text_that_is_to_stay_moves_less(make_edit):
    def moved(has_gradient: bool) -> float:
        job = make_edit("llama")
        editor = Dinm(
            edit_at=0, steps=30, lr=3e-3, target_weight=1.0, dinm_kl_grad=has_gradient, instruction="def f(x)"
        )
        edit = run_edit(editor, job, EditServicesHere())
        (name,) = edit.tensors
        with frozen(job.base.network), torch.no_grad():
            apart = divergence(job.base.network, TextReader(job.base).ids("def f(x)", True))
            job.base.network.get_parameter(name).copy_(edit.tensors[name])
            return float(apart())

    assert moved(True) < 0.9 * moved(False)


def test_its_block_is_the_one_where_the_texts_are_furthest_apart(make_edit):
    job = make_edit("llama")
    tokens = TextReader(job.base).pair(job.pair)
    distances = dinm_distances(job, tokens)
    states = outputs(job.base.network, [job.base.network.model.norm], [*tokens.original, *tokens.passing])[0]
    others = outputs(job.base.network, [job.base.network.model.norm], [*tokens.perturbed, *tokens.failing])[0]
    shared = min(len(states), len(others))
    assert distances[-1] == pytest.approx(relative_distance(states[-shared:], others[-shared:]))
    edit = run_edit(Dinm(), job, EditServicesHere())
    assert edit.counts["block"] == distances.index(max(distances))
    assert edit.counts["edit_at"] == "dinm"


def test_the_loss_low_enough_ends_it_before_a_step(make_edit):
    edit = run_edit(Dinm(stop_below=1e3), make_edit("llama"), EditServicesHere())
    assert (edit.counts["steps"], edit.counts["stopped"]) == (0, "loss low enough")
    assert edit.counts["relative_change"] == 0
    assert edit.counts["changes_nothing"]
