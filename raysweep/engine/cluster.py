"""The Ray that a sweep runs on: one to connect to, or one of its own, and whether it can hold what is asked for."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.config_running import RayConfig, ResourcesConfig
from raysweep.engine.reach import require_reachable
from raysweep.errors import UsageError
from raysweep.machine import cores
from raysweep.terminal import count

SLOT = "raysweep_slot"
"""Custom resource that a trial holds while its work runs elsewhere: with CPUs instead, drivers and their children
would wait for each other for ever on a small machine (Ray has no notion of the two belonging together)."""

PREFIX = "rs-"
"""Of the folder in /tmp of a Ray that raysweep starts, before the process id."""

ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths mean the folder that the command was given in
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the command line's
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own tables would stand between ours, on stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Placement:
    """What one unit of work asks of Ray, and where training runs."""

    cpus: float
    gpus: float
    memory_bytes: int
    in_trial: bool  # training runs in the trial's own process, which then holds the resources
    custom: Mapping[str, float] = field(default_factory=dict)  # further resources, by Ray's name
    labels: Mapping[str, str] = field(default_factory=dict)  # of the node, as Ray's label selectors say it

    @property
    def worker(self) -> dict[str, float]:
        """Resources of one training worker, as Ray names them."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory_bytes), **self.custom}
        return {name: amount for name, amount in asked.items() if amount}

    @property
    def remote_options(self) -> dict[str, Any]:
        """What actors beside the trial ask for beyond CPUs and GPUs, as options of Ray; nothing in the trial."""
        asked = {"memory": self.memory_bytes, "resources": dict(self.custom), "label_selector": dict(self.labels)}
        return {} if self.in_trial else {name: value for name, value in asked.items() if value}


def placement(resources: ResourcesConfig, workers: int) -> Placement:
    """Return how a task with so many training workers (0: none) is placed."""
    in_trial = resources.processes == "trial" or (resources.processes == "auto" and workers <= 1 and not resources.gpus)
    if in_trial and (workers > 1 or resources.gpus):
        what = f"a recipe has {workers} workers" if workers > 1 else f"resources.gpus is {resources.gpus:g}"
        raise UsageError(f"resources.processes is 'trial', but {what}; use 'auto' or 'workers'")
    memory = int(resources.memory_gib * 2**30)
    return Placement(resources.cpus, resources.gpus, memory, in_trial, resources.custom, resources.labels)


def foreign_address(given: str | None) -> str | None:
    """Return the address of the running Ray that is to be used, None where raysweep starts one of its own."""
    named = given or os.environ.get("RAY_ADDRESS")
    return None if named in (None, "", "local") else named


class Cluster:
    """Connects to a Ray, or starts one in a temporary folder of its own and stops it again."""

    def __init__(self, settings: RayConfig, address: str | None) -> None:
        self._settings = settings
        self._address = foreign_address(address)
        self._folder: str | None = None

    @property
    def owned(self) -> bool:
        """Whether the Ray is ours: started here, to be stopped here."""
        return self._address is None

    def start(self) -> str:
        """Connect or start; return one line for the user."""
        for name, value in ENVIRONMENT.items():  # before Ray is imported
            os.environ.setdefault(name, value)
        import ray

        for noisy in ("ray.tune", "ray.train", "ray.data"):  # errors of cells are told by raysweep, in one line
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        if hasattr(ray._private.worker, "print_to_stdstream"):  # a raylet's warnings, which log_to_driver lets through
            ray._private.worker.print_to_stdstream = lambda *lines, **options: None
        common: dict[str, Any] = {"namespace": "raysweep", "log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            found = require_reachable(self._address)
            with _signals_kept():
                context = ray.init(address=self._address, **common)
            return f"connected to Ray at {found.address}" + _dashboard(context)
        _remove_left_behind()
        self._folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp")  # AF_UNIX paths must stay short
        cpus = self._settings.cpus or cores().usable
        with _signals_kept():
            context = ray.init(
                address="local",
                num_cpus=cpus,
                resources={SLOT: cpus},
                object_store_memory=self._settings.object_store_mib * 2**20,
                include_dashboard=self._settings.dashboard,
                _temp_dir=self._folder,
                **common,
            )
        return f"started Ray on {count(cpus, 'CPU')}" + _dashboard(context)

    def stop(self) -> None:
        """Disconnect; stop the Ray if it is ours, and remove its folder."""
        import ray

        ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def driver_bundle(self, asked: Placement) -> dict[str, float]:
        """Return what a trial or a shared input's task holds."""
        if asked.in_trial:
            return asked.worker
        return {SLOT: 1.0} if self.owned else {"CPU": 0.001}


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep what signals do, which Ray would change: how a command ends is the command line's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remove_left_behind() -> None:
    """Remove Ray's folders of raysweep processes that were killed."""
    for folder in Path("/tmp").glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _dashboard(context: Any) -> str:
    url = getattr(context, "dashboard_url", None)
    return f"; dashboard: http://{url}" if url else ""
