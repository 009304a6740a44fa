"""Prints a plan: cells and pairs, which of them exist, what they take, and whether this machine has that."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console
from raysweep.cli.views.results import print_json
from raysweep.errors import UsageError
from raysweep.planning.missing import by_cell, missing
from raysweep.planning.models import ModelFacts, model_facts, shown_lines
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, CellPlan, ModelPlan, ResultsPlan, SweepPlan
from raysweep.planning.predictions.costs import CellCost, base_shape, plan_costs
from raysweep.planning.predictions.fit import require_fit
from raysweep.planning.predictions.needs import amounts_text
from raysweep.planning.predictions.needs_planner import NeedsPlanner, doubtful_types
from raysweep.problems.base import PROBLEMS
from raysweep.records import BASE
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.forecast import Forecast, forecast
from raysweep.sweep.guards import require_oracle, require_resources
from raysweep.units import count, size

DROPPED_LATER = "disk counts all models; full weights go once their pairs are judged (keep_models: adapters)"
MADE_FIRST = 12
"""Most shared inputs that a plan names to people."""


@dataclass(frozen=True)
class CellFacts:
    """One cell. `takes`: memory, disk and hours.

    `model`: base, exists, to train, dropped (its weights were, and nothing needs them), or to train again (something
    does).
    """

    cell: str
    base_model: str
    recipe: str
    pairs: int
    model: str
    pairs_done: int
    missing: bool
    takes: CellCost


@dataclass(frozen=True)
class Asked:
    """What the processes of a model's cells with one recipe ask Ray for, by stage: amounts by Ray's names."""

    model: str
    recipe: str  # empty: the base model's cell
    training: Mapping[str, float]
    generation: Mapping[str, float]
    execution: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """How large a plan is. `pairs`: evaluation pairs, each a model on a test set."""

    base_models: int
    training_sets: int
    fine_tuned_models: int
    test_sets: int
    pairs: int


@dataclass(frozen=True)
class LintedFacts:
    """The files of one problem set that a linter reads: those of fine-tuned models, those of base models."""

    problem_set: str
    tuned: int
    bases: int
    to_lint: int  # of both


@dataclass(frozen=True)
class PlanFacts:
    """A plan compared with a store. `here`: why this machine can't run it; empty if it can, or a cluster was named."""

    summary: Summary
    cells: tuple[CellFacts, ...]
    models: tuple[ModelFacts, ...]
    shared_missing: tuple[str, ...]  # inputs that several cells share; they are made first
    rule: str
    asks: tuple[Asked, ...]
    lane: str
    require: str  # isolation below which no program is run
    allowed: bool  # whether the config lets programs run that a model wrote
    timeouts: Mapping[str, float]  # seconds of effective time of a program, by problem set
    here: str
    refusal: str  # why this config can't take the name of the sweep in the store; empty if it can
    storage: str
    missing_inputs: tuple[str, ...]  # files, models, translators that aren't here: a run would stop there
    download_bytes: Mapping[str, int]  # weights that the hub gives, by model
    forecast: Forecast | None  # on the cluster that was named
    assumptions: tuple[str, ...]  # of the estimates
    linted: tuple[LintedFacts, ...] = ()  # the sample of code quality, by problem set
    doubtful_types: tuple[str, ...] = ()  # accelerators that may be misspelt, each with the one that may be meant


def plan_facts(
    plan: SweepPlan,
    store: Store,
    missing_inputs: Sequence[str] = (),
    *,
    cluster: Path | None = None,
    address: str | None = None,
) -> PlanFacts:
    """Count a plan's cells, pairs and missing artefacts, and what they take. Writes nothing.

    Args:
        plan: the plan.
        store: the store to compare it with.
        missing_inputs: what isn't here, in words, of a tolerant plan.
        cluster: the file that starts a cluster, to foretell the sweep there.
        address: of a running Ray, to foretell the sweep there.

    Raises:
        UsageError: a training needs more memory than the config gives a worker, the config refuses the problems that
            are judged inside (`require_oracle`), or the cluster can't hold a cell.
    """
    require_oracle(plan, store)
    lacking = missing(plan.targets, store, repair=True)
    missing_of = {cell.cell.id: plans for cell, plans in by_cell(lacking)}
    cells = [cell for cell in plan.cells if cell.cell.id in missing_of]
    require_fit(plan.config, lacking, is_here=False)  # another machine may do the work
    costs = plan_costs(plan, store)
    pairs = plan.config.evaluation.pairs
    here = ""
    try:
        if not (cluster or address):  # then it is told whether that one can hold them
            require_resources(plan.config, cells)
            require_fit(plan.config, lacking)
    except UsageError as error:
        here = str(error)
    return PlanFacts(
        _summary(plan),
        tuple(
            _cell_facts(cell, missing_of.get(cell.cell.id, []), store, costs.cells[cell.cell.id]) for cell in plan.cells
        ),
        model_facts(plan),
        tuple(item.node.label for item in lacking if item.node and _is_shared(item)),
        pairs if isinstance(pairs, str) else "as written",
        _asks(plan),
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
        tuple(missing_inputs),
        _downloads(plan),
        forecast(plan, lacking, costs.cells, store, file=cluster, address=address) if cluster or address else None,
        (*costs.assumptions, *([] if plan.config.keeps_all_models else [DROPPED_LATER])),
        _linted(plan, {item.node.key for item in lacking if item.node}),
        tuple(doubtful_types(plan.config)),
    )


def print_plan(facts: PlanFacts, as_json: bool) -> None:
    """Print the facts as a table and lines, or as JSON."""
    if as_json:
        plain = dataclasses.asdict(facts)
        plain["cells"] = [{**cell.pop("takes"), **cell} for cell in plain["cells"]]
        print_json(plain)
        return
    console = new_console()
    if facts.here:
        console.print(Text(f"not on this machine: {facts.here}", style="yellow"), soft_wrap=True)
    if facts.refusal:
        console.print(Text(f"not under this name: {facts.refusal}", style="yellow"), soft_wrap=True)
    if facts.missing_inputs:
        lines = ["missing (a run would stop here):", *(f"  {line}" for line in facts.missing_inputs)]
        console.print(Text("\n".join(lines), style="yellow"), soft_wrap=True)
    console.print(_cells_table(facts.cells))
    if any(cell.takes.hours for cell in facts.cells if cell.missing):
        console.print()
        console.print(_hours_table([cell for cell in facts.cells if cell.missing]))
        console.print()
    if facts.forecast:
        console.print(_forecast_table(facts.forecast))
        console.print("\n".join(_forecast_lines(facts.forecast)), soft_wrap=True)
        console.print()
    to_do = sum(cell.missing for cell in facts.cells)
    lines = [*_summary_lines(facts, to_do), *facts.assumptions]
    lines += shown_lines({model.model: model.shown for model in facts.models})
    lines += [line for model in facts.models for line in _model_lines(model)]
    if again := sum(cell.model == "to train again" for cell in facts.cells):
        what = f"{count(again, 'model')} to train again"
        lines.append(f"{what}: their weights were dropped once their pairs were judged (keep_models: adapters)")
    if facts.shared_missing:
        items = list(dict.fromkeys(facts.shared_missing))  # two problem sets' rows can have one name
        first, more = items[:MADE_FIRST], len(items) - MADE_FIRST
        lines.append(f"to make first: {', '.join(first)}{f' and {more} more (--json)' if more > 0 else ''}")
    for one in facts.linted:
        of = f"{one.tuned:,} completions of fine-tuned and {one.bases:,} of base models"
        lines.append(f"code quality on {one.problem_set}: {of}, {one.to_lint:,} to lint")
    lines += _asked_lines(facts.asks)
    if facts.doubtful_types:
        lines.append(f"no known accelerator is called {', '.join(facts.doubtful_types)}")
    seconds = ", ".join(f"{name} {timeout:g} s" for name, timeout in facts.timeouts.items())
    lines.append(f"programs: {facts.lane} lane, isolation {facts.require} or better; time limits: {seconds}")
    if not facts.allowed and to_do:
        lines.append("programs may not run yet: `raysweep run` needs --allow-code-execution")
    lines.append(f"storage: {facts.storage}")
    console.print("\n".join(lines), soft_wrap=True)


def _model_lines(model: ModelFacts) -> Iterator[str]:
    """Yield what of a model each recipe trains, and what of its abilities is unused."""
    if model.unused_chat_template:
        yield f"{model.model}: its tokenizer brings a chat template, which `template: chat` would use"
    if model.positions is not None:
        yield f"{model.model} has {model.positions:,} positions: longer rows are left out of its training, and counted"
    for weights in model.weights:
        what = f"all {weights.total:,} weights"
        if weights.modules:
            added = f"{weights.trained:,} weights beside the model's {weights.total:,}, which stay as they are"
            what = f"{weights.adapter} on {', '.join(weights.modules)}: {added}"
        yield f"{model.model}, recipe {weights.recipe}, trains {what}"


def _linted(plan: SweepPlan, lacking: Collection[str]) -> tuple[LintedFacts, ...]:
    """Count the files that a linter reads; `lacking`: keys of the missing artefacts."""
    files: dict[str, Counter[str]] = {}
    for one in plan.quality:
        counts = files.setdefault(one.pair.pair.problem_set, Counter())
        counts["bases" if one.cell.cell.training_set == BASE else "tuned"] += len(one.problems)
        counts["to lint"] += len(one.problems) if one.node.key in lacking else 0
    return tuple(LintedFacts(name, c["tuned"], c["bases"], c["to lint"]) for name, c in files.items())


def _is_shared(plan: ArtefactPlan) -> bool:
    return not isinstance(plan, CellArtefactPlan) and not plan.after_cells


def _asks(plan: SweepPlan) -> tuple[Asked, ...]:
    needs, found = NeedsPlanner(plan.config), {}
    for cell in plan.cells:
        needed, names = needs.of_cell(cell), (cell.base.name, cell.cell.recipe if cell.recipe else "")
        training = needed.training.amounts if cell.recipe else {}
        found[names] = Asked(*names, training, needed.generation.amounts, needed.execution.amounts)
    return tuple(found.values())


PROCESSES = {"training": "a training worker", "generation": "a generation actor", "execution": "an execution actor"}


def _asked_lines(asks: Sequence[Asked]) -> Iterator[str]:
    """Yield for each stage a line for each different amount, with its cells where there are several."""
    for stage, process in PROCESSES.items():
        alike: dict[str, list[str]] = {}
        for one in asks:
            if amounts := getattr(one, stage):
                alike.setdefault(amounts_text(amounts), []).append(f"{one.model}.{one.recipe or BASE}")
        for text, names in alike.items():
            yield f"{process} asks for {text}" + (f": {', '.join(names)}" if len(alike) > 1 else "")


def _cell_facts(cell: CellPlan, lacking: Sequence[ArtefactPlan], store: Store, takes: CellCost) -> CellFacts:
    done = len(cell.pairs) - sum(isinstance(plan, ResultsPlan) for plan in lacking)
    model = _model_state(cell, any(isinstance(plan, ModelPlan) for plan in lacking), store)
    names = (cell.cell.id, cell.base.name, cell.cell.recipe)
    return CellFacts(*names, len(cell.pairs), model, done, bool(lacking), takes)


def _model_state(cell: CellPlan, is_missing: bool, store: Store) -> str:
    if cell.model is None:
        return "base"
    if store.has(cell.model):
        return "exists"
    if store.is_dropped(cell.model):
        return "to train again" if is_missing else "dropped"
    return "to train"


def _summary(plan: SweepPlan) -> Summary:
    config, cells = plan.config, plan.cells
    tests = {(pair.pair.problem_set, pair.pair.perturbation, pair.pair.draw) for cell in cells for pair in cell.pairs}
    return Summary(
        len(config.models),
        len(config.training.sets) if config.training else 0,
        sum(cell.model is not None for cell in cells),
        len(tests),
        sum(len(cell.pairs) for cell in cells),
    )


def _downloads(plan: SweepPlan) -> dict[str, int]:
    """Return the bytes of the weights that come from the hub, by model; of one that two entries name, once."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    paths = {model.name: model.path or "" for model in plan.config.models}
    for base in {cell.base.name: cell.base for cell in plan.cells}.values():
        path = paths[base.name]
        shape = base_shape(base) if path and not Path(path).expanduser().is_dir() else None
        if shape is not None and path not in seen:
            found[base.name] = shape.weights * shape.stored_bytes
            seen.add(path)
    return found


def _groups(cells: Sequence[CellFacts]) -> dict[tuple[str, str], list[CellFacts]]:
    """Return the cells of each base model and recipe; the recipes of a model follow it."""
    groups: dict[tuple[str, str], list[CellFacts]] = {}
    models = list(dict.fromkeys(cell.base_model for cell in cells))
    for cell in sorted(cells, key=lambda cell: models.index(cell.base_model)):
        groups.setdefault((cell.base_model, cell.recipe), []).append(cell)
    return groups


def _cells_table(cells: Sequence[CellFacts]) -> Table:
    """Return a line for each base model and recipe: how many cells, what of them is done, and what one takes."""
    names = ("cells", "trained", "pairs done", "memory: train", "generate", "disk, all")
    table = Table("model", "recipe", *(Column(name, justify="right") for name in names), box=None)
    for (model, recipe), group in _groups(cells).items():
        tuned = [cell for cell in group if cell.model != "base"]
        trained = f"{sum(cell.model in ('exists', 'dropped') for cell in tuned)} of {len(tuned)}" if tuned else ""
        pairs = f"{sum(cell.pairs_done for cell in group):,} of {sum(cell.pairs for cell in group):,}"
        memory = [_size(max(getattr(cell.takes, name) or 0 for cell in group)) for name in MEMORY]
        disk = _size(sum(cell.takes.disk_bytes for cell in group))
        table.add_row(model, recipe if tuned else "", str(len(group)), trained, pairs, *memory, disk)
    return table


MEMORY = ("peak_memory_bytes", "generation_memory_bytes")


def _hours_table(cells: Sequence[CellFacts]) -> Table:
    """Return the hours of the cells to do: a line for each base model and recipe, a column for each accelerator."""
    devices = list(dict.fromkeys(device for cell in cells for device in cell.takes.hours))
    columns = (Column(device, justify="right") for device in devices)
    table = Table("accelerator hours, cells to do", "recipe", *columns, Column("", justify="left"), box=None)
    groups = _groups(cells)
    for (model, recipe), group in groups.items():
        basis = ", ".join(dict.fromkeys(cell.takes.basis for cell in group))
        name = "" if group[0].model == "base" else recipe
        table.add_row(model, name, *(_hours(group, device) for device in devices), basis)
    if len(groups) > 1:
        table.add_row("together", "", *(_hours(cells, device) for device in devices), "", style="bold")
    return table


def _forecast_table(found: Forecast) -> Table:
    """Return a line for each type of accelerator of a cluster: what works there, how long, and at which price."""
    names = ("GPUs", "cells", "GPU-hours", "ends after", "cost")
    numbers = [Column(name, justify="right") for name in names]
    table = Table("accelerator", *numbers, Column("models", overflow="fold"), box=None)
    for pool in found.pools:
        cost = "" if pool.cost is None else f"{pool.cost:,.2f}"
        hours = "not known" if pool.gpu_hours is None and pool.cells else _amount(pool.gpu_hours or 0.0)
        models = ", ".join(pool.models) or f"none{f': it {pool.unfit}' if pool.unfit else ''}"
        ends = "" if pool.ends is None else f"{_amount(pool.ends)} h"
        table.add_row(pool.accelerator, f"{pool.gpus:g}", str(pool.cells), hours, ends, cost, models)
    return table


def _forecast_lines(found: Forecast) -> Iterator[str]:
    """Yield in words how a sweep goes on a cluster."""
    unpriced = [pool.accelerator for pool in found.pools if pool.gpus and pool.cells and pool.cost is None]
    cost = "" if found.cost is None else f", cost {'at least ' * bool(unpriced)}{found.cost:,.2f}"
    where = f"on {found.cluster} ({count(found.nodes, 'node')})"
    if len(found.unknown) < len(found.cells):
        least = "at least " if found.unknown else ""
        yield (
            f"{where}: {least}{_amount(found.makespan)} hours from start to end, {_amount(found.gpu_hours)} GPU-hours"
            f"{cost}; an estimate"
        )
    else:
        yield f"{where}: its {count(len(found.cells), 'cell')} can run there, in a time that is not known"
    if found.has_shares:
        yield "a process on a share of an accelerator is counted as fast as on a whole one, which it seldom is"
    if found.unused_prices:
        yield f"`prices` names what no node here has: {', '.join(found.unused_prices)}"
    if unpriced and (found.cost is not None or found.unused_prices):
        yield f"without a price in `prices`, and not in the cost: {', '.join(unpriced)}"
    if found.bases:
        yield f"not counted: {', '.join(found.bases)}, which are trained from scratch before the cells"
    if 0 < len(found.unknown) < len(found.cells):
        shown = ", ".join(found.unknown[:3])
        more = len(found.unknown) - 3
        yield f"hours there are not known, and counted as none, for {shown}{f' and {more} more (--json)' * (more > 0)}"


def _hours(cells: Sequence[CellFacts], device: str) -> str:
    hours = [cell.takes.hours[device] for cell in cells if device in cell.takes.hours]
    return _amount(sum(hours)) if hours else ""


def _amount(total: float) -> str:
    """Return hours with as many digits as tell something."""
    if total == 0:
        return "0"
    if total < 0.01:
        return "< 0.01"
    return f"{total:,.0f}" if total >= 100 else f"{total:.2f}" if total < 1 else f"{total:.1f}"


def _size(amount: int) -> str:
    return size(amount) if amount else ""


def _summary_lines(facts: PlanFacts, to_do: int) -> Iterator[str]:
    """Yield how large the plan is, and what it takes on disks."""
    summary = facts.summary
    if summary.fine_tuned_models:
        yield (
            f"{count(summary.base_models, 'base model')}, {count(summary.training_sets, 'training set')}, "
            f"{count(summary.fine_tuned_models, 'fine-tuned model')}, {count(summary.test_sets, 'test set')}"
        )
    cells = f"{count(len(facts.cells), 'cell')}, {count(summary.pairs, 'evaluation pair')}"
    yield f"{cells} (rule: {facts.rule}); {count(to_do, 'cell')} to do"
    disk = sum(cell.takes.disk_bytes for cell in facts.cells if cell.missing)
    checkpoints = max((cell.takes.checkpoint_bytes for cell in facts.cells if cell.missing), default=0)
    downloads = sum(facts.download_bytes.values())
    parts = [f"{size(disk)} for models and completions"]
    parts += [f"up to {size(checkpoints)} for the checkpoints of a training"] * bool(checkpoints)
    parts += [f"{size(downloads)} of weights from the hub, in its cache"] * bool(downloads)
    if to_do:
        yield f"disk, estimated: {', '.join(parts)}"
