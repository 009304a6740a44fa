"""A job's training set as token ids and weights, tokenised once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.errors import UsageError
from raysweep.records import Spec, TrainingRow
from raysweep.tables import read_rows
from raysweep.trainers.base import OBJECTIVES, Objective, TrainJob
from raysweep.trainers.batching import rehearse
from raysweep.trainers.gates import check_eos


@dataclass(frozen=True)
class EncodedSet:
    """The rows a training sees. `most`: the longest row allowed, in tokens. `dropped`: rows that could not be used."""

    objective: Objective
    rows: list[Mapping[str, list[Any]]]
    dropped: int
    most: int

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(row["input_ids"]) for row in self.rows]


def encode_set(job: TrainJob, tokenizer: Any, config: Any) -> EncodedSet:
    """Read, rehearse and encode a job's rows.

    Args:
        job: names the Parquet file of training rows and the recipe.
        tokenizer: the model's.
        config: the model's, for its number of positions: longer rows are dropped like those over `max_tokens`.

    Raises:
        UsageError: the set is empty, or no row can be used.
        HopelessError: a row's end-of-text token carries no loss.
    """
    positions = getattr(config, "max_position_embeddings", None) or job.recipe.max_tokens
    recipe = dataclasses.replace(job.recipe, max_tokens=min(job.recipe.max_tokens, positions))
    objective = OBJECTIVES.create(Spec(recipe.objective, dict(recipe.objective_args)))
    by_id = sorted(read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id)  # whatever order they came in
    read = rehearse(by_id, recipe.rehearsal, job.seed)
    encoded = [row for row in (objective.encode(row, tokenizer, recipe) for row in read) if row is not None]
    if not encoded:
        raise UsageError(
            f"{job.label}: none of {len(read)} training rows can be used "
            f"(at most {recipe.max_tokens} tokens, with a prompt and a response)"
        )
    check_eos(encoded, tokenizer.eos_token_id)
    return EncodedSet(objective, encoded, len(read) - len(encoded), recipe.max_tokens)
