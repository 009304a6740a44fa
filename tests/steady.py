"""Sweeps without torch: commands with the parts of tests/plugin, and what they leave behind.

A test of what raysweep does with cells needs no networks. A sweep like these takes a third of the CPU time of
tests/nano.yaml with Ray, and a fifth without.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import yaml

from raysweep.storage.files import Files
from tests.paths import REPO
from tests.patience import PATIENCE, eventually
from tests.plugin import environment

STEADY = REPO / "tests" / "steady.yaml"


@dataclass(frozen=True)
class Sweep:
    """A sweep in a folder of its own: config, store, and what its parts write down.

    `installed`: where the package of tests/plugin is.
    """

    folder: Path
    installed: Path

    def write(self, **changes: Any) -> Path:
        """Write tests/steady.yaml with other values of some sections; None removes one."""
        config = {**yaml.safe_load(STEADY.read_text()), **changes}
        if "models" not in changes:
            config["models"][0]["path"] = str(self.base())
        self.config.write_text(yaml.safe_dump({name: value for name, value in config.items() if value is not None}))
        return self.config

    def write_fakes(self, generators: Mapping[str, Mapping[str, Any]], **changes: Any) -> Path:
        """Write a config without trainings, whose models are generators without weights, by name."""
        models = [{"name": name, "generator": dict(spec)} for name, spec in generators.items()]
        evaluation = {**yaml.safe_load(STEADY.read_text())["evaluation"], "perturbations": ["clean"]}
        own = {"models": models, "recipes": None, "training": None, "evaluation": evaluation}
        return self.write(**{**own, "recovery": {"backoff_seconds": 0.2}, **changes})

    def base(self) -> Path:
        """Return the folder of a base model, made when it is first asked for; all sweeps of a process have the same."""
        folder, made = self.folder / "base", self.installed / "steady-base"
        if not made.exists():
            code = "import sys, pathlib, raysweep_extra.steady as s; s.make_base(pathlib.Path(sys.argv[1]))"
            subprocess.run([sys.executable, "-c", code, str(made)], check=True, env=self.environment)
        if not folder.exists():
            shutil.copytree(made, folder)
        return folder

    @property
    def config(self) -> Path:
        """The config's file."""
        return self.folder / "config.yaml"

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    @property
    def notes(self) -> Path:
        """The folder in which parts write down things."""
        return self.folder / "notes"

    @property
    def environment(self) -> dict[str, str]:
        """Of its commands."""
        return {**environment(self.notes), "PYTHONPATH": f"{self.installed}:{REPO}"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the sweep's command."""
        return self.command("run", str(self.config), *arguments)

    def command(self, *arguments: str, storage: object = None) -> subprocess.CompletedProcess[str]:
        """Run any command on its store, or on another storage."""
        process = self.start(*arguments, storage=storage)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(
        self, *arguments: str, storage: object = None, stderr: IO[str] | int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start a command on its store, or on another storage, in a session of its own; it ends with the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "raysweep", *arguments, "--storage", str(storage or self.store)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        _started.append(process)
        return process

    def await_checkpoint(
        self, process: subprocess.Popen[str], storage: object = None, look: Callable[[], object] = lambda: None
    ) -> None:
        """Wait until a training of a running command has saved a checkpoint; call `look` again and again meanwhile."""

        def is_saved() -> bool:
            look()
            assert process.poll() is None, f"the command has ended: {process.communicate()}"
            return has_checkpoint(storage or self.store)

        assert eventually(is_saved)

    def cells(self, name: str = "steady") -> dict[str, dict[str, Any]]:
        """Return what `status` says of each cell."""
        status = json.loads(self.command("status", name, "--json").stdout)
        return {cell["cell"]: cell for cell in status["cells"]}

    def told(self, cell: str, name: str = "steady") -> str:
        """Return the lines that a cell or shared input wrote, without the times."""
        path = next((self.store / "sweeps" / name / "progress").glob(f"{cell}*.json"))
        return "\n".join(line.split(" ", 2)[2] for line in json.loads(path.read_text())["tail"])

    def calls(self, name: str) -> list[float]:
        """Return when a part that makes trouble was called."""
        return [float(line.split()[1]) for line in (self.notes / name).read_text().splitlines()]

    def resumed_from(self) -> list[int]:
        """Return from which step each model's training was resumed."""
        manifests = (self.store / "artefacts" / "model").rglob("manifest.json")
        return [json.loads(path.read_text())["counts"]["resumed_from"] for path in manifests]

    def commits(self) -> dict[str, int]:
        """Return when each artefact was committed."""
        return {str(path): path.stat().st_mtime_ns for path in (self.store / "artefacts").rglob("manifest.json")}

    def nothing_is_left_running(self) -> bool:
        """Return True once all its processes have ended, which they do soon after its command has."""
        return eventually(lambda: not processes_with(self.notes), 300)


def has_checkpoint(storage: object) -> bool:
    """Return whether a training that has not ended has saved a checkpoint."""
    return any(name.endswith("/COMPLETE") for name in Files(str(storage)).below("unfinished/model").infos())


@contextlib.contextmanager
def held(notes: Path) -> Iterator[None]:
    """Have trainings whose parts write down things in a folder wait to the end of the block.

    They have taken some steps then, and saved checkpoints.
    """
    notes.mkdir(exist_ok=True)
    (notes / "held").touch()
    try:
        yield
    finally:
        (notes / "held").unlink()


_started: list[subprocess.Popen[str]] = []


def end_commands() -> None:
    """Kill the commands that are still running, such as those of a test that failed, with all that they started."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def processes_with(notes: Path) -> Sequence[psutil.Process]:
    """Return the processes whose parts write down things in a folder."""
    return [one for one in psutil.process_iter() if _folder_of(one) == str(notes)]


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("RAYSWEEP_EXTRA_FOLDER", "")
    except psutil.Error:
        return ""
