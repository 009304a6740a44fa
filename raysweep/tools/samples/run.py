"""Runs the programs of a samples file, equal ones once, and writes the rows with their verdicts in the file's order.

The file is read three times, one row at a time: to check it and collect its distinct programs, to run these, and to
write the rows. Memory holds a digest and a result for each distinct program, equal results once, and no rows. Looking
results up in a verdict cache on disk would take a quarter of the speed (benchmarks/history/2026-11.md, "Execution").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from raysweep.engine.judging import judge_distinct
from raysweep.errors import MissingInput, RaysweepError, UsageError
from raysweep.execution.oracle import inside_refused, oracle_of
from raysweep.execution.pool import Executor
from raysweep.execution.runtimes import runtime_key
from raysweep.hashing import canonical_json, text_sha
from raysweep.machine import VERSION
from raysweep.problems.base import ProblemSet
from raysweep.problems.inside import inside_reasons
from raysweep.problems.packages import lacking_modules, without_packages
from raysweep.problems.runtimes import check_runtime
from raysweep.programs import Limits, Oracle, Outcome, Program, Sandbox, Verdict
from raysweep.prompts.answers.extraction import Extracted
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Problem
from raysweep.storage.verdicts import VERSION as JUDGED_AS
from raysweep.tools.samples.folders import samples_sha
from raysweep.tools.samples.format import Sample, TaskIds, extracted_from, read_samples, result_line
from raysweep.tools.samples.references import References
from raysweep.tools.samples.results import ResultsFile, writing_results
from raysweep.tools.samples.scores import SampleScores, ScoreBoard
from raysweep.tools.samples.uncompiled import Uncompiled
from raysweep.units import count

log = logging.getLogger("raysweep")

Progress = Callable[[int], None]

_PROGRESS_STEP = 16
"""Samples between two reports of the progress, where their programs have verdicts; else each is reported."""


@dataclass(frozen=True, slots=True)
class SampleJob:
    """A samples file and how to run it. `out`: the results file, None for none. `workers`: programs run at a time.

    `problems`: what the command line calls the problem set, for messages; empty: its registered name. `extract`: how
    programs are taken out of the samples.
    """

    samples: Path
    problem_set: ProblemSet
    out: Path | None
    limits: Limits
    sandbox: Sandbox
    workers: int
    problems: str = ""
    extract: Extract = Extract.NONE

    def settings(self, runtimes: Collection[str] = ()) -> dict[str, Any]:
        """Return all that verdicts depend on, but `workers` and `problems`; without `runtimes` the set's counts."""
        chains = [runtime_key(one, self.sandbox) for one in sorted(runtimes or {self.problem_set.runtime})]
        named = [chain["toolchain"] for chain in chains if "toolchain" in chain]
        limits = {name.replace("_", " "): value for name, value in asdict(self.limits).items()}
        return {
            **limits,
            "raysweep": VERSION,
            "verdicts": JUDGED_AS,
            "python": ", ".join(sorted({chain["python"] for chain in chains})),
            **({"toolchain": "; ".join(named)} if named else {}),
            "samples": samples_sha(self.samples),
            "problems": text_sha(canonical_json(self.problem_set.fingerprint())),
            "lane": self.sandbox.lane,
            "require": self.sandbox.require,
            "require_oracle": self.sandbox.require_oracle,
            **self.extract.key,
        }


class _Result(NamedTuple):
    """What is kept of a verdict for the rows."""

    outcome: str
    detail: str
    parts: str


class _Programs:
    """The distinct programs of a samples file by a digest of 16 bytes: waiting, started, or with a result."""

    def __init__(self) -> None:
        self._states: dict[bytes, _Result | bool] = {}  # without a result: has it been started?
        self._results: dict[_Result, _Result] = {}  # keeps equal results in memory once
        self.waiting = 0  # programs that are neither started nor have a result
        self.judged = 0  # programs with a result

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, key: bytes) -> bool:
        return key in self._states

    def add(self, key: bytes) -> None:
        self.waiting += key not in self._states
        self._states.setdefault(key, False)

    def is_waiting(self, key: bytes) -> bool:
        return self._states.get(key) is False

    def start(self, key: bytes) -> bool:
        """Mark a program as started; return False if it was already, or is not in the file."""
        if not self.is_waiting(key):
            return False
        self._states[key] = True
        self.waiting -= 1
        return True

    def judge_again(self, key: bytes) -> None:
        self._states[key] = False
        self.waiting += 1

    def judge(self, key: bytes, verdict: Verdict) -> None:
        result = _Result(str(verdict.outcome), verdict.detail, verdict.parts)
        self.waiting -= self.is_waiting(key)
        self.judged += 1
        self._states[key] = self._results.setdefault(result, result)

    def lacks_result(self, key: bytes) -> bool:
        return isinstance(self._states.get(key), bool)

    def result(self, key: bytes) -> _Result | None:
        state = self._states[key]
        return None if isinstance(state, bool) else state


class SampleRun:
    """One run of a job. The constructor checks the whole file.

    `progress`: called now and then with the number of rows checked so far.

    Raises:
        UsageError: a row can't be used (the message names file and line), its task is not among the problems, or what
            its program needs to be compiled is missing here.
    """

    def __init__(self, job: SampleJob, progress: Progress) -> None:
        self._job = job
        self._problems: Mapping[str, Problem] = {p.task_id: p for p in job.problem_set.problems()}
        self._task_ids = TaskIds(self._problems)
        self._programs = _Programs()
        self.board = ScoreBoard(job.problem_set.parts)
        self.samples = 0  # rows
        self._tasks: set[str] = set()  # that have samples
        self._lacking = lacking_modules(self._problems.values(), job.sandbox)
        for sample, key, _ in self._rows():
            if self.samples % _PROGRESS_STEP == 0:
                progress(self.samples)
            if sample.task_id not in self._lacking:
                self._programs.add(key)
            self._tasks.add(sample.task_id)
            self.samples += 1
        self._asked = asked = [self._problems[name] for name in sorted(self._tasks - self._lacking.keys())]
        self._references = References(asked)
        self._languages = {problem.language for problem in asked}
        self._runtimes = {problem.runtime for problem in asked}
        missing = []
        for runtime in sorted(self._runtimes):
            try:
                check_runtime(runtime, [one for one in asked if one.runtime == runtime], job.sandbox)
            except MissingInput as error:
                missing.append(str(error))
        if missing:
            raise MissingInput("; and ".join(missing))

    @property
    def runs(self) -> int:
        """How far the progress of `run` counts: reference solutions and samples."""
        return len(self._references) + self.samples

    def run(self, progress: Progress) -> SampleScores:
        """Run the programs that have no verdict from an interrupted command, write the rows, and return the scores.

        `progress`: called now and then with the number of reference solutions and samples that have their verdict.

        Raises:
            UsageError: `out` can't be written or belongs to another run; the isolation level can't be reached here.
            RaysweepError: the disk is full; no program can be run.
        """
        job = self._job
        anywhere = replace(job.sandbox, require_oracle=Oracle.INSIDE)  # `_require_oracle` checks it, by task
        self._require_oracle()
        uncompiled = Uncompiled(job.extract)
        opened = nullcontext() if job.out is None else writing_results(job.out, job.settings(self._runtimes))
        with opened as results, Executor(job.workers, anywhere) as executor:
            for key, verdict in results.saved_verdicts() if results else ():
                if key in self._references:
                    self._references.keep(key, verdict)
                else:
                    self._judge(key, verdict, kept=True)
            if self.board.kept:
                log.info("kept %s of %s", f"{self.board.kept:,}", count(len(self._programs), "verdict"))
            verdicts, done = self._verdicts(executor, results), 0

            def tell() -> None:
                progress(self._references.judged + max(done, self._programs.judged))

            for done, (sample, key, taken) in enumerate(self._rows()):
                if done % _PROGRESS_STEP == 0:
                    tell()
                outcome, detail, parts = self._result(sample.task_id, key, verdicts, results, tell)
                self.board.add_sample(sample.task_id, outcome, detail, parts, taken.found)
                if outcome in (Outcome.SYNTAX_ERROR, Outcome.COMPILE_ERROR):
                    uncompiled.add(sample, self._problems[sample.task_id])
                if results:
                    oracle = self._oracle(sample.task_id, taken.program)
                    parts_passed = parts if job.problem_set.parts else None
                    results.write(result_line(sample, outcome, detail, oracle, parts_passed, taken))
        failing = self._references.failing() if self._job.problem_set.environment else {}
        solvable = frozenset(self._references.oracles()) - failing.keys() if failing else None
        scores = self.board.scores(self._problems.values(), solvable=solvable)
        advice, languages = uncompiled.advice(scores.samples), tuple(sorted(self._languages))
        left_out = {task: self._why_untested(task) for task in sorted(self._tasks & self._lacking.keys())}
        return replace(scores, advice=advice, languages=languages, left_out=left_out, failing_references=failing)

    def _why_untested(self, task_id: str) -> str:
        return without_packages(self._lacking[task_id])

    def _require_oracle(self) -> None:
        """Raise UsageError if tests have to run inside, as far as is known, and `require_oracle` refuses that."""
        refuses = self._job.sandbox.require_oracle is Oracle.OUTSIDE
        if refuses and (reasons := inside_reasons(self._asked, self._references.oracles())):
            raise UsageError(inside_refused(reasons))

    def _oracle(self, task_id: str, program: Program) -> Oracle:
        return self._references.oracle(task_id) or oracle_of(program)

    def _rows(self) -> Iterator[tuple[Sample, bytes, Extracted]]:
        name = self._job.problems or self._job.problem_set.name
        for sample in read_samples(self._job.samples, self._task_ids):
            taken = extracted_from(sample, self._problems, name, self._job.extract)
            yield sample, bytes.fromhex(taken.program.sha)[:16], taken

    def _verdicts(self, executor: Executor, results: ResultsFile | None) -> Iterator[Mapping[bytes, Verdict]]:
        """Yield the verdicts of the programs that have none yet, by key, as they become certain; save them first."""

        def run(programs: Iterator[tuple[bytes, Program, Limits]]) -> Iterator[Mapping[bytes, Verdict]]:
            for key, verdict in executor.stream(programs):
                certain, again = self._references.certain(key, verdict)
                for sample in again:
                    self._programs.judge_again(sample)
                yield certain

        def keep(verdicts: Mapping[bytes, Verdict]) -> None:
            if results is not None:
                for key, verdict in verdicts.items():
                    results.save_verdict(key, verdict)

        def is_new(key: bytes) -> bool:
            return key in self._references or self._programs.start(key)

        has_work = True
        while has_work and (self._programs.waiting or self._references.has_work):
            has_work = False
            for verdicts in judge_distinct(self._work(), is_new, run, keep):
                has_work = True
                yield verdicts

    def _work(self) -> Iterator[tuple[bytes, Program, Limits]]:
        for sample, key, taken in self._rows() if self._programs.waiting else ():
            if not self._programs.is_waiting(key):
                continue  # most rows of a large file repeat a program, whose oracle would be found again
            for reference, program in self._references.before(sample.task_id, key):
                yield reference, program, self._job.limits
            yield key, replace(taken.program, oracle=self._oracle(sample.task_id, taken.program)), self._job.limits
            if not self._programs.waiting:  # all further rows repeat a program
                break
        for reference, program in self._references.work():
            yield reference, program, self._job.limits

    def _result(
        self,
        task_id: str,
        key: bytes,
        verdicts: Iterator[Mapping[bytes, Verdict]],
        results: ResultsFile | None,
        tell: Callable[[], None],
    ) -> _Result:
        if task_id in self._lacking:
            return _Result(Outcome.UNTESTED, self._why_untested(task_id), "")
        return self._await(key, verdicts, results, tell)

    def _await(
        self,
        key: bytes,
        verdicts: Iterator[Mapping[bytes, Verdict]],
        results: ResultsFile | None,
        tell: Callable[[], None],
    ) -> _Result:
        if key not in self._programs:
            raise UsageError(f"{self._job.samples} changed while it was read; give the same command again")
        while (result := self._programs.result(key)) is None:
            if results:
                results.flush()
            judged = next(verdicts, None)
            if judged is None:
                raise RaysweepError(f"{self._job.samples}: a program was given no verdict; give the same command again")
            for judged_key, verdict in judged.items():
                if judged_key in self._references:
                    self._require_oracle()
                else:
                    self._judge(judged_key, verdict, kept=False)
            tell()
        return result

    def _judge(self, key: bytes, verdict: Verdict, *, kept: bool) -> None:
        self._programs.judge(key, verdict)
        self.board.add_verdict(verdict, kept=kept)
