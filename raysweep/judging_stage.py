"""The judging stage: verdicts on a cell's completions, and what the manifest of results says of how they were made.

Three places are looked into before a program is run: blocks that an earlier attempt at this cell left, the verdicts of
the store (`raysweep.storage.verdicts`), and the cell's other pairs, which may hold the same program. What is judged is
written a block at a time, and goes to the store's verdicts as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.engine.base import ExecuteJob, Programs, Stages
from raysweep.errors import RaysweepError
from raysweep.plans import CellPlan, PairPlan
from raysweep.programs import SAME, Level, Outcome, Program, Sandbox, Verdict, text_sha
from raysweep.progress import ProgressFile
from raysweep.records import Completion, Result, canonical_json
from raysweep.reference_times import limits_of
from raysweep.stage_inputs import problems_of, result_of
from raysweep.storage.blocks import Blocks
from raysweep.storage.store import Store
from raysweep.storage.verdicts import Question, Verdicts, serves
from raysweep.tables import ROWS, write_rows

FEWEST, MOST = 32, 256
"""Programs of one block. Some tenths of a second of work where all are quick, so that Ray's milliseconds a call don't
count; fewer in a small cell, so that all actors have some. A block is what a kill may lose."""


@dataclass(frozen=True)
class _Judged:
    """Verdicts, and which of them were not made by this attempt."""

    verdicts: Mapping[Question, Verdict]
    resumed: frozenset[Question]  # made by an earlier attempt
    reused: frozenset[Question]  # found in the store


def execute(plan: CellPlan, store: Store, stages: Stages, progress: ProgressFile) -> None:
    """Judge all completions that have no verdict from a sandbox as good as the required one."""
    pairs = [pair for pair in plan.pairs if not pair.is_judged(store)]
    if not pairs:
        return
    programs: dict[Question, Program] = {}
    asked = [(pair, _asked(pair, store, programs)) for pair in pairs]
    judged = _judge(plan, pairs[0], programs, store, stages, progress)
    seen: set[Question] = set()
    for pair, completions in asked:
        rows = [result_of(completion, judged.verdicts[question], question.sha) for completion, question in completions]
        questions = [question for _, question in completions]
        counts = _counts(questions, judged, seen, pair.sandbox)
        if store.has(pair.results):
            store.remove(pair.results)  # made in a weaker sandbox: the new ones are all here
        with store.writing(pair.results) as draft:
            write_rows(draft.folder / ROWS, Result, rows, ["task_id", "draw"])
            draft.counts = {**counts, "distinct_programs_of_cell": len(programs)}
        seen.update(questions)


def _asked(pair: PairPlan, store: Store, programs: dict[Question, Program]) -> list[tuple[Completion, Question]]:
    """Return a pair's completions with what is asked of each; add their programs to `programs`."""
    problems, limits = problems_of(pair), limits_of(pair, store)
    asked = []
    for completion in store.rows(pair.completions, Completion):
        program = problems[completion.task_id].assemble(completion.text)
        question = Question(program.sha, limits(completion.task_id))
        programs.setdefault(question, program)
        asked.append((completion, question))
    return asked


def _judge(
    plan: CellPlan,
    pair: PairPlan,
    programs: Mapping[Question, Program],
    store: Store,
    stages: Stages,
    progress: ProgressFile,
) -> _Judged:
    """Return a verdict for each program; sandbox and interpreter are those of any of the cell's pairs."""
    python, sandbox = str(pair.results.spec["python"]), pair.sandbox
    under = text_sha(canonical_json([python, sandbox.lane, pair.results.version]))[:16]
    blocks = Blocks(store.work(plan.evaluation).below(f"verdicts-{under}"), _verdict)
    resumed = _resumed(blocks, programs, sandbox)
    cache = Verdicts(store.files, python)
    known = cache.find(programs.keys(), sandbox)
    cache.add({question: verdict for question, verdict in resumed.items() if question not in known})
    made = {**known, **resumed}
    left = [question for question in programs if question not in made]
    size = min(MOST, max(FEWEST, len(left) // 32))
    batches = [left[at : at + size] for at in range(0, len(left), size)]
    progress.update("executing", len(made), len(programs))
    job = ExecuteJob([Programs([programs[q] for q in batch], [q.limits for q in batch]) for batch in batches], sandbox)
    for block in stages.execute(job, progress) if batches else ():
        rows = dict(zip(batches[block.at], block.rows, strict=True))
        judged = {question: row for question, row in rows.items() if row.outcome is not Outcome.HARNESS_ERROR}
        blocks.add({question.key: row for question, row in judged.items()})
        cache.add(judged)
        made.update(rows)
        progress.update("executing", len(made), len(programs))
    cache.flush()
    _require_judged(made.values())
    return _Judged(made, frozenset(resumed), frozenset(known.keys() - resumed.keys()))


def _resumed(
    blocks: Blocks[Verdict], programs: Mapping[Question, Program], sandbox: Sandbox
) -> dict[Question, Verdict]:
    by_key = blocks.read()
    found = {question: by_key[question.key] for question in programs if question.key in by_key} if by_key else {}
    return {question: verdict for question, verdict in found.items() if serves(verdict, sandbox)}


def _require_judged(verdicts: Iterable[Verdict]) -> None:
    unjudged = [verdict.detail for verdict in verdicts if verdict.outcome is Outcome.HARNESS_ERROR]
    if unjudged:
        raise RaysweepError(f"{len(unjudged)} programs could not be judged: {unjudged[0]}; run the command again")


def _counts(questions: Sequence[Question], judged: _Judged, seen: set[Question], sandbox: Sandbox) -> dict[str, Any]:
    """Return what a results artefact says of its verdicts.

    `questions`: one a row; those in `seen` stood in another pair of the cell before. ``programs_run`` of all pairs of a
    store add up to the programs that were really run; all other numbers are of rows.
    """
    distinct = set(questions)
    verdicts = [judged.verdicts[question] for question in questions]
    audits = [verdict.audit for verdict in verdicts if verdict.audit]
    levels = Counter(Level(verdict.level or sandbox.require) for verdict in verdicts)  # nothing runs below it
    return {
        "rows": len(questions),
        "distinct_programs": len(distinct),
        "programs_run": len(distinct - judged.reused - seen),
        "programs_reused": len(distinct & judged.reused),
        "programs_resumed": len(distinct & judged.resumed),
        "level": str(min(levels, default=Level.STRONG)),
        "levels": {level.value: levels[level] for level in sorted(levels)},
        "lanes": dict(sorted(Counter(verdict.lane for verdict in verdicts).items())),
        "near_limit": sum(verdict.near_limit for verdict in verdicts),
        "audited": len(audits),
        "audit_differences": sum(audit != SAME for audit in audits),
    }


def _verdict(outcome: str, **more: Any) -> Verdict:
    return Verdict(Outcome(outcome), **more)
