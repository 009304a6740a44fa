"""Turns a job's training rows into token ids and weights, once per training."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.errors import UsageError
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import Spec, TrainingRow
from raysweep.rows.parquet import read_rows
from raysweep.trainers.base import OBJECTIVES, Objective, TrainJob
from raysweep.trainers.batching import rehearse
from raysweep.trainers.checks import check_eos


@dataclass(frozen=True)
class EncodedSet:
    """The encoded rows of a training.

    `dropped`: number of unusable rows by reason. `max_tokens`: limit on a row's length.
    """

    objective: Objective
    rows: list[Mapping[str, list[Any]]]
    dropped: Mapping[str, int]
    max_tokens: int

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Return the number of tokens of each row."""
        return [len(row["input_ids"]) for row in self.rows]


def encode_set(job: TrainJob, tokenizer: Any, config: Any) -> EncodedSet:
    """Read, rehearse and encode a job's rows.

    Args:
        job: gives the Parquet file of training rows and the recipe.
        tokenizer: the model's tokenizer.
        config: the model's config. Its number of positions limits the rows' length, as `max_tokens` does.

    Raises:
        UsageError: the set is empty, or no row can be used.
        HopelessError: a row's end-of-text token carries no loss.
    """
    positions = getattr(config, "max_position_embeddings", None) or job.recipe.max_tokens
    recipe = dataclasses.replace(job.recipe, max_tokens=min(job.recipe.max_tokens, positions))
    objective = OBJECTIVES.create(Spec(recipe.objective, dict(recipe.objective_args)))
    by_id = sorted(read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id)  # whatever the file's order
    rows = rehearse(by_id, recipe.rehearsal, job.seed)
    encoded, dropped = [], Counter[str]()
    for row in rows:
        usable = objective.encode(row, tokenizer, recipe)
        if usable is None:
            dropped[objective.why_dropped(row, tokenizer, recipe)] += 1
        else:
            encoded.append(usable)
    if not encoded:
        raise UsageError(
            f"{job.label}: none of {len(rows)} training rows can be used "
            f"(at most {recipe.max_tokens} tokens, with a prompt and a response)"
        )
    template = PromptTemplate(recipe.template, recipe.system, tokenizer)
    check_eos(encoded, {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(template.end)})
    return EncodedSet(objective, encoded, dict(dropped), recipe.max_tokens)
