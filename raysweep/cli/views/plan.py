"""Prints a plan: cells and pairs, which of them exist, what they take, and whether this machine has that."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console, print_json
from raysweep.planning.predictions.needs import amounts_text
from raysweep.sweep.overview.plan import CHOSEN, TO_CHOOSE, CellFacts, PlanFacts, TeacherFacts, cell_groups
from raysweep.units import count, first_of, size

MADE_FIRST = 12
"""Most shared inputs that a plan names to people."""
UNKNOWN = "unknown"
TOO_SMALL = " *"
"""Marks hours on an accelerator that can't hold a cell."""
TOO_SMALL_MEANS = "* one accelerator can't hold a cell, even with one row a pass: too little memory, no bf16 or no TF32"
NOT_TRAINED = ("base", TO_CHOOSE, CHOSEN)
"""States of models that aren't trained in the cell itself."""
MEMORY = ("peak_memory_bytes", "generation_memory_bytes")
LEAST_HOURS = 0.01
"""Fewer hours are not told apart."""


def print_plan(facts: PlanFacts, as_json: bool) -> None:
    if as_json:
        plain = dataclasses.asdict(facts)
        plain["cells"] = [{**cell.pop("takes"), **cell} for cell in plain["cells"]]
        print_json(plain)
        return
    console = new_console()
    refused = {"not on this machine": facts.here, "not under this name": facts.refusal}
    refused["missing (a run would stop here)"] = "".join(f"\n  {line}" for line in facts.missing_inputs)
    warnings = [f"{what}: {why}".replace(": \n", ":\n") for what, why in refused.items() if why]
    for line in (*warnings, *facts.warnings):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print(_cells_table(facts.cells))
    to_come = [cell for cell in facts.cells if cell.missing]
    if hours := hour_sums(to_come):
        console.print()
        if max(hours.values()) < LEAST_HOURS:
            console.print(f"accelerator hours, cells to do: less than {LEAST_HOURS} together on any accelerator")
        else:
            console.print(_hours_table(to_come, hours))
            console.print(TOO_SMALL_MEANS, soft_wrap=True)
    for of in facts.costs:
        least = "at least " * of.at_least
        cost = f"{least}{of.cost:,.2f}{TOO_SMALL * of.too_small}"
        console.print(f"cost by `prices`, estimated, if all runs on {of.accelerator}: {cost}", soft_wrap=True)
    console.print()
    first = f"to make first: {first_of(facts.shared_missing, 'input', MADE_FIRST) or 'nothing'}"
    lines = [*facts.lines, *map(_teacher_line, facts.teachers), first, f"storage: {facts.storage}"]
    console.print("\n".join(lines), soft_wrap=True)


def hour_sums(cells: Sequence[CellFacts]) -> dict[str, float]:
    """Return the hours of cells together, by accelerator."""
    devices = dict.fromkeys(device for cell in cells for device in cell.takes.hours)
    return {device: sum(cell.takes.hours.get(device, 0) for cell in cells) for device in devices}


def _teacher_line(facts: TeacherFacts) -> str:
    shown = [f"{device} {_hours(facts.takes.hours, device, facts.too_small)}" for device in facts.takes.hours]
    answers = f"{count(facts.answers, 'answer')} of at most {facts.tokens:,} tokens about {facts.rows}"
    process = f"a process asks for {amounts_text(facts.asks)}; hours: {', '.join(shown) or UNKNOWN}"
    return f"teacher {facts.teacher}: {answers}, before the cells; {process}"


def _cells_table(cells: Sequence[CellFacts]) -> Table:
    columns = ("cells", "trained", "evaluations done", "memory: train", "generate", "disk, all")
    table = Table("model", "recipe", *(Column(name, justify="right") for name in columns), box=None)
    for names, of_group in cell_groups(cells).items():
        tuned = [cell.model in ("exists", "dropped") for cell in of_group if cell.model not in NOT_TRAINED]
        trained = f"{sum(tuned)} of {len(tuned)}" if tuned else ""
        pairs = f"{sum(cell.pairs_done for cell in of_group):,} of {sum(cell.pairs for cell in of_group):,}"
        takes = [cell.takes for cell in of_group]
        memory = [max(getattr(of, name) or 0 for of in takes) for name in MEMORY]
        sizes = [size(amount) if amount else "" for amount in (*memory, sum(of.disk_bytes for of in takes))]
        if any(of.unknown for of in takes):
            sizes = [UNKNOWN] * len(sizes)
        table.add_row(*names, str(len(of_group)), trained, pairs, *sizes)
    return table


def _hours_table(cells: Sequence[CellFacts], together: Mapping[str, float]) -> Table:
    columns = (Column(device, justify="right") for device in together)
    table = Table("accelerator hours, cells to do", "recipe", *columns, Column("", justify="left"), box=None)
    groups = [(names, of, hour_sums(of)) for names, of in cell_groups(cells).items()]
    for names, of_group, hours in (*groups, (("together", ""), cells, together)):
        small = {device for cell in of_group for device in cell.too_small}
        basis = ", ".join(dict.fromkeys(cell.takes.basis for cell in of_group))
        table.add_row(*names, *(_hours(hours, device, small) for device in together), basis)
    return table


def _hours(hours: Mapping[str, float], device: str, too_small: Collection[str]) -> str:
    total, mark = hours.get(device), TOO_SMALL * (device in too_small)
    if not total:
        return "" if total is None else "0"
    if total < LEAST_HOURS:
        return f"< {LEAST_HOURS}{mark}"
    return f"{total:,.{0 if total >= 100 else 2 if total < 1 else 1}f}{mark}"
