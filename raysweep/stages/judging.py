"""Judges a cell's completions by running their programs, and summarises the verdicts for the manifest.

A program runs only if its verdict is in none of three places: the blocks of an earlier attempt at this cell, the
verdict cache of the store (`raysweep.storage.verdicts`), and the cell's other pairs, which may hold the same program.
New verdicts are written block by block, and added to the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raysweep.engine.base import Work
from raysweep.engine.judging import JudgedPrograms, ProgramJudge
from raysweep.errors import RaysweepError
from raysweep.generators.base import answer_of
from raysweep.hashing import canonical_json, text_sha
from raysweep.planning.choice import chosen_count
from raysweep.planning.plan import PairPlan, ResultsPlan
from raysweep.programs import AUDIT_AGREED, NOT_RUN, Lane, Level, Outcome, Program, Sandbox, Verdict
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Completion, Result
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.inputs import problems_of
from raysweep.stages.references import left_out, settings_of
from raysweep.storage.store import Store
from raysweep.storage.verdicts import Question, VerdictCache

SMALLEST_BLOCK = 32
"""Programs in a block of a small cell, so that all actors get some. An actor that dies loses the blocks that it has."""
UNRUN = NOT_RUN | {Outcome.HARNESS_ERROR}
"""Outcomes of answers for which no program of the cell ran; a harness error here is that of a reference solution."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A completion whose program is to be judged. `program`: its text, where it isn't the prompt and the completion."""

    task_id: str
    sample: int
    question: Question
    found: Found
    program: str
    is_exact: bool | None
    left_out: Verdict | None = None  # in place of that of its program, where none runs on its problem

    def judged(self, verdict: Verdict) -> Result:
        return Result(
            self.task_id,
            self.sample,
            verdict.outcome.value,
            verdict.detail,
            verdict.stderr,
            verdict.seconds,
            self.question.sha,
            verdict.limit_seconds,
            verdict.oracle,
            verdict.parts,
            str(self.found),
            self.program,
            self.is_exact,
        )


def judge(plans: Sequence[ResultsPlan], work: Work) -> None:
    """Judge the completions of a cell's pairs. All plans belong to one cell.

    Results from a weaker sandbox than the one required now are replaced, and those of a model chosen before.

    Raises:
        RaysweepError: a program could not be judged.
    """
    programs: dict[Question, Program] = {}
    asked_by_pair = [_asked(plan.pair, work.store, programs) for plan in plans]
    unrun = _unrun(asked_by_pair, programs)
    run = {question: program for question, program in programs.items() if question not in unrun}
    judged = _judge_programs(plans, run, work)
    judged = replace(judged, verdicts={**judged.verdicts, **unrun})
    counted: set[Question] = set()
    for plan, asked in zip(plans, asked_by_pair, strict=True):
        rows = [one.judged(judged.verdicts[one.question]) for one in asked]
        questions = [one.question for one in asked]
        counts = _summary(questions, judged, counted, plan.pair.sandbox)
        if plan.pair.extract is not Extract.NONE:
            counts["found"] = dict(sorted(Counter(str(one.found) for one in asked).items()))
        left = [one for one in asked if one.left_out and one.left_out.outcome is Outcome.UNTESTED]
        if lacking := {one.task_id for one in left}:
            counts["lacking_packages"] = len(lacking)
        if work.store.has(plan.node):
            work.store.remove(plan.node)  # from a weaker sandbox, or of another model; the new results are complete
        with work.store.writing(plan.node) as draft:
            write_rows(draft.folder / ROWS, Result, rows, ["task_id", "sample"])
            of_cell = {"distinct_programs_of_cell": len(programs), **chosen_count(plan.cell, work.store)}
            draft.counts = {**counts, **of_cell}
        counted.update(questions)


def _asked(pair: PairPlan, store: Store, programs: dict[Question, Program]) -> list[_Asked]:
    """Return what is asked of each completion: its program's verdict; collect the distinct programs in `programs`."""
    problems, settings = problems_of(pair), settings_of(pair, store)
    left = left_out(pair.references, store)
    chain = str(pair.results.spec.get("toolchain", ""))
    asked = []
    for completion in store.rows(pair.completions, Completion):
        problem = problems[completion.task_id]
        taken = extracted(problem, answer_of(completion), pair.extract)
        oracle, limits = settings(completion.task_id, taken.program)
        question = Question(taken.program.sha, limits, oracle, chain)
        programs.setdefault(question, replace(taken.program, oracle=oracle))
        is_another = taken.found is not Found.WRITTEN and taken.text != f"{problem.prompt}{completion.text}"
        text = taken.text if is_another else ""
        of = problem.task_id, completion.sample, question, taken.found, text, taken.is_exact
        asked.append(_Asked(*of, left.get(problem.task_id)))
    return asked


def _unrun(asked: Iterable[Iterable[_Asked]], programs: Mapping[Question, Program]) -> dict[Question, Verdict]:
    """Return the verdicts on answers that can't be judged: left out; of patches without one, or without tests.

    Without tests none has a verdict, not even an answer without a patch: else it alone would count, as a failure.
    """
    verdicts = {}
    for one in (one for of_pair in asked for one in of_pair if one.left_out or one.is_exact is not None):
        if one.left_out:
            verdicts[one.question] = one.left_out
        elif not programs[one.question].tests:
            verdicts[one.question] = Verdict(Outcome.UNTESTED)
        elif one.found is Found.NO_PATCH:
            verdicts[one.question] = Verdict(Outcome.NO_PATCH)
    return verdicts


def _judge_programs(plans: Sequence[ResultsPlan], programs: Mapping[Question, Program], work: Work) -> JudgedPrograms:
    """Return a verdict for each program. `plans`: the cell's, whose sandboxes are the same."""
    store, plan = work.store, plans[0]
    of_raysweep = [one for one in plans if "toolchain" not in one.node.spec]  # others name what runs their programs
    python, sandbox = str((of_raysweep or plans)[0].node.spec["python"]), plan.pair.sandbox
    settings_sha = text_sha(canonical_json([python, sandbox.lane, plan.node.version]))[:16]
    files = store.unfinished(plan.unit).below(f"verdicts-{settings_sha}")
    judge = ProgramJudge(work.stages, work.progress, VerdictCache(store.files, python), sandbox)
    judged = judge.judge(programs, files, SMALLEST_BLOCK, "executing")
    unjudged = [verdict.detail for verdict in judged.verdicts.values() if verdict.outcome is Outcome.HARNESS_ERROR]
    if unjudged:
        raise RaysweepError(f"{len(unjudged)} programs could not be run: {unjudged[0]}; run the command again")
    return judged


def _summary(
    questions: Sequence[Question], judged: JudgedPrograms, counted: set[Question], sandbox: Sandbox
) -> dict[str, Any]:
    """Summarise a pair's verdicts for the manifest.

    ``programs_run``, its parts ``programs_shared``, ``programs_judged_again`` and ``programs_judged_otherwise``, and
    ``program_seconds``, their effective time, leave out programs that another pair of the cell has counted, so that the
    sum over all pairs is of the programs that really ran. The other numbers describe this pair alone.

    `counted`: programs of the cell's earlier pairs.
    """
    distinct = set(questions)
    verdicts = [judged.verdicts[question] for question in questions]
    not_run = {question for question in distinct if judged.verdicts[question].outcome in UNRUN}
    ran = [judged.verdicts[question] for question in distinct - judged.reused - counted - not_run]
    again = [verdict.audit for verdict in ran if verdict.audit]
    levels = Counter(  # programs never run below the required level
        Level(verdict.level or sandbox.require) for verdict in verdicts if verdict.outcome not in UNRUN
    )
    return {
        "rows": len(questions),
        "distinct_programs": len(distinct),
        "programs_run": len(ran),
        "program_seconds": round(sum(verdict.seconds for verdict in ran), 3),
        "programs_reused": len(distinct & judged.reused),
        "programs_resumed": len(distinct & judged.resumed),
        "level": str(min(levels, default=Level.STRONG)),
        "levels": {level.value: levels[level] for level in sorted(levels)},
        "oracles": _counts(verdict.oracle for verdict in verdicts),
        "lanes": _counts(verdict.lane for verdict in verdicts),
        "near_limit": sum(verdict.near_limit for verdict in verdicts),
        # also where a second run alone gave the verdict
        "programs_shared": sum(verdict.lane == Lane.SHARED or verdict.audit != "" for verdict in ran),
        "programs_judged_again": len(again),
        "programs_judged_otherwise": sum(audit != AUDIT_AGREED for audit in again),
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(filter(None, names)).items()))
