"""clusters/on-premise.yaml, really used: three machines that are namespaces of this one, and a laptop beside them.

In small: test_files.py on the file, tests/behaviour/ray on jobs, drained and lost nodes,
tests/behaviour/sweeps/test_gpu_hours.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import raysweep
from raysweep.programs import COMPILED
from raysweep.storage import leases
from tests.clusters.namespaces import DOMAIN, HOME, SHARED, missing
from tests.clusters.on_premise import GPUS, SETTINGS, STORE, Cluster, finished, on_premise
from tests.execution.compiled.problems import rows
from tests.execution.compiled.processes import needs
from tests.paths import NANO
from tests.patience import eventually
from tests.storage.stores import content
from tests.tiny import make_tiny

pytestmark = [pytest.mark.ray, pytest.mark.long]

STEPS = 2000
"""Of the trainings that are disturbed: half a minute on an idle machine."""
SHARES = {"right": 1.0, "wrong": 0.0}
"""Of the problems that these models solve."""


def configs() -> dict[str, dict[str, Any]]:
    """Return the configs: of seconds, with trainings that can be disturbed, with a broken model, in three languages."""
    nano = yaml.safe_load(NANO.read_text())
    disturbed = yaml.safe_load(NANO.read_text())
    disturbed["recipes"]["long"] = {**nano["recipes"]["tiny"], "epochs": STEPS // 4}
    disturbed["models"][0]["recipes"] = ["long"]
    evaluation = {**nano["evaluation"], "perturbations": ["clean"]}
    alone = {"allow_code_execution": True, "recovery": {"backoff_seconds": 0.2}}
    whole = {"name": "whole", "path": f"{SHARED}/models/whole", "template": "raw"}
    broken = {**alone, "name": "broken", "models": [whole, {**whole, "name": "cut", "path": f"{SHARED}/models/cut"}]}
    fakes = [{"name": name, "generator": {"name": "fake", "share": share}} for name, share in SHARES.items()]
    problems = [{"name": "humaneval-x", "as": name, "path": f"{SHARED}/problems/{name}.jsonl"} for name in COMPILED]
    problems.append(evaluation["problems"][0])
    languages = {**alone, "name": "languages", "models": fakes, "evaluation": {**evaluation, "problems": problems}}
    return {
        "nano": nano,
        "disturbed": disturbed,
        "broken": {**broken, "evaluation": evaluation},
        "languages": languages,
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The machines, with Ray running as the file's head says, and the configs on the laptop."""
    if why := missing():
        pytest.skip(why)
    with on_premise() as started:
        for name, config in configs().items():
            started.write(f"{name}.yaml", yaml.safe_dump(config))
        yield started


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> subprocess.Popen[str]:
    """The sweep of all trainings that are disturbed, in peace and without Ray, on the laptop, beside the tests.

    It has one thread, as Ray gives to its processes: with more, weights differ in their last digits.
    """
    run = "OMP_NUM_THREADS=1 raysweep run disturbed.yaml --engine local"
    return cluster.start(f"{run} --set training.sets=[C1,C2,C3,W1,W2] --storage ~/alone")


@pytest.mark.usefixtures("undisturbed")
def test_each_machine_runs_the_wheel_and_isolates_programs(cluster):
    for name in ("head", *GPUS):
        machine = cluster.site.machines[name]
        run = f"cd / && {HOME}/raysweep/bin"
        place = machine.run(f"{run}/python -c 'import raysweep; print(raysweep.__file__)'").stdout
        assert place.startswith(f"{HOME}/raysweep/lib/"), place
        doctor = machine.run(f"{run}/raysweep doctor --storage {STORE}").stdout
        assert "level strong" in doctor, doctor
        assert (machine.home / ".ray/auth_token").stat().st_size > 0


def test_who_has_no_token_gets_no_job(cluster):
    cluster.laptop.run("mv ~/.ray ~/no-token")
    code, told = finished(cluster.submit("nano.yaml"))
    cluster.laptop.run("mv ~/no-token ~/.ray")
    assert code == 2 and "token" in told, told


def test_a_submitted_sweep_has_the_results_of_one_on_a_single_machine(cluster):
    submitted = cluster.submit("nano.yaml", "--set resources.gpus=0.25", storage=f"{SHARED}/nano")
    alone = cluster.start("raysweep run nano.yaml --engine local --storage ~/nano")
    for process in (submitted, alone):
        code, told = finished(process)
        assert code == 0, told
    assert content(cluster.site.shared / "nano") == content(cluster.laptop.home / "nano")


def test_three_sweeps_at_once_judge_three_languages_right_each_on_its_machine(cluster):
    needs(*COMPILED)
    folder = cluster.site.shared / "problems"
    folder.mkdir()
    for language in COMPILED:
        (folder / f"{language}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows(language)[:2]))
    cluster.site.give(folder)
    nodes = cluster.nodes()
    sweeps = {
        name: cluster.submit(
            "languages.yaml",
            f"--set resources.execution.labels='{{ray.io/node-id: {node}}}'",
            storage=f"{SHARED}/on-{name}",
        )
        for name, node in nodes.items()
    }
    for name, process in sweeps.items():
        code, told = finished(process)
        assert code == 0, told
        assert list((cluster.site.machines[name].home / ".cache/raysweep/headers").iterdir()), (
            "no C++ was compiled there"
        )
        frame = raysweep.load_results("languages", storage=str(cluster.site.shared / f"on-{name}"))
        scores = frame.query("metric == 'pass@1'").set_index(["model", "problem_set"]).value.to_dict()
        assert scores == {(model, kind): share for model, share in SHARES.items() for kind in (*COMPILED, "minicode")}


def test_a_broken_model_is_refused_before_work(cluster):
    folder = cluster.site.shared / "models"
    for name in ("whole", "cut"):
        make_tiny("llama", folder / name)
    weights = folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    weights.chmod(0o600)
    code, told = finished(cluster.submit("broken.yaml"))
    assert code == 2 and "no model at /shared/models/" in told and "this user may not read its" in told, told
    cluster.site.give(folder)
    code, told = finished(cluster.submit("broken.yaml"))
    assert code == 2 and "error: /shared/models/cut/model.safetensors is damaged" in told, told


def test_a_sweep_ends_at_its_gpu_hours(cluster):
    sets = ("--set name=capped --set seed=8 --set resources.gpus=0.25", "--max-gpu-hours 1e-6")
    code, told = finished(cluster.submit("nano.yaml", *sets))
    assert code == 1, told
    assert re.search(r"not started, since the sweep has used \S+ GPU-hours \(--max-gpu-hours 1e-06\)", told), told
    code, told = finished(cluster.submit("nano.yaml", *sets[:1]))
    assert code == 0, told


def test_an_accelerator_that_no_machine_has_is_refused(cluster):
    labels = "--set 'resources.labels={ray.io/accelerator-type: A100}'"
    code, told = finished(
        cluster.submit("nano.yaml", "--set name=nowhere --set seed=9 --set resources.gpus=0.25", labels)
    )
    assert code == 2 and "can never be scheduled" in told and "there is V100" in told, told


def test_a_drained_node_costs_no_attempt_and_comes_back(cluster):
    process = cluster.submit("disturbed.yaml", *disturbed("drained", "C1"))
    name = cluster.await_training(process, "drained", "llama.long")
    node = cluster.nodes()[name]
    notice = "--deadline-remaining-seconds 8 --reason DRAIN_NODE_REASON_PREEMPTION --reason-message spot"
    cluster.site.machines[name].run(f"{SETTINGS} ray drain-node --address head.{DOMAIN}:6379 --node-id {node} {notice}")
    code, told = finished(process)
    assert code == 0, told
    assert re.search(r"node [\d.]+ is drained, \d+ s left; checkpoint saved at step \d+", told), told
    assert re.search(r"attempt 1 begins again: node [\d.]+ was drained", told), told
    assert "failed" not in told and cluster.cell("drained", "llama.long")["attempt"] == 1, told
    cluster.await_all_nodes()


def test_a_node_that_is_lost_costs_an_attempt_and_comes_back(cluster):
    process = cluster.submit("disturbed.yaml", *disturbed("lost", "C2"))
    machine = cluster.site.machines[cluster.await_training(process, "lost", "llama.long")]
    machine.kill()
    code, told = finished(process)
    assert code == 0, told
    assert "attempt 1 failed" in told and re.search(r"training resumes from step \d+", told), told
    assert cluster.cell("lost", "llama.long")["attempt"] == 2
    machine.start()
    cluster.await_all_nodes()


def test_a_raylet_that_is_killed_on_a_machine_that_lives_costs_an_attempt_and_comes_back(cluster):
    process = cluster.submit("disturbed.yaml", *disturbed("no-raylet", "W1"))
    name = cluster.await_training(process, "no-raylet", "llama.long")
    cluster.site.machines[name].run("pkill -KILL -x raylet")
    code, told = finished(process)
    assert code == 0, told
    assert "attempt 1 failed" in told and re.search(r"training resumes from step \d+", told), told
    cluster.await_all_nodes()


def test_a_machine_tells_another_one_which_waits_that_a_process_was_killed(cluster):
    """The waiting sweep makes what the killed one was making; the first one's command is killed, too."""
    nodes = cluster.nodes()
    first = cluster.submit("disturbed.yaml", *disturbed("first", "W2", node=nodes["gpu1"]))
    assert eventually(lambda: int(cluster.cell("first", "llama.long").get("done", 0)) > 50)
    second = cluster.submit("disturbed.yaml", *disturbed("second", "W2", node=nodes["gpu2"]))
    assert eventually(lambda: "another process to make it" in cluster.cell("second", "llama.long").get("waits", ""))
    (held,) = [one for one in cluster.holders() if one.host == "gpu1"]
    cluster.head.run("pkill -KILL -f '[r]aysweep run .*name=first'")
    cluster.site.machines["gpu1"].run(f"kill -KILL {held.pid}; true")  # Ray may have been quicker
    killed = time.monotonic()
    assert eventually(lambda: any(one.host == "gpu2" for one in cluster.holders()))
    assert time.monotonic() - killed < leases.DEAD_SECONDS, "sooner than the lease of a process that is silent"
    code, told = finished(second)
    assert code == 0 and re.search(r"training resumes from step \d+", told), told
    assert finished(first)[0] != 0


def test_after_a_loss_of_the_head_ray_up_and_the_same_command_resume(cluster):
    process = cluster.submit("disturbed.yaml", *disturbed("headless", "C3"))
    cluster.await_training(process, "headless", "llama.long")
    cluster.head.kill()
    code, told = finished(process)
    assert code == 1 and "stopped answering" in told and "give the same command again: it resumes" in told, told
    status = cluster.laptop.run(f"{SETTINGS} raysweep status headless --storage {STORE}").stdout
    assert "llama.long.C3.s7" in status
    cluster.head.start()
    cluster.ray_up()
    assert "[]" in cluster.head.run(f"{SETTINGS} ray job list").stdout, "Ray has forgotten its jobs"
    code, told = finished(cluster.submit("disturbed.yaml", *disturbed("headless", "C3")))
    assert code == 0, told
    assert re.search(r"training resumes from step \d+", told), told


def test_what_was_disturbed_ends_as_what_was_not(cluster, undisturbed):
    code, told = finished(undisturbed)
    assert code == 0, told
    alone, disturbed = content(cluster.laptop.home / "alone"), content(cluster.store)
    assert alone and {name: disturbed.get(name) for name in alone} == alone


def disturbed(name: str, training_set: str, node: str = "") -> tuple[str, ...]:
    """Return the arguments of a sweep with one fine-tuning: on a GPU, or in the cell's own process on a node."""
    where = f"resources.training.labels='{{ray.io/node-id: {node}}}'" if node else "resources.gpus=0.25"
    return (f"--set name={name} --set training.sets=[{training_set}] --set {where}",)
