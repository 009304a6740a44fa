"""The contract of a model family: what raysweep must know about an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from raysweep.registry import Registry

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class ModelFamily(ABC):
    """An architecture by its transformers `model_type`, registered under that name (``llama``)."""

    name: ClassVar[str]
    architecture: ClassVar[str] = "causal"  # causal | seq2seq
    lora_targets: ClassVar[tuple[str, ...]]  # study.md section 5, lm_head apart
    embeddings: ClassVar[tuple[str, ...]]  # modules that `train_embeddings` trains beside the adapter

    @abstractmethod
    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        """Return the config of a small model of this architecture; `size` overrides its fields."""


FAMILIES: Registry[ModelFamily] = Registry("model family", "raysweep.models")
