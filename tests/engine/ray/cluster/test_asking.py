"""Nodes say what they lack of what a config names, each for itself."""

from __future__ import annotations

import time

import pytest

from raysweep.engine.ray.cluster import asking
from raysweep.engine.ray.cluster.asking import ask_nodes, missing_on_nodes
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.errors import UsageError

CONFIG = """\
name: tiny
models: [{name: reference, generator: reference}]
loggers: [comet]
evaluation:
  problems: [{name: minicode, split: validation, count: 2}, {name: jsonl, path: PATH}]
  perturbations: [clean]
"""


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_each_node_is_asked_for_itself_and_loggers_only_where_the_command_runs(shared_ray, tmp_path):
    rows = tmp_path / "there" / "rows.jsonl"
    file = tmp_path / "tiny.yaml"
    file.write_text(CONFIG.replace("PATH", str(rows)))
    with shared_ray.nodes({"labels": {"ray.io/accelerator-type": "A100"}}) as (added,):
        nodes = nodes_by_id()
        (head,) = nodes.keys() - {added.id}
        lines = missing_on_nodes(nodes, str(file))
    missing_file, package = sorted(lines, key=lambda line: "comet_ml" in line)
    assert f"{rows} doesn't exist" in missing_file and missing_file.count("node ") == 2
    assert f"node {nodes[added.id].address} (A100)" in missing_file
    assert (
        package.endswith(f"- on node {nodes[head].address}")
        and "needs the package comet_ml: pip install comet-ml" in package
    )


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_silent_node_is_asked_again_and_then_refused_unless_it_is_allowed(monkeypatch, caplog):
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.1)
    nodes = nodes_by_id()

    def sleep() -> None:
        time.sleep(1)

    with pytest.raises(UsageError, match=r"asked for its health, node .* didn't answer in 0 s, also when asked again;"):
        ask_nodes(nodes, sleep, "its health", allow_silent=False)
    assert len(caplog.records) == 2
    assert ask_nodes(nodes, sleep, "its health", allow_silent=True) == {}
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 20.0)
    assert ask_nodes(nodes, sleep, "its health", allow_silent=False) == dict.fromkeys(nodes)
