"""Connects to a running Ray or starts one, and computes the resources that tasks request from it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.accelerators import ACCELERATOR_LABEL, ACCELERATORS
from raysweep.engine.placing.cells import ANY, CPUS, UNLABELLED
from raysweep.engine.placing.fits import unfit
from raysweep.engine.ray.cluster.cordons import outside_cordons
from raysweep.engine.ray.cluster.probe import require_reachable
from raysweep.engine.ray.cluster.temp_folders import DEFAULT, LONG, make_folder, remove_stale, sockets_root, spill_root
from raysweep.errors import RaysweepError
from raysweep.machine import cores
from raysweep.planning.predictions.needs import CellNeeds, Needs, without
from raysweep.units import count

if TYPE_CHECKING:  # slow to import in workers, which need none of it
    from raysweep.config.schema import RayConfig

log = logging.getLogger("raysweep")

SLOT = "raysweep_slot"
"""Custom resource that a trial holds while its work runs in other processes. If trials held CPUs, trials and the
processes that they start could block each other for ever on a small machine, since Ray schedules them independently."""

START_ATTEMPTS = 3
TOO_SLOW = "timed out during startup"
"""What Ray says when a node that it starts isn't up within 30 s, which no setting changes."""
AGAIN_SECONDS = 0.5
"""Time between two looks for the processes of a Ray that did not start."""

ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # keep the working folder, to which a user's relative paths refer
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its CSV file has no columns for what later results add
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # raysweep decides how many cells start (places.py)
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the command line handles Ctrl-C
    "RAY_AIR_NEW_OUTPUT": "0",  # print no tables of Tune on stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Placement(Needs):
    """What each process of a stage asks Ray for.

    `in_trial`: the trial's own process holds it and does the work. `types`: of accelerators that nodes may have.
    """

    in_trial: bool = False
    types: tuple[str, ...] = ()

    def on(self, pool: str) -> Placement:
        """On nodes with the pool's type, if accelerators are asked for: its labels then say all that these need."""
        label = self.labels.get(ACCELERATOR_LABEL, "")
        if self.gpus and pool in (UNLABELLED, ANY):
            label = without(label, [kind for kind in self.types if pool == UNLABELLED or unfit(self, kind)])
        elif self.gpus and pool != CPUS:
            label = pool
        labels = {**self.labels, ACCELERATOR_LABEL: label} if label else self.labels
        return replace(self, labels=labels, least_on_accelerator=0, in_bf16=False, types=())

    def actor_options(self, excluded: Iterable[str] = ()) -> dict[str, Any]:
        """Ask Ray which nodes are cordoned; return Ray options of an actor outside them, beside CPUs and GPUs.

        The actor holds nothing if the trial itself holds the resources. `excluded`: ids of further nodes.
        """
        held = Needs() if self.in_trial else self
        selector = outside_cordons(held.labels, excluded)
        options = {"memory": held.memory_bytes, "resources": dict(held.custom), "label_selector": selector}
        return {name: value for name, value in options.items() if value}


@dataclass(frozen=True)
class Placements:
    """The placements of a task's stages."""

    training: Placement
    generation: Placement
    execution: Placement
    workers: int = 0  # training workers; 0: the task trains nothing

    def on(self, pool: str) -> Placements:
        return replace(self, training=self.training.on(pool), generation=self.generation.on(pool))

    @property
    def elsewhere(self) -> Placements:
        """The same for a task that does no stage in its own process, which holds nothing."""
        return Placements(
            replace(self.training, in_trial=False),
            replace(self.generation, in_trial=False),
            replace(self.execution, in_trial=False),
            self.workers,
        )

    @property
    def in_trial(self) -> bool:
        return self.training.in_trial


def placements(needs: CellNeeds, types: Iterable[str] = ()) -> Placements:
    """`types`: of accelerators on live nodes; those with a data sheet count too, since an autoscaler may start them."""
    known = tuple(sorted({*(name.replace(" ", "-") for name in ACCELERATORS), *types}))  # labels have no spaces

    def placed(stage: Needs) -> Placement:
        in_trial = needs.in_trial and not (stage.gpus and not needs.training.gpus)
        return Placement(
            **{field.name: getattr(stage, field.name) for field in fields(Needs)} | {"is_predicted": False},
            in_trial=in_trial,
            types=known,
        )

    return Placements(placed(needs.training), placed(needs.generation), placed(needs.execution), needs.workers)


def foreign_address(option: str | None) -> str | None:
    """Return None if raysweep must start a Ray. `option`: the value of --address; None: use RAY_ADDRESS."""
    address = option or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


class Cluster:
    """Connects to a running Ray, or starts one in a temporary folder and stops it again."""

    def __init__(self, settings: RayConfig, address: str | None) -> None:
        self._settings = settings
        self._address = foreign_address(address)
        self._folders: list[Path] = []  # of the Ray that this process starts

    @property
    def owned(self) -> bool:
        return self._address is None

    def start(self) -> str:
        """Connect to Ray or start it; return a line for the user."""
        for name, value in ENVIRONMENT.items():  # before Ray is imported
            os.environ.setdefault(name, value)
        import ray

        for noisy in ("ray.tune", "ray.train", "ray.data"):  # raysweep reports errors of cells itself, in one line
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        if hasattr(ray._private.worker, "print_to_stdstream"):
            # hides a raylet's warnings, which log_to_driver=False does not
            ray._private.worker.print_to_stdstream = lambda *lines, **options: None
        common: dict[str, Any] = {"namespace": "raysweep", "log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            reached = require_reachable(self._address)
            with _restored_signal_handlers():
                context = ray.init(address=self._address, **common)
            return f"connected to Ray at {reached.address}" + _dashboard(context)
        root, refused = sockets_root()
        if refused:
            log.warning("%s", refused)
        for place in {DEFAULT, root}:
            remove_stale(place)
        spilled = self._spill_folder()
        cpus = self._settings.cpus or cores()
        for attempt in range(1, START_ATTEMPTS + 1):
            folder = make_folder(root)
            self._folders.append(folder)
            try:
                with _restored_signal_handlers():
                    context = ray.init(
                        address="local",
                        num_cpus=cpus,
                        resources={SLOT: cpus},
                        object_store_memory=self._settings.object_store_mib * 2**20,
                        include_dashboard=self._settings.dashboard,
                        object_spilling_directory=str(spilled) if spilled else None,
                        _temp_dir=str(folder),
                        **common,
                    )
                break
            except Exception as error:
                if TOO_SLOW not in str(error):
                    raise
                _end_half_started(folder)
                if attempt == START_ATTEMPTS:
                    raise RaysweepError(
                        f"Ray was not up within 30 s, {attempt} times in a row, as on a busy machine (load "
                        f"{os.getloadavg()[0]:.0f} on {count(cores(), 'core')}); give the same command once less runs "
                        "here, or with --engine local, which needs no Ray"
                    ) from error
                log.warning("Ray did not start within its 30 s, as on a busy machine; it is started again")
        return f"started Ray on {count(cpus, 'CPU')}" + _dashboard(context)

    def _spill_folder(self) -> Path | None:
        root = spill_root(self._settings.spill_folder)
        if root is None:
            return None
        remove_stale(root, LONG)
        self._folders.append(folder := make_folder(root, LONG))
        return folder

    def stop(self) -> None:
        import ray

        ray.shutdown()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def driver_bundle(self, placement: Placement) -> dict[str, float]:
        return placement.amounts if placement.in_trial else self.waiting_driver

    @property
    def waiting_driver(self) -> dict[str, float]:
        """What a trial holds whose work is done by other processes."""
        return {SLOT: 1.0} if self.owned else {"CPU": 0.001}


def _end_half_started(folder: Path) -> None:
    """It looks twice: a process that has just been started names nothing for a moment."""
    for is_last in (False, True):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if os.fsencode(folder) in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)
        if not is_last:
            time.sleep(AGAIN_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _restored_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers that Ray replaces: the command line decides how a command ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _dashboard(context: Any) -> str:
    url = getattr(context, "dashboard_url", None)
    return f"; dashboard: http://{url}" if url else ""
