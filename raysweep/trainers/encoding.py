"""Turns a job's training rows into token ids and weights, once per training.

What an objective needs of the untrained model beside them is kept for later trainings (`NumbersOfRows`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.models.architectures.shape import positions_of
from raysweep.models.loading import architecture_of
from raysweep.models.whole_texts import LABELS
from raysweep.prompts.templates import training_prompt
from raysweep.records import EncodedPair, TrainingRow
from raysweep.rows.parquet import block_count, read_block, read_rows
from raysweep.trainers.base import FUSED, Objective, Recipe, Row, Services, TrainJob, objective_of
from raysweep.trainers.batching import REJECTED, compact, rehearse
from raysweep.trainers.checks import check_eos
from raysweep.trainers.objectives.rejected import Comparing, pair_of
from raysweep.trainers.objectives.responses import TRUNCATE, joined_prompts
from raysweep.trainers.validation import HeldOut, hold_out

if TYPE_CHECKING:
    import numpy as np
    import torch

TRAINING = "training"
"""What the rows are for that a model learns from."""
Compute = Callable[[Mapping[str, "torch.Tensor"]], "torch.Tensor"]
"""Takes a batch and returns (rows of the batch, numbers of a row)."""
Passes = Callable[["EncodedSet"], Iterator[tuple[list[int], Mapping[str, "torch.Tensor"]]]]
"""Yields the row numbers and the batch of each of this worker's forward passes over all rows of a set."""


@dataclass(frozen=True)
class EncodedSet:
    """The encoded rows of a training.

    `dropped`: number of unusable rows by reason. `max_tokens`: limit on a row's length. `validation`: rows that are
    not trained on, as the objective has them. `held_out`: the same for measures that all objectives share.
    `truncated`: number of rows whose responses were cut at `max_tokens`. `joined`: of rows whose prompts have other
    tokens by themselves, as generation reads them (`joined_prompts`).
    """

    objective: Objective
    rows: Sequence[Row]
    dropped: Mapping[str, int]
    max_tokens: int
    validation: EncodedSet | None = None
    held_out: HeldOut | None = None
    truncated: int = 0
    joined: int = 0

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
        training = _of_pairs(job, objective, recipe, tokenizer)
    else:
        by_id = sorted(
            read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id
        )  # whatever the file's order
        rows = rehearse(by_id, recipe.rehearsal, job.seed)
        training = _encode(rows, TRAINING, objective, tokenizer, recipe, job.label)
    template = recipe.prompt_template(tokenizer)
    ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(template.end)}
    cuts = recipe.overlong == TRUNCATE
    whole = [row for row in training.rows if not (cuts and _is_cut(row, recipe.max_tokens, ends))]
    check_eos(whole, ends)
    training = dataclasses.replace(training, truncated=len(training.rows) - len(whole))
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
    encoded, dropped, template = [], Counter[str](), recipe.prompt_template(tokenizer)
    prompts: list[tuple[str, np.ndarray[Any, Any]]] = []
    for row in rows:
        usable = objective.encode(row, tokenizer, recipe)
        if usable is None:
            dropped[objective.why_dropped(row, tokenizer, recipe)] += 1
        else:
            encoded.append(compact(usable))
            if LABELS not in usable and what == TRAINING:
                prompts.append((training_prompt(row, template), encoded[-1]["input_ids"]))
    joined = joined_prompts(prompts, template)
    return _usable(EncodedSet(objective, encoded, dict(dropped), recipe.max_tokens, joined=joined), what, label)


def _of_pairs(job: TrainJob, objective: Objective, recipe: Recipe, tokenizer: Any) -> EncodedSet:
    """Return the rows of a table of `EncodedPair`, in the order of their ids; a block at a time is in memory."""
    assert isinstance(objective, Comparing) and job.pairs is not None
    encoded, dropped = [], Counter[str]()
    for block in range(block_count(job.pairs)):
        for stored in read_block(job.pairs, EncodedPair, block):
            pair = pair_of(stored).fitted(recipe)
            if reason := pair.unusable(recipe.max_tokens):
                dropped[reason] += 1
            else:
                encoded.append((stored.row_id, compact(objective.of_pair(pair))))
    encoded.sort(key=itemgetter(0))
    by_id, template = dict(encoded), recipe.prompt_template(tokenizer)
    trained = (row for row in read_rows(job.training_set, TrainingRow) if row.row_id in by_id)
    texts = ((training_prompt(row, template), by_id[row.row_id]["input_ids"]) for row in trained)
    joined = joined_prompts(texts, template)
    rows = [row for _, row in encoded]
    return _usable(EncodedSet(objective, rows, dict(dropped), recipe.max_tokens, joined=joined), TRAINING, job.label)


def _is_cut(row: Row, max_tokens: int, ends: Collection[int]) -> bool:
    ids = row[LABELS if LABELS in row else "input_ids"]
    return len(ids) >= max_tokens and ids[-1] not in ends


def _usable(encoded: EncodedSet, what: str, label: str) -> EncodedSet:
    if not encoded.rows:
        raise UsageError(
            f"{label}: none of {sum(encoded.dropped.values())} {what} rows can be used "
            f"(at most {encoded.max_tokens} tokens, with a prompt and a response)"
        )
    return encoded


@dataclass(frozen=True)
class NumbersOfRows:
    """Computes numbers of rows with the model as training starts; implements `raysweep.trainers.base.RowServices`.

    `passes`: the training loop's. `weights`: number format of the base's weights, which adapters keep in 16 bits where
    they train in 16 bits, and the training of all weights doesn't. Numbers are kept where the job names its base
    model's weights.
    """

    job: TrainJob
    data: EncodedSet
    services: Services
    passes: Passes
    weights: str = "float32"

    @property
    def rank(self) -> int:
        return self.services.rank

    @property
    def world_size(self) -> int:
        return self.services.world_size

    def of_rows(self, what: str, rows: Sequence[Row], compute: Compute) -> np.ndarray:
        import numpy as np

        key = self._key(what, rows)
        if key and (content := self.services.kept(key)) is not None:
            with contextlib.suppress(ValueError, EOFError, OSError):
                kept: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
                if kept.ndim == 2 and len(kept) == len(rows):
                    return kept
        numbers = self.computed(dataclasses.replace(self.data, rows=rows), compute)
        if key and self.rank == 0:
            file = io.BytesIO()
            np.save(file, numbers, allow_pickle=False)
            self.services.keep(key, file.getvalue())
        return numbers

    def computed(self, data: EncodedSet, compute: Compute) -> np.ndarray:
        """Compute numbers for all rows of a set with the model as it is, and keep nothing; see `of_rows`."""
        import numpy as np

        own: dict[int, list[float]] = {}
        for members, batch in self.passes(data):
            own |= dict(zip(members, compute(batch).double().tolist(), strict=True))
        parts: list[Any] = [own]
        if self.world_size > 1:
            import torch

            parts = [None] * self.world_size
            torch.distributed.all_gather_object(parts, own)
        of_rows = {row: numbers for part in parts for row, numbers in part.items()}
        return np.array([of_rows[row] for row in range(len(data.rows))], dtype=np.float64)

    def _key(self, what: str, rows: Sequence[Row]) -> str:
        """Return the hash of all that the numbers depend on; empty for a base whose weights nothing names.

        Token ids stand for rows, template and tokenizer.
        """
        if not self.job.base_key:
            return ""
        content = hashlib.sha256()
        for row in rows:
            for name, numbers in sorted(row.items()):
                content.update(f"{name} {numbers.dtype} {len(numbers)} ".encode() + numbers.tobytes())
        facts = {"base": self.job.base_key, "precision": self.job.recipe.precision, "rows": content.hexdigest()}
        if self.job.recipe.precision != "float32":
            facts["weights"] = self.weights
        if self.job.recipe.kernels == FUSED:
            facts["kernels"] = FUSED
        return text_sha(canonical_json({**facts, "what": what}))
