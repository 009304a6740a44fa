"""Processes whose Ray has died."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from raysweep.engine.lost import LOOK_SECONDS

RAYLET = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(child.pid, flush=True)
time.sleep(60)
"""
ACTOR = """
import os, threading, time
from raysweep.engine.lost import end_with_raylet
os.environ.pop("RAY_RAYLET_PID", None)
batch = threading.Thread(target=time.sleep, args=(60,))
batch.start()
end_with_raylet()
print("watches", flush=True)
"""
"""Its end waits for the batch, as that of Ray Data's does."""


def test_an_actor_ends_with_its_raylet_though_a_batch_is_being_made():
    parent = subprocess.Popen([sys.executable, "-c", RAYLET, ACTOR], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    actor = psutil.Process(int(parent.stdout.readline()))
    try:
        assert parent.stdout.readline() == "watches\n"
        time.sleep(3 * LOOK_SECONDS)
        assert actor.is_running() and actor.status() != psutil.STATUS_ZOMBIE
        parent.kill()
        parent.wait()
        _, left = psutil.wait_procs([actor], timeout=15)
        assert not left
    finally:
        parent.kill()
        if actor.is_running():
            actor.kill()
