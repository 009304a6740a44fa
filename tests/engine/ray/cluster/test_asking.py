"""Nodes say what they lack of what a config names, each for itself."""

from __future__ import annotations

import pytest

from raysweep.engine.ray.cluster.asking import lacking_on_nodes
from raysweep.engine.ray.cluster.nodes import nodes_by_id

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
        lines = lacking_on_nodes(nodes, str(file))
    missing_file, package = sorted(lines, key=lambda line: "comet_ml" in line)
    assert f"{rows} doesn't exist" in missing_file and missing_file.count("node ") == 2
    assert f"node {added.id[:8]} (A100)" in missing_file
    assert package.endswith(f"- on node {head[:8]}") and "needs the package comet_ml: pip install comet-ml" in package
