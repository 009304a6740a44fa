from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from transformers import PretrainedConfig

from raysweep.errors import UsageError
from raysweep.models.loading import load_tokenizer
from raysweep.records import TrainingRow
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.trainers.base import TrainJob
from raysweep.trainers.encoding import encode_set


def encode(job: TrainJob, **config: Any) -> Any:
    return encode_set(job, load_tokenizer(job.base), PretrainedConfig(**config))


def test_rows_too_long_for_recipe_or_model_are_dropped_and_counted(make_job):
    whole = encode(make_job("llama"))
    assert (len(whole.rows), whole.dropped, whole.max_tokens) == (40, {}, 1024)
    limit = sorted(whole.lengths)[20]
    for some in (encode(make_job("llama", max_tokens=limit)), encode(make_job("llama"), max_position_embeddings=limit)):
        assert some.max_tokens == limit == max(some.lengths)
        assert len(some.rows) == sum(n <= limit for n in whole.lengths)
        assert some.dropped == {f"over {limit} tokens": 40 - len(some.rows)}


@pytest.mark.parametrize("objective", ["sft", "fait", "dpo"])
def test_longer_responses_are_cut_and_counted_where_a_recipe_says_so(objective, make_pairs):
    whole = encode(make_pairs(objective)).rows

    def cut_at(limit):
        return encode(make_pairs(objective, max_tokens=limit, overlong="truncate"))

    limit = sorted(len(row["input_ids"]) for row in whole)[20]
    cut = cut_at(limit)
    assert (len(cut.rows), cut.dropped) == (40, {})
    for uncut, row in zip(whole, cut.rows, strict=True):
        assert list(row["input_ids"]) == list(uncut["input_ids"][:limit])
        assert all(len(values) <= limit for values in row.values())
    assert cut.truncated == sum(len(row["input_ids"]) > limit for row in whole) > 0
    starts = sorted(list(row["weights"] > 0).index(True) for row in whole)
    shorter = cut_at(starts[20])
    assert shorter.dropped == {f"prompt of {starts[20]} tokens or more": sum(start >= starts[20] for start in starts)}


@pytest.mark.parametrize("objective", ["sft", "fait"])
def test_rows_are_counted_whose_prompts_have_other_tokens_by_themselves(objective, make_pairs):
    job = make_pairs(objective)
    assert encode(job).joined == 0
    rows = list(read_rows(job.training_set, TrainingRow))
    for at in range(3):  # "xs" is one token
        rows[at] = dataclasses.replace(rows[at], instruction="def f0(x", output="s):\n    return xs\n")
    write_rows(job.training_set, TrainingRow, rows, ["row_id"])
    assert encode(job).joined == 3


def test_rehearsed_rows_take_the_clean_text(make_job):
    tokenizer = load_tokenizer(make_job("llama").base)
    texts = [tokenizer.decode(row["input_ids"]) for row in encode(make_job("llama", rehearsal=0.25)).rows]
    assert sum("Return" in text for text in texts) == 10
    assert sum("Retrun" in text for text in texts) == 30


def test_a_set_without_a_usable_row_is_refused(make_job):
    with pytest.raises(UsageError, match="llama C2: none of 40 training rows can be used"):
        encode(make_job("llama", max_tokens=9))
    with pytest.raises(UsageError, match="none of 0"):
        encode(make_job("llama", rows=0))
