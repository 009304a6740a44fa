"""What `submit` makes of the answer of the job that asks the nodes what they lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.engine.ray.jobs import node_check
from raysweep.engine.ray.jobs.failures import NO_RAYSWEEP, STOPPED, Ended, end_of
from raysweep.engine.ray.jobs.node_check import NodesUnasked, answer_line, lacking_there
from raysweep.engine.ray.jobs.submission import RayJob
from raysweep.errors import UsageError

JOB = RayJob("http://head:8265", Path(), ("raysweep", "run", "a.yaml", "--quiet"), ("/store",), (("A", "b"),))


def asked(monkeypatch, ended: Ended, log: str) -> list[str]:
    """Return what the nodes lack by a job that ended so; it has the sweep's folder and variables."""

    def finished(job: RayJob, seconds: float) -> tuple[Ended, str]:
        assert job.entrypoint == ("raysweep", "check-nodes", "a.yaml", "--set", "seed=1")
        assert (job.excludes, job.environment) == (JOB.excludes, JOB.environment)
        return ended, log

    monkeypatch.setattr(node_check, "finished", finished)
    return lacking_there(JOB, "a.yaml", ["seed=1"])


def test_the_answer_is_found_among_the_lines_of_a_log(monkeypatch):
    log = f"connected to Ray\n{answer_line(['no pylint - on node ab'])}\nwarning: slow\n"
    assert asked(monkeypatch, Ended(0), log) == ["no pylint - on node ab"]
    assert asked(monkeypatch, Ended(0), answer_line([])) == []


@pytest.mark.parametrize(
    ("ended", "log", "why"),
    [
        (Ended(2), "Usage: raysweep ...\nError: No such command 'check-nodes'.\n", "No such command 'check-nodes'"),
        (Ended(STOPPED, "it took more than 300 s"), "", "it took more than 300 s"),
    ],
)
def test_nodes_that_can_not_be_asked_are_no_refusal(monkeypatch, ended, log, why):
    with pytest.raises(NodesUnasked, match=why):
        asked(monkeypatch, ended, log)


def test_a_cluster_without_raysweep_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="install it on every node"):
        asked(monkeypatch, end_of({"status": "FAILED", "driver_exit_code": NO_RAYSWEEP}), "")
