"""Notices that Ray has died: it hangs then, or ends processes a minute later, and its actors finish their batches."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from raysweep.errors import RaysweepError

LOOK_SECONDS = 0.5
PARTS = ("raylet", "gcs_server")


class RayLost(RaysweepError):
    """A process of the Ray that raysweep started is gone."""


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Raise RayLost out of the block, whatever call of Ray it waits in, soon after Ray's own processes died.

    Ray lets only a KeyboardInterrupt through its calls, and only the main thread can be interrupted: in another one
    nothing is noticed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found: list[str] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(_processes(), found, over), name="is Ray alive", daemon=True)
    before = signal.signal(signal.SIGUSR2, _interrupt)
    watch.start()
    try:
        yield
    except BaseException:
        if found:
            raise RayLost(_text(found[0])) from None
        raise
    finally:
        over.set()
        watch.join()
        signal.signal(signal.SIGUSR2, before or signal.SIG_DFL)
    if found:  # Tune may have ended by itself, all its trials lost
        raise RayLost(_text(found[0]))


def end_with_raylet() -> None:
    """End this process, an actor's, as soon as its raylet has ended: left to Ray, it waits for the batch being made."""
    raylet = int(os.environ.get("RAY_RAYLET_PID") or os.getppid())  # the parent, also when that has ended already

    def look() -> None:
        while os.getppid() == raylet:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, name="is Ray there", daemon=True).start()


def _watch(processes: dict[str, Any], found: list[str], over: threading.Event) -> None:
    while not over.wait(LOOK_SECONDS):
        dead = [name for name, process in processes.items() if process.poll() is not None]
        if dead:
            found.extend(dead)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
            return


def _processes() -> dict[str, Any]:
    """Return the processes of the Ray that this process has started, by name, as Popen objects."""
    import ray

    node = getattr(ray._private.worker, "_global_node", None)
    started = node.all_processes if node is not None else {}
    return {name: started[name][0].process for name in PARTS if started.get(name)}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _text(process: str) -> str:
    return (
        f"the Ray that this command had started is gone (its {process} process ended); what was finished is in the "
        "store, and the same command goes on from there"
    )
