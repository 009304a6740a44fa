"""A Ray that can start nodes is told from one that can't, by the autoscaler that `ray up` starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import REPO
from tests.patience import PATIENCE
from tests.small_ray import SmallRay, small_ray

OWN_MACHINES = """\
cluster_name: alone
provider: {type: local, head_ip: 127.0.0.1, worker_ips: []}
auth: {ssh_user: nobody}
"""
AS_RAY_UP = {
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": "127.0.0.1",
    "RAY_NODE_TYPE_NAME": "local.cluster.node",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
}
ASK = """\
import sys, ray
from raysweep.engine.ray.cluster.nodes import autoscaler_runs
from tests.patience import eventually
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(eventually(autoscaler_runs, float(sys.argv[2])))
"""


def ask(running: SmallRay, patience: float) -> str:
    """Return what a process connected to the Ray finds within so many seconds."""
    command = [sys.executable, "-c", ASK, running.address, str(patience)]
    done = subprocess.run(command, cwd=REPO, env=running.environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.long
@pytest.mark.ray
def test_a_ray_without_a_clusters_file_has_no_autoscaler(shared_ray):
    assert ask(shared_ray, 0) == "False"


@pytest.mark.long
@pytest.mark.ray
def test_a_ray_of_ray_up_has_one(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text(OWN_MACHINES)
    with small_ray(AS_RAY_UP, autoscaling_config=str(file), include_dashboard=False) as running:  # only a head has one
        assert ask(running, PATIENCE) == "True"
