"""ROME on all architectures: its change of rank one, its keys and contexts, and the orientation of Conv1D."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from raysweep.trainers.editors import rome
from raysweep.trainers.editors.base import EditJob, ModelEdit
from raysweep.trainers.editors.descent import target_loss
from raysweep.trainers.editors.rome import Rome, rank_one
from raysweep.trainers.editors.running import put_on, run_edit
from raysweep.trainers.editors.states import Matrix, block_states, frozen, matrix_of
from raysweep.trainers.editors.texts import TextReader
from tests.services import EditServicesHere
from tests.trainers.editors import EDITED

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"edit_at": 1, "prefixes": 4, "steps": 6}


def edited(editor: Rome, job: EditJob) -> ModelEdit:
    return run_edit(editor, job, EditServicesHere())


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32)).eval()


def check_rank_one(network: Any, matrix: Matrix, keys: torch.Tensor, chosen: str, covariance: Any = None) -> None:
    """The layer gives k* the wanted output, in rank one, and leaves what is orthogonal to u."""
    layer, wanted = matrix.projection, drawn(matrix.weight.shape[0], seed=1)
    update = rank_one(matrix, keys, wanted, chosen, covariance)
    key = keys.mean(dim=0) if chosen == "mean" else keys[0]
    other = drawn(matrix.weight.shape[1], seed=2)
    other -= (other @ update.u) * update.u
    assert torch.linalg.matrix_rank(update.change) == 1
    with torch.no_grad():
        before = layer(other)
        with put_on(network, ModelEdit(tensors={matrix.name: matrix.changed(update.change)})):
            torch.testing.assert_close(layer(key), wanted, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(layer(other), before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chosen", ["mean", "prompt"])
@pytest.mark.parametrize("family", EDITED)
def test_the_matrix_gives_the_key_the_wanted_output(family, chosen, make_edit):
    job = make_edit(family)
    matrix = matrix_of(job, 1)
    check_rank_one(job.base.network, matrix, drawn(5, matrix.weight.shape[1]), chosen)


@pytest.mark.parametrize("chosen", ["mean", "prompt"])
def test_a_conv1d_of_gpt2_is_changed_in_its_own_orientation(chosen, gpt2):
    block = gpt2.transformer.h[1]
    matrix = Matrix(1, block, block.mlp.c_proj, "transformer.h.1.mlp.c_proj.weight")
    assert matrix.is_transposed
    assert matrix.weight.shape == (16, 64)
    assert matrix.changed(drawn(16, 64)).shape == block.mlp.c_proj.weight.shape == (64, 16)
    check_rank_one(gpt2, matrix, drawn(5, 64), chosen)


@pytest.mark.parametrize("chosen", ["mean", "prompt"])
def test_with_a_covariance_the_key_still_gets_the_wanted_output(chosen, make_edit):
    job = make_edit("codegen")
    matrix = matrix_of(job, 0)
    texts = drawn(200, matrix.weight.shape[1], seed=3)
    keys, covariance = drawn(5, matrix.weight.shape[1]), texts.T @ texts / 200
    check_rank_one(job.base.network, matrix, keys, chosen, covariance)
    u = rank_one(matrix, keys, drawn(matrix.weight.shape[0]), chosen, covariance).u
    expected = torch.linalg.inv(covariance) @ keys.mean(dim=0)
    torch.testing.assert_close(u, expected / expected.norm(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", EDITED)
def test_the_edit_makes_the_target_more_likely(family, make_edit):
    job = make_edit(family)
    reader = TextReader(job.base)
    tokens = reader.pair(job.pair)
    edit = edited(Rome(edit_at=0, prefixes=2, keys="prompt", target_tokens=2, decay=0), job)
    with torch.no_grad():
        before = target_loss(job.base.network, tokens.perturbed, tokens.passing[:2])
        with put_on(job.base.network, edit):
            after = target_loss(job.base.network, tokens.perturbed, tokens.passing[:2])
    assert float(after) < float(before)
    assert edit.counts["steps"] == 24  # updates: the loss is computed 25 times
    assert list(edit.tensors) == [matrix_of(job, 0).name]


@pytest.mark.parametrize("family", EDITED)
def test_contexts_of_unequal_lengths_have_the_losses_that_each_has_alone(family, make_edit):
    job = make_edit(family)
    network, matrix = job.base.network, matrix_of(job, 0)
    tokens = TextReader(job.base).pair(job.pair)
    contexts = [tokens.perturbed, tokens.original[3:], tokens.perturbed[:4]]
    target, delta = tokens.passing[:5], 0.5 * drawn(matrix.weight.shape[0])
    with frozen(network):
        together = rome._context_loss(network, matrix, contexts, target, delta.requires_grad_())
        (gradient,) = torch.autograd.grad(together, [delta])
        alone = []
        for context in contexts:
            with rome._added(matrix, delta, -len(target)):
                alone.append(target_loss_without_last(network, context, target))
        expected = torch.stack(alone).mean()
        (wanted,) = torch.autograd.grad(expected, [delta])
    torch.testing.assert_close(together, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-3)


def target_loss_without_last(network: Any, context: list[int], target: list[int]) -> torch.Tensor:
    """The target's loss in a pass without its last token, so that the context's last token is -len(target)."""
    logits = network(input_ids=torch.tensor([[*context, *target[:-1]]])).logits[0, -len(target) :]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(target))


def test_contexts_read_a_few_at_a_time_give_the_same_edit(make_edit, monkeypatch):
    one = edited(Rome(**SMALL), make_edit("llama"))
    monkeypatch.setattr(rome, "PASS_TOKENS", 1)
    torch.testing.assert_close(edited(Rome(**SMALL), make_edit("llama")).tensors, one.tensors, atol=1e-3, rtol=1e-3)


def test_prefixes_come_from_the_seed_and_are_kept(make_edit):
    first, again, other = (edited(Rome(**SMALL), make_edit("llama", seed=seed)).counts for seed in (7, 7, 8))
    assert len(first["prefixes"]) == 4
    assert first["prefixes"] == again["prefixes"] != other["prefixes"]
    assert first["contexts"] == 5


def test_a_prefix_with_which_the_prompt_does_not_fit_the_model_is_left_out(make_edit):
    job = make_edit("gpt_bigcode")
    reader = TextReader(job.base)
    reader.positions = len(reader.pair(job.pair).perturbed) + 32
    assert len(Rome()._contexts(job, reader, [1], ["", "a long one that doesn't fit " * 3])) == 1


def test_the_plain_prompts_key_is_the_projections_input_at_its_last_token(make_edit):
    job = make_edit("llama")
    network, matrix, ids = job.base.network, matrix_of(job, 1), TextReader(job.base).pair(job.pair).perturbed
    keys = rome._keys(network, matrix, [ids, ids[:-1]], lambda: None)
    torch.testing.assert_close(keys, block_states(network, matrix, ids).keys[[-1, -2]], atol=1e-5, rtol=1e-4)


def test_the_covariance_has_the_ridge_and_the_texts_that_are_asked_for(make_edit):
    job = make_edit("llama")

    def covariance(**settings: Any) -> Any:
        with torch.no_grad():
            return Rome(covariance_tokens=32, **settings)._covariance(job, matrix_of(job, 1), lambda: None)

    plain = covariance(covariance_ridge=0)
    ridge = 0.5 * plain.diagonal().mean() * torch.eye(len(plain))
    torch.testing.assert_close(covariance(covariance_ridge=0.5), plain + ridge)
    torch.testing.assert_close(covariance(), plain + ridge / 50)
    assert not torch.allclose(covariance(covariance_ridge=0, covariance_text_tokens=8), plain)
