"""Execution on a cluster whose nodes isolate programs unequally: real actors on simulated nodes."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from raysweep.engine.base import ExecuteJob, ProgramBatch
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray import execution
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.execution import ExecutionActor, execute_with_ray
from raysweep.errors import UsageError
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox
from raysweep.storage.files import Files

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]

SANDBOX = Sandbox(Lane.STRICT, Level.PARTIAL)
JOB = ExecuteJob([ProgramBatch([Program(f"assert {n} % 3")] * 2, [Limits(timeout=5)] * 2) for n in range(20)], SANDBOX)


@pytest.fixture(scope="module")
def nodes(shared_ray) -> Iterator[list[str]]:
    """The ids of two nodes beside the head of the Ray that this process is connected to."""
    with shared_ray.nodes({"num_cpus": 1}, {"num_cpus": 1}) as added:
        yield [node.id for node in added]


def without_isolation(refuses: Callable[[str], bool]) -> type[ExecutionActor]:
    """The actor, but that on nodes that are refused its slot really has no layers but limits.

    Each node is a machine with another name.
    """

    class Actor(ExecutionActor):
        def __init__(self, label: str, sandbox: Sandbox) -> None:
            import ray

            super().__init__(label, sandbox)
            node = ray.get_runtime_context().get_node_id()
            platform.node = lambda: node
            if refuses(node):
                self._executor = Executor(1, sandbox, without=LAYERS)

    return Actor


@pytest.mark.parametrize("in_trial", [True, False])
def test_nodes_that_isolate_too_little_are_left_out_and_named_once_each(nodes, in_trial, tmp_path, monkeypatch):
    first = tmp_path / "first"

    def refuses(node: str) -> bool:
        if node not in nodes:  # the head
            return True
        with suppress(FileExistsError), first.open("x") as file:  # the first node that is asked, whichever that is
            file.write(node)
        return node == first.read_text()

    monkeypatch.setattr(execution, "ExecutionActor", without_isolation(refuses))
    progress = ProgressFile(Files(str(tmp_path)), "half")
    blocks = list(execute_with_ray(JOB, Placement(1, 0, 0, in_trial=in_trial), None, progress))
    assert sorted(block.index for block in blocks) == list(range(20))
    for block in blocks:
        assert {row.outcome for row in block.rows} == {Outcome.PASSED if block.index % 3 else Outcome.FAILED}
        assert all(Level(row.level) >= Level.PARTIAL for row in block.rows)
    told = [line.partition("no programs are run on a node: node ")[2] for line in progress.activity.tail]
    named = [line.partition(":")[0] for line in told if line]
    assert 1 <= len(named) == len(set(named)) <= 2
    assert all("'partial' is required" in line for line in told if line)


def test_programs_run_only_on_nodes_with_the_labels_that_are_asked_for(shared_ray, tmp_path, monkeypatch):
    seen = tmp_path / "seen"

    def refuses(node: str) -> bool:
        with seen.open("a") as file:
            print(node, file=file)
        return False

    monkeypatch.setattr(execution, "ExecutionActor", without_isolation(refuses))
    progress = ProgressFile(Files(str(tmp_path)), "labelled")
    with shared_ray.nodes({"num_cpus": 1, "labels": {"zone": "1"}}) as (node,):
        blocks = list(execute_with_ray(JOB, Placement(1, 0, 0, labels={"zone": "1"}), None, progress))
    assert len(blocks) == 20 and {*seen.read_text().split()} == {node.id}


def test_without_a_node_that_isolates_enough_execution_ends_with_the_reason(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "ExecutionActor", without_isolation(lambda node: True))
    progress = ProgressFile(Files(str(tmp_path)), "none")
    with pytest.raises(UsageError, match=r"^node .*: programs can be isolated at level 'limits' here"):
        list(execute_with_ray(JOB, Placement(1, 0, 0, in_trial=False), None, progress))
