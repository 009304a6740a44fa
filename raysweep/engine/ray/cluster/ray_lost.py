"""Detects that the local Ray has died and stops waiting for it; Ray's own calls may hang for a minute or for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.periodic import run_periodically

POLL_SECONDS = 0.5
INIT = 1
"""Process id of the process that becomes the parent of those whose own parent has ended."""
PROCESSES = ("raylet", "gcs_server")


class RayLost(RaysweepError):
    """A process of the Ray that raysweep started is gone."""


@contextlib.contextmanager
def watch_ray() -> Iterator[None]:
    """Raise RayLost in the block soon after a process of Ray died, even while the block waits in a call of Ray.

    Only a KeyboardInterrupt ends a call of Ray, and only the main thread receives one. In other threads this does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    dead: list[str] = []
    processes = _processes()

    def look() -> None:
        ended = [name for name, process in processes.items() if process.poll() is not None]
        if ended and not dead:
            dead.extend(ended)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)

    handler = signal.signal(signal.SIGUSR2, signal.default_int_handler)
    try:
        with run_periodically(look, POLL_SECONDS, "is Ray alive"):
            yield
    except BaseException:
        if dead:
            raise RayLost(_text(dead[0])) from None
        raise
    finally:
        signal.signal(signal.SIGUSR2, handler or signal.SIG_DFL)
    if dead:  # Tune may have returned normally, with all its trials lost
        raise RayLost(_text(dead[0]))


def end_with_raylet() -> None:
    """End this actor's process as soon as its raylet has ended; Ray itself would first wait for the current batch.

    The raylet may have ended before this call, and another process have become the parent: then it ends at once. Ray
    gives its workers the raylet's process id; without it, a parent with the id 1 means the same.
    """
    parent = os.environ.get("RAY_RAYLET_PID")
    raylet = int(parent) if parent else os.getppid()
    is_orphan = not parent and raylet == INIT

    def watch() -> None:
        while not is_orphan and os.getppid() == raylet:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="is Ray there", daemon=True).start()


def _processes() -> dict[str, Any]:
    import ray

    node = getattr(ray._private.worker, "_global_node", None)
    started = node.all_processes if node is not None else {}
    return {name: started[name][0].process for name in PROCESSES if started.get(name)}


def _text(process: str) -> str:
    return (
        f"the Ray that this command had started is gone (its {process} process ended); finished work is in the store: "
        "run the same command again to resume"
    )
