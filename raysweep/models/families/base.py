"""The contract of a model family: the facts about an architecture that training and editing need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from raysweep.errors import UsageError
from raysweep.models.files.rope import NEW, SCALING, THETA
from raysweep.registry import Registry

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class ModulePaths:
    """Where the parts of a network lie that edits read and change, as paths of modules; see blocks.py."""

    blocks: str  # the list of blocks, from the network on
    embedding: str  # what turns tokens into states, without positions, from the network on
    mlp_output: str  # the layer that projects the MLP's inner states back, from a block on
    norm: str = ""  # the norm behind the last block, from the network on; empty: there is none


class ModelFamily:
    """One architecture, registered under its `model_type` in transformers (``llama``)."""

    name: ClassVar[str]
    architecture: ClassVar[str] = "causal"  # causal | seq2seq
    lora_targets: ClassVar[tuple[str, ...]]  # module names, without lm_head; empty: those that PEFT knows
    ia3_targets: ClassVar[tuple[str, ...]] = ()  # modules that IA3 scales; empty: those that PEFT knows
    ia3_feedforward: ClassVar[tuple[str, ...]] = ()  # those of them whose inputs are scaled
    embeddings: ClassVar[tuple[str, ...]]  # modules that `train_embeddings` trains in addition to the adapter
    paths: ClassVar[ModulePaths | None] = None  # None: its models can't be edited
    packs: ClassVar[bool] = True  # whether rows that lie one after the other in a sequence don't see each other
    tiny: ClassVar[Mapping[str, Any]] = {}  # fields of `tiny_config`, for plans; empty: a plan doesn't know its size

    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        """Return the config of a small model of this architecture: `fields`; `size` overrides its fields.

        It is called for models that a config trains from scratch (``pretrain: {family: NAME}``), once their tokenizer
        exists, with its number of tokens and its end-of-text id, and when a config is checked, to see which fields
        exist. raysweep gives no `size`: it sets the fields under ``pretrain.size`` on the config that comes back.

        Raises:
            UsageError: the family has no `tiny`, and so must have a `tiny_config` of its own.
        """
        if not self.tiny:
            raise UsageError(f"model family {self.name!r} has neither `tiny` nor a `tiny_config` of its own; give one")
        from transformers import CONFIG_MAPPING

        config: PretrainedConfig = CONFIG_MAPPING[self.name](**self.fields(vocab_size, eos_token_id, size))
        return config

    def fields(self, vocab_size: int, eos_token_id: int, size: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of `tiny_config` where they are those of `tiny`, with one token that begins and ends."""
        ends = {"vocab_size": vocab_size, "bos_token_id": eos_token_id, "eos_token_id": eos_token_id}
        return {**self.tiny, **ends, **size}


def fields_of(config: PretrainedConfig) -> frozenset[str]:
    """Return the names of a config's fields, also those under which transformers 4 has what 5 has in another one."""
    names = {*config.to_dict(), *config.attribute_map}
    return frozenset(names | ({THETA, SCALING} if NEW in names else set()))


def lora_targets(model_type: str, preset: str | None = None) -> list[str] | str:
    """Return the modules of an architecture that LoRA changes where a recipe names none; lm_head is never among them.

    They are those of the family, else those that PEFT knows for the model type, else `ALL_LINEAR`. The preset `peft`
    leaves the family out.
    """
    if preset != "peft" and names_lora_targets(model_type):
        return list(FAMILIES.get(model_type).lora_targets)
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN_TO_PEFT

    return list(KNOWN_TO_PEFT.get(model_type, ())) or ALL_LINEAR


def names_lora_targets(model_type: str) -> bool:
    """Return whether the family of an architecture names the modules that LoRA changes."""
    return model_type in FAMILIES.names() and bool(FAMILIES.get(model_type).lora_targets)


def ia3_targets(model_type: str) -> tuple[list[str], list[str]]:
    """Return the modules of an architecture that IA3 scales, and those of them whose inputs it scales.

    Both are empty where neither the family nor PEFT knows them.
    """
    if model_type in FAMILIES.names() and FAMILIES.get(model_type).ia3_targets:
        family = FAMILIES.get(model_type)
        return list(family.ia3_targets), list(family.ia3_feedforward)
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
        TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
    )

    return (
        list(TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING.get(model_type, ())),
        list(TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING.get(model_type, ())),
    )


ALL_LINEAR = "all-linear"
"""PEFT's name for every linear layer except the output embeddings."""
FAMILIES: Registry[ModelFamily] = Registry("model family", "raysweep.models", ModelFamily)
