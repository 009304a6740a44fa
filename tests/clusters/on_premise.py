"""clusters/on-premise.yaml in use: machines that are namespaces of this one, and a laptop beside them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from raysweep.storage.files import Files
from raysweep.storage.leases import Holder, holder_from
from tests.clusters.namespaces import SHARED, Machine, Site, allow, site
from tests.paths import REPO
from tests.patience import PATIENCE, eventually

FILE = "clusters/on-premise.yaml"
STORE = f"{SHARED}/raysweep"
GPUS = ("gpu1", "gpu2")
EDITS = {
    "gpu2.example.org, gpu3.example.org]": "gpu2.example.org]",
    "gpu2) labels=ray.io/accelerator-type=A100;;": "gpu2) labels=ray.io/accelerator-type=V100;;",
    "--labels=$labels": "--labels=$labels --num-gpus=1 --object-store-memory=300000000",
    "--labels=raysweep/role=head": "--labels=raysweep/role=head --object-store-memory=300000000",
}
"""What a user writes: there are two machines with one kind of GPU, and little memory. Ray only counts these GPUs."""
SETTINGS = "export PATH=$HOME/raysweep/bin:$PATH RAY_AUTH_MODE=token HF_HUB_OFFLINE=1; "
SUBMIT = "raysweep submit {} --address http://localhost:8265 --storage {} --allow-code-execution"


@dataclass(frozen=True)
class Cluster:
    """A laptop, on which commands are given in a folder, and the machines on which Ray runs."""

    site: Site
    tunnels: list[subprocess.Popen[str]] = field(default_factory=list)  # to the dashboard; the last one works

    @property
    def laptop(self) -> Machine:
        """The machine of the user."""
        return self.site.machines["laptop"]

    @property
    def head(self) -> Machine:
        """The machine with Ray's head."""
        return self.site.machines["head"]

    @property
    def checkout(self) -> Path:
        """The folder on the laptop in which commands are given, as this machine sees it."""
        return self.laptop.home / "checkout"

    @property
    def store(self) -> Path:
        """The storage of the sweeps, as this machine sees it."""
        return Path(f"{self.site.shared}{STORE.removeprefix(SHARED)}")

    def write(self, path: str, text: str) -> None:
        """Write a file of the laptop's folder."""
        place = self.checkout / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        self.site.give(self.checkout)

    def start(self, text: str) -> subprocess.Popen[str]:
        """Start a command on the laptop."""
        command = self.laptop.command(f"{SETTINGS} cd ~/checkout && {text}")
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def submit(self, config: str, *arguments: str, storage: str = STORE) -> subprocess.Popen[str]:
        """Start `raysweep submit` on the laptop, through a tunnel."""
        if not self.tunnels or self.tunnels[-1].poll() is not None:
            self.tunnels.append(self.start(f"ray dashboard {FILE}"))
            reach = "exec 3<>/dev/tcp/localhost/8265"
            assert eventually(lambda: self.laptop.run(reach, check=False).returncode == 0), self.tunnels[-1].poll()
        return self.start(" ".join([SUBMIT.format(config, storage), *arguments]))

    def ray_up(self) -> None:
        """Start Ray on all machines, and wait until it knows them."""
        code, told = finished(self.start(f"ray up --yes {FILE}"))
        assert code == 0, told
        self.await_all_nodes()

    def await_all_nodes(self) -> None:
        """Wait until Ray takes all machines for alive."""
        assert eventually(lambda: len(self.nodes()) == 1 + len(GPUS)), self.head.run(f"{SETTINGS} ray status").stdout

    def nodes(self) -> dict[str, str]:
        """Return the ids of the live nodes by the names of their machines."""
        names = {machine.address: name for name, machine in self.site.machines.items()}
        return {names[node["node_ip"]]: node["node_id"] for node in self._listed("nodes --filter state=ALIVE")}

    def cell(self, sweep: str, start: str) -> dict[str, Any]:
        """Return what the progress of a sweep says of the first cell whose name begins so; {} if nothing."""
        files = sorted((self.store / "sweeps" / sweep / "progress").glob(f"{start}*.json"))
        return json.loads(files[0].read_text()) if files else {}

    def holders(self) -> list[Holder]:
        """Return the processes that hold leases of models."""
        store = Files(str(self.store), expected=True)
        names = [name for name in store.infos("leases") if name.startswith("model-")]
        return [holder_from(text) for name in names if (text := store.read(f"leases/{name}"))]

    def await_training(self, process: subprocess.Popen[str], sweep: str, start: str) -> str:
        """Wait until the cell whose name begins so has trained for some steps; return the machine where it trains.

        No other cell must train meanwhile.
        """

        def has_begun() -> bool:
            assert process.poll() is None, finished(process)
            return int(self.cell(sweep, start).get("done", 0)) > 50

        assert eventually(has_begun)
        workers = self._listed("actors --detail --filter state=ALIVE --filter class_name=RayTrainWorker")
        (place,) = [name for name, node in self.nodes().items() if node in {one["node_id"] for one in workers}]
        return place

    def _listed(self, what: str) -> list[dict[str, Any]]:
        """Return what `ray list` says on the head, [] while Ray doesn't answer."""
        done = self.head.run(f"{SETTINGS} ray list --format json {what}", check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
        return found


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command; return its exit code and what it wrote."""
    out, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, out


def edited(text: str) -> str:
    """Return the file with what its head says a user edits."""
    for before, after in EDITS.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@contextmanager
def on_premise() -> Iterator[Cluster]:
    """Start the cluster for the length of the block, by the commands of the file's head."""
    with site() as network:
        machines = [network.add(name) for name in ("laptop", "head", *GPUS)]
        allow(*machines)
        cluster = Cluster(network)
        cluster.store.mkdir()
        network.give(cluster.store)
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", network.folder / "dist", "."]
        subprocess.run(build, cwd=REPO, check=True)
        shutil.copytree(network.folder / "dist", cluster.checkout / "dist")
        text = (REPO / FILE).read_text()
        cluster.write(FILE, edited(text))
        for command in ("ln -s ~/checkout/dist ~/dist", *yaml.safe_load(text)["setup_commands"]):
            cluster.laptop.run(command)
        cluster.laptop.run(f"{SETTINGS} ray get-auth-token --generate")
        cluster.ray_up()
        yield cluster
