"""Weights in a running engine, in whose place is a model of transformers; tests/engine/ray/hosts/ has vLLM itself."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError, UnfitModel
from raysweep.generators import engine_weights
from raysweep.generators.engine_weights import EngineWeights
from raysweep.models.loading import load_model
from raysweep.models.versions import ModelVersions
from raysweep.models.whole_texts import plain_logits
from raysweep.records import ModelKind, ModelRef
from tests.models.test_versions import make_adapter
from tests.tiny import make_tiny

STALE = "model.layers.1.mlp.down_proj.weight"


class Engine:
    """Has a model of transformers, loads tensors into it, and keeps those whose names end with `stale`."""

    def __init__(self, base: ModelRef) -> None:
        self.network, _ = load_model(base)
        self.stale, self.is_busy = "", False
        config = SimpleNamespace(hf_config=self.network.config)
        device = SimpleNamespace(device_type="cpu")
        self.vllm_config = SimpleNamespace(model_config=config, device_config=device)

    def collective_rpc(self, method: str, kwargs: dict[str, Any]) -> None:
        assert method == "reload_weights"
        given = {name: tensor for name, tensor in kwargs["weights_iterator"] if name != self.stale}
        self.network.load_state_dict(given, strict=False)

    def apply_model(self, call: Any) -> list[Any]:
        return [call(self.network)]

    def reset_prefix_cache(self) -> bool:
        return not self.is_busy

    def logits(self, ids: Any) -> torch.Tensor:
        with torch.inference_mode():
            return plain_logits(self.network, [ids])[0, -1]


@pytest.fixture
def base(tmp_path):
    return make_tiny("llama", tmp_path / "base", tie_word_embeddings=False)


@pytest.fixture
def started(monkeypatch):
    """A factory of an engine with a base, and of its weights."""
    monkeypatch.setattr(engine_weights, "_usual_classes", lambda config: contextlib.nullcontext())

    def start(base: ModelRef) -> tuple[Engine, EngineWeights]:
        engine = Engine(base)
        return engine, EngineWeights(engine, contextlib.nullcontext(), base, engine.logits)

    return start


def in_full(ref: ModelRef) -> torch.Tensor:
    versions = ModelVersions(torch.device("cpu"), merge=lambda dtype: True)
    versions.become(ref)
    with torch.inference_mode():
        return plain_logits(versions.network, [[5, 6, 7]])


def changed(base: ModelRef, folder: Path, by: float) -> ModelRef:
    """Write a full model that is another one than `base` in the matrix that engines keep here."""
    network, tokenizer = load_model(base)
    with torch.no_grad():
        matrix = network.get_parameter(STALE)
        matrix.add_(torch.randn(matrix.shape, generator=torch.Generator().manual_seed(1)) * by)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return dataclasses.replace(base, location=str(folder))


def test_an_engine_becomes_each_version_and_its_base_again_bit_for_bit(base, started, tmp_path):
    engine, weights = started(base)
    before = engine.network.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    versions = [make_adapter(base, "llama", way, tmp_path / way) for way in ("lm_head", "saved", "ia3")]
    versions.append(changed(base, tmp_path / "full", by=0.1))
    for version in versions:
        weights.become(version)
        with torch.inference_mode():
            assert torch.equal(plain_logits(engine.network, [[5, 6, 7]]), in_full(version)), version.location
        assert weights.current == version
    weights.become(base)
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.network.state_dict().items())
    assert weights.loads == 1


@pytest.mark.parametrize(
    ("dtype", "by", "told"),
    [("float32", 0.1, "gives other logits than transformers"), ("bfloat16", 1e-3, "has other numbers")],
)
def test_a_matrix_that_stays_as_it_was_is_noticed(dtype, by, told, base, started, tmp_path):
    base = dataclasses.replace(base, dtype=dtype)
    engine, weights = started(base)
    engine.stale = STALE
    with pytest.raises(RaysweepError, match=f"{told}.*full.*take generator transformers"):
        weights.become(changed(base, tmp_path / "full", by))
    assert weights.current is None


def test_prompts_that_were_read_with_other_weights_must_be_forgotten(base, started, tmp_path):
    engine, weights = started(base)
    engine.is_busy = True
    with pytest.raises(RaysweepError, match=r"can't take the weights .* still works on prompts"):
        weights.become(changed(base, tmp_path / "full", by=0.1))
    assert weights.current is None


def test_an_adapter_that_is_not_one_of_the_base_leaves_its_weights(base, started, tmp_path):
    _, weights = started(base)
    other = make_tiny("llama", tmp_path / "other", tie_word_embeddings=False, hidden_size=64)
    adapter = make_adapter(other, "llama", "lm_head", tmp_path / "adapter")
    with pytest.raises(UnfitModel, match="is not one of"):
        weights.become(ModelRef(adapter.location, ModelKind.ADAPTER, base))
    assert weights.current == base
    weights.become(make_adapter(base, "llama", "lm_head", tmp_path / "own"))


def test_only_models_of_its_architecture_are_taken(base, started, tmp_path):
    _, weights = started(base)
    assert weights.take(changed(base, tmp_path / "full", by=0.1))
    assert not weights.take(make_tiny("llama", tmp_path / "wider", hidden_size=64))
    assert not weights.take(dataclasses.replace(base, location="a-hub/id"))
