"""The contract of model families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from raysweep.errors import UsageError
from raysweep.models.families.base import ALL_LINEAR, FAMILIES, ModelFamily, lora_targets
from raysweep.models.loading import auto_model
from raysweep.testing.contract import WithoutArguments
from raysweep.trainers.checks import check_packing
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.objectives.sft import Sft

OUTPUT = "lm_head"


class ModelFamilyContract(WithoutArguments):
    """Tests of what docs/contracts.md asks of a model family. They build its tiny model with random weights.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
        tokens: number of tokens of the vocabulary.
        end: id of the end-of-text token.
        largest: most weights of the tiny model.
    """

    make: Callable[..., ModelFamily]
    registry = FAMILIES
    tokens: ClassVar[int] = 320
    end: ClassVar[int] = 7
    largest: ClassVar[int] = 20_000_000

    def network(self) -> Any:
        part = self.part()
        with seeded_torch(0, part.name):
            return auto_model(part.architecture).from_config(part.tiny_config(self.tokens, self.end)).eval()

    def test_tiny_config_has_the_vocabulary_that_it_gets(self) -> None:
        """It is called once the tokenizer exists."""
        part = self.part()
        config = part.tiny_config(self.tokens, self.end)
        assert config.model_type == part.name, (
            f"a family is registered under the `model_type` of its config, {config.model_type!r}, not {part.name!r}"
        )
        assert (config.vocab_size, config.eos_token_id) == (self.tokens, self.end), (
            "tiny_config() has the number of tokens and the end-of-text id that it gets"
        )

    def test_size_overrides_fields_of_tiny_config(self) -> None:
        """`size` are fields of the transformers config."""
        config = self.part().tiny_config(self.tokens, self.end, initializer_range=0.5)
        assert config.initializer_range == 0.5, "`size` overrides fields of tiny_config()"

    def test_tiny_has_the_fields_of_tiny_config(self) -> None:
        """Plans tell the size of a model from `tiny` alone."""
        part = self.part()
        config = part.tiny_config(self.tokens, self.end)
        wrong = [field for field, value in part.tiny.items() if getattr(config, field, None) != value]
        assert not wrong, f"`tiny` has the fields of tiny_config(), but {', '.join(wrong)} has another value there"

    def test_its_tiny_model_is_small_and_runs(self) -> None:
        """It is trained from scratch in trials."""
        import torch

        network = self.network()
        weights = sum(parameter.numel() for parameter in network.parameters())
        assert weights <= self.largest, f"tiny_config() is the config of a small model, not of {weights:,} weights"
        both = {"input_ids": torch.tensor([[1, 2, 3]])}
        if self.part().architecture == "seq2seq":
            both["decoder_input_ids"] = both["input_ids"]
        with torch.no_grad():
            logits = network(**both).logits
        assert logits.shape == (1, 3, self.tokens), "the tiny model gives a logit for each token of the vocabulary"

    def test_lora_targets_are_linear_layers(self) -> None:
        """LoRA changes the modules of these names; without names, those that PEFT knows."""
        import torch
        from transformers.pytorch_utils import Conv1D

        targets, modules = self.part().lora_targets, _by_last_name(self.network())
        assert OUTPUT not in targets, f"`lora_targets` names layers, without {OUTPUT}"
        assert targets or lora_targets(self.part().name) != ALL_LINEAR, (
            "`lora_targets` names layers, since PEFT knows none for this architecture"
        )
        for name in targets:
            assert name in modules, f"`lora_targets` has {name!r}, the name of no module, without the path before it"
            assert isinstance(modules[name], torch.nn.Linear | Conv1D), f"`lora_targets`: {name!r} is no linear layer"

    def test_embeddings_are_modules(self) -> None:
        """`train_embeddings: true` trains full copies of them."""
        part, modules = self.part(), _by_last_name(self.network())
        for name in part.embeddings:
            assert name in modules, f"`embeddings` has {name!r}, the name of no module, without the path before it"
            assert name not in part.lora_targets, f"{name!r} is trained by LoRA already: it is among `lora_targets`"

    def test_ia3_targets_are_modules(self) -> None:
        """IA3 scales their outputs, and the inputs of those for which `ia3_feedforward` says so."""
        part, modules = self.part(), _by_last_name(self.network())
        missing = [name for name in part.ia3_targets if name not in modules]
        assert not missing, f"`ia3_targets` has {', '.join(missing)}, the name of no module"
        others = set(part.ia3_feedforward) - set(part.ia3_targets)
        assert not others, f"`ia3_feedforward` names some of `ia3_targets`, and {', '.join(sorted(others))} is none"

    def test_paths_lead_to_blocks_and_their_projections(self) -> None:
        """Edits read the states of blocks, and change the last layer of a block's MLP."""
        paths = self.part().paths
        if paths is None:
            pytest.skip("it doesn't say where its blocks are, so its models can't be edited")
        network = self.network()
        try:
            blocks, embedding = network.get_submodule(paths.blocks), network.get_submodule(paths.embedding)
            shapes = [tuple(block.get_submodule(paths.mlp_output).weight.shape) for block in blocks]
        except (AttributeError, TypeError) as error:
            pytest.fail(f"`paths` lead to modules of the network, `mlp_output` to one of each block: {error}")
        width = network.config.hidden_size
        assert len(blocks) == network.config.num_hidden_layers, "`paths.blocks` leads to the list of all blocks"
        assert embedding is network.get_input_embeddings(), "`paths.embedding` leads to the input embedding"
        assert all(width in shape and shape != (width, width) for shape in shapes), (
            "`paths.mlp_output` leads to the layer that projects the MLP's inner states to the width of the others"
        )

    def test_packed_rows_do_not_see_each_other_if_it_says_so(self) -> None:
        """`batching: packed` lays rows one after the other."""
        if not self.part().packs:
            pytest.skip("it says that rows of one sequence see each other")
        rows = [{"input_ids": np.arange(1, 9)}, {"input_ids": np.arange(9, 20)}]
        try:
            check_packing(self.network(), Sft(), rows)
        except UsageError as error:
            pytest.fail(f"rows of one sequence see each other in this architecture, so `packs` is False: {error}")


def _by_last_name(network: Any) -> dict[str, Any]:
    return {path.rpartition(".")[2]: module for path, module in network.named_modules()}
