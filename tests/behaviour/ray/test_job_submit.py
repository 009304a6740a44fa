"""`ray job submit`: what is uploaded, where results may lie, exit codes, and a job that is stopped goes on."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.storage.store import open_store
from tests.paths import REPO
from tests.patience import PATIENCE, eventually
from tests.small_ray import BIN, SmallRay
from tests.steady import Sweep, has_checkpoint, held

CONFIG = "tests/steady.yaml"


def uploaded(target: Path) -> Path:
    """Pack the checkout as `ray job submit --working-dir .` does, and return the package."""
    from ray._private.ray_constants import RAY_RUNTIME_ENV_DEFAULT_EXCLUDES
    from ray._private.runtime_env.packaging import create_package

    left_out = RAY_RUNTIME_ENV_DEFAULT_EXCLUDES.split(",")
    create_package(str(REPO), target, include_gitignore=True, excludes=left_out)
    return target


@pytest.mark.slow
def test_what_is_uploaded_is_small_and_has_no_results_in_it(tmp_path):
    package = uploaded(tmp_path / "package.zip")
    names = zipfile.ZipFile(package).namelist()
    assert {CONFIG, "raysweep/cli/app.py"} <= set(names)
    assert package.stat().st_size < 12e6  # the code itself; Ray takes no more than 100 MB
    unwanted = (".venv/", "raysweep-store/", ".git/", ".mypy_cache/", ".hypothesis/", "raysweep.egg-info/", "build/")
    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]


@pytest.mark.parametrize("given", [None, "results", "./results"])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_store_in_the_jobs_temporary_folder_is_refused(monkeypatch, given, by):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.delenv("RAYSWEEP_STORAGE", raising=False)
    if by == "environment" and given:
        monkeypatch.setenv("RAYSWEEP_STORAGE", given)
    with pytest.raises(UsageError, match="temporary; with --storage or RAYSWEEP_STORAGE name an absolute path"):
        open_store(given if by == "argument" else None)


@pytest.mark.parametrize("root", ["/shared/store", "~/store", "s3://bucket/store?region=eu-west-1"])
def test_a_store_elsewhere_is_taken(monkeypatch, root):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert open_store(root).root == str(Path(root).expanduser() if "://" not in root else root)


@dataclass(frozen=True)
class Head:
    """A Ray that takes jobs, and a copy of what its jobs are submitted from."""

    running: SmallRay
    checkout: Path
    sweep: Sweep  # has the base model, and the parts that need no torch

    def ray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Ray's."""
        command = [str(BIN / "ray"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=self.running.environment)

    def submit(self, name: str, *arguments: str, wait: bool = True) -> subprocess.CompletedProcess[str]:
        """Submit `raysweep run` as a job."""
        options = ["--address", self.running.url, "--submission-id", name, "--working-dir", str(self.checkout)]
        more = [] if wait else ["--no-wait"]
        base = ["--set", f"models.0.path={self.sweep.base()}"]
        command = ["job", "submit", *options, *more, "--", "raysweep", "run", CONFIG, *base, *arguments]
        deadline = time.monotonic() + PATIENCE
        while "please try again later" in (done := self.ray(*command)).stderr and time.monotonic() < deadline:
            time.sleep(1)  # Ray's agent, which starts jobs, comes up after the dashboard
        return done

    def job(self, name: str) -> dict[str, Any]:
        """What Ray tells of a job."""
        jobs: list[dict[str, Any]] = json.loads(self._get("/api/jobs/"))
        return next(job for job in jobs if job["submission_id"] == name)

    def ended(self, name: str) -> dict[str, Any]:
        """What Ray tells of a job once it has ended."""
        assert eventually(lambda: self.has_ended(name)), self.log(name)
        return self.job(name)

    def has_ended(self, name: str) -> bool:
        """Whether a job has ended."""
        return self.job(name)["status"] not in ("PENDING", "RUNNING")

    def log(self, name: str) -> str:
        """What a job has printed."""
        return str(json.loads(self._get(f"/api/jobs/{name}/logs"))["logs"])

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.running.url}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def head(shared_ray, installed, tmp_path_factory) -> Head:
    folder = tmp_path_factory.mktemp("submitted")
    zipfile.ZipFile(uploaded(folder / "package.zip")).extractall(folder / "checkout")
    return Head(shared_ray, folder / "checkout", Sweep(folder, installed))


@pytest.mark.ray
@pytest.mark.long
def test_a_job_that_is_stopped_goes_on_when_it_is_submitted_again(head, tmp_path):
    """In small: the test below on jobs, tests/behaviour/chaos/test_one_kill.py on what goes on."""
    store = ["--storage", str(tmp_path / "store")]
    with held(head.running.notes):
        assert head.submit("first", *store, wait=False).returncode == 0
        assert eventually(lambda: has_checkpoint(tmp_path / "store") or head.has_ended("first"))
        assert not head.has_ended("first"), head.log("first")
        assert head.ray("job", "stop", "--address", head.running.url, "first").returncode == 0
        assert head.ended("first")["status"] == "STOPPED"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "artefacts").rglob("manifest.json")}
    assert before and not (tmp_path / "store" / "artefacts" / "model").exists()

    done = head.submit("again", *store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert head.job("again")["driver_exit_code"] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    made = next((tmp_path / "store" / "artefacts" / "model").rglob("manifest.json"))
    assert json.loads(made.read_text())["counts"]["resumed_from"] >= 2
    assert "minicode: pass@1" in done.stdout


@pytest.mark.long
@pytest.mark.ray
def test_the_exit_code_of_a_job_is_raysweeps(head, tmp_path):
    """In small: tests/engine/ray/jobs/test_failures.py."""
    store = ["--storage", str(tmp_path / "store")]
    hopeless = json.dumps({"name": "hopeless", "path": str(head.sweep.base()), "generator": {"name": "unfit"}})
    fails = ["--set", f"models=[{hopeless}]", "--set", "recipes={}", "--set", "training=null"]
    assert head.submit("fails", *fails, *store, wait=False).returncode == 0
    assert head.submit("bad", "--set", "seeed=1", *store).returncode == 1, "Ray's own command says only 0 or 1"
    assert head.submit("nowhere", "--storage", "results").returncode == 1
    codes = {name: head.ended(name)["driver_exit_code"] for name in ("fails", "bad", "nowhere")}
    assert codes == {"fails": 1, "bad": 2, "nowhere": 2}
    assert "unknown key (did you mean 'seed'?)" in head.log("bad")
    assert "storage 'results' would lie in the folder of this Ray job, which is temporary" in head.log("nowhere")
    assert "failed: " in head.log("fails")
