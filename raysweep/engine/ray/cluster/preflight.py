"""Checks before work starts that the nodes can hold a cell; Ray itself would wait for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts, matches
from raysweep.engine.ray.cluster.cluster import Placement, Placements
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.predictions.needs import Needs, names_in
from raysweep.units import first_of, size

HERE = "this machine"
CONFIG_KEYS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gib"}
"""Keys of a stage's resources in configs, by Ray's names."""


def unschedulable(
    asked: Iterable[tuple[Sequence[str], Placements]], lacking: Callable[[Placements, Placement, int, str], str]
) -> list[str]:
    """Return which cells can never be scheduled and why, one line for each reason.

    Args:
        asked: names of cells, and what each of them asks for.
        lacking: returns what a stage lacks: of these placements, its own, for so many processes; empty if nothing.
    """
    names_of: dict[str, list[str]] = {}
    for names, placed in asked:
        reasons = (lacking(placed, one, workers, stage) for stage, one, workers in placed.stages)
        if reason := next(filter(None, reasons), ""):
            names_of.setdefault(reason, []).extend(names)
    return [f"{first_of(names, 'cell')} can never be scheduled: {reason}" for reason, names in names_of.items()]


def require_schedulable(problems: Sequence[str]) -> None:
    """Raise UsageError with all lines of `unschedulable`, if there are any."""
    if problems:
        raise UsageError("\n".join(problems))


def what_is_lacking(
    placement: Placement, workers: int, nodes: Sequence[NodeFacts], where: str, stage: str = "training"
) -> str:
    """Return what the nodes lack for a stage of a cell even when they are idle; empty if they can hold it.

    Args:
        placement: the resources of each worker.
        workers: training workers of a cell; 0 or 1: one worker or actor.
        nodes: all live nodes.
        where: a name for the nodes, for the message: "this machine".
        stage: whose processes these are, for the message.
    """
    matching = [node for node in nodes if matches(placement.labels, node.labels)]
    if not matching:
        return _label_mismatch(placement.labels, nodes, where)
    for name, amount in placement.amounts.items():
        largest = max(node.resources.get(name, 0.0) for node in matching)
        if amount > largest:
            has = f"has at most {_amount(name, largest)}" if largest else f"has none{_suggestion(name, matching)}"
            among = " on nodes with those labels" if placement.labels else ""
            return (
                f"{stage} asks for {_amount(name, amount)} {name} ({_config_key(name, stage)}), "
                f"but {where} {has}{among}; lower it or {_larger(where)}"
            )
    capacity = sum(placement.times_in(node.resources) for node in matching)
    if capacity < max(workers, 1):
        each = " and ".join(f"{_amount(name, amount)} {name}" for name, amount in placement.amounts.items())
        what = f"{workers} training workers (`workers` of the recipe) ask" if workers > 1 else f"{stage} asks"
        return f"{what} for {each} each, but {where} has room for {capacity}; lower one of them or {_larger(where)}"
    return ""


def what_is_lacking_beside(
    driver: Mapping[str, float],
    placement: Placement,
    workers: int,
    nodes: Sequence[NodeFacts],
    where: str,
    stage: str = "training",
) -> str:
    """Return what the nodes lack for a stage and the cell's driver, which needs `driver` on one node."""
    if lacking := what_is_lacking(placement, workers, nodes, where, stage):
        return lacking
    for index, node in enumerate(nodes):
        remaining = {name: amount - driver.get(name, 0.0) for name, amount in node.resources.items()}
        if any(remaining.get(name, -1.0) < 0 for name in driver):
            continue
        rest = [*nodes[:index], NodeFacts(remaining, node.labels), *nodes[index + 1 :]]
        if not what_is_lacking(placement, workers, rest, where, stage):
            return ""
    if not driver:
        return ""
    what = " and ".join(f"{amount:g} {name}" for name, amount in driver.items())
    return (
        f"the workers would take all of {where}, and their driver needs {what} beside them; lower `resources.cpus` or "
        "`workers` of the recipe"
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
            hints = [(name, did_you_mean(name, values)) for name in names_in(condition) if name not in values]
            near = "".join(f"; for {name}{hint}" for name, hint in hints if hint)
            known = f"{', '.join(values)}{near}" if values else f"no such label{did_you_mean(label, _labels(nodes))}"
            key = "`accelerator` or `resources.labels`" if label == ACCELERATOR_LABEL else "`resources.labels`"
            return f"no node of {where} matches {key} {label}: {condition!r}; there is {known}"
    return f"no single node of {where} matches all of `resources.labels` {dict(selector)}"


def _larger(where: str) -> str:
    return "use a larger machine (--address)" if where == HERE else "use larger nodes"


def _suggestion(name: str, nodes: Sequence[NodeFacts]) -> str:
    return did_you_mean(name, {known for node in nodes for known in node.resources}) if name not in CONFIG_KEYS else ""


def _labels(nodes: Sequence[NodeFacts]) -> set[str]:
    return {label for node in nodes for label in node.labels}


def _config_key(name: str, stage: str) -> str:
    key = CONFIG_KEYS.get(name, f"custom.{name}")
    return f"`resources.{key}`, or `resources.{stage}.{key}` of the sweep, the model or the recipe"


def _amount(name: str, value: float) -> str:
    return size(value) if name == "memory" else f"{value:g}"
