"""Reports to the sweep's meter which CPUs and GPUs a process or task holds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.ray.numbers.meter import flush, use
from raysweep.periodic import run_periodically

HELD_SECONDS = 5.0
"""A process that holds CPUs or GPUs reports it so often. One that is killed loses as much at most."""


class HeldResources:
    """The CPUs and GPUs that Ray gave to this process or task. Several threads may use it.

    What a meter didn't get, since it was being started again, is reported once more.
    """

    def __init__(self, task: str) -> None:
        import ray

        self._held: Mapping[str, float] = {}
        self._accelerator = ""
        with contextlib.suppress(AssertionError):  # a process that Ray didn't start holds nothing
            context = ray.get_runtime_context()
            self._held = context.get_assigned_resources()
            self._accelerator = context.get_node_labels().get(ACCELERATOR_LABEL, "")
        self._held = {name: held for name, held in self._held.items() if name in ("CPU", "GPU")}
        self._tasks = [task] if task else []
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._to_send: list[tuple[float, list[str]]] = []  # seconds, and the tasks that they were for
        self._sent: list[tuple[Any, tuple[float, list[str]]]] = []  # with Ray's reference to the answer

    def report(self) -> None:
        with self._lock, contextlib.suppress(Exception):  # such as Ray being about to end
            now = time.monotonic()
            if self._held:
                self._to_send.append((now - self._since, list(self._tasks)))
            self._since = now
            self._take_back()
            while self._to_send:
                seconds, tasks = self._to_send[0]
                answer = use(self._held, seconds, tasks, self._accelerator)
                self._sent.append((answer, self._to_send.pop(0)))

    def _take_back(self) -> None:
        import ray

        waiting = []
        for answer, part in self._sent:
            if not ray.wait([answer], timeout=0)[0]:
                waiting.append((answer, part))
                continue
            try:
                ray.get(answer)
            except ray.exceptions.RayError:
                self._to_send.append(part)
        self._sent = waiting

    @contextlib.contextmanager
    def working_for(self, task: str) -> Iterator[None]:
        """Report what is held during the block as used by a task; all of it has arrived when the block ends."""
        self.report()
        self._tasks.append(task)
        try:
            yield
        finally:
            self.report()
            self._tasks.remove(task)
            flush()


@contextlib.contextmanager
def held_resources(task: str) -> Iterator[HeldResources]:
    """Report the CPUs and GPUs that Ray gave to this process or task for as long as the block runs, and no longer.

    `task`: that uses them; empty if only parts of the block are for some task (`HeldResources.working_for`).
    """
    held = HeldResources(task)
    with run_periodically(held.report, HELD_SECONDS, "held resources"):
        try:
            yield held
        finally:
            held.report()
            flush()
