"""Judges distinct programs: each runs once, and one whose verdict is known doesn't run at all.

Cells, reference solutions, code inside a stage (attacks, trainers) and `raysweep execute` judge through
`judge_distinct`; they differ in what runs the programs and in where verdicts are kept. A `ProgramJudge` runs them on an
engine and keeps verdicts in the store's cache; a stage that may be killed has it write them block by block, too. A
harness error is no verdict: it is passed on and never kept, so its program runs again in the next call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from raysweep.engine.base import ExecuteJob, ProgramBatch, Stages
from raysweep.engine.progress import ProgressFile
from raysweep.programs import Limits, Outcome, Program, Sandbox, Verdict
from raysweep.storage.blocks import Blocks
from raysweep.storage.files import Files
from raysweep.storage.verdicts import Question, VerdictCache, serves

LARGEST_BLOCK, CASES_BLOCK = 256, 2
"""The most programs in a block, which take some tenths of a second where they are quick, so that the milliseconds of a
Ray call don't matter; and the problems in one of unittest programs, which take seconds each: they import, draw, wait.
Those of one problem stay together, since they share imports."""

K = TypeVar("K")
Keep = Callable[[Mapping[K, Verdict]], None]
"""Stores verdicts, each under the key of its program."""


@dataclass(frozen=True)
class JudgedPrograms:
    """Verdicts on a stage's programs, and the programs that this attempt did not run."""

    verdicts: Mapping[Question, Verdict]
    resumed: frozenset[Question]  # judged by an earlier attempt
    reused: frozenset[Question]  # judged by any sweep; from the verdict cache


def judge_distinct(
    programs: Iterable[tuple[K, Program, Limits]],
    is_new: Callable[[K], bool],
    run: Callable[[Iterator[tuple[K, Program, Limits]]], Iterable[Mapping[K, Verdict]]],
    keep: Keep[K],
) -> Iterator[Mapping[K, Verdict]]:
    """Run each new program; yield verdicts as they come, by key, as soon as they are kept.

    `programs`: read as `run` asks for them; equal keys mean equal programs. `is_new`: True if the program of this key
    has neither a verdict nor been started; called once for each program. `run`: gives verdicts in any groups and order.
    `keep`: is given those of each group, without harness errors.
    """
    for verdicts in run(item for item in programs if is_new(item[0])):
        judged = {key: verdict for key, verdict in verdicts.items() if verdict.outcome is not Outcome.HARNESS_ERROR}
        if judged:
            keep(judged)
        yield verdicts


class ProgramJudge:
    """Judges distinct programs on an engine, against the verdict cache of a store, to which it adds verdicts."""

    def __init__(self, stages: Stages, progress: ProgressFile, cache: VerdictCache, sandbox: Sandbox) -> None:
        self._stages, self._progress, self._cache, self._sandbox = stages, progress, cache, sandbox

    def known(self, questions: Collection[Question]) -> dict[Question, Verdict]:
        return self._cache.find(questions, self._sandbox)

    def run(
        self,
        programs: Mapping[Question, Program],
        known: Container[Question],
        batch_size: int,
        keep: Keep[Question] = lambda verdicts: None,
    ) -> Iterator[Mapping[Question, Verdict]]:
        """Run the programs that aren't known in batches; yield each batch's verdicts, which the cache then has, too.

        `batch_size`: how many programs are sent to a slot together. `keep`: stores verdicts in another place, before
        the cache gets them.
        """

        def keep_in_both(verdicts: Mapping[Question, Verdict]) -> None:
            keep(verdicts)
            self.keep(verdicts)

        def run(items: Iterator[tuple[Question, Program, Limits]]) -> Iterator[Mapping[Question, Verdict]]:
            to_run = list(items)
            batches = [to_run[start : start + batch_size] for start in range(0, len(to_run), batch_size)]
            jobs = [ProgramBatch([program for _, program, _ in b], [limits for *_, limits in b]) for b in batches]
            for output in self._stages.execute(ExecuteJob(jobs, self._sandbox), self._progress) if jobs else ():
                yield {key: verdict for (key, *_), verdict in zip(batches[output.index], output.rows, strict=True)}

        items = ((question, program, question.limits) for question, program in programs.items())
        return judge_distinct(items, lambda question: question not in known, run, keep_in_both)

    def judge(
        self, programs: Mapping[Question, Program], files: Files, smallest_block: int, stage: str
    ) -> JudgedPrograms:
        """Return a verdict for each program, or a harness error; report the progress under the name of a stage.

        `files`: the folder in which an attempt after a kill finds the blocks of verdicts that were written as they
        came. `smallest_block`: how many programs, but unittest programs, are sent to a slot together at least.
        """
        blocks = Blocks(files, _verdict)
        stored = blocks.read()
        resumed = {
            question: stored[question.key]
            for question in programs
            if question.key in stored and serves(stored[question.key], question.oracle, self._sandbox)
        }
        reused = self.known(programs.keys())
        self.keep({question: verdict for question, verdict in resumed.items() if question not in reused})
        verdicts = {**reused, **resumed}
        self._stages.count_reused("programs", len(verdicts))
        self._progress.update(stage, len(verdicts), len(programs))

        def keep(judged: Mapping[Question, Verdict]) -> None:
            blocks.add({question.key: verdict for question, verdict in judged.items()})

        cases = Counter(program.tests_sha for program in programs.values() if program.cases)
        size = max(smallest_block, (len(programs) - len(verdicts)) // 32)
        size = CASES_BLOCK * max(cases.values()) if cases else size
        for rows in self.run(programs, verdicts, min(LARGEST_BLOCK, size), keep):
            verdicts.update(rows)
            self._progress.update(stage, len(verdicts), len(programs))
        self.flush()
        return JudgedPrograms(verdicts, frozenset(resumed), frozenset(reused.keys() - resumed.keys()))

    def keep(self, verdicts: Mapping[Question, Verdict]) -> None:
        """Add verdicts to the cache, which writes them once there are many."""
        self._cache.add(verdicts)

    def flush(self) -> None:
        self._cache.flush()


def _verdict(outcome: str, **more: Any) -> Verdict:
    return Verdict(Outcome(outcome), **more)
