"""A machine's announced end drains its node of Ray; whatever fails is tried again."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import pytest

from raysweep.cli.app import main
from raysweep.engine.ray.cluster import local_nodes, probe, providers
from raysweep.engine.ray.cluster.providers import Aws, Gcp
from raysweep.errors import RaysweepError, UsageError
from raysweep.sweep import spot
from tests.engine.ray.cluster.metadata_server import ACTION, MAINTENANCE, PREEMPTED, metadata_server


class Node:
    """Stands for a node that ends after some looks at it; `refuses`: so many drains first."""

    id, head = "0123456789", "127.0.0.1:9"

    def __init__(self, looks: int, refuses: int = 0) -> None:
        self.looks, self.refuses = looks, refuses
        self.drains: list[tuple[float, str]] = []
        self.between = lambda look: None

    @property
    def is_up(self) -> bool:
        self.looks -= 1
        self.between(self.looks)
        return self.looks >= 0

    def drain(self, until: float, why: str) -> None:
        self.refuses -= 1
        if self.refuses >= 0:
            raise RaysweepError("Ray's head doesn't answer")
        self.drains.append((until, why))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(spot, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(providers.Path, "exists", lambda path: True)
    with metadata_server() as server:
        server.answers = {PREEMPTED: (200, "FALSE"), MAINTENANCE: (200, "NONE")}
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
        yield server


def watched(metadata, node: Node, caplog, *others: Node) -> list[str]:
    """Watch until the nodes end; return what was told, without the times."""
    with caplog.at_level(logging.INFO):
        spot.drain_when_announced(metadata, [node, *others])
    return [record.getMessage().split(" ", 2)[2] for record in caplog.records]


def test_without_a_notice_it_waits_until_the_node_has_ended(server, caplog):
    node = Node(5)
    assert watched(Aws(), node, caplog) == [] and node.drains == []
    assert server.asked.count(f"GET {ACTION}") == 5


def test_an_announced_end_drains_the_node_once_and_an_earlier_one_again(server, caplog):
    node, started = Node(9), time.time()

    def change(left: int) -> None:
        server.answers[MAINTENANCE] = 200, "TERMINATE_ON_HOST_MAINTENANCE" if left < 7 else "NONE"
        server.answers[PREEMPTED] = 200, "TRUE" if left < 3 else "FALSE"

    node.between = change
    told = watched(Gcp(), node, caplog)
    assert [why for _, why in node.drains] == ["TERMINATE_ON_HOST_MAINTENANCE", "preempted"]
    late = [until - started - notice for (until, _), notice in zip(node.drains, (3600, 30), strict=True)]
    assert all(0 <= seconds <= time.time() - started for seconds in late)
    assert told[1] in [f"preempted: drained node 01234567, {left} s left" for left in range(15, 31)]


def test_a_server_that_falls_silent_and_a_head_that_refuses_are_told_once_and_asked_again(server, caplog):
    node = Node(9, refuses=2)
    server.answers[ACTION] = 200, "{}"

    def change(left: int) -> None:
        if left == 5:
            server.answers[ACTION] = 200, '{"action": "stop", "time": "2026-09-18T08:22:00Z"}'

    node.between = change
    told = watched(Aws(), node, caplog)
    assert node.drains == [(datetime(2026, 9, 18, 8, 22, tzinfo=UTC).timestamp(), "stop at 2026-09-18T08:22:00Z")]
    url = f"http://127.0.0.1:{server.port}"
    assert told == [
        f"the metadata server answered {url}{ACTION} with '{{}}'; asks again every 0.001 s",
        "Ray's head doesn't answer; asks again every 0.001 s",
        "stop at 2026-09-18T08:22:00Z: drained node 01234567, 0 s left",
        "nothing fails any more",
    ]


def test_a_node_that_cannot_be_drained_or_has_ended_keeps_no_other_from_it(server, caplog):
    refusing, ended, up = Node(4, refuses=9), Node(0), Node(6)
    server.answers[ACTION] = 200, '{"action": "stop", "time": "2026-09-18T08:22:00Z"}'
    told = watched(Aws(), refusing, caplog, ended, up)
    assert [len(node.drains) for node in (refusing, ended, up)] == [0, 0, 1]
    assert told[1:] == ["Ray's head doesn't answer; asks again every 0.001 s", "nothing fails any more"]


def test_only_nodes_whose_head_answers_are_watched(server, monkeypatch, caplog):
    other, node = Node(1), Node(2)
    other.head, looked = "127.0.0.1:10", []
    other.between = looked.append
    server.answers[ACTION] = 404, ""

    def require_reachable(address: str) -> None:
        if address == other.head:
            raise UsageError("no Ray answers")

    monkeypatch.setattr(local_nodes, "local_nodes", lambda: [other, node])
    monkeypatch.setattr(probe, "require_reachable", require_reachable)
    with caplog.at_level(logging.INFO):
        spot.watch_spot("aws")
    assert not looked and node.looks < 0 and "leaves a node alone: no Ray answers" in caplog.text


@pytest.mark.parametrize(
    ("nodes", "is_let_in", "why"),
    [
        ([], False, "no node of Ray runs on this machine; give `ray start` first"),
        ([Node(0)], False, "no Ray answers at "),
        ([Node(0)], True, "the metadata server http://127.0.0.1:9 doesn't answer ("),
    ],
)
def test_without_a_ray_or_a_metadata_server_it_is_refused_in_one_line(nodes, is_let_in, why, monkeypatch, capsys):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(providers, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(local_nodes, "local_nodes", lambda: nodes)
    if is_let_in:
        monkeypatch.setattr(probe, "require_reachable", lambda address: None)
    with pytest.raises(SystemExit) as ended:
        main(["watch-spot", "aws"])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith(f"error: {why}")
