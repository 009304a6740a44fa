"""One slot seen from outside: start its process, hand it programs, take the verdicts, end it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.frames import Answer, Item, read_frame, write_frame
from raysweep.execution.process_tree import MARKER, kill_marked
from raysweep.execution.removal import remove_folder
from raysweep.programs import Level, Limits, Outcome, Program, Verdict, text_sha

GRACE_SECONDS = 60.0  # beyond a program's wall cap, before a slot's process counts as lost
START_SECONDS = 60.0
CLOSE_SECONDS = 10.0
MOST_TESTS = 1000  # that a process keeps prepared; with more it is replaced
LANGUAGES = {"python": "raysweep.execution.start"}
"""By language, the module whose `main` serves a slot's process, compiling or not; frames as in zygote.py."""
_START = "import sys; sys.path.append(sys.argv.pop(1)); from {} import main; main()"
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class SlotLost(Exception):
    """The slot's process died or went silent: no verdicts on the programs it had."""


class Job(NamedTuple):
    """A program with its limits. `number`: what its verdict is called by."""

    number: int
    program: Program
    limits: Limits


class Slot:
    """A place where programs run one at a time. Its process starts with the first of them.

    Args:
        require: the level below which no program is run.
        without: layers to leave out, for tests of what the others hold off.
    """

    def __init__(self, require: Level, without: Collection[str] = ()) -> None:
        self._require, self._without = require, tuple(without)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._marker = ""
        self._language = "python"
        self._known: set[str] = set()
        self._limits: dict[int, Limits] = {}  # of the programs that are out
        self.level = Level.LIMITS
        self.missing: dict[str, str] = {}
        self.deadline = 0.0  # monotonic seconds by which the next verdict must be here

    @property
    def pid(self) -> int | None:
        """The pid of the slot's keeper; None when none has been started."""
        return self._process.pid if self._process else None

    def fileno(self) -> int:
        """The descriptor that becomes readable with verdicts, for `selectors`."""
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, jobs: Sequence[Job], shared: bool) -> None:
        """Start programs of one language with equal memory and output limits.

        A process that died while idle, or that is for another language, is replaced first.

        Raises:
            UsageError: the level that can be had is below the one required.
            RaysweepError: no process can be started.
        """
        if len(self._known) > MOST_TESTS or jobs[0].program.language != self._language:
            self.close()
            self._language = jobs[0].program.language
        for last_try in (False, True):
            self.start()
            try:
                write_frame(self._stdin(), self._request(jobs, shared))
                break
            except OSError as error:
                self.abandon()
                if last_try:
                    raise RaysweepError(f"a process for programs ended at once ({error})") from error
        self._limits = {job.number: job.limits for job in jobs}
        self._wait_again()

    def receive(self) -> tuple[dict[int, Verdict], list[int]]:
        """Return the verdicts that are there, by number, and the numbers of programs that must be run alone.

        Raises:
            SlotLost: the process has gone.
        """
        try:
            answer = read_frame(self.fileno())
        except (EOFError, OSError, ValueError):
            raise SlotLost("it died") from None
        verdicts = {}
        for one in [Answer(*fields) for fields in answer["verdicts"]]:
            limit = self._limits.pop(one.number).timeout
            found = Outcome(one.outcome), one.detail, one.stderr, one.seconds
            verdicts[one.number] = Verdict(*found, limit, self.level, one.lane, one.audit)
        for number in answer["unsuited"]:
            del self._limits[number]
        self._wait_again()
        return verdicts, answer["unsuited"]

    def start(self) -> None:
        """Start the process, if there is none; raise what `send` raises."""
        if self._process is not None:
            return
        hello = self._start(self._without)
        reason = hello.get("no_namespaces")
        if reason:  # they can be made but not used, as in some containers
            self.abandon()
            hello = self._start((*self._without, "namespaces"))
            hello["missing"]["namespaces"] = reason
        self.level, self.missing = Level(hello["level"]), hello["missing"]
        if self.level < self._require:
            self.close()
            raise UsageError(too_low(self.level, self._require, self.missing))

    def close(self) -> None:
        """End the process and what it runs; it clears up after itself."""
        if self._process is None:
            return
        self._close_pipes()
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(CLOSE_SECONDS) == 0:
                self._process = None
                return
        self.abandon()  # it didn't end by itself, and cleared nothing up

    def kill(self) -> None:
        """Kill a process that has gone silent, so that `receive` finds it lost."""
        if self._process is not None:
            self._process.kill()

    def abandon(self) -> None:
        """Kill a lost process and everything that ran below it."""
        if self._process is None:
            return
        self._close_pipes()
        self._process.kill()
        self._process.wait()
        self._process = None
        kill_marked(f"{MARKER}={self._marker}")
        remove_folder(self._folder)

    def _request(self, jobs: Sequence[Job], shared: bool) -> dict[str, Any]:
        tests = {tests_sha(job.program.tests): job.program.tests for job in jobs if job.program.tests}
        new = {sha: text for sha, text in tests.items() if sha not in self._known}
        self._known |= new.keys()
        items = [
            Item(
                job.number,
                job.program.text,
                tests_sha(job.program.tests) if job.program.tests else "",
                job.limits.timeout,
                job.limits.timeout * job.limits.wall_factor,
                job.limits.memory_mib * 2**20,
                job.limits.output_kib * 2**10,
            )
            for job in jobs
        ]
        return {"tests": new, "items": items, "shared": shared}

    def _wait_again(self) -> None:
        longest = max((one.timeout * one.wall_factor for one in self._limits.values()), default=0.0)
        self.deadline = time.monotonic() + 2 * longest + GRACE_SECONDS  # twice: one more try, or an audit

    def _stdin(self) -> int:
        assert self._process is not None and self._process.stdin is not None
        return self._process.stdin.fileno()

    def _start(self, without: Collection[str]) -> dict[str, Any]:
        """Start the process and return what it says of itself."""
        self._folder = tempfile.mkdtemp(prefix="raysweep-")
        self._marker = os.urandom(16).hex()
        self._known = set()
        paths = sysconfig.get_paths()
        settings = {"packages": list(dict.fromkeys([paths["purelib"], paths["platlib"]])), "without": list(without)}
        root = str(Path(__file__).parents[2])
        code = [_START.format(LANGUAGES[self._language]), root, self._folder, json.dumps(settings)]
        arguments = [sys.executable, "-s", "-P", "-S", "-B", "-c", *code]
        try:
            self._process = subprocess.Popen(
                arguments,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
            )
            if not select.select([self.fileno()], [], [], START_SECONDS)[0]:
                raise TimeoutError(f"nothing from it for {START_SECONDS:g} s")
            return read_frame(self.fileno())
        except (OSError, EOFError) as error:
            self.abandon()
            why = error or "it ended at once"
            raise RaysweepError(
                f"a process for programs can't be started: {why}; its last words are on stderr"
            ) from error

    def _environment(self) -> Mapping[str, str]:
        box = f"{self._folder}/box"
        return _THREADS | {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": box,
            "TMPDIR": box,
            "PYTHONHASHSEED": "0",  # which is why -I can't be used: it ignores the environment
            "MALLOC_ARENA_MAX": "1",  # else each thread reserves 64 MiB of address space
            MARKER: self._marker,
        }

    def _close_pipes(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def too_low(level: Level, require: Level, missing: Mapping[str, str]) -> str:
    """Return the error about a level below the one required."""
    why = "; ".join(f"no {layer}: {reason}" for layer, reason in missing.items())
    return (
        f"programs can be isolated at level {level.value!r} here, and {require.value!r} is required ({why}); "
        f"allow it (the kernel, the container's settings), or set execution.require (--require) to {level.value}"
    )


@lru_cache(maxsize=4 * MOST_TESTS)
def tests_sha(tests: str) -> str:
    """Return what a text of tests is called by."""
    return text_sha(tests)
