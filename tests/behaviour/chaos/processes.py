"""The processes of one sweep, found through /proc: everything its command started, by kind, and nothing else."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, unique
from pathlib import Path

import psutil

from tests.patience import PATIENCE

PROC = Path("/proc")


@unique  # of two kinds with one value, the second would be another name of the first
class Victim(Enum):
    """A kind of process that can be killed. The value: what its command line looks like, for `re.search`."""

    DRIVER = r"(?!)driver"  # matches nothing: it is known by its pid
    RAYLET = r"^\S*/raylet/raylet "
    GCS = r"^\S*/gcs/gcs_server "
    SHARED_TASK = r"^ray::make "  # makes a training set, a test set, a base model
    TRIAL = r"^ray::Cell\b"  # one cell; with one worker it trains itself
    TRAIN_WORKER = r"^ray::RayTrainWorker"
    DATA_ACTOR = r"^ray::(MapWorker\(|[^( ]*\)\)\.)"  # Ray takes the last dot of a name for that of a method
    DATA_TASK = r"^ray::MapBatches\("  # hands batches to hosts
    HOST = r"^ray::Host\b"  # keeps a base model
    HOST_KEEPER = r"^ray::HostKeeper"
    EXECUTION_ACTOR = r"^ray::ExecutionActor"
    KEEPER = r"raysweep\.execution\.python\.start"  # of a slot
    ZYGOTE = r"(?!)zygote"  # its children, with the same title: a judge and a launcher, or a zygote

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name.lower().replace("_", " ")


WORKER = "ray::"
"""How the titles of Ray's worker processes begin."""
PASSING = (Victim.SHARED_TASK, Victim.DATA_TASK)
"""What a process is only while its title says so; the others are it from then on until they end."""


@dataclass
class Seen:
    """A process of the sweep."""

    process: psutil.Process
    title: str = ""
    victim: Victim | None = None

    def lives(self) -> bool:
        """Tell whether it has not ended."""
        with contextlib.suppress(psutil.Error):
            return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)
        return False


@dataclass
class ProcessTree:
    """All processes below some roots, also those whose parents have ended, as far as a look saw them before.

    `exposure`: seconds in which at least one process of a kind was there.
    """

    exposure: dict[Victim, float] = field(default_factory=lambda: defaultdict(float))
    _seen: dict[int, Seen] = field(default_factory=dict)
    _ended: list[Seen] = field(default_factory=list)
    _looked: float = 0.0

    def add_root(self, pid: int, victim: Victim | None = None) -> None:
        """Follow a process and what it starts."""
        self._seen[pid] = Seen(psutil.Process(pid), victim=victim)
        self._looked = time.monotonic()

    def look(self) -> None:
        """Find new processes, drop ended ones, add up exposure."""
        children = _children()
        waiting = list(self._seen)
        for pid in waiting:  # grows while it is walked
            if pid not in self._seen and not self._adopt(pid):
                continue
            waiting += [child for child in children.get(pid, ()) if child not in self._seen]
        for pid, seen in list(self._seen.items()):
            if not seen.lives():
                self._ended.append(self._seen.pop(pid))
                continue
            _classify(seen)
        now = time.monotonic()
        for victim in {seen.victim for seen in self._seen.values()} - {None}:
            self.exposure[victim] += now - self._looked
        self._looked = now

    @property
    def pids(self) -> set[int]:
        """The processes that were there at the last look."""
        return set(self._seen)

    def alive(self, victim: Victim) -> list[Seen]:
        """Return the processes of a kind as of the last look."""
        return [seen for seen in self._seen.values() if seen.victim is victim]

    def leftovers(self, patience: float) -> list[str]:
        """Wait until everything has ended; return the titles of what has not within `patience` seconds, killed."""
        until = time.monotonic() + patience
        self.look()
        while self._seen and time.monotonic() < until:
            time.sleep(0.2)
            self.look()
        titles = [f"{seen.process.pid} {seen.title[:100]}" for seen in self._seen.values()]
        self.kill_all()
        return titles

    def kill_all(self) -> None:
        """Kill everything that is left, and remove the folders of the Rays that were started.

        Raises:
            AssertionError: some processes don't end, such as those that wait for a disk.
        """
        until = time.monotonic() + PATIENCE
        while self._seen and time.monotonic() < until:
            for seen in self._seen.values():
                with contextlib.suppress(psutil.Error):
                    seen.process.kill()
            time.sleep(0.1)
            self.look()
        for seen in self._ended:
            if seen.victim is Victim.GCS and (folder := re.search(r"/tmp/rs-[^/ ]+", seen.title)):
                shutil.rmtree(folder[0], ignore_errors=True)
        assert not self._seen, f"these processes don't end: {sorted(self._seen)}"

    def _adopt(self, pid: int) -> bool:
        with contextlib.suppress(psutil.Error):
            self._seen[pid] = Seen(psutil.Process(pid))
        return pid in self._seen


def title_of(pid: int) -> str:
    """Return a process's command line, or the title it gave itself; empty when it has gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def victim_of(title: str) -> Victim | None:
    """Return what kind of process has a title."""
    return next((victim for victim in Victim if re.search(victim.value, title)), None)


def _classify(seen: Seen) -> None:
    """Note what a process is now. Between fork and exec it bears its parent's title, be it only for a moment."""
    title = title_of(seen.process.pid)
    if seen.victim is Victim.DRIVER or not title:
        return
    found = victim_of(title)
    if found is Victim.KEEPER:
        found = _part_of_slot(seen.process)
    was_actor = seen.victim is not None and seen.victim not in PASSING and seen.title.startswith(WORKER)
    if found or not (was_actor and title.startswith(WORKER)):  # an actor's title names the method that it runs
        seen.victim, seen.title = found, title


def _part_of_slot(process: psutil.Process) -> Victim | None:
    """Tell a slot's keeper, its children, and the programs that one of them forks: all bear one title.

    One that ends meanwhile, or whose parent does, is none of them now: a program lives for a moment only.
    """
    try:
        titles = [title_of(parent.pid) for parent in process.parents()[:2]]
    except psutil.Error:
        return None
    above = sum(victim_of(title) is Victim.KEEPER for title in titles)
    return (Victim.KEEPER, Victim.ZYGOTE, None)[above] if all(titles) and process.is_running() else None


def _children() -> dict[int, list[int]]:
    """Return the pids of all processes by their parent's."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(fields[1])].append(int(entry.name))
    return found
