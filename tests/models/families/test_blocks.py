"""Where a network's blocks, embeddings and projections are, by the template of its family."""

from __future__ import annotations

import pytest
import torch

from raysweep.errors import UsageError
from raysweep.models.families.blocks import blocks_of, embedding_of, paths_of, projection_of, states_of, with_states
from raysweep.models.loading import load_model
from tests.models.tiny import EDITED, make_adapter

NAMES = {
    "llama": "model.layers.1.mlp.down_proj.weight",
    "qwen2": "model.layers.1.mlp.down_proj.weight",
    "gpt_bigcode": "transformer.h.1.mlp.c_proj.weight",
    "codegen": "transformer.h.1.mlp.fc_out.weight",
}


@pytest.mark.parametrize("family", EDITED)
def test_the_states_of_blocks_are_the_models_hidden_states(family, tiny):
    network, _ = load_model(tiny[family])
    seen: list[torch.Tensor] = []
    modules = [embedding_of(network, family), *blocks_of(network, family)]
    hooks = [module.register_forward_hook(lambda *call: seen.append(states_of(call[2]))) for module in modules]
    with torch.inference_mode():
        hidden = network(input_ids=torch.arange(5, 12)[None], output_hidden_states=True).hidden_states
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(hidden) == 3
    assert torch.equal(seen[1], hidden[1])  # the last ones went through the final norm
    assert family == "gpt_bigcode" or torch.equal(seen[0], hidden[0])  # which adds positions to its embeddings


@pytest.mark.parametrize("family", EDITED)
def test_a_projection_is_a_named_tensor_of_the_width_of_the_states(family, tiny):
    network, _ = load_model(tiny[family])
    projection = projection_of(network, family, 1)
    assert projection.name == NAMES[family]
    assert network.get_parameter(projection.name) is projection.weight
    assert tuple(projection.weight.shape) == (32, 48)


def test_states_are_replaced_in_a_tensor_and_in_a_tuple():
    old, new = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert with_states(old, new) is new
    assert with_states((old, "cache"), new) == (new, "cache")
    assert states_of((old, "cache")) is old and states_of(old) is old


@pytest.mark.parametrize("block", [-1, 2, 7])
def test_a_block_that_is_not_there_is_refused(block, tiny):
    network, _ = load_model(tiny["llama"])
    with pytest.raises(UsageError, match=f"no block {block}: the llama model's blocks are 0 to 1"):
        projection_of(network, "llama", block)


@pytest.mark.parametrize("family", ["mistral", "an-architecture-of-tomorrow"])
def test_a_family_without_a_template_is_refused_and_those_with_one_are_named(family):
    with pytest.raises(UsageError, match=f"{family!r} can't be edited.*codegen, gpt_bigcode, llama, qwen2 can"):
        paths_of(family)


def test_a_network_with_an_adapter_is_refused(tiny, tmp_path):
    network, _ = load_model(make_adapter(tiny["llama"], tmp_path / "adapter"))
    with pytest.raises(UsageError, match=r"has no module 'model\.layers'.*without an adapter"):
        blocks_of(network, "llama")
