"""Runs many programs, isolated from the machine and from each other, and returns their verdicts.

Plain Python without Ray: each actor of the Ray engine holds an `Executor` with one slot, the local engine holds one
with several.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from raysweep.errors import ExecutionNotAllowed, UsageError
from raysweep.execution.slot import Slot
from raysweep.execution.stream import Stream, check_program
from raysweep.programs import DEFAULT_SANDBOX, Level, Limits, Oracle, Program, Sandbox, Verdict

K = TypeVar("K")


def require_permission(allowed: bool) -> None:
    """Raise ExecutionNotAllowed, whose text says how to allow it, unless the user allows model-written programs to run.

    Every command that runs such programs calls this first.
    """
    if not allowed:
        raise ExecutionNotAllowed


def execute(
    programs: Sequence[Program],
    limits: Limits | Sequence[Limits] = Limits(),  # noqa: B008  # frozen
    slots: int | None = None,
    sandbox: Sandbox = DEFAULT_SANDBOX,
) -> list[Verdict]:
    """Run programs on this machine and return one verdict for each, in the same order; see `Executor.run`.

    `slots`: programs that run at the same time; None: as many as this process may use CPUs.
    """
    with Executor(slots or len(os.sched_getaffinity(0)), sandbox) as executor:
        return executor.run(programs, limits)


class Executor:
    """A fixed number of slots that run programs; a context manager. Two threads must not use it at the same time.

    Whoever creates one for model-written programs has called `require_permission`. The slots' processes start with the
    first programs and are reused for later ones. A process that died is replaced, and its programs are tried once more.

    Raises UsageError if this isn't Linux, or `slots` is below 1. `slots`: programs that run at the same time, each on
    up to one core. `without`: layers to leave out (`isolation.layers.LAYERS`), for tests of the remaining ones.
    """

    def __init__(self, slots: int = 1, sandbox: Sandbox = DEFAULT_SANDBOX, without: Collection[str] = ()) -> None:
        if sys.platform != "linux":
            raise UsageError(f"programs can be executed on Linux only, and this is {sys.platform}")
        if slots < 1:
            raise UsageError(f"slots is {slots}; give 1 or more")
        self.sandbox = sandbox
        self._slots = [Slot(sandbox, without) for _ in range(slots)]

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes of all slots and the programs in them. The executor can be used again."""
        for slot in self._slots:
            slot.close()

    def level(self) -> Level:
        """Return how strongly programs are isolated here; raise UsageError when that is below the required level."""
        self._slots[0].current.start()
        return self._slots[0].current.level

    def missing_layers(self) -> dict[str, str]:
        self._slots[0].current.start()
        return dict(self._slots[0].current.missing)

    def run(
        self,
        programs: Sequence[Program],
        limits: Limits | Sequence[Limits],
        on_done: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """Run programs and return one verdict for each, in the same order. Equal programs with equal limits run once.

        `limits`: one for all programs, or a sequence with one for each. `on_done`: called with the number of `programs`
        that have a verdict, each time that number grows.

        Raises:
            UsageError: a language that isn't supported, limits in which nothing can run, or too little isolation.
            RaysweepError: no process can be started.
        """
        limits_by_program = [limits] * len(programs) if isinstance(limits, Limits) else list(limits)
        keys = [
            ((program.runtime, program.sha), program.oracle, limit)
            for program, limit in zip(programs, limits_by_program, strict=True)
        ]
        unique = dict(zip(keys, programs, strict=True))
        for (*_, limit), program in unique.items():
            check_program(program, limit)
        copies = Counter(keys)
        verdicts: dict[tuple[tuple[str, str], Oracle | None, Limits], Verdict] = {}
        done = 0
        stream = self.stream((key, program, key[-1]) for key, program in unique.items())
        try:
            for key, verdict in stream:
                verdicts[key] = verdict
                done += copies[key]
                if on_done is not None:
                    on_done(done)
        finally:
            stream.close()
        return [verdicts[key] for key in keys]

    def stream(self, work: Iterable[tuple[K, Program, Limits]]) -> Stream[K]:
        """Take (key, program, limits) from an iterable of any length and yield (key, verdict) as programs end.

        Only as many programs as keep the slots busy are in memory. Closing or dropping the stream ends its programs. It
        raises the same errors as `run`.
        """
        return Stream(self._slots, self.sandbox, work, self.close)
