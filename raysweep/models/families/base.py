"""The contract of a model family: the facts about an architecture that training needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from raysweep.registry import Registry

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class ModelFamily(ABC):
    """One architecture, registered under its `model_type` in transformers (``llama``)."""

    name: ClassVar[str]
    architecture: ClassVar[str] = "causal"  # causal | seq2seq
    lora_targets: ClassVar[tuple[str, ...]]  # module names, without lm_head; study.md section 5
    embeddings: ClassVar[tuple[str, ...]]  # modules that `train_embeddings` trains in addition to the adapter

    @abstractmethod
    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        """Return the config of a small model of this architecture; `size` overrides its fields."""


def lora_targets(model_type: str) -> list[str] | str:
    """Return the modules of an architecture that LoRA changes where a recipe names none.

    They are those of the family, else those that PEFT knows for the model type, else `ALL_LINEAR`.
    """
    if model_type in FAMILIES.names():
        return list(FAMILIES.get(model_type).lora_targets)
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN_TO_PEFT

    return list(KNOWN_TO_PEFT.get(model_type, ())) or ALL_LINEAR


ALL_LINEAR = "all-linear"
"""PEFT's name for every linear layer except the output embeddings."""
FAMILIES: Registry[ModelFamily] = Registry("model family", "raysweep.models", ModelFamily)
