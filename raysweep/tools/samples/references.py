"""Judges each problem's reference solution right before its first sample, which tells where the problem's tests run.

Until it is judged, samples of its problem are judged where the tests alone say that they run, and their verdicts wait.
They count if that place is the right one; else their programs are judged again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping

from raysweep.execution.oracle import judging
from raysweep.programs import Oracle, Outcome, Program, Verdict
from raysweep.records import Problem


class References:
    """The reference solutions of problems, by keys of 32 bytes, which programs of samples don't have."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        programs = {one.task_id: one.assemble(one.reference) for one in problems if one.reference is not None}
        self._programs = {bytes.fromhex(program.sha): program for program in programs.values()}
        self._keys = {task_id: bytes.fromhex(program.sha) for task_id, program in programs.items()}
        self._found: dict[bytes, Oracle] = {}
        self._fails: dict[bytes, str] = {}  # with the reason
        self._unclear: dict[bytes, Generator[Program, Verdict, tuple[Verdict, Oracle]]] = {}
        self._next: deque[tuple[bytes, Program]] = deque()  # to be judged, perhaps for the second time
        self._of_sample: dict[bytes, bytes] = {}  # the key of its reference; of samples sent before that was judged
        self._waiting: dict[bytes, dict[bytes, Verdict]] = defaultdict(dict)  # of samples, by reference

    def __len__(self) -> int:
        return len(self._programs)

    def __contains__(self, key: bytes) -> bool:
        return key in self._programs

    @property
    def judged(self) -> int:
        return len(self._found)

    @property
    def has_work(self) -> bool:
        return bool(self._next)

    def oracle(self, task_id: str) -> Oracle | None:
        """Return where a problem's tests run; None if its reference isn't judged, or it has none."""
        return self._found.get(self._keys.get(task_id, b""))

    def oracles(self) -> dict[str, Oracle]:
        return {task_id: self._found[key] for task_id, key in self._keys.items() if key in self._found}

    def failing(self) -> dict[str, str]:
        """Return why reference solutions fail, by task id."""
        return {task_id: self._fails[key] for task_id, key in self._keys.items() if key in self._fails}

    def keep(self, key: bytes, verdict: Verdict) -> None:
        """Take the verdict that an interrupted command has saved."""
        self._take(key, verdict, Oracle(verdict.oracle))

    def before(self, task_id: str, sample: bytes) -> Iterator[tuple[bytes, Program]]:
        """Yield what is to be judged before a sample. `sample`: its key."""
        key = self._keys.get(task_id, b"")
        if key in self._programs and key not in self._found:
            self._of_sample[sample] = key
            if key not in self._unclear:
                self._unclear[key] = judging(self._programs[key])
                self._next.append((key, next(self._unclear[key])))
        yield from self.work()

    def work(self) -> Iterator[tuple[bytes, Program]]:
        while self._next:
            yield self._next.popleft()

    def certain(self, key: bytes, verdict: Verdict) -> tuple[Mapping[bytes, Verdict], list[bytes]]:
        """Take a verdict on a program, by its key.

        Return the verdicts that are certain now, a reference's before its samples', and the samples to judge again.
        """
        if key not in self._programs:
            reference = self._of_sample.pop(key, b"")
            if not reference:
                return {key: verdict}, []
            self._waiting[reference][key] = verdict
            return self._sorted(reference) if reference in self._found else ({}, [])
        try:
            self._next.append((key, self._unclear[key].send(verdict)))
        except StopIteration as end:
            del self._unclear[key]
            verdict, oracle = end.value
            self._take(key, verdict, oracle)
            certain, again = self._sorted(key)
            return {key: verdict, **certain}, again
        return {}, []

    def _take(self, key: bytes, verdict: Verdict, oracle: Oracle) -> None:
        self._found[key] = oracle
        if verdict.outcome is not Outcome.PASSED:
            self._fails[key] = ": ".join(filter(None, (verdict.outcome.replace("_", " "), verdict.detail)))

    def _sorted(self, reference: bytes) -> tuple[dict[bytes, Verdict], list[bytes]]:
        verdicts, oracle = self._waiting.pop(reference, {}), self._found[reference]
        certain = {key: verdict for key, verdict in verdicts.items() if verdict.oracle == oracle}
        return certain, [key for key in verdicts if key not in certain]
