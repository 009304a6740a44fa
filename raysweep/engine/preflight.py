"""Can what a cell asks for ever be placed? Matched against live nodes before work starts: Ray itself waits for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.config_running import RayConfig
from raysweep.engine.cluster import Placement
from raysweep.errors import UsageError, did_you_mean
from raysweep.machine import cores, gpus, memory
from raysweep.terminal import size

UNIT = 10_000
"""Ray counts in ten thousandths."""
KEYS = {"CPU": "resources.cpus", "GPU": "resources.gpus", "memory": "resources.memory_gib"}


@dataclass(frozen=True)
class NodeFacts:
    """What a node has: amounts by Ray's name (memory in bytes), and labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


def this_machine(ray: RayConfig) -> NodeFacts:
    """Return what a Ray started here would have."""
    found, cpus = memory(), ray.cpus or cores().usable
    return NodeFacts({"CPU": float(cpus), "GPU": float(gpus()), "memory": float(found.limit or found.total)})


def live_nodes() -> list[NodeFacts]:
    """Return what the live nodes of the Ray have that this process is connected to."""
    import ray

    return [NodeFacts(node["Resources"], node.get("Labels") or {}) for node in ray.nodes() if node["Alive"]]


def require_feasible(asked: Placement, workers: int, nodes: Sequence[NodeFacts], where: str) -> None:
    """Raise UsageError, naming what is missing, unless the nodes can ever hold a cell.

    Args:
        asked: by each worker.
        workers: training workers of a cell; 0 or 1: one worker or actor.
        nodes: all that are alive.
        where: what they are, for the error.
    """
    matching = [node for node in nodes if matches(asked.labels, node.labels)]
    if not matching:
        raise UsageError(f"a cell can never be scheduled: {_unmatched(asked.labels, nodes, where)}")
    for name, amount in asked.worker.items():
        largest = max(node.resources.get(name, 0.0) for node in matching)
        if amount > largest:
            has = f"has at most {_amount(name, largest)}" if largest else f"has none{_nearest(name, matching)}"
            among = " on nodes with those labels" if asked.labels else ""
            raise UsageError(
                f"a cell can never be scheduled: it asks for {_amount(name, amount)} {name} (`{_key(name)}`), "
                f"but {where} {has}{among}; lower it or use a larger machine (--address)"
            )
    room = sum(_room(asked, node) for node in matching)
    if room < max(workers, 1):
        each = " and ".join(f"{_amount(name, amount)} {name}" for name, amount in asked.worker.items())
        what = f"its {workers} training workers (`workers` of the recipe) ask" if workers > 1 else "it asks"
        raise UsageError(
            f"a cell can never be scheduled: {what} for {each} each, but {where} has room for {room}; "
            "lower one of them or use a larger machine (--address)"
        )


def require_feasible_beside(
    driver: Mapping[str, float], asked: Placement, workers: int, nodes: Sequence[NodeFacts], where: str
) -> None:
    """Raise UsageError unless the nodes can ever hold a cell and its driver, which asks for `driver` on one of them."""
    require_feasible(asked, workers, nodes, where)
    for at, node in enumerate(nodes):
        left = {name: amount - driver.get(name, 0.0) for name, amount in node.resources.items()}
        if any(left.get(name, -1.0) < 0 for name in driver):
            continue
        rest = [*nodes[:at], NodeFacts(left, node.labels), *nodes[at + 1 :]]
        try:
            require_feasible(asked, workers, rest, where)
        except UsageError:
            continue
        return
    if driver:
        what = " and ".join(f"{amount:g} {name}" for name, amount in driver.items())
        raise UsageError(
            f"a cell can never be scheduled: its workers would take all of {where}, and its driver needs {what} beside "
            "them; lower `resources.cpus` or `workers` of the recipe"
        )


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a node's labels match a label selector of Ray: ``a``, ``!a``, ``in(a,b)``, ``!in(a,b)`` by label."""
    return all(_matches(wanted, labels.get(label)) for label, wanted in selector.items())


def _matches(wanted: str, value: str | None) -> bool:
    text = wanted.removeprefix("!")
    values = text[3:-1].split(",") if text.startswith("in(") and text.endswith(")") else [text]
    return (value in [one.strip() for one in values]) != wanted.startswith("!")


def _unmatched(selector: Mapping[str, str], nodes: Sequence[NodeFacts], where: str) -> str:
    for label, wanted in selector.items():
        if not any(_matches(wanted, node.labels.get(label)) for node in nodes):
            there = sorted({node.labels[label] for node in nodes if label in node.labels})
            known = ", ".join(there) if there else f"no such label{did_you_mean(label, _labels(nodes))}"
            return f"no node of {where} matches `resources.labels` {label}: {wanted!r}; there is {known}"
    return f"no single node of {where} matches all of `resources.labels` {dict(selector)}"


def _room(asked: Placement, node: NodeFacts) -> int:
    parts = ((node.resources.get(name, 0.0), amount) for name, amount in asked.worker.items())
    fits = [round(there * UNIT) // max(1, round(amount * UNIT)) for there, amount in parts]
    return min(fits, default=1_000_000)


def _nearest(name: str, nodes: Sequence[NodeFacts]) -> str:
    return did_you_mean(name, {known for node in nodes for known in node.resources}) if name not in KEYS else ""


def _labels(nodes: Sequence[NodeFacts]) -> set[str]:
    return {label for node in nodes for label in node.labels}


def _key(name: str) -> str:
    return KEYS.get(name, f"resources.custom.{name}")


def _amount(name: str, value: float) -> str:
    return size(value) if name == "memory" else f"{value:g}"
