"""`raysweep submit` against a real Ray: its command, its log, exit codes, Ctrl-C, and clusters that don't answer.

The entrypoints of the files in clusters/ are run too, each as its comment or its RayJob has it.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray._private.authentication import http_token_authentication

from raysweep.engine.ray.jobs import submission
from raysweep.engine.ray.jobs.submission import require_job_server
from raysweep.errors import UsageError
from tests.paths import REPO
from tests.patience import PATIENCE, eventually
from tests.small_ray import SmallRay

CLUSTERS = sorted(path for path in (REPO / "clusters").iterdir() if path.is_file() and path.name != "aws-roles.sh")
"""The files that start a cluster."""
CONFIG = """\
name: tiny
models: [{name: reference, generator: reference}]
evaluation: {problems: [{name: minicode, split: validation, count: 2}], perturbations: [clean]}
"""


@dataclass(frozen=True)
class Place:
    """A Ray, and a folder with a config from which jobs are submitted."""

    running: SmallRay
    folder: Path

    @property
    def store(self) -> str:
        return str(self.folder.parent / "store")

    def command(self, line: str) -> str:
        """Fill in what a user edits in a command of clusters/."""
        return filled(line, self.running.url, self.store, str(self.folder / "tiny.yaml"))

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        where = {"cwd": self.folder, "env": self.running.environment, "timeout": PATIENCE}
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, **where)

    @property
    def submission(self) -> list[str]:
        where = ["--address", self.running.url, "--storage", self.store, "--allow-code-execution"]
        return ["raysweep", "submit", "tiny.yaml", *where]

    def job(self, printed: str) -> Any:
        """What Ray tells of the last job that a text names."""
        name = re.findall(r"raysubmit_\w+", printed)[-1]
        with urllib.request.urlopen(f"{self.running.url}/api/jobs/{name}", timeout=PATIENCE) as answer:
            return json.loads(answer.read())


def entrypoint(path: Path) -> str:
    """Return the command of a file that starts a sweep: a RayJob's, or the one in the comment."""
    if path.name == "kuberay.yaml":
        return "ray job submit --address http://head:8265 -- " + yaml.safe_load(path.read_text())["spec"]["entrypoint"]
    (line,) = re.findall(r"^#   (raysweep submit .*)$", path.read_text(), re.MULTILINE)
    return str(line)


def filled(line: str, url: str, store: str, config: str) -> str:
    """Return a command of clusters/ with these in the places of what a user edits."""
    line = re.sub(r"https?://[\w.]+:8265", url, line)
    line = re.sub(r"--storage \S+", f"--storage {store}", line)
    return re.sub(r"CONFIG|/home/ray/sweep/config.yaml", config, line)


DIFFERENT = {filled(entrypoint(path), "URL", "STORE", "CONFIG"): path for path in CLUSTERS}.values()
"""A file for each command; the others' are the same but for what a user edits."""


@pytest.fixture(scope="module")
def place(shared_ray, tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("submission") / "work"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(CONFIG)
    (folder / "raysweep-store").mkdir()
    (folder / "raysweep-store" / "big").touch()
    return Place(shared_ray, folder)


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.parametrize("path", DIFFERENT, ids=lambda path: path.name)
def test_the_entrypoint_of_a_cluster_file_runs(place, path):
    """In small: tests/engine/ray/jobs/test_upload.py."""
    done = place.shell(place.command(entrypoint(path)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"reference +none +base +\d+ +1\.000", done.stdout)


@pytest.mark.long
@pytest.mark.ray
def test_the_printed_command_submits_the_same_job(place):
    """In small: tests/engine/ray/jobs/test_upload.py."""
    first = place.shell(shlex.join([*place.submission, "--quiet"]))
    assert first.returncode == 0, first.stderr
    (command,) = re.findall(r"^  (ray job submit .*)$", first.stderr, re.MULTILINE)
    second = place.shell(command)
    assert second.returncode == 0, second.stdout
    jobs = [place.job(first.stderr), place.job(second.stdout + second.stderr)]
    for part in ("entrypoint", "runtime_env"):
        assert jobs[0][part] == jobs[1][part]
    assert jobs[0]["runtime_env"]["excludes"] == ["/raysweep-store"]
    assert jobs[0]["runtime_env"]["env_vars"] == {"HF_HUB_OFFLINE": "1"}


@pytest.mark.long
@pytest.mark.ray
def test_ctrl_c_leaves_the_job_running_and_says_how_to_reach_it(place):
    """In small: tests/engine/ray/jobs/test_failures.py."""
    where = {"cwd": place.folder, "env": place.running.environment}
    following = subprocess.Popen(place.submission, stderr=subprocess.PIPE, text=True, **where)
    assert following.stderr is not None
    printed = ""
    for line in following.stderr:
        printed += line
        if "is submitted; Ctrl-C leaves it running" in line:
            following.send_signal(signal.SIGINT)
    assert following.wait(PATIENCE) == 130
    told = r"job \w+ goes on; to follow it.*\n  ray job logs .*\n  raysweep status tiny .*\n  ray job stop"
    assert re.search(told, printed)
    assert eventually(lambda: place.job(printed)["status"] not in ("PENDING", "RUNNING"))
    job = place.job(printed)
    assert (job["status"], job["driver_exit_code"]) == ("SUCCEEDED", 0)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def no_addresses(monkeypatch):
    for name in submission.OVERRIDES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_what_never_answers_is_told_in_time(server, no_addresses, monkeypatch):
    monkeypatch.setattr(submission, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(UsageError, match=r"no dashboard of Ray answers at .*: no answer in time; give the URL"):
        require_job_server(f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_closed_port_is_told(server, no_addresses):
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(UsageError, match="Connection refused; give the URL of the head's dashboard"):
        require_job_server(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "wants a token, and got none; set RAY_AUTH_MODE=token, and put the cluster's token into"),
        (403, "refused this machine's token; put the cluster's token into"),
        (404, "is not the dashboard of a Ray; give the URL"),
        (200, "is not the dashboard of a Ray; give the URL"),
    ],
)
def test_what_refuses_or_is_no_dashboard_is_told(status, told, no_addresses):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"no JSON")

    with HTTPServer(("127.0.0.1", 0), Answer) as answering:
        threading.Thread(target=answering.handle_request, daemon=True).start()
        with pytest.raises(UsageError, match=told):
            require_job_server(f"http://127.0.0.1:{answering.server_port}")


@pytest.mark.parametrize(("host", "tokens"), [("127.0.0.1", ["secret"] * 2), ("localhost", ["secret", None])])
def test_a_redirect_to_another_host_gets_no_token(host, tokens, no_addresses, monkeypatch):
    received = []

    class Moved(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers["Authorization"])
            self.send_response(200 if self.path == "/there" else 302)
            self.send_header("Location", f"http://{host}:{answering.server_port}/there")
            self.end_headers()
            self.wfile.write(b'{"ray_version": "2"}')

    monkeypatch.setattr(
        http_token_authentication, "get_auth_headers_if_auth_enabled", lambda _: {"authorization": "secret"}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Moved) as answering:
        threading.Thread(target=answering.serve_forever, args=(0.01,), daemon=True).start()
        require_job_server(f"http://127.0.0.1:{answering.server_port}")
        answering.shutdown()
    assert received == tokens


@pytest.mark.slow
@pytest.mark.parametrize("has_logs", [True, False])
def test_a_log_that_no_proxy_lets_through_comes_at_the_end(has_logs, no_addresses, caplog):
    states = iter(["RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"])

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_log = self.path.endswith("/logs/tail")
            told = {"ray_version": "2", "version": "4", "status": "RUNNING" if is_log else "", "driver_exit_code": 3}
            if self.path == "/api/jobs/one":
                told["status"] = next(states)
            if self.path == "/api/jobs/one/logs" and has_logs:
                told["logs"] = "all of it"
            self.send_response(502 if is_log else 200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as answering:
        threading.Thread(target=answering.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{answering.server_port}"
        assert "".join(submission.follow(address, "one")) == ("all of it" if has_logs else "")
        assert submission.wait(address, "one").code == 3
        answering.shutdown()
    first, *others = [record.getMessage() for record in caplog.records if record.name == "raysweep"]
    assert first.startswith("the log of job one can't be followed at present (WSServerHandshakeError: 502")
    assert [told.startswith("the log of job one can't be read") for told in others] == [True] * (not has_logs)


def test_the_end_of_a_log_whose_connection_breaks_is_not_lost(monkeypatch):
    def tail(address, job_id):
        yield "begin, "
        raise ConnectionError("broken")

    monkeypatch.setattr(submission, "_tail", tail)
    monkeypatch.setattr(submission, "_info", lambda address, job_id: {"status": "FAILED"})
    monkeypatch.setattr(submission, "_get", lambda address, path, timeout: {"logs": "begin, and the error"})
    assert "".join(submission.follow("http://head:8265", "one")) == "begin, and the error"


@pytest.mark.parametrize("name", submission.OVERRIDES)
def test_an_address_that_ray_would_use_instead_is_told(name, no_addresses, monkeypatch):
    monkeypatch.setenv(name, "http://other:8265")
    with pytest.raises(UsageError, match=f"{name} is set to http://other:8265, which Ray's client uses in place of"):
        require_job_server("http://head:8265")
