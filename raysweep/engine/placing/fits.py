"""Decides what fits on the nodes of a cluster, and refuses cells that fit on none, with what is lacking.

Every check of resources asks here.

`IdleNodes` answers for nodes on which nothing runs: for the processes of one stage, for a cell, for a group of cells.
A process fits on a node that has the labels and the amounts that it asks for, and whose accelerators can hold its
tensors and compute in its number format (`raysweep.planning.predictions.fit`). What is free while a sweep runs is known
by room_on_nodes.py, which starts from the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL
from raysweep.engine.placing.cells import ANY, UNLABELLED, CellToPlace
from raysweep.engine.placing.nodes import NodeFacts, matches
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.predictions.fit import room_on
from raysweep.planning.predictions.needs import CellNeeds, Needs, amounts_text, matches_one, names_in
from raysweep.units import first_of

HERE = "this machine"
CONFIG_KEYS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gib"}
"""Keys of a stage's resources in configs, by Ray's names."""
CHANGES = "change `accelerator` or `resources` of the model, or `precision` or `workers` of the recipe, or add nodes"
"""What helps cells that no type of accelerator can run."""


def unfit(needs: Needs, label: str) -> str:
    """Return why a process can't run on a type of accelerator, as far as is known; empty if it can.

    `needs`: what the process asks for. One without accelerators runs anywhere. `label`: of the node, which names the
    type; empty if the node has none.
    """
    selector = needs.labels.get(ACCELERATOR_LABEL, "")
    if selector and not matches_one(selector, label or None):
        return f"doesn't match {selector}"
    return lack_of_type(needs, label)


def lack_of_type(needs: Needs, label: str) -> str:
    """Return what a type of accelerator lacks for a process, whatever its labels ask for; empty if it lacks nothing."""
    room = room_on(label, needs.gpus) if needs.gpus else None
    return room.lack(needs.least_on_accelerator, needs.in_bf16) if room else ""


def unfit_cell(cell: CellToPlace, label: str) -> str:
    return next(filter(None, (unfit(needs, label) for needs, _ in cell.stages_on_accelerators)), "")


def unfit_cells(cells: Iterable[CellToPlace], label: str) -> str:
    return next(filter(None, (unfit_cell(cell, label) for cell in cells)), "")


def request_key(needs: Needs, number: int, pool: str | None) -> tuple[Any, ...]:
    return number, *needs.occupied.items(), *_kind(needs, pool)


def _kind(needs: Needs, pool: str | None) -> tuple[Any, ...]:
    return pool if needs.gpus else None, needs.least_on_accelerator, needs.in_bf16, *needs.labels.items()


class IdleNodes:
    """The nodes of a cluster, asked what fits on them while nothing runs there.

    A pool is a type of accelerator, or all accelerators (cells.py).

    `nodes`: the live nodes that are not drained, by their ids. `may_grow`: an autoscaler may start others. `where`: a
    name for the nodes, for messages.
    """

    def __init__(
        self,
        nodes: Mapping[str, NodeFacts] = MappingProxyType({}),
        *,
        may_grow: bool = False,
        where: str = "the Ray cluster",
    ) -> None:
        self.nodes, self.may_grow, self.where = dict(nodes), may_grow, where
        self.accelerators: dict[str, float] = {}  # their number by type: the label of their nodes, or `UNLABELLED`
        for node in nodes.values():
            if number := node.resources.get("GPU", 0.0):
                label = node.labels.get(ACCELERATOR_LABEL, UNLABELLED)
                self.accelerators[label] = self.accelerators.get(label, 0.0) + number
        self._usable: dict[tuple[Any, ...], list[str]] = {}  # nodes by what decides on them
        self._capacities: dict[tuple[Any, ...], int] = {}
        self._largest: dict[tuple[Any, ...], float] = {}  # memory by what decides on the nodes

    def usable(self, needs: Needs, pool: str | None = None) -> list[str]:
        """Return the nodes whose labels and accelerators allow a process; without a `pool` its labels alone decide."""
        key = _kind(needs, pool)
        if key not in self._usable:
            self._usable[key] = [
                name
                for name, node in self.nodes.items()
                if (not needs.gpus or pool is None or _is_in(pool, needs, node)) and matches(needs.labels, node.labels)
            ]
        return self._usable[key]

    def capacity(self, needs: Needs, number: int = 1, pool: str | None = None) -> int:
        """Return how many groups of so many processes fit at a time; see `usable` for the pool."""
        key = request_key(needs, number, pool)
        if key not in self._capacities:
            times = (needs.times_in(self.nodes[name].resources) for name in self.usable(needs, pool))
            self._capacities[key] = sum(times) // number
        return self._capacities[key]

    def lack(self, cells: Sequence[CellToPlace], pool: str) -> str:
        stages = (stage for cell in cells for stage in cell.stages_on_accelerators)
        return unfit_cells(cells, pool) or (
            ""
            if all(self.capacity(needs, number, pool) > 0 for needs, number in stages)
            else "has no room for all that they ask for at a time"
        )

    def can_run(self, cell: CellToPlace, pool: str) -> bool:
        return not self.lack([cell], pool)

    def can_run_somewhere(self, cell: CellToPlace) -> bool:
        for needs, number in cell.stages_on_accelerators:
            names = names_in(needs.labels.get(ACCELERATOR_LABEL, ""))
            may_come = self.may_grow and (not names or any(not unfit(needs, name) for name in names))
            if not may_come and not self.capacity(needs, number, ANY):
                return False
        return True

    def types_for(self, cells: Sequence[CellToPlace], bound: str | None = None) -> list[str]:
        """`bound`: the type that the group must have; None: any."""
        candidates = sorted(self.accelerators) if bound is None else [bound]
        return [pool for pool in candidates if not self.lack(cells, pool)]

    def types_to_come(self, cells: Sequence[CellToPlace], bound: str | None = None) -> list[str]:
        """Return the types that an autoscaler may start for a group: the one that binds it, or those that all name."""
        if not self.may_grow:
            return []
        lists = [cell.named for cell in cells if cell.named is not None]
        names = [name for name in (lists or [[]])[0] if all(name in others for others in lists)]
        return [name for name in (names if bound is None else [bound]) if not unfit_cells(cells, name)]

    def absent_types(self, cells: Iterable[CellToPlace]) -> list[str]:
        labels = {needs.labels.get(ACCELERATOR_LABEL, "") for cell in cells for needs, _ in cell.stages_on_accelerators}
        return sorted({name for label in labels for name in names_in(label)} - {*self.accelerators})

    def types_text(self, cells: Sequence[CellToPlace]) -> str:
        texts = []
        for pool in sorted(self.accelerators):
            lack = self.lack(cells, pool)
            texts.append((pool or NO_LABEL) + (f", which {lack}" if lack else ""))
        absent = {name: unfit_cells(cells, name) for name in self.absent_types(cells)}
        others = [f"{name} is named, but {lack}" for name, lack in absent.items() if lack]
        return "; ".join([f"{self.where} has: {'; '.join(texts) or 'none'}", *others])

    def most_memory(self, needs: Needs) -> float:
        """Return the bytes of the largest node that fits; 0 without one, or if an autoscaler may start larger ones."""
        if self.may_grow:
            return 0.0
        key = needs.gpus, *needs.labels.items()  # of ten thousand cells, few ask for different nodes
        if key not in self._largest:
            labelled = (self.nodes[name].resources for name in self.usable(needs))
            memory = (has.get("memory", 0.0) for has in labelled if has.get("GPU", 0.0) >= needs.gpus)
            self._largest[key] = max(memory, default=0.0)
        return self._largest[key]

    def shortage(self, stage: str, needs: Needs, number: int = 1) -> str:
        """Return why the nodes don't have the amounts that a stage of a cell asks for; empty if they have them.

        `lack` judges types of accelerators by their data sheets. `stage`: for the message: ``training``. `number`: of
        the processes that must run at a time; 0 counts as 1.
        """
        labelled = [self.nodes[name] for name in self.usable(needs)]
        if not labelled:
            return _label_mismatch(needs.labels, self.nodes.values(), self.where)
        larger = "use a larger machine (--address)" if self.where == HERE else "use larger nodes"
        for name, amount in needs.amounts.items():
            largest = max(node.resources.get(name, 0.0) for node in labelled)
            if amount > largest:
                has = f"has at most {amounts_text({name: largest})}" if largest else f"has none{_hint(name, labelled)}"
                among = " on nodes with those labels" if needs.labels else ""
                less = "lower it" if largest or name != "GPU" else "set it to 0 to work on CPUs,"
                key = CONFIG_KEYS.get(name, f"custom.{name}")
                if name == "GPU" and needs.shared_by > 1:
                    return (
                        f"{stage} asks for {amounts_text({name: amount})} of one node (`tensor_parallel: "
                        f"{needs.shared_by}` of the generator), but {self.where} {has}{among}; lower it, or {larger}"
                    )
                return (
                    f"{stage} asks for {amounts_text({name: amount})} (`resources.{key}`, or `resources.{stage}.{key}` "
                    f"of the sweep, the model or the recipe), but {self.where} {has}{among}; {less} or {larger}"
                )
        capacity = self.capacity(needs)
        if capacity < max(number, 1):
            what = f"{number} training workers (`workers` of the recipe) ask" if number > 1 else f"{stage} asks"
            return (
                f"{what} for {amounts_text(needs.amounts)} each, but {self.where} has room for {capacity}; lower one "
                f"of them or {larger}"
            )
        return ""

    def shortage_beside(self, driver: Mapping[str, float], stage: str, needs: Needs, number: int = 1) -> str:
        """Return the same of a stage whose processes run beside the cell's driver, which takes `driver` of a node."""
        if shortage := self.shortage(stage, needs, number):
            return shortage
        if not driver:
            return ""
        for name, node in self.nodes.items():
            left = {kind: amount - driver.get(kind, 0.0) for kind, amount in node.resources.items()}
            if any(left.get(kind, -1.0) < 0 for kind in driver):
                continue
            if not IdleNodes({**self.nodes, name: NodeFacts(left, node.labels)}).shortage(stage, needs, number):
                return ""
        return (
            f"the workers would take all of {self.where}, and their driver needs {amounts_text(driver)} beside them; "
            "lower `resources.cpus` or `workers` of the recipe"
        )


def unplaceable(
    asked: Iterable[tuple[Sequence[str], CellNeeds]],
    nodes: IdleNodes,
    driver: Mapping[str, float] = MappingProxyType({}),
) -> list[str]:
    """Return which cells can never be scheduled and why, one line for each reason.

    `asked`: names of cells, and what each of them asks for. `driver`: what the process of a cell takes whose work is
    done by others.
    """
    names_of: dict[str, list[str]] = {}
    for names, needs in asked:
        beside = {} if needs.in_trial else driver
        shortages = (nodes.shortage_beside(beside, *stage) for stage in needs.stages)
        if reason := next(filter(None, shortages), ""):
            names_of.setdefault(reason, []).extend(names)
    return [f"{first_of(names, 'cell')} can never be scheduled: {reason}" for reason, names in names_of.items()]


def require_placeable(asked: Iterable[tuple[Sequence[str], CellNeeds]], nodes: IdleNodes) -> None:
    """Raise UsageError, which names all cells that have a stage that fits on no node; see `unplaceable`.

    A memory that is only predicted counts as no more than the largest node has.
    """
    capped = [(names, needs.capped(nodes.most_memory)) for names, needs in asked]
    if problems := unplaceable(capped, nodes):
        raise UsageError("\n".join(problems))


def _is_in(pool: str, needs: Needs, node: NodeFacts) -> bool:
    label = node.labels.get(ACCELERATOR_LABEL, UNLABELLED)
    return not unfit(needs, label) if pool == ANY else label == pool


def _label_mismatch(selector: Mapping[str, str], nodes: Iterable[NodeFacts], where: str) -> str:
    labels = [node.labels for node in nodes]
    for label, condition in selector.items():
        if not any(matches({label: condition}, has) for has in labels):
            values = sorted({has[label] for has in labels if label in has})
            hints = [(name, did_you_mean(name, values)) for name in names_in(condition) if name not in values]
            near = "".join(f"; for {name}{hint}" for name, hint in hints if hint)
            all_labels = {known for has in labels for known in has}
            known = f"{', '.join(values)}{near}" if values else f"no such label{did_you_mean(label, all_labels)}"
            key = "`accelerator` or `resources.labels`" if label == ACCELERATOR_LABEL else "`resources.labels`"
            return f"no node of {where} matches {key} {label}: {condition!r}; there is {known}"
    return f"no single node of {where} matches all of `resources.labels` {dict(selector)}"


def _hint(name: str, nodes: Sequence[NodeFacts]) -> str:
    return did_you_mean(name, {known for node in nodes for known in node.resources}) if name not in CONFIG_KEYS else ""
