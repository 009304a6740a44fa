"""Prints the state of a sweep: each cell's state, errors and models, or one cell with its log."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from raysweep.accelerators import NO_LABEL
from raysweep.cli.views.console import new_console, print_json, shortened
from raysweep.cli.views.progress import Display
from raysweep.engine.progress import DONE, FAILED, NOTE, RUNNING, STOPPED, WAITING
from raysweep.errors import StoreError
from raysweep.models.quantizing import QUANTIZATION
from raysweep.sweep.folder import SweepFolder, capabilities_text
from raysweep.sweep.overview.progress import progress_of, with_done
from raysweep.sweep.overview.status import (
    ENDED_EARLY,
    LISTED,
    CellStatus,
    SharedStatus,
    by_error,
    cell_states,
    group_states,
    is_about_to_start,
    shared_states,
    sweep_status,
)
from raysweep.units import count, duration, first_of, hours

if TYPE_CHECKING:
    from raysweep.storage.store import Store
    from raysweep.sweep.overview.cell import CellDetail

WATCH_SECONDS = 2.0
START_SECONDS, START_LOOK_SECONDS = 30.0, 0.5
"""How long `--watch` waits for a sweep that is about to start, and between two looks."""
STATES = (WAITING, RUNNING, DONE, ENDED_EARLY, STOPPED, FAILED)
_FULL = """\
  from transformers import AutoModelForCausalLM, AutoTokenizer
  model, tokenizer = AutoModelForCausalLM.from_pretrained("PATH"), AutoTokenizer.from_pretrained("PATH")
  print(tokenizer.decode(model.generate(**tokenizer("def ", return_tensors="pt"), max_new_tokens=64)[0]))"""
_FETCH = """\
  import os, pyarrow.fs
  os.makedirs("PATH")
  pyarrow.fs.copy_files("URI", "PATH")"""
_ADAPTER = """\
  from peft import PeftModel
  from transformers import AutoModelForCausalLM, AutoTokenizer
  model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "PATH")
  tokenizer = AutoTokenizer.from_pretrained("PATH")
  print(tokenizer.decode(model.generate(**tokenizer("def ", return_tensors="pt"), max_new_tokens=64)[0]))"""
_EDITED = """\
  from raysweep.models.loading import load_model
  from raysweep.records import ModelKind, ModelRef
  model, tokenizer = load_model(ModelRef("PATH", ModelKind.DELTA, ModelRef("BASE")))
  print(tokenizer.decode(model.generate(**tokenizer("def ", return_tensors="pt"), max_new_tokens=64)[0]))"""
DROPPED_TEXT = (
    "weights dropped once all evaluations were done (keep_models: adapters); a new test set trains them again"
)
NOT_CHOSEN_TEXT = "weights dropped, since another model of their group was chosen (keep_models)"
_STYLES = {FAILED: "red", STOPPED: "yellow", RUNNING: "cyan"}


def print_status(folder: SweepFolder, as_json: bool) -> None:
    status = sweep_status(folder)
    if as_json:
        print_json(dataclasses.asdict(status))
        return
    console = new_console()
    _print_table(status.cells, status.shared, console)
    if not status.is_running and any(cell.state not in (DONE, ENDED_EARLY) for cell in status.cells):
        how = f"; its last run {status.last_end}" if status.last_end else ""
        console.print(
            shortened(f"no process runs this sweep{how}; the command that began it resumes it"), soft_wrap=True
        )
    if status.gpu_hours:
        parts = ", ".join(f"{hours(each)} of {name or NO_LABEL}" for name, each in status.gpu_hours.items())
        console.print(f"GPU-hours used: {parts}", soft_wrap=True)
    if status.cpu_capabilities:
        console.print(f"trained on CPUs with {capabilities_text(status.cpu_capabilities)}", soft_wrap=True)
    elif status.cpu_capabilities is None:
        console.print("the kinds of CPUs that trained the models are in the report", soft_wrap=True)
    made = [cell for cell in status.cells if cell.model]
    _print_models(made, _held(folder) if any(cell.base for cell in made) else {}, console)
    for text, dropped in (
        (DROPPED_TEXT, [cell.cell for cell in status.cells if cell.dropped and not _is_unchosen(cell)]),
        (NOT_CHOSEN_TEXT, [cell.cell for cell in status.cells if cell.dropped and _is_unchosen(cell)]),
    ):
        if dropped:
            console.print(f"\n{text}:\n  {', '.join(dropped)}", soft_wrap=True)


def print_sweeps(store: Store, as_json: bool) -> None:
    from raysweep.sweep.overview.sweeps import all_sweeps

    store.files.require_known()
    sweeps = all_sweeps(store)
    if as_json:
        print_json([dataclasses.asdict(line) for line in sweeps])
        return
    columns = ("sweep", "models", "last run", "pass@1 on clean prompts")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for line in sweeps:
        rates = {name: f" {low:.3f}" + f" to {high:.3f}" * (high > low) for name, (low, high) in line.passed.items()}
        passed = [name + rates.get(name, "") for name in line.problem_sets]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(line.last_run))
        table.add_row(line.sweep, first_of(line.models, "model"), when, first_of(passed, "set"))
    new_console().print(table if sweeps else f"no sweeps in {store.files}")


def _held(folder: SweepFolder) -> dict[str, str]:
    """Return in which format the bases of models are held, by the models' names, where these are quantized."""
    with contextlib.suppress(StoreError):  # of a config that can't be read, which a state doesn't need
        return {model.name: model.quantize for model in folder.config().models if model.quantize}
    return {}


def _is_unchosen(cell: CellStatus) -> bool:
    return bool(cell.chosen_for) and not cell.is_chosen


def watch_status(folder: SweepFolder) -> None:
    """Show a sweep's state until no process runs it: in place on a terminal, in a log whenever it changes.

    A sweep that is about to start is waited for, for `START_SECONDS`; raises UsageError if there is none then.
    """
    console, shown = new_console(), ""
    with Display(console) as display:
        last = time.monotonic() + START_SECONDS
        if is_about_to_start(folder):
            text = f"no process runs {folder.name} yet; waiting for one, for up to {duration(START_SECONDS)}"
            display.line(text)
            display.picture(Text(text))
        while is_about_to_start(folder) and time.monotonic() < last:
            time.sleep(START_LOOK_SECONDS)
        folder.require()
        while folder.is_running():
            cells = cell_states(folder)
            activities = with_done(folder.activities(), cells)
            wanted = list(dict.fromkeys([*(cell.cell for cell in cells), *activities]))
            counts = progress_of(activities, wanted, time.time())
            page = Console(file=io.StringIO(), markup=False, highlight=False, width=console.width)
            _print_table(cells, shared_states(folder, cells), page)
            table = page.file.getvalue()  # type: ignore[attr-defined]
            head = f"{counts.share:.0%}: {counts.words}"
            display.picture(Text(f"{table}{head}"))
            if table != shown:
                display.line(f"{time.strftime('%H:%M:%S')} {head}\n{table.rstrip()}")
            shown = table
            time.sleep(WATCH_SECONDS)
    print_status(folder, as_json=False)


def _print_table(cells: Sequence[CellStatus], shared: Sequence[SharedStatus], console: Console) -> None:
    listed = list(cells)
    if len(cells) > LISTED:
        console.print(_summary(cells))
        listed = [cell for cell in cells if cell.state not in (DONE, ENDED_EARLY, WAITING)]
    table = Table(*(Column(name, overflow="fold") for name in ("cell", "state", "evaluations")), box=None)
    for cell in listed[:LISTED]:
        pairs = f"{cell.done} of {cell.pairs}"
        if cell.chosen_for:
            pairs = f"chosen for {cell.chosen_for}" if cell.is_chosen else "candidate"
        table.add_row(cell.cell, _state(cell), pairs)
    if len(listed) > LISTED:
        table.add_row(f"and {len(listed) - LISTED:,} more", "", "")
    for item in shared:
        table.add_row(item.id, _state(item), "")
    if table.row_count:
        console.print(table)
    ends = {cell.cell: cell.ended for cell in cells}
    errors = {cell.cell: cell.error for cell in cells} | {item.id: item.error for item in shared}
    for what, reasons, style in (("ended", ends, ""), ("failed", errors, "red")):
        for reason, names in by_error({name: reason for name, reason in reasons.items() if reason}).items():
            more = f" and {count(len(names) - LISTED, 'other')}" if len(names) > LISTED else ""
            console.print(f"{what}: {', '.join(names[:LISTED])}{more}: {reason}", style=style, soft_wrap=True)


def _summary(cells: Sequence[CellStatus]) -> Table:
    groups = group_states(cells)
    states = [state for state in STATES if any(group.states[state] for group in groups)]
    table = Table(Column("models", overflow="fold"), box=None)
    for name in ("cells", *states, "evaluations"):
        table.add_column(name, justify="right")
    for group in groups:
        numbers = (f"{group.states[state]:,}" for state in states)
        table.add_row(group.name, f"{group.cells:,}", *numbers, f"{group.done:,} of {group.pairs:,}")
    return table


def _state(item: CellStatus | SharedStatus) -> Text:
    amount = f" ({item.amount})" if item.amount else ""
    return Text(f"{item.state}{amount}", style=_STYLES.get(item.state, ""))


def _print_models(cells: Sequence[CellStatus], held: Mapping[str, str], console: Console) -> None:
    """`held`: see `_held`."""
    if cells:
        console.print()
    if len(cells) > LISTED:
        console.print(f"folders of {len(cells):,} models: --cell ID shows one, --json all of them", soft_wrap=True)
        return
    if any("://" in cell.model for cell in cells):
        console.print(f"bring a model to this machine, into PATH, first:\n{_FETCH}\n", soft_wrap=True)
    for cell in cells:
        kind = "changed tensors" if cell.edited else "adapter"
        over = f" ({kind}, BASE: {cell.base})" if cell.base else ""
        console.print(f"{cell.cell}{over}\n  {cell.model}", soft_wrap=True)
    if any(not cell.base for cell in cells):
        console.print(f"\nload full weights and generate:\n{_FULL}", soft_wrap=True)
    if any(cell.edited for cell in cells):
        console.print(
            f"\nput changed tensors on their base, BASE being its path, and generate:\n{_EDITED}", soft_wrap=True
        )
    if any(cell.base and not cell.edited for cell in cells):
        console.print(
            f"\nload an adapter and generate, BASE being its base model's path or id:\n{_ADAPTER}", soft_wrap=True
        )
        for name, quantize in held.items():
            how = ", ".join(f"{key}={value!r}" for key, value in QUANTIZATION[quantize].items())
            console.print(
                f"the base of {name}'s adapters was held in {quantize}: load it with "
                f"quantization_config=transformers.BitsAndBytesConfig({how})",
                soft_wrap=True,
            )


def print_cell(folder: SweepFolder, name: str, as_json: bool) -> None:
    """Print the details of a cell or shared input; raise UnknownName if the sweep has none of that id."""
    from raysweep.sweep.overview.cell import cell_detail

    cell = cell_detail(folder, name)
    if as_json:
        print_json(dataclasses.asdict(cell))
        return
    console = new_console()
    facts = Table.grid(padding=(0, 2))
    for label, text in _facts(cell):
        facts.add_row(Text(label, style="bold"), Text(text))
    console.print(facts, soft_wrap=True)
    if cell.activity.tail:
        console.print("log:")
    for line in cell.activity.tail:
        console.print(f"  {line}", style="yellow" if f" {NOTE}" in line else "", soft_wrap=True)


def _facts(cell: CellDetail) -> list[tuple[str, str]]:
    activity, status = cell.activity, cell.status
    facts = [("cell", activity.id), ("state", status.state if status else activity.state)]
    if activity.stage:
        facts.append(("stage", activity.death or activity.amount))
    if activity.training and activity.training not in activity.amount:
        facts.append(("training", activity.training))
    if activity.waits and not activity.has_died:
        facts.append(("waits for", activity.wait))
    if activity.attempt > 1:
        facts.append(("attempt", str(activity.attempt)))
    if activity.updated:
        begun = f", begun {duration(time.time() - activity.started)} ago" if activity.started else ""
        facts.append(("last news", f"{duration(time.time() - activity.updated)} ago{begun}"))
    if activity.error and not (status and status.ended):
        facts.append(("error", activity.error))
    if status is not None and status.ended:
        facts.append(("ended", status.ended))
    if status is not None:
        facts.append(("evaluations", f"{status.done} of {status.pairs}"))
    if cell.edit:
        facts.append(("edit", cell.edit))
    if cell.missing and not (status and status.ended):
        facts.append(("missing", ", ".join(cell.missing)))
    if status is not None and (status.model or status.dropped):
        facts.append(("model", status.model or (NOT_CHOSEN_TEXT if _is_unchosen(status) else DROPPED_TEXT)))
    return facts
