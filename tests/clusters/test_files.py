"""The files of clusters/: valid for Ray and Kubernetes, with the labels, versions and comments that users need."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.paths import REPO
from tests.patience import PATIENCE, eventually

CLUSTERS = REPO / "clusters"
RAY_UP = ["aws", "gcp", "on-premise"]
CLOUDS = ["aws", "gcp"]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
SCHEMA = Path(__file__).with_name("rayjob-v1.schema.json")


def text(name: str) -> str:
    return (CLUSTERS / name).read_text()


def cluster(name: str) -> dict[str, Any]:
    """Return the content of a file of `ray up`."""
    found: dict[str, Any] = yaml.safe_load(text(f"{name}.yaml"))
    return found


def rayjob() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("kuberay.yaml"))
    return found


def groups() -> list[dict[str, Any]]:
    """Return the head and the workers of the RayJob."""
    spec = rayjob()["spec"]["rayClusterSpec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def containers() -> list[dict[str, Any]]:
    return [container for group in groups() for container in group["template"]["spec"]["containers"]]


def start_commands(name: str) -> list[str]:
    found = cluster(name)
    return [*found["head_start_ray_commands"], *found["worker_start_ray_commands"]]


def ray_start(arguments: list[str]) -> dict[str, Any]:
    """Return the options of a `ray start`, as Ray itself reads them; fail if it doesn't know one."""
    from ray.scripts.scripts import start

    parsed: dict[str, Any] = start.make_context("start", arguments).params
    return parsed


@pytest.mark.slow
@pytest.mark.parametrize("name", RAY_UP)
def test_ray_takes_it_and_knows_the_options_with_which_it_is_started(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(cluster(name), schema)
    validate_config(prepare_config(cluster(name)))
    for command in start_commands(name):
        for found in re.findall(r"\bray start (.*)", command):
            ray_start(found.replace("$RAY_HEAD_IP", "10.0.0.1").replace("$labels", "a/b=c").split())


@pytest.mark.parametrize(
    ("where", "value"),
    [("entrypont", "x"), ("backoffLimit", "three"), ("rayClusterSpec", {"rayVersion": "2.60.0", "headGroupSpecs": {}})],
)
def test_kubernetes_takes_the_rayjob_and_finds_mistakes(where, value):
    schema, wrong = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())), rayjob()
    schema.validate(wrong)
    wrong["spec"][where] = value
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(wrong)


@pytest.mark.parametrize("name", CLOUDS)
def test_a_clouds_head_is_on_demand_and_its_workers_are_spot_machines(name):
    found = cluster(name)
    types, head = found["available_node_types"], found["head_node_type"]
    for own, one in types.items():
        config = one["node_config"]
        spot = "InstanceMarketOptions" in config or config.get("scheduling", {}).get("provisioningModel") == "SPOT"
        assert spot == (own != head)
        assert one["labels"]["ray.io/market-type"] == ("on-demand" if own == head else "spot")
        assert ("GPU" in one["resources"]) == ("ray.io/accelerator-type" in one["labels"])
    assert "GPU" not in types[head]["resources"] and types[head]["resources"]["CPU"] > 0, "trials' drivers run there"
    assert all(one.get("min_workers", 0) == 0 for one in types.values()), "idle machines cost money"
    assert {one["labels"].get("ray.io/accelerator-type") for one in types.values()} >= {"A100-40G", "V100-16G"}


def test_the_rayjob_scales_from_nothing_and_names_its_gpus():
    spec = rayjob()["spec"]["rayClusterSpec"]
    assert spec["enableInTreeAutoscaling"] and spec["autoscalerOptions"]["version"] == "v2"
    head, *workers = groups()
    assert (head["rayStartParams"]["num-gpus"], head["labels"]["ray.io/market-type"]) == ("0", "on-demand")
    for group in workers:
        (container,) = group["template"]["spec"]["containers"]
        assert group["minReplicas"] == 0 and group["labels"]["ray.io/market-type"] == "spot"
        has_gpu = "nvidia.com/gpu" in container["resources"]["limits"]
        assert has_gpu == ("ray.io/accelerator-type" in group["labels"])


@pytest.mark.parametrize(
    ("host", "labels"),
    [
        ("gpu1", "ray.io/accelerator-type=V100"),
        ("gpu2", "ray.io/accelerator-type=A100"),
        ("gpu3", "ray.io/accelerator-type=A6000"),
        ("other", "raysweep/role=cpu"),
    ],
)
def test_a_machine_of_ones_own_gets_the_label_of_its_gpus(host, labels):
    from ray._private.label_utils import parse_node_labels_string

    command = cluster("on-premise")["worker_start_ray_commands"][-1]
    functions = f"hostname() {{ echo {host}; }}; ray() {{ echo ray $*; }}; ulimit() {{ :; }}; RAY_HEAD_IP=10.0.0.1; "
    shell = functions + command
    (started,) = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.splitlines()
    options = ray_start(started.split()[2:])
    assert (options["address"], options["labels"]) == ("10.0.0.1:6379", labels)
    assert parse_node_labels_string(labels)


@pytest.mark.parametrize("name", RAY_UP)
def test_a_shell_can_read_every_command_and_every_machine_asks_for_the_token_that_it_is_given(name):
    found = cluster(name)
    assert found["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("RAY_AUTH_MODE=token' >> ~/.bashrc" in command for command in found["setup_commands"])
    commands = [*found["setup_commands"], *found.get("head_setup_commands", []), *start_commands(name)]
    subprocess.run(["bash", "-n", "-c", "\n".join(commands)], check=True)


@pytest.mark.parametrize("name", CLOUDS)
def test_a_workers_watch_for_its_end_goes_on_in_a_session_of_its_own_and_is_logged(name, tmp_path):
    *_, start, watch = cluster(name)["worker_start_ray_commands"]
    assert "ray start" in start and cluster(name)["head_start_ray_commands"][-1] != watch
    log = tmp_path / "logs" / "watch-spot.log"
    programs = {"raysweep": "echo $$ $*; echo no answer >&2; exec sleep 600"}
    programs["systemd-inhibit"] = 'while [[ $1 = -* ]]; do shift; done; exec "$@"'
    for program, text in {**programs, "logs/watch-spot.log": "of the node before"}.items():
        (tmp_path / program).parent.mkdir(exist_ok=True)
        (tmp_path / program).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / program).chmod(0o700)
    shell = ["bash", "-c", watch.replace("/tmp/ray/session_latest", str(tmp_path))]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(shell, capture_output=True, text=True, check=True, env=environment, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("", "")
    assert eventually(lambda: "no answer" in log.read_text())
    process, *told = log.read_text().splitlines()[0].split()
    assert told == ["watch-spot", name] and log.read_text().count("\n") == 2
    assert os.getsid(int(process)) == int(process) != os.getsid(0)
    os.kill(int(process), signal.SIGKILL)


def test_every_file_pins_the_python_and_the_ray_that_the_project_begins_with():
    (ray_needed,) = (one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "ray")
    everything = "\n".join(text(f"{name}.yaml") for name in (*RAY_UP, "kuberay"))
    pins = re.findall(r"ray(?:\[default\])?==([\d.]+)|rayVersion: \"([\d.]+)\"|rayproject/ray:([\d.]+)", everything)
    versions = {Version(found) for pin in pins for found in pin if found}
    for name in (*RAY_UP, "kuberay"):
        assert "raysweep[all] @ git+https://" in text(f"{name}.yaml") and ".whl" in text(f"{name}.yaml")
    assert versions == {Version("2.60.0")} and all(version in ray_needed.specifier for version in versions)
    pythons = {*re.findall(r"--python (\d\.\d+)", everything)}
    pythons |= {f"{found[0]}.{found[1:]}" for found in re.findall(r"-py(\d+)", everything)}
    assert pythons == {"3.11"} and all(found in SpecifierSet(PROJECT["requires-python"]) for found in pythons)


@pytest.mark.parametrize("name", RAY_UP)
def test_of_several_wheels_the_newest_is_installed(name, tmp_path):
    (command,) = [one for one in cluster(name)["setup_commands"] if "raysweep[all]" in one]
    (tmp_path / "dist").mkdir()
    for age, version in [(100, "0.2.0"), (0, "0.1.0"), (50, "0.3.0")]:
        wheel = tmp_path / "dist" / f"raysweep-{version}-py3-none-any.whl"
        wheel.touch()
        os.utime(wheel, (10**9 - age, 10**9 - age))
    given = command.replace("~/.local/bin/uv", "echo")
    shell = ["bash", "-c", given]
    done = subprocess.run(shell, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)})
    assert done.stdout.endswith(f" raysweep[all] @ file://{tmp_path}/dist/raysweep-0.1.0-py3-none-any.whl\n")


@pytest.mark.parametrize(
    "path", sorted(path for path in CLUSTERS.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_a_file_begins_with_its_command_and_says_what_to_edit_and_to_mind(path):
    head = path.read_text().partition("\n\n")[0].removeprefix("#!/usr/bin/env bash\n")
    first, *lines = head.splitlines()
    assert first.endswith(f" clusters/{path.name}") and all(line.startswith("#") for line in lines)
    assert "# Edit:" in lines and "# Mind:" in lines
