"""Makes the rejected responses of a source's rows: changes of their code that fail the rows' tests.

It works block by block, so that a killed run loses at most one. Of each row the first changes are tried together;
where a row has tests, one that passes them is no near miss and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, tee

from raysweep.engine.base import Work
from raysweep.engine.services import ModelService
from raysweep.planning.plan import RejectedRowsPlan
from raysweep.programs import Outcome, Program
from raysweep.records import RejectedRow, SourceRow
from raysweep.rows.parquet import ROWS, RowWriter, block_count, read_block, row_count
from raysweep.storage.blocks import Blocks
from raysweep.training_sets.base import SOURCES, TrainingSource
from raysweep.training_sets.rejecting import Variant, variants

TRIED = 3
"""Changes of a row that are tried; of MiniCode's references nearly all of the first fail."""


def make_rejected_rows(plan: RejectedRowsPlan, work: Work) -> None:
    """Find a rejected response for each row of a source; count those without one by the reason."""
    store, progress = work.store, work.progress
    path = store.use(plan.rows.node) / ROWS
    total, source = row_count(path), SOURCES.create(plan.rows.source)
    finished = Blocks(store.unfinished(plan.node), RejectedRow)
    made = finished.read()
    with ModelService(work.stages, store, progress, work.context.sandbox) as service:
        for block in range(block_count(path)):
            rows = read_block(path, SourceRow, block)
            if rows[0].row_id not in made:
                new = {row.row_id: row for row in _rejected(rows, plan, source, service)}
                finished.add(new)
                made |= new
            progress.update("changing responses", min(len(made), total), total, "to rejected ones")
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, RejectedRow) as writer:
            for block in range(block_count(path)):
                writer.add([made[row.row_id] for row in read_block(path, SourceRow, block)])
        changed = Counter(row.reason for row in made.values() if row.rejected is not None)
        without = Counter(row.reason for row in made.values() if row.rejected is None)
        draft.counts = {
            "rows": total,
            "changed": dict(sorted(changed.items())),
            "without": dict(sorted(without.items())),
        }
    if without:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in without.most_common())
        progress.note(f"{sum(without.values()):,} of {total:,} rows have no rejected response: {reasons}")


def _rejected(
    rows: Sequence[SourceRow], plan: RejectedRowsPlan, source: TrainingSource, service: ModelService
) -> list[RejectedRow]:
    """Return the rejected response of each row of a block."""
    tried = [_tried(row, plan) for row in rows]
    problems = [
        source.problem(row) if isinstance(found, list) else None for row, found in zip(rows, tried, strict=True)
    ]
    programs: dict[tuple[int, int], Program] = {
        (number, at): problem.assemble(variant.text)
        for number, (found, problem) in enumerate(zip(tried, problems, strict=True))
        if problem is not None and isinstance(found, list)
        for at, variant in enumerate(found)
    }
    verdicts = dict(zip(programs, service.execute(list(programs.values()), plan.limits), strict=True))
    result = []
    for number, (row, found) in enumerate(zip(rows, tried, strict=True)):
        if isinstance(found, str):
            result.append(RejectedRow(row.row_id, None, found))
            continue
        failing = (
            variant
            for at, variant in enumerate(found)
            if (number, at) not in verdicts or verdicts[number, at].outcome is not Outcome.PASSED
        )
        first = next(failing, None)
        reason = first.operator if first else "passes its tests after each change"
        result.append(RejectedRow(row.row_id, first.text if first else None, reason))
    return result


def _tried(row: SourceRow, plan: RejectedRowsPlan) -> list[Variant] | str:
    """Return the first changes of a row's response that are like it, or in words why there is none."""
    from rapidfuzz.distance import Indel

    def is_alike(variant: Variant) -> bool:
        similarity = Indel.normalized_similarity(variant.text, row.output)
        return similarity >= plan.similarity and variant.text.split() != row.output.split()

    try:
        every, again = tee(variants(row, plan.seed))
        alike = list(islice(filter(is_alike, every), TRIED))
        has_any = next(again, None) is not None
    except SyntaxError:
        return "no Python code"
    return alike or (f"less similar than {plan.similarity:g}" if has_any else "nothing to change")
