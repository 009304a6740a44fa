"""Runs the programs of a samples file, equal ones once, and writes the rows with their verdicts in the file's order.

The file is read three times, a row at a time: to check it and to know its distinct programs, to run these, and to write
the rows. Held are a digest and a verdict for each distinct program, equal verdicts once, and no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from raysweep import __version__
from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.pool import Executor
from raysweep.jsonrows import content_sha
from raysweep.problems.base import ProblemSet
from raysweep.programs import Limits, Program, Sandbox, Verdict, text_sha
from raysweep.records import Problem, canonical_json
from raysweep.samples import Sample, program_of, read_samples, result_line
from raysweep.samples_part import PartFile, writing_results
from raysweep.samples_scores import SampleScores, ScoreBoard

Tell = Callable[[int], None]

_TOLD_EACH = 16
"""Samples between two looks at the progress."""


@dataclass(frozen=True, slots=True)
class SampleJob:
    """What is to be run. `out`: where the rows go; None: nowhere. `workers`: programs at one time."""

    samples: Path
    problem_set: ProblemSet
    out: Path | None
    limits: Limits
    sandbox: Sandbox
    workers: int

    def head(self) -> dict[str, Any]:
        """Return all that verdicts depend on, as JSON; `workers` is not in it."""
        limits = {name.replace("_", " "): value for name, value in asdict(self.limits).items()}
        return {
            **limits,
            "raysweep": __version__,
            "python": python_version(),
            "samples": content_sha(self.samples),
            "problems": text_sha(canonical_json(self.problem_set.fingerprint())),
            "lane": self.sandbox.lane,
            "require": self.sandbox.require,
        }


class _Programs:
    """The distinct programs of a samples file: by a digest of 16 bytes, how far each is."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[str, str] | bool] = {}  # (outcome, detail); before: is it being run?
        self._equal: dict[tuple[str, str], tuple[str, str]] = {}  # so that equal verdicts are held once
        self.done = 0

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, key: bytes) -> bool:
        return key in self._found

    def add(self, key: bytes) -> None:
        """Note that a program is in the file."""
        self._found.setdefault(key, False)

    def take(self, key: bytes) -> bool:
        """Return whether a program is still to be run, and has been given to nobody; from now on it has."""
        is_free = self._found.get(key) is False
        if is_free:
            self._found[key] = True
        return is_free

    def judge(self, key: bytes, verdict: Verdict) -> None:
        """Note a program's verdict."""
        result = (str(verdict.outcome), verdict.detail)
        self._found[key] = self._equal.setdefault(result, result)
        self.done += 1

    def result(self, key: bytes) -> tuple[str, str] | None:
        """Return a program's (outcome, detail), None while there is none."""
        found = self._found[key]
        return found if isinstance(found, tuple) else None


class SampleRun:
    """One run of a job; the file is checked when it is made. `samples`: its rows. `board`: the counts so far.

    Args:
        job: what is to be run.
        tell: told now and then how many rows have been checked.

    Raises:
        UsageError: a row can't be used (file and line), or its task is not among the problems.
    """

    def __init__(self, job: SampleJob, tell: Tell) -> None:
        self._job = job
        self._problems: Mapping[str, Problem] = {p.task_id: p for p in job.problem_set.problems()}
        self._programs = _Programs()
        self.board = ScoreBoard()
        self.samples = 0
        for _, key, _ in self._rows():
            if self.samples % _TOLD_EACH == 0:
                tell(self.samples)
            self._programs.add(key)
            self.samples += 1

    def run(self, tell: Tell) -> SampleScores:
        """Run what no earlier command has, write the rows, and return the scores.

        Args:
            tell: told now and then how many of the samples have their verdict.

        Raises:
            UsageError: `out` can't be written, or belongs to another run; the isolation level is not to be had.
            RaysweepError: the disk is full; no program can be run.
        """
        job = self._job
        part = nullcontext() if job.out is None else writing_results(job.out, job.head())
        with part as rows, Executor(job.workers, job.sandbox) as executor:
            for key, verdict in rows.kept() if rows else ():
                self._judge(key, verdict, kept=True)
            verdicts = executor.stream(self._work())
            for done, (sample, key, _) in enumerate(self._rows()):
                if done % _TOLD_EACH == 0:
                    tell(done)
                outcome, detail = self._await(key, verdicts, rows)
                self.board.add_sample(sample.task_id, outcome, detail)
                if rows:
                    rows.write(result_line(sample, outcome, detail))
        return self.board.scores(self._problems.values())

    def _rows(self) -> Iterator[tuple[Sample, bytes, Program]]:
        """Read the file: yield each sample with its program and the program's digest."""
        for sample in read_samples(self._job.samples):
            program = program_of(sample, self._problems)
            yield sample, bytes.fromhex(program.sha)[:16], program

    def _work(self) -> Iterator[tuple[bytes, Program, Limits]]:
        """Yield each program that has no verdict yet, once."""
        left = len(self._programs) - self._programs.done
        for _, key, program in self._rows() if left else ():
            if self._programs.take(key):
                yield key, program, self._job.limits
                left -= 1
                if not left:  # what follows are copies
                    return

    def _await(self, key: bytes, verdicts: Iterator[tuple[bytes, Verdict]], rows: PartFile | None) -> tuple[str, str]:
        """Take verdicts as they come until one program has its own; return its (outcome, detail)."""
        if key not in self._programs:
            raise UsageError(f"{self._job.samples} changed while it was read; give the same command again")
        while (result := self._programs.result(key)) is None:
            if rows:
                rows.flush()
            found = next(verdicts, None)
            if found is None:
                raise RaysweepError(f"{self._job.samples}: a program was given no verdict; give the same command again")
            if rows:
                rows.keep(*found)
            self._judge(*found, kept=False)
        return result

    def _judge(self, key: bytes, verdict: Verdict, *, kept: bool) -> None:
        self._programs.judge(key, verdict)
        self.board.add_verdict(verdict, kept=kept)
