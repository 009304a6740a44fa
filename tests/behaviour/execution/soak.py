"""Many programs, some of them hostile, through one executor whose slots are killed: does anything grow, stay, get lost?

``python -m tests.behaviour.execution.soak 200000`` (``make soak``) prints a line per interval and ends with 1
when something grew, survived, or got a wrong verdict or none. ``--slots 1 --kills 0`` runs all programs in the
processes of one slot. Root sees more of what is held: an ordinary user may not count the descriptors and mounts of a
slot's processes. Programs whose tests run inside are few, so the executor keeps them for the end: the processes that
they need (two, with 11 descriptors and 46 mounts) are in the last reading only. tests/behaviour/ray/soak.py does the
same through Ray's actors.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from raysweep.execution.pool import Executor
from raysweep.programs import Level, Limits, Outcome, Program, Sandbox, Verdict
from tests.behaviour.execution import corpus
from tests.behaviour.execution.world import World, survivors

SLOTS = 2
HOSTILE_EVERY = 100
TIMEOUT = 0.4
KILLS = 8
SLOT_TITLE = "raysweep.execution.python.start"
ROUGH = {"floods", "memory"}  # they take a second each: every tenth of the hostile ones is enough
RIGHT = "def square(n):\n    return n * n  # {}\n"
WRONG = "def square(n):\n    return n + n + n - 2  # {}\n"
ODD = "import os\n\ndef square(n):\n    return n * n if os.getcwd() else {}\n"
GROWTH_MIB = 24
Key = tuple[int, frozenset[Outcome], str]
"""A program's number, the outcomes that are right, and what it is called."""


class Reading(NamedTuple):
    """What is held at one moment by this process and all below it."""

    done: int
    per_second: float
    mib: float
    descriptors: int
    processes: int
    files: int  # temporary ones, and in the folders of programs
    mounts: int = 0
    kernel_objects: int = 0  # of the machine: System V's, and shared memory and semaphores of POSIX

    def __str__(self) -> str:
        return (
            f"{self.done:>9,} programs  {self.per_second:7.1f}/s  {self.mib:7.1f} MiB  {self.descriptors:3} descriptors"
            f"  {self.processes:2} processes  {self.files:2} files  {self.mounts:3} mounts"
            f"  {self.kernel_objects:2} kernel objects"
        )


def soak(
    count: int,
    readings: int = 10,
    tell: Callable[[Reading], None] = lambda reading: None,
    slots: int = SLOTS,
    kills: int = KILLS,
) -> tuple[list[Reading], list[str]]:
    """Run `count` programs; return what was held now and then (and `tell` it), and what was wrong, one line each.

    A slot is killed now and then, but not while a program that saw the kill before has no verdict: one that loses its
    slot twice is judged as killed.
    """
    seen: list[Reading] = []
    wrong: list[str] = []
    with World() as world, _own_folder() as folder, survivors() as left:
        with Executor(slots, Sandbox(require=Level.LIMITS)) as executor:
            keys: set[int] = set()
            begun: set[int] = set()  # handed to the executor
            have_seen_a_kill: set[int] = set()  # without a verdict since
            began, done, kill_is_due = time.monotonic(), 0, False
            programs = work(world, executor.level(), count, _lacking(executor))
            for key, verdict in executor.stream(begun.add(item[0][0]) or item for item in programs):
                keys.add(key[0])
                have_seen_a_kill.discard(key[0])
                done += 1
                wrong += judged(key, verdict)
                kill_is_due |= kills > 0 and done % max(1, count // kills) == 0
                if kill_is_due and not have_seen_a_kill:
                    os.kill(below(os.getpid(), SLOT_TITLE)[done % slots], signal.SIGKILL)
                    kill_is_due, have_seen_a_kill = False, begun - keys
                if done % max(1, count // readings) == 0:
                    now = time.monotonic()
                    seen.append(_reading(done, count // readings / (now - began), folder))
                    tell(seen[-1])
                    began = now
        wrong += [f"{count - len(keys)} programs have no verdict"] * (len(keys) != count or done != count)
        wrong += world.effects()
        wrong += [f"left: {path}" for path in folder.iterdir()]
    wrong += [f"survived: {process}" for process in left]
    return seen, wrong + grown(seen)


def grown(readings: Sequence[Reading]) -> list[str]:
    """Say what grew between the middle reading and the least of the last three, in which more may be at work.

    In the first half each kind of program comes for the first time, and much of what it needs is loaded once.
    """
    if len(readings) < 4:
        return []
    early = readings[len(readings) // 2]
    said = []
    mib = min(one.mib for one in readings[-3:])
    if mib > early.mib * 1.1 + GROWTH_MIB:
        said.append(f"memory grew from {early.mib:.1f} to {mib:.1f} MiB")
    slacks = {"descriptors": 4, "processes": 2, "files": 4, "mounts": 1, "kernel_objects": 4}
    for name, slack in ((name, slack * SLOTS) for name, slack in slacks.items()):
        least = min(getattr(one, name) for one in readings[-3:])
        if least > getattr(early, name) + slack:
            said.append(f"{name} grew from {getattr(early, name)} to {least}")
    return said


def judged(key: Key, verdict: Verdict) -> list[str]:
    """Return what is wrong with a verdict: nothing, or one line."""
    number, right, name = key
    return [f"program {number} ({name}): {verdict.outcome} {verdict.detail}"] * (verdict.outcome not in right)


def below(pid: int, title: str) -> list[int]:
    """Return the pids of the processes nearest below one whose command line has `title` in it, the oldest first."""
    found = []
    for process in psutil.Process(pid).children():
        with suppress(psutil.Error):
            found += [process.pid] if title in " ".join(process.cmdline()) else below(process.pid, title)
    return found


def _lacking(executor: Executor) -> set[str]:
    """Return the packages of the corpus that programs can't import here."""
    verdicts = executor.run([Program(f"import {name}") for name in corpus.PACKAGES], Limits(timeout=60))
    return {name for name, made in zip(corpus.PACKAGES, verdicts, strict=True) if made.outcome is not Outcome.PASSED}


def work(
    world: World, level: Level, count: int, lacking: Collection[str] = ()
) -> Iterator[tuple[Key, Program, Limits]]:
    """Yield `count` programs: one in HOSTILE_EVERY hostile, the others right, wrong, or (every tenth) impure.

    The hostile ones are those of the corpus that `level` holds and that need no package of `lacking`.
    """
    entries = [entry for entry in corpus.load(world.places) if not entry.honest and entry.held(level)]
    entries = [entry for entry in entries if not any(name in entry.program.source for name in lacking)]
    hostile = [entry for at, entry in enumerate(entries) if entry.group not in ROUGH or at % 10 == 0]
    for number in range(count):
        if number % HOSTILE_EVERY == HOSTILE_EVERY - 1:
            entry = hostile[number // HOSTILE_EVERY * 7 % len(hostile)]
            key = number, entry.outcomes | {Outcome.TIMEOUT}, entry.id
            yield (
                key,
                entry.program,
                Limits(timeout=min(TIMEOUT, entry.limits.timeout), memory_mib=entry.limits.memory_mib),
            )
        else:
            text, outcome = (ODD, Outcome.PASSED) if number % 10 == 0 else (RIGHT, Outcome.PASSED)
            if number % 5 in (1, 3):
                text, outcome = WRONG, Outcome.FAILED
            yield (
                (number, frozenset({outcome}), "honest"),
                Program(text.format(number), corpus.SQUARE),
                Limits(timeout=3),
            )


def _reading(done: int, per_second: float, folder: Path) -> Reading:
    mib, descriptors, processes, mounts = 0.0, 0, 0, 0
    files = list(folder.iterdir())
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:  # this process is a subreaper, and reaps at its end
                continue
            mib, processes = mib + process.memory_info().rss / 2**20, processes + 1
            of_process = Path(f"/proc/{process.pid}")
            with suppress(OSError):  # only root may look
                descriptors += len(list((of_process / "fd").iterdir()))
                mounts += len((of_process / "mountinfo").read_text().splitlines())
                files += list((of_process / "cwd").iterdir()) if (of_process / "cwd").readlink().name == "box" else []
    objects = sum(len(path.read_text().splitlines()) - 1 for path in Path("/proc/sysvipc").glob("*"))
    objects += len(list(Path("/dev/shm").iterdir()))
    return Reading(done, per_second, mib, descriptors, processes, len(files), mounts, objects)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Let temporary files be made in a folder where nobody else makes any."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="raysweep-soak-") as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=200_000, help="of programs")
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument("--kills", type=int, default=KILLS, help="of slots")
    options = parser.parse_args()
    began = time.monotonic()
    _, wrong = soak(options.count, 40, lambda reading: print(reading, flush=True), options.slots, options.kills)
    for line in wrong[:50]:
        print(line)
    print(
        f"{options.count:,} programs in {time.monotonic() - began:.0f} s: {'nothing grew' if not wrong else 'failed'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
