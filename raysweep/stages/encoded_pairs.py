"""Encodes the pairs of a training set with a model's tokenizer, and marks the tokens in which the two responses differ.

All recipes that train on pairs read the result, whatever their objective and its arguments. It is made block by block,
so that a killed run loses at most one.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from raysweep.engine.base import Work
from raysweep.models.loading import load_tokenizer
from raysweep.planning.plan import EncodedPairsPlan
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import EncodedPair, TrainingRow
from raysweep.rows.parquet import ROWS, RowWriter, block_count, from_bytes, read_block, row_count, to_bytes
from raysweep.stages.inputs import base_ref
from raysweep.storage.files import Files
from raysweep.trainers.objectives.rejected import stored_pair, token_pairs

WITHOUT_MARKS = "without_marks"
"""The count of pairs without a token that differs; most have equal responses."""


def make_encoded_pairs(plan: EncodedPairsPlan, work: Work) -> None:
    """Encode and mark all pairs of a training set; count those that differ on one side only, or not at all."""
    store, progress = work.store, work.progress
    path, unfinished = store.use(plan.training_set.node) / ROWS, store.unfinished(plan.node)
    finished = {int(name.partition("-")[0]): name for name in unfinished.infos()}
    base = base_ref(plan.base)
    assert base is not None
    tokenizer = load_tokenizer(store.located(base))
    template = PromptTemplate(plan.template, plan.system, tokenizer)
    total, done, counts = row_count(path), 0, Counter[str]()
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, EncodedPair) as writer:
            for block in range(block_count(path)):
                pairs = _finished(unfinished, finished.get(block))
                if pairs is None:
                    rows = read_block(path, TrainingRow, block)
                    encoded = token_pairs(rows, template)
                    pairs = [stored_pair(row.row_id, pair) for row, pair in zip(rows, encoded, strict=True)]
                    _finish(unfinished, block, pairs)
                writer.add(pairs)
                counts.update(map(_case, pairs))
                done += len(pairs)
                progress.update("encoding", done, total, "preference pairs")
        draft.counts = {"rows": total, **dict(sorted(counts.items()))}
    if unmarked := counts[WITHOUT_MARKS]:
        progress.note(
            f"{plan.node.label}: {unmarked:,} of {total:,} have no token that differs; `fait` and `fixed` train on "
            "them as plain fine-tuning does, and `dpo` learns nothing where both responses are equal"
        )


def _case(pair: EncodedPair) -> str:
    if pair.rejected_marks is None:
        return "without_rejected"
    sides = any(pair.marks), any(pair.rejected_marks)
    return {2: "marked", 1: "marked_on_one_side", 0: WITHOUT_MARKS}[sum(sides)]


def _finish(files: Files, block: int, pairs: list[EncodedPair]) -> None:
    """Keep a block until all are done. Its name holds the hash of its content."""
    content = to_bytes(EncodedPair, pairs, [])
    files.write(f"{block:06d}-{_hash(content)}", content)


def _finished(files: Files, name: str | None) -> list[EncodedPair] | None:
    content = files.read(name) if name is not None else None
    if name is None or content is None or not name.endswith(_hash(content)):
        return None
    return from_bytes(content, name, EncodedPair)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
