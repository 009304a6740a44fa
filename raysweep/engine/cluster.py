"""The Ray that a sweep runs on: one to connect to, or one of its own, and whether it can hold what is asked for."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.config import RayConfig, ResourcesConfig
from raysweep.errors import UsageError

SLOT = "raysweep_slot"
"""Custom resource that a trial holds while its work runs elsewhere: with CPUs instead, drivers and their children
would wait for each other for ever on a small machine (Ray has no notion of the two belonging together)."""

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
        asked = {"resources": dict(self.custom), "label_selector": dict(self.labels)}
        return {} if self.in_trial else {name: value for name, value in asked.items() if value}


def placement(resources: ResourcesConfig, workers: int) -> Placement:
    """Return how a task with so many training workers (0: none) is placed."""
    in_trial = resources.processes == "trial" or (resources.processes == "auto" and workers <= 1 and not resources.gpus)
    if in_trial and (workers > 1 or resources.gpus):
        what = f"a recipe has {workers} workers" if workers > 1 else f"resources.gpus is {resources.gpus:g}"
        raise UsageError(f"resources.processes is 'trial', but {what}; use 'auto' or 'workers'")
    memory = int(resources.memory_gib * 2**30)
    return Placement(resources.cpus, resources.gpus, memory, in_trial, resources.custom, resources.labels)


def machine_resources(ray: RayConfig) -> dict[str, float]:
    """Return the CPUs, GPUs and memory (bytes) of this machine, as a Ray started here would have them."""
    cpus = ray.cpus or len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"CPU": float(cpus), "GPU": float(_gpus()), "memory": float(memory)}


def require_feasible(asked: Placement, workers: int, nodes: list[dict[str, float]], where: str) -> None:
    """Raise UsageError when no node can ever hold one worker, or all nodes together not all workers."""
    for name, key in (("CPU", "cpus"), ("GPU", "gpus"), ("memory", "memory_gib")):
        amount = asked.worker.get(name, 0.0)
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if amount > largest:
            have, want = (f"{v / 2**30:.1f} GiB" if name == "memory" else f"{v:g}" for v in (largest, amount))
            raise UsageError(
                f"a cell can never be scheduled: it asks for {want} {name} (`resources.{key}`), "
                f"but {where} has at most {have}; lower it or use a larger machine (--address)"
            )
        fits = sum(int(node.get(name, 0.0) // amount) for node in nodes) if amount else workers
        if fits < workers:
            raise UsageError(
                f"a cell can never be scheduled: its {workers} training workers (`workers` of the recipe) ask for "
                f"{amount:g} {name} each, but {where} has room for {fits}; lower one of the two"
            )


class Cluster:
    """Connects to a Ray, or starts one in a temporary folder of its own and stops it again."""

    def __init__(self, settings: RayConfig, address: str | None) -> None:
        self._settings = settings
        self._address = address or os.environ.get("RAY_ADDRESS") or None
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
        common: dict[str, Any] = {"namespace": "raysweep", "log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            context = ray.init(address=self._address, **common)
            return f"connected to Ray at {self._address}" + _dashboard(context)
        self._folder = tempfile.mkdtemp(prefix="rs-", dir="/tmp")  # AF_UNIX paths must stay short
        cpus = int(machine_resources(self._settings)["CPU"])
        context = ray.init(
            address="local",
            num_cpus=cpus,
            resources={SLOT: cpus},
            object_store_memory=self._settings.object_store_mib * 2**20,
            include_dashboard=self._settings.dashboard,
            _temp_dir=self._folder,
            **common,
        )
        return f"started Ray on {cpus} CPUs" + _dashboard(context)

    def stop(self) -> None:
        """Disconnect; stop the Ray if it is ours, and remove its folder."""
        import ray

        ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of each live node."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def driver_bundle(self, asked: Placement) -> dict[str, float]:
        """Return what a trial or a shared input's task holds."""
        if asked.in_trial:
            return asked.worker
        return {SLOT: 1.0} if self.owned else {"CPU": 0.001}


def _dashboard(context: Any) -> str:
    url = getattr(context, "dashboard_url", None)
    return f"; dashboard: http://{url}" if url else ""


def _gpus() -> int:
    """GPUs that torch sees; 0 without importing it when no driver is loaded."""
    if not Path("/proc/driver/nvidia").exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        return 0
    import torch

    return torch.cuda.device_count()
