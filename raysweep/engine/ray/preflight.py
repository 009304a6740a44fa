"""Checks before work starts that the nodes can hold a cell; Ray itself would wait for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from raysweep.config.resources import ACCELERATOR_LABEL
from raysweep.engine.ray.cluster import Placement
from raysweep.engine.ray.nodes import NodeFacts, matches
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.needs import Needs
from raysweep.units import size

NEVER = " can never be scheduled: "
CONFIG_KEYS = {"CPU": "resources.cpus", "GPU": "resources.gpus", "memory": "resources.memory_gib"}


def require_feasible(
    placement: Placement, workers: int, nodes: Sequence[NodeFacts], where: str, stage: str = "training"
) -> None:
    """Raise UsageError unless the nodes can hold a cell when they are idle; the message names the missing resource.

    Args:
        placement: the resources of each worker.
        workers: training workers of a cell; 0 or 1: one worker or actor.
        nodes: all live nodes.
        where: a name for the nodes, for the message: "this machine".
        stage: whose processes these are, for the message.
    """
    cell = "a cell" if stage == "training" else f"a cell's {stage}"
    matching = [node for node in nodes if matches(placement.labels, node.labels)]
    if not matching:
        raise UsageError(f"{cell}{NEVER}{_label_mismatch(placement.labels, nodes, where)}")
    for name, amount in placement.amounts.items():
        largest = max(node.resources.get(name, 0.0) for node in matching)
        if amount > largest:
            has = f"has at most {_amount(name, largest)}" if largest else f"has none{_suggestion(name, matching)}"
            among = " on nodes with those labels" if placement.labels else ""
            raise UsageError(
                f"{cell}{NEVER}it asks for {_amount(name, amount)} {name} (`{_config_key(name)}`), "
                f"but {where} {has}{among}; lower it or use a larger machine (--address)"
            )
    capacity = sum(placement.times_in(node.resources) for node in matching)
    if capacity < max(workers, 1):
        each = " and ".join(f"{_amount(name, amount)} {name}" for name, amount in placement.amounts.items())
        what = f"its {workers} training workers (`workers` of the recipe) ask" if workers > 1 else "it asks"
        raise UsageError(
            f"{cell}{NEVER}{what} for {each} each, but {where} has room for {capacity}; "
            "lower one of them or use a larger machine (--address)"
        )


def require_feasible_beside(
    driver: Mapping[str, float],
    placement: Placement,
    workers: int,
    nodes: Sequence[NodeFacts],
    where: str,
    stage: str = "training",
) -> None:
    """Raise UsageError unless the nodes can hold a cell and its driver, which needs `driver` on one node."""
    require_feasible(placement, workers, nodes, where, stage)
    for index, node in enumerate(nodes):
        remaining = {name: amount - driver.get(name, 0.0) for name, amount in node.resources.items()}
        if any(remaining.get(name, -1.0) < 0 for name in driver):
            continue
        rest = [*nodes[:index], NodeFacts(remaining, node.labels), *nodes[index + 1 :]]
        try:
            require_feasible(placement, workers, rest, where, stage)
        except UsageError:
            continue
        return
    if driver:
        what = " and ".join(f"{amount:g} {name}" for name, amount in driver.items())
        raise UsageError(
            f"a cell{NEVER}its workers would take all of {where}, and its driver needs {what} beside "
            "them; lower `resources.cpus` or `workers` of the recipe"
        )


def most_memory(needs: Needs, nodes: Iterable[NodeFacts]) -> float:
    """Return the memory in bytes of the largest node that a process may run on; 0 if there is none."""
    matching = [node for node in nodes if matches(needs.labels, node.labels)]
    usable = [node for node in matching if node.resources.get("GPU", 0.0) >= needs.gpus]
    return max((node.resources.get("memory", 0.0) for node in usable), default=0.0)


def _label_mismatch(selector: Mapping[str, str], nodes: Sequence[NodeFacts], where: str) -> str:
    for label, condition in selector.items():
        if not any(matches({label: condition}, node.labels) for node in nodes):
            values = sorted({node.labels[label] for node in nodes if label in node.labels})
            known = ", ".join(values) if values else f"no such label{did_you_mean(label, _labels(nodes))}"
            key = "`accelerator` or `resources.labels`" if label == ACCELERATOR_LABEL else "`resources.labels`"
            return f"no node of {where} matches {key} {label}: {condition!r}; there is {known}"
    return f"no single node of {where} matches all of `resources.labels` {dict(selector)}"


def _suggestion(name: str, nodes: Sequence[NodeFacts]) -> str:
    return did_you_mean(name, {known for node in nodes for known in node.resources}) if name not in CONFIG_KEYS else ""


def _labels(nodes: Sequence[NodeFacts]) -> set[str]:
    return {label for node in nodes for label in node.labels}


def _config_key(name: str) -> str:
    return CONFIG_KEYS.get(name, f"resources.custom.{name}")


def _amount(name: str, value: float) -> str:
    return size(value) if name == "memory" else f"{value:g}"
