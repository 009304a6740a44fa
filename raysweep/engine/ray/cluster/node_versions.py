"""Checks before work starts that all nodes of a running Ray have the packages of this process in the same versions.

They are raysweep and those that completions' keys name as this process has them, and, where a sweep has problems in
Java or C++, their compilers and run times. Nodes with one type of accelerator must have the same build of torch and
the same driver, since models of a group run on one software.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.asking import ask_nodes, first_nodes, node_name
from raysweep.errors import UsageError
from raysweep.machine import versions
from raysweep.programs import LANGUAGES

PACKAGES = ("raysweep", "torch", "transformers", "peft")
BUILDS = ("torch", "driver")
"""What nodes with one type of accelerator must have in common, a build's name behind ``+`` included."""
MIXABLE = ("torch", "transformers", "peft")
"""With `resources.allow_mixed`, these may differ."""
NONE = "none"


def require_equal_versions(
    nodes: Mapping[str, NodeFacts], runtimes: Mapping[str, str] = MappingProxyType({}), *, allow_mixed: bool
) -> None:
    """Ask each node for its versions, and compare them with those of this process.

    The part behind a ``+``, such as ``+cu128``, is compared only among nodes with the same type of accelerator: a head
    without GPUs has another build of torch than its workers. On a node that joins later, a slot refuses another runtime
    (`Sandbox.compilers`).

    Raises UsageError if a node has other versions, lacks a package or doesn't answer; or if nodes with the same
    accelerator differ.

    `runtimes`: compilers and environments that keys of results name, each with its setting.
    `allow_mixed`: whether models of one group may run on unlike versions, and on nodes that don't answer.
    """
    here = versions(PACKAGES) | {name: identity_or_none(name, setting) for name, setting in runtimes.items()}
    compared = [*(name for name in PACKAGES if name not in MIXABLE or not allow_mixed), *runtimes]
    answers = _answers(nodes, runtimes, allow_silent=allow_mixed)
    differing: dict[str, list[str]] = defaultdict(list)
    for node, there in answers.items():
        unlike = [name for name in compared if _plain(there, name) != _plain(here, name)]
        texts = [f"{_words(name, runtimes)} {there.get(name, NONE)}" for name in unlike]
        if texts:
            differing[" and ".join(texts)].append(node_name(node, nodes[node]))
    if differing:
        listed = "; ".join(f"{text} on {first_nodes(sorted(names))}" for text, names in differing.items())
        versions_here = " and ".join(f"{_words(name, runtimes)} {here.get(name, NONE)}" for name in compared)
        raise UsageError(
            f"nodes of this Ray differ from this process ({versions_here}): {listed}; install the same on all"
        )
    if not allow_mixed:
        _require_equal_builds(answers, nodes)


def _require_equal_builds(answers: Mapping[str, Mapping[str, str]], nodes: Mapping[str, NodeFacts]) -> None:
    by_type: dict[str, dict[str, list[str]]] = {}
    for node, there in answers.items():
        label = nodes[node].labels.get(ACCELERATOR_LABEL, "")
        if label or nodes[node].resources.get("GPU"):
            text = " and ".join(f"{name} {there[name]}" for name in BUILDS if name in there)
            by_type.setdefault(label, {}).setdefault(text, []).append(node_name(node, nodes[node]))
    for label, builds in by_type.items():
        if len(builds) > 1:
            listed = "; ".join(
                f"{text or NONE} on {first_nodes(sorted(names))}" for text, names in sorted(builds.items())
            )
            raise UsageError(
                f"nodes with {label or NO_LABEL} differ, and the models of a group run on one software: {listed}; "
                f"install the same on all, give them another {ACCELERATOR_LABEL}, or mix them knowingly with "
                "`resources.allow_mixed: true`"
            )


def _words(name: str, runtimes: Mapping[str, str]) -> str:
    is_environment = name in runtimes and name not in LANGUAGES
    return f"environment {name!r} at {runtimes[name]}:" if is_environment else name


def _plain(there: Mapping[str, str], name: str) -> str:
    found = there.get(name, NONE)
    return found.partition("+")[0] if name in PACKAGES else found


def identity_or_none(runtime: str, setting: str) -> str:
    """Return what keys name of a runtime on this machine; NONE where there is none, or no raysweep."""
    try:
        from raysweep.execution.runtimes import identity

        return identity(runtime, setting)
    except (ImportError, UsageError):
        return NONE


def _answers(
    nodes: Mapping[str, NodeFacts], runtimes: Mapping[str, str], *, allow_silent: bool
) -> dict[str, dict[str, str]]:
    def there() -> dict[str, str]:  # a local function is sent as it is, so a node needs no raysweep to run it
        import re
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        answer = {}
        for package in packages:
            try:
                answer[package] = version(package)
            except PackageNotFoundError:
                continue
        for name, setting in settings.items():
            try:
                from raysweep.engine.ray.cluster.node_versions import identity_or_none

                answer[name] = identity_or_none(name, setting)
            except (ImportError, TypeError):  # another raysweep, which the package's own version tells
                continue
        driver = Path("/proc/driver/nvidia/version")
        if driver.exists() and (number := re.search(r"\b\d+\.\d+(\.\d+)?\b", driver.read_text())):
            answer["driver"] = number[0]
        return answer

    packages, settings = PACKAGES, dict(runtimes)
    return ask_nodes(nodes, there, "its versions", allow_silent=allow_silent)
