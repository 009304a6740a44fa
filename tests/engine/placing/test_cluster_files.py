"""What nodes have, as the files say that start clusters."""

from __future__ import annotations

from collections import Counter

import pytest

from raysweep.engine.placing.cluster_files import UNLIMITED, read_cluster_file
from raysweep.errors import UsageError
from tests.paths import REPO

RAY_UP = """
provider: {type: aws}
max_workers: 3
head_node_type: head
available_node_types:
  head: {resources: {CPU: 2}}
  large: {max_workers: 9, resources: {CPU: 96, GPU: 8, memory: 1000}, labels: {ray.io/accelerator-type: A100}}
  none: {resources: {CPU: 4}}
"""
KUBERAY = """
kind: ConfigMap
---
kind: RayCluster
spec:
  headGroupSpec:
    rayStartParams: {num-cpus: "2", num-gpus: "0", labels: "zone=a,role=head"}
    template: {spec: {containers: [{resources: {limits: {cpu: "4", memory: 10Gi, nvidia.com/gpu: "1"}}}]}}
  workerGroupSpecs:
    - groupName: gpu
      replicas: 2
      maxReplicas: 5
      numOfHosts: 2
      labels: {ray.io/accelerator-type: V100}
      template: {spec: {containers: [{resources: {limits: {cpu: 1500m, nvidia.com/gpu: 1}}}]}}
"""
GROWING = KUBERAY.replace("spec:\n  head", "spec:\n  enableInTreeAutoscaling: true\n  head")


@pytest.fixture
def read(tmp_path):
    def nodes(text: str):
        (tmp_path / "cluster.yaml").write_text(text)
        return read_cluster_file(tmp_path / "cluster.yaml").nodes()

    return nodes


def test_a_file_of_ray_up_gives_one_head_and_as_many_workers_as_may_start(read):
    nodes = read(RAY_UP)
    workers = [*(f"large {at}" for at in range(3)), *(f"none {at}" for at in range(3))]
    assert list(nodes) == ["head 0", *workers], "no type has more than all may have together"
    assert nodes["large 1"].resources == {"CPU": 96, "GPU": 8, "memory": 1000}
    assert nodes["large 1"].labels == {"ray.io/accelerator-type": "A100"}
    assert nodes["head 0"].resources == {"CPU": 2, "memory": UNLIMITED}
    wider = read(RAY_UP.replace("head: {resources", "head: {max_workers: 1, resources"))
    assert list(wider) == ["head 0", "head 1", *workers], "workers may be of the head's type, too"


def test_pods_have_what_ray_is_started_with_else_their_limits(read):
    nodes = read(KUBERAY)
    assert len(nodes) == 1 + 2 * 2, "replicas, two hosts each"
    assert nodes["head 0"].resources == {"CPU": 2, "GPU": 0, "memory": 10 * 2**30}
    assert nodes["head 0"].labels == {"zone": "a", "role": "head"}
    assert nodes["gpu 3"].resources == {"CPU": 2, "GPU": 1, "memory": UNLIMITED}
    assert len(read(GROWING)) == 1 + 5 * 2, "the largest number of replicas"


@pytest.mark.parametrize("written", ["""'"{\\"spot\\": 1, \\"slot\\": 2.5}"'""", """'{"spot": 1, "slot": 2.5}'"""])
def test_pods_have_custom_resources_as_ray_is_told_them(read, written):
    nodes = read(
        KUBERAY.replace("      labels: {ray", f"      rayStartParams: {{resources: {written}}}\n      labels: {{ray")
    )
    assert nodes["gpu 0"].resources == {"CPU": 2, "GPU": 1, "memory": UNLIMITED, "spot": 1, "slot": 2.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider: {type: local, head_ip: a}", "doesn't say what its machines have; add .*--address"),
        ("some: thing", "starts no Ray cluster"),
        ("a: [", "line 1, column 5: not valid YAML"),
        (RAY_UP.replace("{ray.io/accelerator-type: A100}", "{}"), "'large' have GPUs and no label ray.io"),
        (RAY_UP.replace("{CPU: 4}", "{}"), "'none' has another form .*: {'resources': {}}; write `resources: {CPU: 8"),
        (
            RAY_UP.replace("max_workers: 3", "max_workers: null"),
            "`max_workers` has .*: None; write a number",
        ),
        (
            RAY_UP.replace("max_workers: 3", "max_workers: 1000000").replace("none: {", "none: {max_workers: 200000, "),
            "type 'none' may be 200,000; give the most",
        ),
        (RAY_UP.replace("GPU: 8", "gpu: 8"), "'large' has 'gpu', which Ray calls 'GPU'"),
        (
            RAY_UP.replace("CPU: 96", "CPU: many"),
            "node type 'large' has another form .*to float: 'many'",
        ),
        (RAY_UP.replace("{ray.io/accelerator-type: A100}", "[x]"), "node type 'large' has .*; write .*`labels: {KEY"),
        (RAY_UP.replace("none: {resources: {CPU: 4}}", "none: [x]"), r"'none' has another form .*: \['x'\]; write"),
        (KUBERAY.partition("spec:")[0] + "spec: [1]", r"`spec` has another form than Ray reads .*: \[1\]; write"),
        (KUBERAY.replace("{ray.io/accelerator-type: V100}", "[x]"), "group 'gpu' has .*`labels` is a mapping"),
        (GROWING.replace("      maxReplicas: 5\n", ""), "group 'gpu' has no `maxReplicas`, so there may be any number"),
        (
            KUBERAY.replace("replicas: 2", "replicas: two"),
            "group 'gpu' has .*: {'replicas': 'two'}; write numbers",
        ),
        (KUBERAY.replace("1500m", "many"), "group 'gpu' has .*; write `template.spec.containers`"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_way_out(read, text, said):
    with pytest.raises(UsageError, match=said):
        read(text)


def test_the_projects_own_files_can_be_read():
    def gpus(name: str) -> Counter[str]:
        nodes = read_cluster_file(REPO / "clusters" / name).nodes().values()
        return Counter({node.labels["ray.io/accelerator-type"]: 1 for node in nodes if node.resources.get("GPU")})

    assert gpus("aws.yaml").keys() == {"A10G", "A100-40G", "V100-16G"}
    assert gpus("gcp.yaml").keys() == {"L4", "A100-40G", "V100-16G"}
    assert gpus("kuberay.yaml").keys() == {"A100-40G", "V100-16G"}
