"""Makes preference pairs: rejected responses of a source's rows, and training sets' pairs encoded by a tokenizer.

A rejected response is what a teacher wrote, or a change of the row's own code. Where a row has tests, a response that
passes them is no near miss and is left out; of a row's changes the first ones are tried together.

All recipes that train on pairs read the encoded ones, whatever their objective and its arguments. Both are made block
by block, so that a killed run loses at most one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from raysweep.engine.base import Work
from raysweep.engine.services import ModelService
from raysweep.errors import HopelessError
from raysweep.generators.base import LENGTH
from raysweep.models.loading import load_tokenizer
from raysweep.planning.plan import EncodedPairsPlan, RejectedRowsPlan, TeacherAnswersPlan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Outcome, Program
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.ways import Extract
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import Completion, EncodedPair, Problem, RejectedRow, SourceRow, TrainingRow
from raysweep.rows.parquet import ROWS, RowWriter, block_count, from_bytes, read_block, row_count, to_bytes
from raysweep.stages.inputs import base_ref
from raysweep.storage.blocks import Blocks
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.trainers.objectives.rejected import stored_pair, token_pairs
from raysweep.training_sets.base import SOURCES, TrainingSource
from raysweep.training_sets.leakage import LeakFinder
from raysweep.training_sets.rejected.pair_filters import Variant, sameness, tokens_by
from raysweep.training_sets.rejected.rejecting import variants
from raysweep.training_sets.rejected.teacher import WHOLE, FenceCheck, taught

TRIED = 3
"""Changes of a row that are tried; of MiniCode's references nearly all of the first fail."""
PASSES = "passes its tests"
"""Why a response is left out that is no wrong one."""
WITHOUT_MARKS = "without_marks"
"""The count of encoded pairs without a token that differs; most have equal responses."""
GIVES_AWAY = "gives an evaluated problem away"
"""Why one is left out where `training.decontaminate` is `drop`."""

Found = list[Variant] | str
"""The variants of a row's response that may be its rejected one, or in words why there is none."""


def make_rejected_rows(plan: RejectedRowsPlan, work: Work) -> None:
    """Find a rejected response for each row of a source; count those without one by the reason.

    Raises:
        HopelessError: no row has one, or most answers of a teacher lack the code that they should have.
    """
    store, progress = work.store, work.progress
    path = store.use(plan.rows.node) / ROWS
    total, source = row_count(path), SOURCES.create(plan.rows.source)
    if plan.answers is not None:
        _require_fences(plan.answers, store)
    finder = _finder(plan, store)
    finished = Blocks(store.unfinished(plan.node), RejectedRow)
    made = finished.read()
    with ModelService(work.stages, store, progress, work.context.sandbox) as service:
        for block in range(block_count(path)):
            rows = read_block(path, SourceRow, block)
            if rows[0].row_id not in made:
                found = finder(rows, block)
                new = {row.row_id: row for row in _rejected(rows, found, plan, source, service)}
                finished.add(new)
                made |= new
            progress.update("rejected responses", min(len(made), total), total, "checked")
    changed = Counter(row.reason for row in made.values() if row.rejected is not None)
    without = Counter(row.reason for row in made.values() if row.rejected is None)
    if not changed:
        way = "change `rejected.filters`, or take `filters: none` or another teacher"
        if plan.answers is None:
            way = (
                "`mutator: python` changes Python code only; a model writes variants of any: "
                "`rejected: {teacher: MODEL}`"
            )
        rows_of = plan.rows.node.label
        raise HopelessError(f"none of the {rows_of} has a rejected response: {_in_words(without)}; {way}")
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, RejectedRow) as writer:
            for block in range(block_count(path)):
                writer.add([made[row.row_id] for row in read_block(path, SourceRow, block)])
        draft.counts = {
            "rows": total,
            "changed": dict(sorted(changed.items())),
            "without": dict(sorted(without.items())),
        }
    if without:
        progress.note(f"{without.total():,} of {total:,} rows have no rejected response: {_in_words(without)}")


def _in_words(reasons: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())


def _finder(plan: RejectedRowsPlan, store: Store) -> Callable[[Sequence[SourceRow], int], list[Found]]:
    """Return what finds the variants of the rows of a block that the filters keep, given the block's number."""
    leaks = LeakFinder({name: PROBLEMS.create(spec) for name, spec in plan.problems})

    def without_leaks(row: SourceRow, found: Found) -> Found:
        if isinstance(found, str) or not plan.problems:
            return found
        return [one for one in found if not any(leaks.leaks([replace(row, rejected=one.text)]))] or GIVES_AWAY

    if plan.answers is None:
        return lambda rows, block: [without_leaks(row, _mutated(row, plan)) for row in rows]
    ref = base_ref(plan.answers.base)  # of a served teacher, whose tokenizer isn't here, tokens are estimated
    tokens_of = tokens_by(None if ref is None else load_tokenizer(store.located(ref)))
    answers = store.use(plan.answers.node) / ROWS

    def of_answers(rows: Sequence[SourceRow], block: int) -> list[Found]:
        found: list[Found] = []
        for row, answer in zip(rows, read_block(answers, Completion, block), strict=True):
            variant = taught(row, answer.text, plan.text, is_cut=answer.stop == LENGTH)
            reason = plan.filters.reason_against(row, variant, tokens_of)
            kept = [] if reason else [replace(variant, sameness=sameness(row, variant.text))]
            found.append(without_leaks(row, reason or kept))
        return found

    return of_answers


def _mutated(row: SourceRow, plan: RejectedRowsPlan) -> Found:
    reasons: list[str] = []

    def kept() -> Iterator[Variant]:
        for variant in variants(row, plan.seed):
            reasons.append(plan.filters.reason_against(row, variant, len))
            if not reasons[-1]:
                yield variant

    try:
        found = list(islice(kept(), TRIED))
    except SyntaxError:
        return "no Python code"
    return found or next(iter(reasons), "nothing to change")


def _rejected(
    rows: Sequence[SourceRow],
    found: Sequence[Found],
    plan: RejectedRowsPlan,
    source: TrainingSource,
    service: ModelService,
) -> list[RejectedRow]:
    """Return the rejected response of each row of a block: the first of its variants that fails the row's tests."""
    programs: dict[tuple[int, int], Program] = {}
    for number, (row, tried) in enumerate(zip(rows, found, strict=True)):
        problem = source.problem(row) if isinstance(tried, list) else None
        for at, variant in enumerate(tried if problem else ()):
            assert problem is not None and isinstance(variant, Variant)
            programs[number, at] = _program(problem, row, variant)
    verdicts = dict(zip(programs, service.execute(list(programs.values()), plan.limits), strict=True))
    result = []
    for number, (row, tried) in enumerate(zip(rows, found, strict=True)):
        if isinstance(tried, str):
            result.append(RejectedRow(row.row_id, None, tried))
            continue
        failing = (
            variant
            for at, variant in enumerate(tried)
            if (number, at) not in verdicts or verdicts[number, at].outcome is not Outcome.PASSED
        )
        first = next(failing, None)
        passes = PASSES if plan.answers else f"{PASSES} after each change"
        result.append(RejectedRow(row.row_id, first.text if first else None, first.in_words if first else passes))
    return result


def _program(problem: Problem, row: SourceRow, variant: Variant) -> Program:
    """In HumanEval's form a response continues the prompt, but for a teacher's whole answer; else it is an answer."""
    way = Extract.NONE if row.entry_point and variant.operator != WHOLE else Extract.AUTO
    return extracted(problem, variant.text, way).program


def _require_fences(teacher: TeacherAnswersPlan, store: Store) -> None:
    """Raise HopelessError if over half of the answers, here those of an earlier run, lack a block of code."""
    if not teacher.needs_fences:
        return
    path = store.use(teacher.node) / ROWS
    fences = FenceCheck(teacher.base.name, row_count(path))
    for block in range(block_count(path)):
        for answer in read_block(path, Completion, block):
            fences.add(answer.task_id, answer.text)


def make_encoded_pairs(plan: EncodedPairsPlan, work: Work) -> None:
    """Encode and mark all pairs of a training set; count those that differ on one side only, or not at all."""
    store, progress = work.store, work.progress
    path, unfinished = store.use(plan.training_set.node) / ROWS, store.unfinished(plan.node)
    finished = {int(name.partition("-")[0]): name for name in unfinished.infos()}
    base = base_ref(plan.base)
    assert base is not None
    tokenizer = load_tokenizer(store.located(base))
    template = PromptTemplate(plan.template, plan.system, tokenizer, plan.day, plan.template_arguments)
    total, done, counts = row_count(path), 0, Counter[str]()
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, EncodedPair) as writer:
            for block in range(block_count(path)):
                pairs = _finished(unfinished, finished.get(block))
                if pairs is None:
                    rows = read_block(path, TrainingRow, block)
                    encoded = token_pairs(rows, template)
                    pairs = [stored_pair(row.row_id, pair) for row, pair in zip(rows, encoded, strict=True)]
                    content = to_bytes(EncodedPair, pairs, [])
                    unfinished.write(f"{block:06d}-{_hash(content)}", content)  # kept until all are done
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


def _finished(files: Files, name: str | None) -> list[EncodedPair] | None:
    content = files.read(name) if name is not None else None
    if name is None or content is None or not name.endswith(_hash(content)):
        return None
    return from_bytes(content, name, EncodedPair)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
