"""A slot, seen from outside: starts the processes in which programs run, sends programs, reads verdicts, ends them."""

from __future__ import annotations

import errno
import json
import os
import platform
import select
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from raysweep.errors import RaysweepError, UsageError, escaped
from raysweep.execution.compiled.cpp.headers import begins_with_library
from raysweep.execution.compiled.splitting import inside, split
from raysweep.execution.compiled.toolchains import Toolchain, toolchain
from raysweep.execution.endings import how_ended, why_ended
from raysweep.execution.environments import PythonEnvironment, environment_at
from raysweep.execution.isolation.cleanup import remove_folder
from raysweep.execution.isolation.process_tree import MARKER, kill_marked
from raysweep.execution.isolation.room import lacks_room, with_room
from raysweep.execution.messages import ProgramItem, VerdictItem, read_frame, write_frame
from raysweep.execution.python.in_process.access import variables
from raysweep.execution.runtimes import identity
from raysweep.programs import (
    COMPILED,
    CPP,
    JAVA,
    LANGUAGE_WORDS,
    PYTHON,
    Level,
    Limits,
    Oracle,
    Outcome,
    Program,
    Sandbox,
    Verdict,
)

GRACE_SECONDS = 60.0  # a slot's process counts as lost so long after the wall-time limit of its programs
START_SECONDS = 60.0  # that a start waits for room on the machine
UP_SECONDS = 600.0
"""Of wall time until a process says that it is up, which takes it less than three seconds of CPU time, compiling
raysweep's own headers or classes included: only one that hangs takes longer."""
JUDGE_SECONDS = 10.0  # of CPU time that tests may work on one program's answers, or the program's limit if longer
COMPILING_SECONDS = 3600.0  # of wall time that a program, its problem's server and its tests may take to compile
IMPORT_SECONDS = 120.0
"""The same of one that imports modules for programs; then it starts without them."""
STARTS = 3
"""A process that ends before it is up is started at most so often."""
CLOSE_SECONDS = 10.0
_TOLD_BYTES = 2**14  # of stderr that is read
_FIRST_BYTES = 2**20  # of the first message: what is longer is no message, but what another program prints
TEXT_CHARACTERS = 300  # of a verdict's detail and stderr
MAX_PREPARED_TESTS = 1000  # a process that keeps more than these is replaced
_NAMES_OF_FOLDERS = ("site-packages", "dist-packages")
_COMPILED = "raysweep.execution.compiled.start"
LANGUAGES = {PYTHON: "raysweep.execution.python.start", JAVA: _COMPILED, CPP: _COMPILED}
"""For each language, the module whose `main` runs as a slot's process and answers requests as python/lanes.py does."""
_START_CODE = (
    "import sys; sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]; "  # without the working folder
    "import raysweep; sys.path.append(sys.path.pop(0)); "  # this one, and no other that the interpreter has
    "from raysweep.execution.endings import run; from {} import main; run(main)"
)
MAX_CASES = 3
"""A slot keeps at most so many processes for unittest cases: each may have taken some hundred MiB for its imports."""
SHARING = 4
"""So many programs that come together are worth a process that imports what they need: it takes a quarter of a second
more than an import in one of them. Fewer import it themselves."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class SlotLost(Exception):
    """The slot's process died or stopped answering; the programs it had get no verdicts from it."""


class NotStarted(RaysweepError):
    """No process for programs can be started, now or for good."""


class Request(NamedTuple):
    """A program with its limits. `number` names it in requests and answers."""

    number: int
    program: Program
    limits: Limits
    oracle: Oracle


class ProcessKind(NamedTuple):
    """What the programs of one process have in common; the fields are those of `raysweep.programs.Program`."""

    language: str = PYTHON
    oracle: Oracle = Oracle.OUTSIDE
    environment: str = ""
    cases: bool = False
    imports: tuple[str, ...] = ()


def kind_of(request: Request) -> ProcessKind:
    program = request.program
    imports = program.imports if program.cases else ()
    return ProcessKind(program.language, request.oracle, program.environment, program.cases, imports)


class Slot:
    """Runs programs one at a time, in processes that start with the first program that needs them.

    Each kind of program has a process of its own, which is kept while another one works: it has prepared tests. Of
    those for unittest cases only `MAX_CASES` are kept. `current` is the one that was used last, or the first one.
    """

    def __init__(self, sandbox: Sandbox, without: Collection[str] = ()) -> None:
        self._sandbox, self._without = sandbox, tuple(without)
        self._processes: dict[ProcessKind, SlotProcess] = {}
        self.current = self._process_for(ProcessKind())

    @property
    def running(self) -> list[tuple[int, str]]:
        return [process.started for process in self._processes.values() if process.started is not None]

    def send(self, requests: Sequence[Request], shared: bool, patience: float = START_SECONDS) -> None:
        """Send programs of one kind to their process; see `SlotProcess.send`."""
        kind = kind_of(requests[0])
        if len(requests) < SHARING and kind not in self._processes:
            kind = kind._replace(imports=())
        self.current = self._process_for(kind)
        self.current.send(requests, shared, patience)

    def close(self) -> None:
        for process in self._processes.values():
            process.close()

    def _process_for(self, kind: ProcessKind) -> SlotProcess:
        process = self._processes.pop(kind, None) or self._new_process(kind)
        self._processes[kind] = process  # the latest stands last
        for old in [one for one in self._processes if one.cases][:-MAX_CASES]:
            self._processes.pop(old).close()
        return process

    def _new_process(self, kind: ProcessKind) -> SlotProcess:
        runtime = kind.environment or kind.language
        setting = self._sandbox.setting_of(runtime)
        found = identity(runtime, setting) if kind.environment or kind.language in COMPILED else ""
        if found != (named := dict(self._sandbox.compilers).get(runtime, found)):
            what = (
                f"the compiler of programs in {LANGUAGE_WORDS[runtime]}"
                if runtime in COMPILED
                else (f"the environment {runtime!r} ({setting})")
            )
            raise UsageError(
                f"{what} on {platform.node()} is {found!r}, and results are made with {named!r}; install the same on "
                "all nodes, or start anew where all have it"
            )
        chain = toolchain(kind.language, setting) if kind.language in COMPILED else None
        environment = environment_at(setting) if kind.environment else None
        return SlotProcess(kind, self._sandbox.require, self._without, chain, environment)


class SlotProcess:
    """One of a slot's processes (the keeper, see python/start.py), with the judge or zygote below it."""

    def __init__(
        self,
        kind: ProcessKind,
        require: Level,
        without: tuple[str, ...],
        chain: Toolchain | None,
        environment: PythonEnvironment | None,
    ) -> None:
        self._kind, self._chain, self._environment = kind, chain, environment
        self._language, self._oracle, self._imports = kind.language, kind.oracle, kind.imports
        self._require, self._without = require, without
        self._process: subprocess.Popen[bytes] | None = None
        self._words: BinaryIO | None = None  # the file that is stderr of its processes, see endings.py
        self._folder = ""
        self._marker = ""
        self._sent_tests: set[str] = set()  # sha256 of the tests that the process has
        self._has_library = False  # all headers of C++'s library are precompiled for it
        self._limits: dict[int, Limits] = {}  # of the programs without a verdict yet, by number
        self.level = Level.LIMITS
        self.missing: dict[str, str] = {}
        self.deadline = 0.0  # in time.monotonic(); without a verdict by then the process counts as lost

    @property
    def started(self) -> tuple[int, str] | None:
        return (self._process.pid, self._folder) if self._process else None

    def fileno(self) -> int:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, requests: Sequence[Request], shared: bool, patience: float) -> None:
        """Send programs with equal memory and output limits; a process that died while idle is replaced first.

        `shared`: use the shared lane for those that the screen finds pure. `patience`: seconds to wait for room for a
        process, where the machine has none.

        Raises:
            UsageError: this machine's level of isolation is below the required one.
            NotStarted: no process can be started.
        """
        needs_library = self._language == CPP and any(_includes_library(one.program) for one in requests)
        if len(self._sent_tests) > MAX_PREPARED_TESTS or (needs_library and not self._has_library):
            self._has_library = self._has_library or needs_library
            self.close()
        for last_try in (False, True):
            self.start(patience)
            try:
                assert self._process is not None and self._process.stdin is not None
                write_frame(self._process.stdin.fileno(), self._message(requests, shared))
                break
            except OSError as error:
                why = why_ended(*self._end())
                self.abandon()
                if last_try:
                    raise NotStarted(f"a process for programs can't be used: {why}") from error
        self._limits = {request.number: request.limits for request in requests}
        self._extend_deadline()

    def receive(self) -> tuple[dict[int, Verdict], list[int]]:
        """Return verdicts by number, and the numbers of programs that need a process of their own; raise SlotLost."""
        try:
            answer = read_frame(self.fileno())
        except (EOFError, OSError, ValueError):
            raise SlotLost(escaped(how_ended(*self._end()), in_a_line=True)) from None
        verdicts = {}
        for item in [VerdictItem(*fields) for fields in answer["verdicts"]]:
            if item.number not in self._limits:  # the keeper ended the judge just after it had told the verdict
                continue
            limit = self._limits.pop(item.number).timeout
            detail = escaped(item.detail, in_a_line=True)[:TEXT_CHARACTERS]
            stderr = escaped(item.stderr)[:TEXT_CHARACTERS]
            result = Outcome(item.outcome), detail, stderr, item.seconds
            more = escaped(item.audit, in_a_line=True), escaped(item.parts, in_a_line=True)
            verdicts[item.number] = Verdict(*result, limit, self.level, item.lane, self._oracle, *more)
        for number in answer["need_own_process"]:
            del self._limits[number]
        self._extend_deadline()
        return verdicts, answer["need_own_process"]

    def start(self, patience: float = START_SECONDS) -> None:
        """Start the process unless there is one; raise the same errors as `send`."""
        if self._process is not None:
            return
        try:
            isolation = self._start_process(self._without, patience)
        except NotStarted:
            if not self._imports:
                raise
            isolation = {"unshared": "an import ends the process, or hangs"}
        if "unshared" in isolation:  # such as threads, without which a fork may hang: each program imports it itself
            self.abandon()
            self._imports = ()
            isolation = self._start_process(self._without, patience)
        reason = isolation.get("no_namespaces")
        if reason:  # some containers allow a process to make namespaces but not to use them
            self.abandon()
            isolation = self._start_process((*self._without, "namespaces"), patience)
            isolation["missing"]["namespaces"] = reason
        if "unusable" in isolation:
            self.abandon()
            raise UsageError(isolation["unusable"])
        self.level, self.missing = Level(isolation["level"]), isolation["missing"]
        if self.level < self._require:
            self.close()
            why = "; ".join(f"no {layer}: {reason}" for layer, reason in self.missing.items())
            raise UsageError(
                f"programs can be isolated at level {self.level.value!r} here, and {self._require.value!r} is required "
                f"({why}); allow it (the kernel, the container's settings), or set execution.require (--require) to "
                f"{self.level.value}"
            )

    def close(self) -> None:
        if self._process is None:
            return
        self._close_pipes()
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(CLOSE_SECONDS) == 0:
                self._process = None
                return
        self.abandon()  # it was killed or did not end, so its programs and folder may still be there

    def kill(self) -> None:
        """Kill a process that stopped answering, so that `receive` raises SlotLost."""
        if self._process is not None:
            self._process.kill()

    def abandon(self) -> None:
        self._close_pipes()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            kill_marked(f"{MARKER}={self._marker}")
        if self._folder:
            remove_folder(self._folder)

    def _message(self, requests: Sequence[Request], shared: bool) -> dict[str, Any]:
        programs = [request.program for request in requests]
        tests = {program.tests_sha: program for program in programs if program.tests}
        new = {sha: self._sources(program) for sha, program in tests.items() if sha not in self._sent_tests}
        self._sent_tests |= new.keys()
        items = [
            ProgramItem(
                request.number,
                request.program.text,
                request.program.tests_sha,
                request.limits.timeout,
                request.limits.timeout * request.limits.wall_factor,
                request.limits.memory_mib * 2**20,
                request.limits.output_kib * 2**10,
            )
            for request in requests
        ]
        return {"tests": new, "items": items, "shared": shared}

    def _sources(self, program: Program) -> str | tuple[Any, ...]:
        """Return what the processes get of a program's tests: in Python their text, else what it is compiled to."""
        if self._chain is None:
            return program.tests
        if self._oracle is Oracle.OUTSIDE:
            return astuple(split(program.language, program.declaration, program.tests))
        return astuple(inside(program.language, program.tests))

    def _extend_deadline(self) -> None:
        longest = max((limits.timeout * limits.wall_factor for limits in self._limits.values()), default=0.0)
        compiling = COMPILING_SECONDS if self._chain else 0.0
        # twice: a program may get a second try or an audit
        self.deadline = time.monotonic() + 2 * longest + compiling + GRACE_SECONDS

    def _start_process(self, without: Collection[str], patience: float) -> dict[str, Any]:
        """Start the process and return its first message: {level, missing}, or a reason.

        The reason is that of `no_namespaces` or, where the compiler makes no program behind the layers, of `unusable`.
        One that ends before is started again, since the machine may have killed it for lack of memory.
        """
        starts = 0
        while True:
            starts += 1
            try:
                return self._first_message(without, patience)
            except (OSError, EOFError, ValueError) as error:  # ValueError: what answered is no process of raysweep's
                why = _why_not_started(error) if isinstance(error, OSError) else why_ended(*self._end())
                self.abandon()
                if starts == STARTS or not isinstance(error, EOFError):
                    raise NotStarted(f"a process for programs can't be started: {why}") from error

    def _first_message(self, without: Collection[str], patience: float) -> dict[str, Any]:
        self._folder = tempfile.mkdtemp(prefix="raysweep_")  # a task of BigCodeBench splits paths at hyphens
        self._marker = os.urandom(16).hex()
        self._sent_tests = set()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process's pipes
        settings = {
            "packages": self._environment.folders if self._environment else _package_folders(),
            "prefixes": self._prefixes,
            "without": list(without),
            "oracle": self._oracle,
            "cases": self._kind.cases,
            "imports": self._imports,
            "judge_seconds": JUDGE_SECONDS,
            "toolchain": self._chain,
            "cache": _cache_folder(),
            "library": self._has_library,
        }
        root = str(Path(__file__).parents[2])
        command = [_START_CODE.format(LANGUAGES[self._language]), root, self._folder, json.dumps(settings)]
        # Scripts start further Pythons, which get these flags too, and would find no packages with -S.
        flags = ["-s", "-B"] if self._kind.cases else ["-s", "-S", "-B"]
        arguments = [self._python, *flags, "-c", *command]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                arguments,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                cwd="/",
                env=self._variables(),
                start_new_session=True,
            )

        self._process = with_room(start, patience)
        seconds = IMPORT_SECONDS if self._imports else UP_SECONDS
        if not select.select([self.fileno()], [], [], seconds)[0]:
            raise TimeoutError(f"it hangs, with no word from it for {seconds:g} s")
        return read_frame(self.fileno(), _FIRST_BYTES)

    @property
    def _python(self) -> str:
        return self._environment.python if self._environment else sys.executable

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return self._environment.prefixes if self._environment else (sys.prefix, sys.base_prefix)

    def _variables(self) -> Mapping[str, str]:
        box = f"{self._folder}/box"
        usual = _ONE_THREAD | {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": box,
            "TMPDIR": box,
            "PYTHONHASHSEED": "0",  # so -I can't be used: it ignores the environment
            "MALLOC_ARENA_MAX": "1",  # otherwise each thread reserves 64 MiB of address space
            MARKER: self._marker,
        }
        return usual | variables(self._prefixes) if self._kind.cases else usual

    def _end(self) -> tuple[int | None, str]:
        """Wait for the end of a process that has closed its pipe; return its exit code, and what stderr ends with."""
        assert self._process is not None and self._words is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - _TOLD_BYTES))
        return self._process.returncode, self._words.read().decode("utf-8", "replace")

    def _close_pipes(self) -> None:
        pipes = (self._process.stdin, self._process.stdout) if self._process else ()
        for pipe in (*pipes, self._words):
            if pipe is not None:
                pipe.close()


def _why_not_started(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        way = "end what keeps this machine busy"
    elif lacks_room(error):
        way = "end other processes, or allow more (`ulimit -u`, `ulimit -v`, the limit of the container)"
    elif error.filename and Path(error.filename).name.startswith("python"):
        way = "start raysweep with a Python that this user may execute, and name such a one for an environment"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        way = "allow more open files (`ulimit -n`)"
    else:
        way = "a slot needs some room in the temporary folder (TMPDIR); name another one"
    return f"{error}; {way}"


def _includes_library(program: Program) -> bool:
    return begins_with_library(program.text) or begins_with_library(program.declaration)


def _cache_folder() -> str:
    """Return the folder for what is compiled once for all programs; "" for a user who has no home."""
    try:
        return str(Path(os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep").expanduser().absolute() / "headers")
    except RuntimeError:
        return ""


def _package_folders() -> list[str]:
    """Return the folders of installed packages on this interpreter's path, which programs can read and import.

    They are known by their names: another folder on the path, as of PYTHONPATH, may hold more than packages.
    """
    paths = sysconfig.get_paths()
    others = [path for path in sys.path if path.startswith("/") and Path(path).name in _NAMES_OF_FOLDERS]
    return list(dict.fromkeys([paths["purelib"], paths["platlib"], *others]))
