"""What patched states do to the logits and the cache of a prompt, on every architecture whose models are edited.

The numbers are those of the tests in the specification of the method: no. 1 to 5 and 7.
"""

from __future__ import annotations

import functools

import pytest
import torch

from raysweep.generators.patches import RowVariant, patched
from raysweep.generators.transformers import Transformers
from raysweep.records import Decoding
from raysweep.trainers.editors.patched_states import PatchedStates, states_at
from raysweep.trainers.editors.shared_positions import Shared, sources
from tests.trainers.editors import EDITED
from tests.trainers.editors.localized import (
    BLOCKS,
    EQUAL,
    LONGER,
    ORIGINAL,
    SHORTER,
    ids_of,
    job_of,
    left_as_it_was,
    live_model,
    modules_of,
    read,
)

ANYWHERE = range(-1, BLOCKS)
"""The embeddings, and all blocks."""


class Patched:
    """A model, and the patches of one perturbed prompt with the states of `ORIGINAL`."""

    def __init__(self, family: str, perturbed: str) -> None:
        self.live = live_model(family)
        self.generator = Transformers(self.live, Decoding(12))
        self.modules = modules_of(family, self.live.network)
        self.original, self.perturbed = ids_of(self.live, ORIGINAL), ids_of(self.live, perturbed)
        self.states = states_at(self.generator, self.modules, self.original)
        shared = Shared(len(self.original), len(self.perturbed))
        pair = job_of(family, self.live, perturbed=perturbed).pair
        of_scopes = sources(["all", "last", "diff_span"], pair, self.live.tokenizer, shared)
        self.patcher = PatchedStates(self.modules, self.states, of_scopes, shared.perturbed)

    def variant(self, block: int, scope: str = "all") -> RowVariant:
        return RowVariant(self.patcher, (scope, block))

    def logits(self, *blocks: int, scope: str = "all") -> torch.Tensor:
        """Return the logits after the perturbed prompt, (blocks, vocabulary), one row a block, in one pass."""
        rows = [self.variant(block, scope) for block in blocks]
        return read(self.live, [self.perturbed] * len(blocks), rows).logits

    def plain(self, ids: list[int]) -> torch.Tensor:
        return read(self.live, [ids]).logits[0]


@pytest.fixture(scope="module")
def patches():
    """A function from a family and a perturbed prompt to what patches it."""
    return functools.cache(Patched)


@pytest.mark.slow
@pytest.mark.parametrize("family", EDITED)
@pytest.mark.parametrize("scope", ["all", "last", "diff_span"])
def test_states_of_the_same_prompt_change_no_bit_of_its_logits(family, scope, patches):
    one = patches(family, ORIGINAL)  # no. 1
    plain = one.plain(one.original)
    for block in ANYWHERE:
        assert torch.equal(one.logits(block, scope=scope)[0], plain), block
    assert torch.allclose(one.logits(*ANYWHERE, scope=scope), plain.expand(BLOCKS + 1, -1), atol=1e-5)


@pytest.mark.parametrize("family", EDITED)
def test_equal_lengths_and_all_positions_give_the_originals_logits_at_every_block(family, patches):
    one = patches(family, EQUAL)  # no. 2: the identifiability trap
    plain = one.plain(one.original)
    assert (one.plain(one.perturbed) - plain).abs().max() > 0.1
    for block in ANYWHERE:
        assert torch.equal(one.logits(block)[0], plain), block
    assert torch.allclose(one.logits(*ANYWHERE), plain.expand(BLOCKS + 1, -1), atol=1e-5)


@pytest.mark.parametrize("family", EDITED)
def test_the_last_position_of_the_last_block_gives_the_originals_logits_there_alone(family, patches):
    one = patches(family, EQUAL)  # no. 2
    ids = torch.tensor([one.perturbed])
    positions = torch.arange(len(one.perturbed))[None]
    network = one.live.network
    with torch.inference_mode():
        own = network(input_ids=ids).logits[0]
        with patched(network, [one.variant(BLOCKS - 1, "last")], positions, True):
            found = network(input_ids=ids).logits[0]
        theirs = network(input_ids=torch.tensor([one.original])).logits[0]
    assert torch.equal(found[:-1], own[:-1])
    assert torch.allclose(found[-1], theirs[-1], atol=1e-5) and (own[-1] - theirs[-1]).abs().max() > 0.1
    for block in range(BLOCKS - 1):
        assert not torch.allclose(one.logits(block, scope="last")[0], one.plain(one.original), atol=1e-3)


@pytest.mark.parametrize("family", EDITED)
def test_the_cache_is_the_perturbed_prompts_up_to_the_block_and_the_originals_above(family, patches):
    one = patches(family, EQUAL)  # no. 4
    original, perturbed = (read(one.live, [ids]).cache for ids in (one.original, one.perturbed))
    for block in ANYWHERE:
        found = read(one.live, [one.perturbed], [one.variant(block)]).cache
        for number, layer in enumerate(found.of_model.layers):
            expected = (perturbed if number <= block else original).of_model.layers[number]
            other = (original if number <= block else perturbed).of_model.layers[number]
            assert torch.equal(layer.keys, expected.keys) and torch.equal(layer.values, expected.values)
            assert not torch.equal(layer.keys, other.keys)


@pytest.mark.slow
@pytest.mark.parametrize("perturbed", [EQUAL, LONGER, SHORTER])
@pytest.mark.parametrize("family", EDITED)
def test_padding_changes_no_patch(family, perturbed, patches):
    one = patches(family, perturbed)  # no. 5
    longest = [*one.perturbed, *one.perturbed]
    rows = [None, *(one.variant(block) for block in ANYWHERE), None]
    beside = read(one.live, [longest, *[one.perturbed] * (BLOCKS + 1), one.original[3:]], rows)
    for row, block in enumerate(ANYWHERE, 1):
        assert int(beside.mask[row].sum()) == len(one.perturbed) < beside.mask.shape[1]
        assert torch.allclose(beside.logits[row], one.logits(block)[0], atol=1e-5), block
    assert torch.allclose(beside.logits[0], one.plain(longest), atol=1e-5)
    assert torch.allclose(beside.logits[-1], one.plain(one.original[3:]), atol=1e-5)


@pytest.mark.parametrize("family", EDITED)
def test_hooks_are_gone_after_an_error_and_no_state_was_written_into(family, patches, monkeypatch):
    one = patches(family, LONGER)  # no. 7
    kept = {number: states.clone() for number, states in one.states.items()}
    with left_as_it_was(one.live.network):
        one.logits(*ANYWHERE)
    monkeypatch.setattr(torch.Tensor, "index_copy", lambda *_: 1 / 0)
    with left_as_it_was(one.live.network), pytest.raises(ZeroDivisionError):
        one.logits(*ANYWHERE)
    assert all(torch.equal(kept[number], states) for number, states in one.states.items())


@pytest.mark.parametrize("family", EDITED)
def test_states_are_the_models_hidden_states(family, patches):
    one = patches(family, EQUAL)
    with torch.inference_mode():
        hidden = one.live.network(input_ids=torch.tensor([one.original]), output_hidden_states=True).hidden_states
    for block in range(BLOCKS - 1):  # the last one's went through the norm
        assert torch.allclose(one.states[block], hidden[block + 1][0], atol=1e-4)
    assert one.states[-1].shape == one.states[BLOCKS - 1].shape == (len(one.original), 32)
