"""Prints a plan: cells and pairs, which of them exist, what they take, and whether this machine has that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console
from raysweep.cli.views.results import print_json
from raysweep.planning.models import ModelFacts, shown_lines
from raysweep.planning.predictions.needs import amounts_text
from raysweep.records import BASE
from raysweep.sweep.forecast import Forecast
from raysweep.sweep.overview.plan import Asked, CellFacts, PlanFacts
from raysweep.units import count, size

MADE_FIRST = 12
"""Most shared inputs that a plan names to people."""


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
