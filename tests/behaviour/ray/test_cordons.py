"""A node whose local disk is full gets no work, and what died there is done by others, with the same results."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.patience import PATIENCE, eventually
from tests.small_ray import BIN, SmallRay, small_ray
from tests.steady import Sweep, held
from tests.storage.stores import content

pytestmark = [pytest.mark.long, pytest.mark.ray]

DISK_MIB = 600
CELLS = 4


class SmallNode:
    """A node with two CPUs whose folder for temporary files and for Ray's session is a small disk of its own."""

    def __init__(self, disk: Path, mounts: Path) -> None:
        self.disk, self._mounts = disk, mounts

    def fill(self) -> None:
        """Use all of its disk up."""
        with contextlib.suppress(OSError), (self.disk / "something else").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 2**16)

    def cells(self) -> list[psutil.Process]:
        """Return the processes of cells there."""
        return [process for process in psutil.process_iter() if self._is_cell(process)]

    def _is_cell(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            is_there = Path(f"/proc/{process.pid}/ns/mnt").readlink() == self._mounts
            return is_there and " ".join(process.cmdline()).lower().startswith("ray::cell")
        return False


@contextlib.contextmanager
def small_node(ray: SmallRay) -> Iterator[SmallNode]:
    """Add the node for the length of the block."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root may mount")
    place = ray.folder / "ray"
    options = ("--num-cpus=2", "--object-store-memory=80000000", "--block")
    start = shlex.join([str(BIN / "ray"), "start", f"--address={ray.address}", *options])
    command = f"mount -t tmpfs -o size={DISK_MIB}m tmpfs {place} && exec {start}"
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", command],
        env={**ray.environment, "TMPDIR": str(place)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        disk = Path(f"/proc/{process.pid}/root{place}")
        assert eventually(lambda: disk.stat().st_dev != place.stat().st_dev)
        assert eventually(lambda: any(disk.glob("session_*/sockets/raylet*")))
        yield SmallNode(disk, Path(f"/proc/{process.pid}/ns/mnt").readlink())
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        psutil.wait_procs(children, timeout=30)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.wait()


@pytest.fixture
def sweep(installed, tmp_path) -> Sweep:
    own = Sweep(tmp_path, installed)
    base = {"name": "base", "path": str(own.base()), "generator": {"name": "steady"}, "template": "raw"}
    steady = {"trainer": "steady", "objective": "paced", "batch_size": 16}
    recipes = {f"r{number}": {**steady, "steps": 8 + number} for number in range(CELLS)}
    recovery = {"backoff_seconds": 1, "retries": 0}
    own.write(models=[{**base, "recipes": list(recipes)}], recipes=recipes, recovery=recovery)
    return own


def test_a_node_whose_disk_fills_up_gets_no_more_work_and_no_cell_fails(sweep, tmp_path):
    undisturbed = sweep.command("run", str(sweep.config), "--engine", "local", storage=tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    with small_ray(num_gpus=0, include_dashboard=False) as ray, small_node(ray) as node:
        with held(ray.notes):
            running = sweep.start("run", str(sweep.config), "--address", ray.address)
            sweep.await_checkpoint(running)
            assert eventually(lambda: len(node.cells()) == 2), running.poll()
            node.fill()
            for process in node.cells():
                process.kill()
            assert eventually(lambda: not node.cells())
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, (out, err)
    assert "gets no work" in err and f"free on the disk of {ray.folder}/ray" in err
    assert content(sweep.store) == content(tmp_path / "undisturbed")
