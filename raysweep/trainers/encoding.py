"""Turns a job's training rows into token ids and weights, once per training."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.models.architectures.shape import positions_of
from raysweep.models.loading import architecture_of
from raysweep.models.logits import LABELS
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import EncodedPair, TrainingRow
from raysweep.rows.parquet import block_count, read_block, read_rows
from raysweep.trainers.base import Objective, Recipe, Row, TrainJob, objective_of
from raysweep.trainers.batching import REJECTED, compact, rehearse
from raysweep.trainers.checks import check_eos
from raysweep.trainers.objectives.rejected import Comparing, pair_of
from raysweep.trainers.validation import HeldOut, hold_out


@dataclass(frozen=True)
class EncodedSet:
    """The encoded rows of a training.

    `dropped`: number of unusable rows by reason. `max_tokens`: limit on a row's length. `validation`: rows that are
    not trained on, as the objective has them. `held_out`: the same for measures that all objectives share.
    """

    objective: Objective
    rows: Sequence[Row]
    dropped: Mapping[str, int]
    max_tokens: int
    validation: EncodedSet | None = None
    held_out: HeldOut | None = None

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Return the tokens that each row costs, see `Objective.tokens`."""
        return [
            self.objective.tokens(len(row["input_ids"]) + len(row.get(LABELS, ())), len(row.get(REJECTED, ())))
            for row in self.rows
        ]


def encode_set(job: TrainJob, tokenizer: Any, config: Any) -> EncodedSet:
    """Read, rehearse and encode a job's rows, and those for validation.

    `config`: the model's config of transformers, whose positions limit the rows' length as `max_tokens` does.

    Raises:
        UsageError: a set is empty, none of its rows can be used, or the objective doesn't train such models.
        HopelessError: a row's end-of-text token carries no loss.
    """
    positions = positions_of(config.to_dict()) or job.recipe.max_tokens
    recipe = dataclasses.replace(job.recipe, max_tokens=min(job.recipe.max_tokens, positions))
    architecture = architecture_of(config)
    objective = objective_of(recipe, architecture)
    if job.pairs is not None:
        training = _of_pairs(job.pairs, objective, recipe, job.label)
    else:
        by_id = sorted(
            read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id
        )  # whatever the file's order
        rows = rehearse(by_id, recipe.rehearsal, job.seed)
        training = _encode(rows, "training", objective, tokenizer, recipe, job.label)
    template = PromptTemplate(recipe.template, recipe.system, tokenizer)
    check_eos(training.rows, {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(template.end)})
    if job.validation is None:
        return training
    rows = list(read_rows(job.validation, TrainingRow))
    validation = _encode(rows, "validation", objective, tokenizer, recipe, job.label)
    return dataclasses.replace(
        training, validation=validation, held_out=hold_out(rows, tokenizer, recipe, architecture)
    )


def _encode(
    rows: Sequence[TrainingRow], what: str, objective: Objective, tokenizer: Any, recipe: Recipe, label: str
) -> EncodedSet:
    encoded, dropped = [], Counter[str]()
    for row in rows:
        usable = objective.encode(row, tokenizer, recipe)
        if usable is None:
            dropped[objective.why_dropped(row, tokenizer, recipe)] += 1
        else:
            encoded.append(compact(usable))
    return _usable(EncodedSet(objective, encoded, dict(dropped), recipe.max_tokens), what, label)


def _of_pairs(path: Path, objective: Objective, recipe: Recipe, label: str) -> EncodedSet:
    """Return the rows of a table of `EncodedPair`, in the order of their ids; a block at a time is in memory."""
    assert isinstance(objective, Comparing)
    encoded, dropped = [], Counter[str]()
    for block in range(block_count(path)):
        for stored in read_block(path, EncodedPair, block):
            pair = pair_of(stored)
            if reason := pair.unusable(recipe.max_tokens):
                dropped[reason] += 1
            else:
                encoded.append((stored.row_id, compact(objective.of_pair(pair))))
    encoded.sort(key=itemgetter(0))
    rows = [row for _, row in encoded]
    return _usable(EncodedSet(objective, rows, dict(dropped), recipe.max_tokens), "training", label)


def _usable(encoded: EncodedSet, what: str, label: str) -> EncodedSet:
    if not encoded.rows:
        raise UsageError(
            f"{label}: none of {sum(encoded.dropped.values())} {what} rows can be used "
            f"(at most {encoded.max_tokens} tokens, with a prompt and a response)"
        )
    return encoded
