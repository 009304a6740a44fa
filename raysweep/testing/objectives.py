"""The contract of objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, ClassVar

import pytest

from raysweep.prompts.templates import PromptTemplate
from raysweep.records import Spec, TrainingRow
from raysweep.testing.contract import Contract, elsewhere, no_global_generator
from raysweep.testing.services import RowsHere
from raysweep.testing.tiny import tiny_network, tiny_tokenizer, training_rows
from raysweep.trainers.base import OBJECTIVES, LossSum, Objective, Recipe, Row
from raysweep.trainers.batching import collate, collate_packed, compact

Encoded = Mapping[str, list[Any]]
RELATIVE = 1e-4
"""How far losses of the same rows may differ in float32."""


class ObjectiveContract(Contract):
    """Tests of what docs/contracts.md asks of an objective. They compute losses of a tiny llama with random weights.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
        recipe: of the training.
    """

    make: Callable[..., Objective]
    registry = OBJECTIVES
    recipe: ClassVar[Recipe] = Recipe(template="raw", max_tokens=256)

    def rows(self) -> list[TrainingRow]:
        """Return rows that can all be used. Override it for an objective that reads `context` or `meta` of them."""
        return [replace(row, rejected=row.output.replace("x", "xs")) for row in training_rows(8)]

    def tokenizer(self) -> Any:
        """Return the tokenizer of the model, from transformers."""
        return tiny_tokenizer()

    def network(self) -> Any:
        """Return a causal language model in training mode, without dropout."""
        return tiny_network(self.tokenizer())

    def encoded(self, **recipe: Any) -> list[Encoded]:
        """Return the rows as numbers, with some fields of the recipe changed."""
        return _encoded_by(self.part(), self.rows(), self.tokenizer(), replace(self.recipe, **recipe))

    def prepared(self, network: Any) -> list[Row]:
        """Return the rows as the loss gets them, for a model as training starts."""
        import torch

        with torch.no_grad():
            rows = [compact(row) for row in self.encoded()]
            prepared = self.part().prepare(network.eval(), rows, RowsHere(self.recipe.max_tokens))
        network.train()
        return list(prepared)

    def loss(self, network: Any, batch: Mapping[str, Any]) -> Any:
        loss = self.part().loss(network, batch)
        return loss.loss if isinstance(loss, LossSum) else loss

    def test_encoded_rows_are_lists_of_numbers(self) -> None:
        """They become the tensors of `loss`."""
        rows = self.encoded()
        for row in rows:
            assert {"input_ids", "weights"} <= row.keys(), "an encoded row has `input_ids` and `weights`"
            assert "attention_mask" not in row, "`attention_mask` is not the objective's: raysweep makes it"
            assert row.keys() == rows[0].keys(), "all rows have the same keys"
            assert len(row["input_ids"]) == len(row["weights"]), "`weights` has one entry for each of `input_ids`"
            assert all(type(token) is int for token in row["input_ids"]), "`input_ids` are whole numbers"
            assert all(type(weight) is float for weight in row["weights"]), "`weights` are floats"
            for key, numbers in row.items():
                assert isinstance(numbers, list), f"{key!r} is a list"
                assert all(isinstance(number, int | float) for number in numbers), f"{key!r} has numbers alone"

    @pytest.mark.parametrize("template", ["raw", "instruct"])
    def test_rows_end_with_the_end_token_and_it_carries_loss(self, template: str) -> None:
        """Otherwise the model doesn't learn to stop."""
        tokenizer = self.tokenizer()
        end = tokenizer.convert_tokens_to_ids(PromptTemplate(template, "", tokenizer).end)
        for row in self.encoded(template=template):
            assert row["input_ids"][-1] == end, "the last token of a row is `template.end`"
            assert row["weights"][-1] > 0, "the last token has a weight above 0, which teaches the model to stop"

    def test_rows_that_are_too_long_are_left_out_with_a_reason(self) -> None:
        part, tokenizer = self.part(), self.tokenizer()
        for row in self.rows():
            whole = part.encode(row, tokenizer, self.recipe)
            rejected = replace(row, output=row.rejected or row.output)
            lengths = [len(part.encode(each, tokenizer, self.recipe)["input_ids"]) for each in (row, rejected)]
            exact = replace(self.recipe, max_tokens=max(lengths) if part.prefers else lengths[0])
            assert part.encode(row, tokenizer, exact) == whole, "a row of exactly `max_tokens` tokens is kept"
            shorter = replace(self.recipe, max_tokens=exact.max_tokens - 1)
            assert part.encode(row, tokenizer, shorter) is None, "encode() returns None for more than `max_tokens`"
            assert part.why_dropped(row, tokenizer, shorter), "why_dropped() returns the reason in a few words"

    def test_other_processes_encode_alike(self) -> None:
        """Each worker encodes all rows."""
        with no_global_generator():
            here = self.encoded()
        there = elsewhere(_encoded_by_spec, self.spec(), self.rows(), self.tokenizer(), self.recipe)
        assert [dict(row) for row in there] == [dict(row) for row in here], "another process encodes the same"

    def test_prepare_adds_to_rows_and_keeps_them_in_order(self) -> None:
        """What `loss` needs of the untrained model is computed once."""
        encoded = [compact(row) for row in self.encoded()]
        prepared = self.prepared(self.network())
        assert len(prepared) == len(encoded), "prepare() returns all rows"
        for row, before in zip(prepared, encoded, strict=True):
            same = all((row[key] == before[key]).all() for key in before)
            assert before.keys() <= row.keys() and same, "prepare() keeps what encode() returned, row by row"

    def test_a_row_costs_tokens(self) -> None:
        """Forward passes are cut by these costs."""
        part = self.part()
        for response, rejected in ((1, 0), (40, 30), (40, 80)):
            cost, longer = part.tokens(response, rejected), part.tokens(2 * response, 2 * rejected)
            assert isinstance(cost, int) and cost >= response, (
                "tokens() is a whole number, and not below the response's"
            )
            assert longer > cost, "tokens() grows with a row"

    def test_its_numbers_are_those_that_it_names(self) -> None:
        """Reports show them beside the loss."""
        part, network = self.part(), self.network()
        rows = self.prepared(network)

        def numbers_of(some: Sequence[Row]) -> dict[str, tuple[float, float]]:
            loss = part.loss(network, collate(some, self.recipe.max_tokens))
            numbers = loss.numbers if isinstance(loss, LossSum) else {}
            assert set(numbers) == set(part.numbers), "loss() returns the numbers that `numbers` names"
            return {name: (float(total), float(count)) for name, (total, count) in numbers.items()}

        assert set(part.in_words) <= set(part.numbers), "`in_words` writes numbers that `numbers` names"
        each = [numbers_of([row]) for row in rows]
        for name, pair in numbers_of(rows).items():
            assert isfinite(pair[0]) and pair[1] >= 0, f"{name} is a sum with what it is a mean of"
            sums = tuple(sum(numbers[name][at] for numbers in each) for at in (0, 1))
            assert pair == pytest.approx(sums, rel=RELATIVE, abs=RELATIVE), f"{name} adds up over batches"

    def test_the_normaliser_is_above_0(self) -> None:
        part, rows = self.part(), [compact(row) for row in self.encoded()]
        number = part.normaliser(rows)
        assert isfinite(number) and number > 0, f"normaliser() returns a number above 0, and not {number}"
        assert part.normaliser(rows[::-1]) == pytest.approx(number), "the order of rows is nothing to normaliser()"

    def test_the_loss_is_the_sum_over_rows_whatever_their_batch(self) -> None:
        network = self.network()
        rows = self.prepared(network)
        whole = self.loss(network, collate(rows, self.recipe.max_tokens))
        assert whole.dim() == 0 and whole.requires_grad, "loss() returns a scalar tensor, with a gradient"
        assert whole.isfinite(), "the loss is finite: otherwise training ends"
        each = sum(float(self.loss(network, collate([row], self.recipe.max_tokens)).detach()) for row in rows)
        assert float(whole.detach()) == pytest.approx(each, rel=RELATIVE), (
            "loss() returns the sum of the rows' losses, so that any batching gives the same gradient; a mean over the "
            "batch would not"
        )
        padded = self.loss(network, collate(rows, self.recipe.max_tokens, pad_to=self.recipe.max_tokens))
        assert float(padded.detach()) == pytest.approx(each, rel=RELATIVE), "padding has no effect on the loss"

    def test_packed_rows_have_the_same_loss_if_it_takes_them(self) -> None:
        network = self.network()
        if not self.part().packs:
            pytest.skip("it takes no packed rows")
        rows = self.prepared(network)
        whole = self.loss(network, collate(rows, self.recipe.max_tokens)).detach()
        packed = self.loss(network, collate_packed(rows)).detach()
        assert float(packed) == pytest.approx(float(whole), rel=RELATIVE), (
            "packed rows have the loss of padded ones (`packs`): nothing predicts a row's first token"
        )

    def test_a_wrapped_model_is_enough_and_gets_no_labels(self) -> None:
        """Several workers wrap it."""
        network = self.network()
        rows = self.prepared(network)
        batch = collate(rows, self.recipe.max_tokens)
        bare = float(self.loss(network, batch).detach())
        try:
            wrapped = float(self.loss(_wrapped(network), batch).detach())
        except AttributeError as error:
            pytest.fail(f"the model may be wrapped: call it, and reach for nothing inside ({error})")
        assert wrapped == pytest.approx(bare, rel=RELATIVE), "a wrapped model has the same loss"

    def test_the_loss_of_a_model_in_16_bits_is_computed_in_float32(self) -> None:
        """`precision: bf16` computes logits in 16 bits."""
        import torch

        network = self.network().to(torch.bfloat16)
        loss = self.loss(network, collate(self.prepared(network), self.recipe.max_tokens))
        assert loss.dtype == torch.float32, "convert the model's logits with `.float()`: they may have 16 bits"


def _wrapped(network: Any) -> Any:
    """Return a model that can be called and nothing else, as DistributedDataParallel is."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = network

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            assert "labels" not in kwargs, "the model gets no labels: the objective computes the loss"
            return self.module(*args, **kwargs)

    return Wrapped().train()


def _encoded_by(part: Objective, rows: Sequence[TrainingRow], tokenizer: Any, recipe: Recipe) -> list[Encoded]:
    encoded = [part.encode(row, tokenizer, recipe) for row in rows]
    usable = [row for row in encoded if row is not None]
    assert len(usable) == len(encoded), "encode() left out a row: override `rows` with some that can all be used"
    return usable


def _encoded_by_spec(spec: Spec, rows: Sequence[TrainingRow], tokenizer: Any, recipe: Recipe) -> list[Encoded]:
    return _encoded_by(OBJECTIVES.create(spec), rows, tokenizer, recipe)
