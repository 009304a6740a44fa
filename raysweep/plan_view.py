"""What `raysweep plan` tells: cells, pairs, what of them exists, what they ask for, and whether this machine has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from raysweep import terminal
from raysweep.errors import UsageError
from raysweep.plans import CellPlan, SweepPlan
from raysweep.problems.base import PROBLEMS
from raysweep.run_guards import require_resources
from raysweep.show import print_json
from raysweep.storage.store import Store
from raysweep.terminal import count


@dataclass(frozen=True)
class CellFacts:
    """One cell. `model`: base, exists, or to train."""

    cell: str
    pairs: int
    model: str
    pairs_done: int
    missing: bool


@dataclass(frozen=True)
class PlanFacts:
    """A plan held against a store. `here`: why this machine can't run it; empty if it can."""

    cells: tuple[CellFacts, ...]
    shared_missing: tuple[str, ...]  # inputs that cells share and that are made first
    rule: str
    resources: Mapping[str, Any]
    lane: str
    require: str  # isolation below which no program is run
    timeouts: Mapping[str, float]  # seconds of effective time of a program, by problem set
    here: str
    storage: str


def plan_facts(plan: SweepPlan, store: Store) -> PlanFacts:
    """Return what a plan comes to; make nothing."""
    missing = plan.missing_cells(store)
    pairs = plan.config.evaluation.pairs
    here = ""
    try:
        require_resources(plan.config, missing)
    except UsageError as error:
        here = str(error)
    return PlanFacts(
        tuple(_cell_facts(cell, store, cell in missing) for cell in plan.cells),
        tuple(item.node.label for item in plan.missing_shared(store, missing) if item.node),
        pairs if isinstance(pairs, str) else "as written",
        plan.config.resources.model_dump(),
        plan.config.execution.lane,
        plan.config.execution.require,
        {name: plan.config.execution.limits(PROBLEMS.get(name).limits).timeout for name in _problem_sets(plan)},
        here,
        str(store.files),
    )


def print_plan(facts: PlanFacts, as_json: bool) -> None:
    """Print the facts of a plan."""
    if as_json:
        print_json(dataclasses.asdict(facts))
        return
    console = terminal.console()
    table = Table(*(Column(name, overflow="fold") for name in ("cell", "pairs", "model", "pairs done")), box=None)
    for cell in facts.cells:
        table.add_row(cell.cell, str(cell.pairs), cell.model, f"{cell.pairs_done} of {cell.pairs}")
    console.print(table)
    pairs, to_do = sum(cell.pairs for cell in facts.cells), sum(cell.missing for cell in facts.cells)
    cells = f"{count(len(facts.cells), 'cell')}, {count(pairs, 'evaluation pair')}"
    lines = [f"{cells} (rule: {facts.rule}); {count(to_do, 'cell')} to do"]
    if facts.shared_missing:
        lines.append(f"to make first: {', '.join(facts.shared_missing)}")
    asked = facts.resources
    lines.append(f"each cell asks for {asked['cpus']:g} CPUs, {asked['gpus']:g} GPUs, {asked['memory_gib']:g} GiB")
    seconds = ", ".join(f"{name} {timeout:g} s" for name, timeout in facts.timeouts.items())
    lines.append(f"programs: {facts.lane} lane, isolation {facts.require} or better; time limits: {seconds}")
    lines.append(f"storage: {facts.storage}")
    console.print("\n".join(lines), soft_wrap=True)
    if facts.here:
        console.print(Text(f"not on this machine: {facts.here}", style="yellow"), soft_wrap=True)


def _problem_sets(plan: SweepPlan) -> list[str]:
    return list(dict.fromkeys(problems.name for problems in plan.config.evaluation.problems))


def _cell_facts(cell: CellPlan, store: Store, missing: bool) -> CellFacts:
    done = sum(pair.is_judged(store) for pair in cell.pairs)
    model = "base" if cell.model is None else "exists" if store.has(cell.model) else "to train"
    return CellFacts(cell.cell.id, len(cell.pairs), model, done, missing)
