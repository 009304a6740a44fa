"""Processes whose Ray has died."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from raysweep.engine.ray.cluster import ray_lost
from raysweep.engine.ray.cluster.ray_lost import RayLost, watch_ray
from tests.patience import PATIENCE

ENDLESS = str(2 * PATIENCE)
"""Seconds for which those wait that nobody ends; nothing here waits for their end."""
RAYLET = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(child.pid, flush=True)
os.close(1)  # so that it ends with the child
time.sleep(ENDLESS)
"""
ACTOR = """
import os, threading, time
from raysweep.engine.progress import ProgressFile
import raysweep.engine.ray.MODULE as module
from raysweep.storage.files import Files
progress = ProgressFile(Files("FOLDER"), "cell")
os.environ.pop("RAY_RAYLET_PID", None)
module.died_too_often = lambda worker, progress: None  # it asks Ray, which isn't there
batch = threading.Thread(target=time.sleep, args=(ENDLESS,))
batch.start()
looks, getppid = [], os.getppid

def look():
    looks.append(getppid())
    if len(looks) == 4:
        print("has looked", flush=True)
    return looks[-1]

os.getppid = look
module.START
"""
"""It does nothing but start the actor. Its end waits for the batch, as that of Ray Data's does."""
ACTORS = {"hosts.generation": "GenerationActor(None, progress)", "perturbing": "PerturbingActor(None, (), progress)"}


def test_a_command_that_waits_ends_soon_after_its_ray(monkeypatch):
    raylet = subprocess.Popen(["sleep", ENDLESS])
    monkeypatch.setattr(ray_lost, "_processes", lambda: {"raylet": raylet})
    monkeypatch.setattr(ray_lost, "POLL_SECONDS", 0.05)
    with watch_ray():
        time.sleep(0.2)
    with pytest.raises(RayLost, match="its raylet process ended"), watch_ray():
        raylet.kill()
        time.sleep(float(ENDLESS))


@pytest.mark.slow
@pytest.mark.parametrize("module", ACTORS)
def test_an_actor_ends_with_its_raylet_though_a_batch_is_being_made(module, tmp_path):
    program = ACTOR.replace("START", ACTORS[module]).replace("MODULE", module).replace("FOLDER", str(tmp_path))
    command = [sys.executable, "-c", RAYLET.replace("ENDLESS", ENDLESS), program.replace("ENDLESS", ENDLESS)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    actor = psutil.Process(int(parent.stdout.readline()))
    try:
        assert parent.stdout.readline() == "has looked\n"
        assert actor.is_running() and actor.status() != psutil.STATUS_ZOMBIE
        parent.kill()
        parent.wait()
        _, left = psutil.wait_procs([actor], timeout=PATIENCE)
        assert not left
    finally:
        parent.kill()
        if actor.is_running():
            actor.kill()


LATE = """
import os, threading
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
PARENT
end_with_raylet()
threading.Event().wait(PATIENCE)
"""


@pytest.mark.parametrize(
    "parent",
    ["os.environ['RAY_RAYLET_PID'] = '4194305'", "os.environ.pop('RAY_RAYLET_PID', None); os.getppid = lambda: 1"],
    ids=["the raylet's id is known", "pid 1 has adopted it"],
)
def test_an_actor_whose_raylet_has_ended_before_it_looks_ends_at_once(parent):
    program = LATE.replace("PARENT", parent).replace("PATIENCE", str(PATIENCE))
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b""), "if nothing ends it, it ends with 0"
