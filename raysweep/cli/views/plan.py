"""Prints a plan: cells and pairs, which of them exist, the resources they need, and whether this machine has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console
from raysweep.cli.views.results import print_json
from raysweep.errors import UsageError
from raysweep.planning.missing import by_cell, missing
from raysweep.planning.models import ModelFacts, model_facts
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, CellPlan, ResultsPlan, SweepPlan
from raysweep.problems.base import PROBLEMS
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import require_resources
from raysweep.units import count


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
    """A plan compared with a store. `here`: why this machine can't run it; empty if it can."""

    cells: tuple[CellFacts, ...]
    models: tuple[ModelFacts, ...]
    shared_missing: tuple[str, ...]  # inputs that several cells share; they are made first
    rule: str
    resources: Mapping[str, Any]
    lane: str
    require: str  # isolation below which no program is run
    allowed: bool  # whether the config lets programs run that a model wrote
    timeouts: Mapping[str, float]  # seconds of effective time of a program, by problem set
    here: str
    refusal: str  # why this config can't take the name of the sweep in the store; empty if it can
    storage: str


def plan_facts(plan: SweepPlan, store: Store) -> PlanFacts:
    """Count a plan's cells, pairs and missing artefacts. Writes nothing."""
    lacking = missing(plan.targets, store, repair=True)
    missing_of = {cell.cell.id: plans for cell, plans in by_cell(lacking)}
    cells = [cell for cell in plan.cells if cell.cell.id in missing_of]
    pairs = plan.config.evaluation.pairs
    here = ""
    try:
        require_resources(plan.config, cells)
    except UsageError as error:
        here = str(error)
    return PlanFacts(
        tuple(_cell_facts(cell, missing_of.get(cell.cell.id, []), store) for cell in plan.cells),
        model_facts(plan),
        tuple(item.node.label for item in lacking if item.node and not isinstance(item, CellArtefactPlan)),
        pairs if isinstance(pairs, str) else "as written",
        plan.config.resources.model_dump(),
        plan.config.execution.lane,
        plan.config.execution.require,
        plan.config.allow_code_execution,
        {
            problems.label: plan.config.execution.limits(PROBLEMS.get(problems.name).limits).timeout
            for problems in plan.config.evaluation.problems
        },
        here,
        SweepFolder(store, plan.config.name).refusal(plan),
        str(store.files),
    )


def print_plan(facts: PlanFacts, as_json: bool) -> None:
    """Print the facts as a table and lines, or as JSON."""
    if as_json:
        print_json(dataclasses.asdict(facts))
        return
    console = new_console()
    if facts.here:
        console.print(Text(f"not on this machine: {facts.here}", style="yellow"), soft_wrap=True)
    if facts.refusal:
        console.print(Text(f"not under this name: {facts.refusal}", style="yellow"), soft_wrap=True)
    table = Table(*(Column(name, overflow="fold") for name in ("cell", "pairs", "model", "pairs done")), box=None)
    for cell in facts.cells:
        table.add_row(cell.cell, str(cell.pairs), cell.model, f"{cell.pairs_done} of {cell.pairs}")
    console.print(table)
    pairs, to_do = sum(cell.pairs for cell in facts.cells), sum(cell.missing for cell in facts.cells)
    cells = f"{count(len(facts.cells), 'cell')}, {count(pairs, 'evaluation pair')}"
    lines = [f"{cells} (rule: {facts.rule}); {count(to_do, 'cell')} to do"]
    lines += [line for model in facts.models for line in _model_lines(model)]
    if facts.shared_missing:
        lines.append(f"to make first: {', '.join(facts.shared_missing)}")
    asked = facts.resources
    amounts = [("CPU", asked["cpus"]), ("GPU", asked["gpus"]), ("GiB of memory", asked["memory_gib"])]
    lines.append(f"each cell asks for {', '.join(f'{amount:g} {name}' for name, amount in amounts if amount)}")
    seconds = ", ".join(f"{name} {timeout:g} s" for name, timeout in facts.timeouts.items())
    lines.append(f"programs: {facts.lane} lane, isolation {facts.require} or better; time limits: {seconds}")
    if not facts.allowed and to_do:
        lines.append("programs may not run yet: `raysweep run` needs --allow-code-execution")
    lines.append(f"storage: {facts.storage}")
    console.print("\n".join(lines), soft_wrap=True)


def _model_lines(model: ModelFacts) -> Iterator[str]:
    """Yield what a model is shown, and what of it each recipe trains."""
    yield f"{model.model} is shown {model.shown}"
    if model.unused_chat_template:
        yield f"{model.model}: its tokenizer brings a chat template, which `template: chat` would use"
    for weights in model.weights:
        what = f"all {weights.total:,} weights"
        if weights.modules:
            added = f"{weights.trained:,} weights beside the model's {weights.total:,}, which stay as they are"
            what = f"LoRA on {', '.join(weights.modules)}: {added}"
        yield f"{model.model}, recipe {weights.recipe}, trains {what}"


def _cell_facts(cell: CellPlan, lacking: Sequence[ArtefactPlan], store: Store) -> CellFacts:
    done = len(cell.pairs) - sum(isinstance(plan, ResultsPlan) for plan in lacking)
    model = "base" if cell.model is None else "exists" if store.has(cell.model) else "to train"
    return CellFacts(cell.cell.id, len(cell.pairs), model, done, bool(lacking))
