"""Runs a sweep's command, kills parts of it at chosen moments, runs it again where it died, and says what went wrong.

A moment is a share of the time in which a kind of process is there, measured in an undisturbed run; in a disturbed run
it has come when processes of that kind were there for as long.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from tests.behaviour.chaos.evidence import Place, content, differences, holders, manifests, places, snapshot
from tests.behaviour.chaos.kills import STOPS_ALL, Kill
from tests.behaviour.chaos.parts import Parts, parts_of
from tests.behaviour.chaos.processes import ProcessTree, Seen, Victim
from tests.patience import PATIENCE

LOOK_SECONDS = 0.2
RUNS = 4
"""Of one command, at most, beside one for each strike: a driver that dies more often does not recover."""


class Failed(Exception):
    """The command hung, or failed again and again."""


@dataclass(frozen=True)
class Sweep:
    """A command: ``raysweep run CONFIG --storage DIR --set ...``."""

    config: Path
    storage: Path
    overrides: tuple[str, ...] = ()
    address: str | None = None  # of a running Ray
    roots: tuple[int, ...] = ()  # processes of that Ray

    @cached_property
    def parts(self) -> Parts:
        """What it is made of."""
        return parts_of(self.config, self.overrides)

    @property
    def log(self) -> Path:
        """Where the command's output goes."""
        return self.storage.with_name(f"{self.storage.name}.log")

    def start(self, folder: str) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own; temporary files go below `folder`."""
        sets = [part for override in self.overrides for part in ("--set", override)]
        where = ["--address", self.address] if self.address else []
        command = [sys.executable, "-m", "raysweep", "--debug", "run", str(self.config), "--storage", str(self.storage)]
        own = {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TMPDIR": folder}
        self.note("the command")
        with self.log.open("a") as log:
            return subprocess.Popen(
                [*command, *sets, *where], stdout=log, stderr=log, env={**os.environ, **own}, start_new_session=True
            )

    def note(self, what: str) -> None:
        """Add a line to the log."""
        with self.log.open("a") as log:
            log.write(f"===== {time.strftime('%H:%M:%S')} {what}\n")

    def tail(self) -> str:
        """Return the end of the command's output."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: how many seconds each kind of process was there, and what must come out."""

    exposure: Mapping[Victim, float]
    seconds: float
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Strike:
    """A kill to come: of which kind, and after how many seconds of such processes' being there."""

    victim: Victim
    after: float


@dataclass
class Disturbed:
    """What became of a sweep that was struck."""

    sweep: Sweep
    coming: list[Strike]  # in the end: those whose moment never came
    kills: list[Kill] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)  # exit codes, one a run
    seconds: float = 0.0
    leftovers: list[str] = field(default_factory=list)
    _told: dict[str, tuple[Place, float]] = field(default_factory=dict)  # how far each activity is, and since when

    def look(self) -> None:
        """Watch how far the sweep is and what the kills led to."""
        for name, place in places(self.sweep.storage, self.sweep.parts.name).items():
            if name not in self._told or self._told[name][0] != place:
                self._told[name] = place, time.time()
        for kill in self.kills:
            kill.look(self.sweep.storage)

    def due(self, tree: ProcessTree) -> Strike | None:
        """Return a strike whose moment has come."""
        if any(kill.recovered is None for kill in self.kills):
            return None
        return next((s for s in self.coming if tree.exposure[s.victim] >= s.after and tree.alive(s.victim)), None)

    def struck(self, strike: Strike, at: float) -> None:
        """Note a strike that was made just now."""
        before = snapshot(self.sweep.storage, self.sweep.parts.name)
        self.coming.remove(strike)
        told = {name: since for name, (_, since) in self._told.items()}
        self.kills.append(Kill.now(strike.victim, at, self.sweep.parts, before, told))

    def problems(self, reference: Mapping[str, Any]) -> list[str]:
        """Say in which ways it differs from an undisturbed run, what was done twice, and what is still running."""
        storage, ended = self.sweep.storage, manifests(self.sweep.storage)
        found = [f"not as undisturbed: {n}" for n in differences(content(storage, self.sweep.parts.name), reference)]
        found += [problem for kill in self.kills for problem in kill.problems(ended)]
        if len(self.codes) > 1 and not any(kill.victim in STOPS_ALL for kill in self.kills):
            found.append(f"it had to be given again: exit codes {self.codes}")
        return found + [f"still running: {title}" for title in self.leftovers]


def undisturbed(sweep: Sweep, limit: float) -> Reference:
    """Run a sweep in peace; raise Failed when it does not end well within `limit` seconds."""
    with _tree(sweep) as (tree, folder):
        started = time.monotonic()
        code = _run(sweep, tree, folder, limit, lambda: None)
        if code != 0:
            raise Failed(f"undisturbed, it ended with {code}: {sweep.tail()}")
        seconds = time.monotonic() - started
    return Reference(dict(tree.exposure), seconds, content(sweep.storage, sweep.parts.name))


def kill_process(seen: Seen) -> None:
    """Kill a process as the machine's own out-of-memory killer would; raise psutil.NoSuchProcess if it has ended."""
    seen.process.send_signal(signal.SIGKILL)


def disturbed(
    sweep: Sweep,
    strikes: Sequence[Strike],
    rng: random.Random,
    limit: float,
    strike: Callable[[Seen], None] = kill_process,
) -> Disturbed:
    """Run a sweep, strike at the given moments, and run it again at once where the command died, until it ends well.

    Each strike waits until what the one before stopped is where it was.

    Raises:
        Failed: a run took more than `limit` seconds, or the command died too often.
    """
    outcome = Disturbed(sweep, coming=sorted(strikes, key=lambda one: one.after))
    with _tree(sweep) as (tree, folder):
        started = time.monotonic()

        def look() -> None:
            outcome.look()
            if (due := outcome.due(tree)) is None:
                return
            working = dict(holders(sweep.storage)).values()
            alive = tree.alive(due.victim)  # rather one that makes something than one that has just ended its work
            seen = rng.choice([seen for seen in alive if seen.process.pid in working] or alive)
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended this moment: the next one, then
                strike(seen)
                outcome.struck(due, time.monotonic() - started)
                sweep.note(f"killed: {due.victim.label} {seen.process.pid}")

        while not outcome.codes or outcome.codes[-1] != 0:
            if len(outcome.codes) == RUNS + len(strikes):
                raise Failed(f"it ended with {outcome.codes}: {sweep.tail()}")
            outcome.codes.append(_run(sweep, tree, folder, limit, look))
        outcome.look()
        outcome.seconds = time.monotonic() - started
        outcome.leftovers = [] if sweep.address else tree.leftovers(PATIENCE)
    return outcome


def _run(sweep: Sweep, tree: ProcessTree, folder: str, limit: float, look: Callable[[], None]) -> int:
    """Run the command once, looking at it all the time; return its exit code."""
    process, deadline = sweep.start(folder), time.monotonic() + limit
    try:
        tree.add_root(process.pid, Victim.DRIVER)
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise Failed(f"it hangs: {places(sweep.storage, sweep.parts.name)}; {sweep.tail()}")
            tree.look()
            look()
            time.sleep(LOOK_SECONDS)
    finally:
        process.kill()
        process.wait()
    return process.returncode


@contextlib.contextmanager
def _tree(sweep: Sweep) -> Iterator[tuple[ProcessTree, str]]:
    """Give what follows a sweep's processes, and a folder for temporary files; whatever is left at the end is ended."""
    tree, folder = ProcessTree(), tempfile.mkdtemp(prefix="rs-t-", dir="/tmp")
    for pid in sweep.roots:
        tree.add_root(pid)
    try:
        yield tree, folder
    finally:
        if not sweep.roots:
            tree.kill_all()
        shutil.rmtree(folder, ignore_errors=True)
