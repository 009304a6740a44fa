"""Whether a Ray answers: told within seconds, with the reason and the way out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from raysweep.engine.ray.cluster.probe import mismatch, probe, require_reachable
from raysweep.errors import UsageError
from tests.patience import PATIENCE
from tests.small_ray import small_ray


@pytest.fixture(autouse=True)
def no_address_around(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def silent():
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))  # Ray takes 127.0.0.1 for this machine's outer address
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def web():
    """A port that speaks HTTP, as Ray's dashboard does."""
    server = HTTPServer(("0.0.0.0", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def closed() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_port_where_nothing_listens_is_told_at_once():
    place = closed()
    found = probe(place, PATIENCE)  # whose end would be told as "no answer in time"
    assert found.problem.startswith("no Ray answers at ") and found.problem.endswith(": Connection refused")
    assert place in found.problem and "6379" in found.advice


@pytest.mark.slow
def test_a_port_that_stays_silent_is_given_up_in_time(silent):
    """Without a limit gRPC would go on, or give up for another reason."""
    found = probe(silent, 1)
    assert silent in found.problem and found.problem.endswith(": no answer in time")


def test_a_service_that_is_no_ray_is_told_as_such(web):
    found = probe(web, PATIENCE)
    assert "no Ray answers at " in found.problem and "HTTP" in found.problem and "dashboard" in found.advice


@pytest.mark.parametrize("address", ["ray://head:10001", "http://127.0.0.1:8265"])
def test_addresses_with_a_scheme_are_refused_with_what_to_do(address, monkeypatch):
    for found in (probe(address), (monkeypatch.setenv("RAY_ADDRESS", address), probe("auto"))[1]):
        assert address in found.problem and "raysweep submit" in found.advice


def test_what_is_no_address_is_refused():
    for address in ("head", "head:port", ""):
        assert probe(address).problem == f"{address!r} is no address"
    assert "starts a Ray of its own" in probe("local").advice


def test_auto_goes_where_ray_address_says(monkeypatch):
    place = closed()
    monkeypatch.setenv("RAY_ADDRESS", place)
    assert place.rpartition(":")[2] in probe("auto").problem


def test_a_run_can_require_it():
    with pytest.raises(UsageError, match=r"no Ray answers at .*; start it, or give host:port"):
        require_reachable(closed())


def test_versions_differ_as_ray_sees_it(monkeypatch):
    import ray

    own = ".".join(map(str, sys.version_info[:3]))
    other = f"{sys.version_info[0]}.{sys.version_info[1]}.99"
    monkeypatch.delenv("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", raising=False)
    assert mismatch(ray.__version__, own) == ""
    assert "Ray 2.9.0" in mismatch("2.9.0", own)
    assert f"Python {other}" in mismatch(ray.__version__, other)
    monkeypatch.setenv("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
    assert mismatch(ray.__version__, other) == ""
    assert "Python 3.8.1" in mismatch(ray.__version__, "3.8.1")


ASK = """
import dataclasses, json, sys
from raysweep.engine.ray.cluster.probe import probe
print(json.dumps(dataclasses.asdict(probe(sys.argv[1], float(sys.argv[2])))))
"""


@pytest.mark.ray
def test_a_ray_tells_versions_and_size_to_those_with_its_token_and_the_others_that_it_wants_one(tmp_path):
    own = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32}  # its head has another mode
    with small_ray(own, num_cpus=3, include_dashboard=False, no_monitor=True) as running:
        place = running.address
        refused = probe(place, PATIENCE)
        asking = [sys.executable, "-c", ASK, place, str(PATIENCE)]
        asked = subprocess.run(asking, env={**running.environment, **own}, capture_output=True, text=True)
    assert "wants a token" in refused.problem and "RAY_AUTH_MODE=token" in refused.advice
    found = json.loads(asked.stdout)
    assert (found["problem"], found["address"], found["nodes"]) == ("", place, 1), asked.stderr
    assert (found["cpus"], found["gpus"]) == (3, 1)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "Connection refused" in probe(place, PATIENCE).problem, "it has ended"
