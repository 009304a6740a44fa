"""Execution on a cluster whose nodes isolate programs unequally: real actors on simulated nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from raysweep.engine.base import ExecuteJob, ProgramBatch
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray import execution
from raysweep.engine.ray.cluster import Placement
from raysweep.engine.ray.execution import ExecutionActor, execute_with_ray
from raysweep.errors import UsageError
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox
from raysweep.storage.files import Files
from tests.behaviour.chaos.nodes import TWO, simulated

pytestmark = pytest.mark.ray

SANDBOX = Sandbox(Lane.STRICT, Level.PARTIAL)
JOB = ExecuteJob([ProgramBatch([Program(f"assert {n} % 3")] * 2, [Limits(timeout=5)] * 2) for n in range(20)], SANDBOX)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[list[dict[str, Any]]]:
    """Ray's records of a head without CPUs and two nodes, to which this process is connected."""
    import ray

    with simulated(TWO, tmp_path_factory.mktemp("nodes") / "log") as cluster:
        ray.init(address=cluster.address, log_to_driver=False)
        yield ray.nodes()
        ray.shutdown()


def ids(nodes: list[dict[str, Any]], cpus: int) -> list[str]:
    return [node["NodeID"] for node in nodes if node["Resources"].get("CPU", 0) == cpus]


def without_isolation(refuses: Callable[[str], bool]) -> type[ExecutionActor]:
    """The actor, but that on nodes that are refused its slot really has no layers but limits."""

    class Actor(ExecutionActor):
        def __init__(self, label: str, sandbox: Sandbox) -> None:
            import ray

            super().__init__(label, sandbox)
            if refuses(ray.get_runtime_context().get_node_id()):
                self._executor = Executor(1, sandbox, without=LAYERS)

    return Actor


@pytest.mark.parametrize("in_trial", [True, False])
def test_nodes_that_isolate_too_little_are_left_out_and_named_once_each(nodes, in_trial, tmp_path, monkeypatch):
    first, head = tmp_path / "first", ids(nodes, 0)

    def refuses(node: str) -> bool:
        with suppress(FileExistsError), first.open("x") as file:  # the first node that is asked, whichever that is
            file.write(node)
        return node in [*head, first.read_text()]

    monkeypatch.setattr(execution, "ExecutionActor", without_isolation(refuses))
    progress = ProgressFile(Files(str(tmp_path)), "half")
    blocks = list(execute_with_ray(JOB, Placement(1, 0, 0, in_trial=in_trial), None, progress))
    assert sorted(block.index for block in blocks) == list(range(20))
    for block in blocks:
        assert {row.outcome for row in block.rows} == {Outcome.PASSED if block.index % 3 else Outcome.FAILED}
        assert all(Level(row.level) >= Level.PARTIAL for row in block.rows)
    told = [line for line in progress.activity.tail if "no programs are run on a node: node " in line]
    assert 1 <= len(told) == len(set(told)) <= 2
    assert all("'partial' is required" in line for line in told)


def test_without_a_node_that_isolates_enough_execution_ends_with_the_reason(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(execution, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(execution, "ExecutionActor", without_isolation(lambda node: True))
    progress = ProgressFile(Files(str(tmp_path)), "none")
    with pytest.raises(UsageError, match=r"^node .*: programs can be isolated at level 'limits' here"):
        list(execute_with_ray(JOB, Placement(1, 0, 0, in_trial=False), None, progress))
