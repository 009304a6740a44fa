"""Each test of the suite for objectives fails on an objective that is broken in its way."""

from __future__ import annotations

import pytest

from raysweep.testing.objectives import ObjectiveContract
from raysweep.trainers.base import OBJECTIVES
from raysweep.trainers.objectives.responses import encode_response
from raysweep.trainers.objectives.sft import Sft
from tests.testing.bites import Broken, claims_of, message

pytestmark = pytest.mark.slow


class Masked(Sft):
    def encode(self, row, tokenizer, recipe):
        row = super().encode(row, tokenizer, recipe)
        return row and {**row, "attention_mask": [1] * len(row["weights"])}


class Endless(Sft):
    def encode(self, row, tokenizer, recipe):
        row = super().encode(row, tokenizer, recipe)
        return row and {**row, "weights": [*row["weights"][:-1], 0.0]}


class Cuts(Sft):
    def encode(self, row, tokenizer, recipe):
        encoded = encode_response(row, row.output, tokenizer, recipe)
        ids, start = encoded.ids[-recipe.max_tokens :], encoded.start
        return {"input_ids": ids, "weights": [0.0] * start + [1.0] * (len(ids) - start)}


class Elsewhere(Sft):
    def encode(self, row, tokenizer, recipe):
        row = super().encode(row, tokenizer, recipe)
        return row and {**row, "weights": [2 * weight for weight in row["weights"]]}


class Forgets(Sft):
    def prepare(self, model, rows, services):
        return rows[1:]


class Free(Sft):
    def tokens(self, response, rejected):
        return 1


class Silent(Sft):
    numbers = ("margin",)


class Nothing(Sft):
    def normaliser(self, rows):
        return 0.0


class Mean(Sft):
    def loss(self, model, batch):
        return super().loss(model, batch) / len(batch["input_ids"])


class Blurred(Sft):
    def loss(self, model, batch):
        return super().loss(model, {key: value for key, value in batch.items() if key != "position_ids"})


class Nosy(Sft):
    def loss(self, model, batch):
        return super().loss(model, batch) / model.config.vocab_size


class Coarse(Sft):
    def loss(self, model, batch):
        return super().loss(model, batch).bfloat16()


BROKEN: Broken = {
    "test_encoded_rows_are_lists_of_numbers": (Masked, "`attention_mask` is not the objective's"),
    "test_rows_end_with_the_end_token_and_it_carries_loss": (Endless, "the last token has a weight above 0"),
    "test_rows_that_are_too_long_are_left_out_with_a_reason": (Cuts, "returns None for more than `max_tokens`"),
    "test_other_processes_encode_alike": (Elsewhere, "another process encodes the same"),
    "test_prepare_adds_to_rows_and_keeps_them_in_order": (Forgets, "prepare() returns all rows"),
    "test_a_row_costs_tokens": (Free, "grows with a row"),
    "test_its_numbers_are_those_that_it_names": (Silent, "the numbers that `numbers` names"),
    "test_the_normaliser_is_above_0": (Nothing, "a number above 0, and not 0.0"),
    "test_the_loss_is_the_sum_over_rows_whatever_their_batch": (Mean, "a mean over the batch would not"),
    "test_packed_rows_have_the_same_loss_if_it_takes_them": (Blurred, "packed rows have the loss of padded ones"),
    "test_a_wrapped_model_is_enough_and_gets_no_labels": (Nosy, "reach for nothing inside"),
    "test_the_loss_of_a_model_in_16_bits_is_computed_in_float32": (Coarse, "convert the model's logits"),
}


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_objective_fails(test, monkeypatch):
    make, words = BROKEN[test]
    OBJECTIVES.names()
    monkeypatch.setitem(OBJECTIVES._classes, "sft", make)
    assert words in message(ObjectiveContract, test, make, template="instruct")


def test_every_test_was_seen_to_fail():
    assert claims_of(ObjectiveContract) == set(BROKEN)
