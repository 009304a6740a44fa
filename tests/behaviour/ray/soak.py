"""Many programs, some of them hostile, through Ray's execution actors while these are killed: is anything lost?

``python -m tests.behaviour.ray.soak 50000`` (part of ``make soak``) starts a small Ray, and ends with 1 when a program
got no verdict, two, or a wrong one, or when something survived.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from raysweep.config.schema import RayConfig
from raysweep.engine.base import ExecuteJob, ProgramBatch
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Cluster, Placement
from raysweep.engine.ray.execution import execute_with_ray
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Sandbox
from raysweep.stages.judging import LARGEST_BLOCK
from raysweep.storage.files import Files
from tests.behaviour.execution.soak import SLOT_TITLE, judged, work
from tests.behaviour.execution.world import PATIENCE, World
from tests.patience import eventually

SANDBOX = Sandbox(Lane.SHARED, Level.LIMITS)


def soak(count: int, kills: int, folder: Path, size: int = LARGEST_BLOCK) -> list[str]:
    """Run `count` programs on the Ray that this process is connected to; return what was wrong, one line each.

    Args:
        count: programs.
        kills: actors that are killed (SIGKILL), at random moments.
        folder: for progress.
        size: programs of a batch.
    """
    wrong: list[str] = []
    dice = random.Random(count)
    progress = ProgressFile(Files(str(folder)), "soak")
    began = time.time()
    with World() as world:
        with Executor(1, SANDBOX) as probe:
            level = probe.level()
        programs = list(work(world, level, count))
        batches = [programs[at : at + size] for at in range(0, count, size)]
        job = ExecuteJob([ProgramBatch([one[1] for one in b], [one[2] for one in b]) for b in batches], SANDBOX)
        moments = set(dice.sample(range(1, len(batches) - 2), kills))
        seen: list[int] = []
        due = 0
        for block in execute_with_ray(job, Placement(1, 0, 0, in_trial=False), 2, progress):
            seen.append(block.index)
            for (key, _, _), verdict in zip(batches[block.index], block.rows, strict=True):
                wrong += judged(key, verdict)
            due += len(seen) in moments
            if due and _kill_an_actor(dice):
                due -= 1
        if sorted(seen) != list(range(len(batches))):
            wrong.append(f"batches that came: {sorted(seen)}")
        wrong += [f"{due} actors could not be killed: none was at work"] * bool(due)
        deaths = sum("an execution actor died" in line for line in progress.activity.tail)
        wrong += [f"{kills} actors were killed, and {deaths} were seen to die"] * (2 * deaths < kills)
        wrong += world.effects()
    return wrong + [f"survived: {process}" for process in _slots_since(began)]


def _kill_an_actor(dice: random.Random) -> bool:
    """Kill an actor that is at work; return whether there was one: each may be between two batches."""
    at_work = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            at_work += [process] if "ray::execute soak" in " ".join(process.cmdline()) else []
    with suppress(psutil.NoSuchProcess):
        if at_work:
            dice.choice(at_work).kill()
            return True
    return False


def _slots_since(began: float) -> list[psutil.Process]:
    """Return processes of slots that were started since and are still there minutes later, programs included.

    Slots of others, whose tests may run at the same time, have a living parent that is neither below nor above us.
    """
    above = {process.pid for process in psutil.Process().parents()}
    found: list[psutil.Process] = []

    def none_is_left() -> bool:
        found.clear()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.create_time() >= began and SLOT_TITLE in " ".join(process.cmdline()):
                    parents = [one for one in process.parents() if SLOT_TITLE not in " ".join(one.cmdline())]
                    is_ours = os.getpid() in [one.pid for one in parents]
                    is_orphan = not parents or parents[0].pid in above
                    found.extend([process] if is_ours or is_orphan else [])
        return not found

    eventually(none_is_left, PATIENCE)
    return found


def main() -> int:
    """Start Ray, soak, and say what was found."""
    count, kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000, 10
    ray = Cluster(RayConfig(cpus=2, dashboard=False), "local")
    ray.start()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="rs-soak-") as folder:
            wrong = soak(count, kills, Path(folder))
    finally:
        ray.stop()
    for line in wrong[:50]:
        print(line)
    end = "nothing was lost" if not wrong else "failed"
    print(f"{count:,} programs, {kills} actors killed, in {time.monotonic() - began:.0f} s: {end}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
