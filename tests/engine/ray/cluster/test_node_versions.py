"""Nodes with another raysweep or torch are told before work starts."""

from __future__ import annotations

import logging
import os
import shutil
import sys

import pytest

from raysweep.engine.base import ProgramBatch
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster import node_versions
from raysweep.engine.ray.cluster.cordons import NODE_LABEL
from raysweep.engine.ray.cluster.node_versions import PACKAGES, require_equal_versions
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.engine.ray.execution import ExecutionActor
from raysweep.errors import UsageError
from raysweep.execution.runtimes import identities
from raysweep.machine import versions
from raysweep.programs import CPP, DEFAULT_SANDBOX, Level, Limits, Outcome, Program, Sandbox
from tests.execution.compiled.processes import needs

HERE = versions(PACKAGES)
NODES = {f"{number}" * 56: NodeFacts({}, {"ray.io/accelerator-type": "A100"} if number else {}) for number in range(6)}


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_node_says_what_it_has():
    nodes = nodes_by_id()
    assert node_versions._answers(nodes, {}, allow_silent=False) == dict.fromkeys(nodes, HERE)
    require_equal_versions(nodes, allow_mixed=False)


def answering(monkeypatch, **by_number):
    """Have the nodes answer what a node with this process's versions would, but for some."""
    answers = {node: HERE | by_number.get(f"n{node[0]}", {}) for node in NODES}
    monkeypatch.setattr(node_versions, "_answers", lambda *_, **__: {n: a for n, a in answers.items() if a})


def test_other_versions_are_refused_with_the_nodes_that_have_them(monkeypatch):
    older = {f"n{number}": {"torch": "1.0.0"} for number in range(1, 6)}
    answering(monkeypatch, **older, n0={"raysweep": "9.9"})
    own = rf"\(raysweep {HERE['raysweep']} and torch .*\)"
    nodes = r"node 11111111 \(A100\), node 22222222 \(A100\), .* and 1 more"
    with pytest.raises(UsageError, match=rf"{own}: raysweep 9.9 on node 00000000; torch 1.0.0 on {nodes}; install"):
        require_equal_versions(NODES, allow_mixed=False)
    with pytest.raises(UsageError, match=rf"\(raysweep {HERE['raysweep']}\): raysweep 9.9 on node 00000000; install"):
        require_equal_versions(NODES, allow_mixed=True)


@pytest.mark.slow
def test_nodes_with_other_compilers_are_refused_where_a_sweep_has_such_problems(monkeypatch):
    needs(CPP)
    there = {"cpp": node_versions.identity_or_none("cpp", "-O0")}
    answering(monkeypatch, **{f"n{number}": there for number in range(5)}, n5={"cpp": "g++ 9.4.0"})
    with pytest.raises(UsageError, match=r"cpp g\+\+ 9.4.0 on node 55555555 \(A100\); install the same on all"):
        require_equal_versions(NODES, {"cpp": "-O0"}, allow_mixed=False)
    with pytest.raises(UsageError, match=r"cpp g\+\+ .* on node 00000000, node 11111111 \(A100\),"):
        require_equal_versions(NODES, {"cpp": "-O2"}, allow_mixed=False)
    require_equal_versions(NODES, allow_mixed=False)


def test_a_node_without_an_environment_that_others_have_is_named_with_its_path(monkeypatch):
    there = {"bcb": node_versions.identity_or_none("bcb", sys.executable)}
    answering(monkeypatch, **{f"n{number}": there for number in range(5)}, n5={"bcb": node_versions.NONE})
    said = rf"environment 'bcb' at {sys.executable}: none on node 55555555 \(A100\); install the same on all"
    with pytest.raises(UsageError, match=said):
        require_equal_versions(NODES, {"bcb": sys.executable}, allow_mixed=False)
    answering(monkeypatch, **{f"n{number}": there for number in range(6)})
    require_equal_versions(NODES, {"bcb": sys.executable}, allow_mixed=False)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.usefixtures("connected")
def test_a_node_with_another_gxx_is_named_before_work_and_judges_nothing_if_it_joins_later(shared_ray, tmp_path):
    """Two real nodes, on one of which another g++ comes first on the path.

    The short siblings are test_nodes_with_other_compilers_are_refused_where_a_sweep_has_such_problems, and in
    tests/execution/compiled/test_toolchains.py that of a machine with another compiler.
    """
    import ray

    needs(CPP)
    (tmp_path / "g++").write_text(
        f'#!/bin/sh\ncase "$1" in -dumpfullversion) echo 9.9.9;; *) exec {shutil.which("g++")} "$@";; esac\n'
    )
    (tmp_path / "g++").chmod(0o755)
    program = Program("int one() { return 1; }", "#include <cassert>\nint main() { assert(one() == 1); }", CPP)
    batch = ProgramBatch([program], [Limits(timeout=5)])
    sandbox = Sandbox(require=Level.LIMITS, compilers=identities([CPP], DEFAULT_SANDBOX))
    other_path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with shared_ray.nodes({"num_cpus": 1}, {"num_cpus": 1, "env_vars": other_path}) as (same, other):
        with pytest.raises(UsageError, match=r"differ from this process .*: cpp g\+\+ 9.9.9 .* on node [0-9.]+;"):
            require_equal_versions(nodes_by_id(), {CPP: "-O0"}, allow_mixed=False)
        actors = [
            ray.remote(ExecutionActor).options(label_selector={NODE_LABEL: node.id}).remote("", sandbox)
            for node in (same, other)
        ]
        (verdict,) = ray.get(actors[0].run.remote(batch))
        with pytest.raises(ray.exceptions.RayTaskError) as raised:
            ray.get(actors[1].run.remote(batch))
        ray.get([actor.close.remote() for actor in actors])
    assert verdict.outcome is Outcome.PASSED
    assert isinstance(raised.value.cause, UsageError)
    assert "is 'g++ 9.9.9 (" in str(raised.value) and "install the same on all nodes" in str(raised.value)


def test_a_package_that_is_not_there_differs(monkeypatch):
    monkeypatch.setattr(
        node_versions, "_answers", lambda nodes, *_, **__: {node: {"torch": HERE["torch"]} for node in nodes}
    )
    with pytest.raises(
        UsageError, match="raysweep none and transformers none and peft none on node 00000000, node 11111111"
    ):
        require_equal_versions(NODES, allow_mixed=False)


def test_a_head_without_accelerators_may_have_another_build(monkeypatch):
    answering(monkeypatch, n0={"torch": f"{HERE['torch'].partition('+')[0]}+cu128"})
    require_equal_versions(NODES, allow_mixed=False)


@pytest.mark.parametrize("what", ["torch", "driver"])
def test_nodes_with_one_accelerator_have_one_build_and_one_driver(monkeypatch, what):
    base = HERE["torch"].partition("+")[0]
    unlike = {"torch": f"{base}+cu128"} if what == "torch" else {"driver": "550.54.14"}
    answering(monkeypatch, n2=unlike)
    said = (
        r"nodes with A100 differ.*cu128 on node 22222222" if what == "torch" else r"driver 550.54.14 on node 22222222"
    )
    with pytest.raises(UsageError, match=f"{said}.*; install the same on all"):
        require_equal_versions(NODES, allow_mixed=False)
    require_equal_versions(NODES, allow_mixed=True)
    of_its_own = {**NODES, "2" * 56: NodeFacts({}, {"ray.io/accelerator-type": "V100"})}
    require_equal_versions(of_its_own, allow_mixed=False)


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_node_that_is_gone_is_told_and_hinders_nothing(caplog):
    with caplog.at_level(logging.WARNING, "raysweep"):
        require_equal_versions({"ab" * 28: NodeFacts({}, {})}, allow_mixed=False)
    assert "node abababab, asked for its versions, can't answer: " in caplog.text
