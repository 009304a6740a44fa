"""Prints a plan: cells and pairs, which of them exist, what they take, and whether this machine has that."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console, print_json
from raysweep.execution.oracle import with_reasons
from raysweep.planning.models import ModelFacts, shown_lines, unused_template_line
from raysweep.planning.predictions.needs import amounts_text
from raysweep.planning.predictions.parts import TrainingParts
from raysweep.programs import Lane
from raysweep.records import BASE
from raysweep.sweep.overview.plan import (
    Asked,
    CellFacts,
    PlanFacts,
    TeacherFacts,
    WorkSums,
    hour_sums,
    recipe_sums,
    work_sums,
)
from raysweep.sweep.report.notes import UNCHECKED
from raysweep.units import count, duration, size

MADE_FIRST = 12
"""Most shared inputs that a plan names to people."""
UNKNOWN = "unknown"
TOO_SMALL = " *"
"""Marks hours on an accelerator that can't hold a cell."""
TOO_SMALL_MEANS = "* one accelerator can't hold a cell, even with one row a pass: too little memory, no bf16 or no TF32"
LEAST_HOURS = 0.01
"""Fewer hours are not told apart."""
LEFT_OVER = 0.1
"""Share of an epoch's rows from which a plan says that no step takes them."""
PROCESSES_OF = {"shared": "harmless ones share a process", "strict": "a process for each"}
"""What the values of `execution.lane` mean, in words."""


def print_plan(facts: PlanFacts, as_json: bool) -> None:
    if as_json:
        plain = dataclasses.asdict(facts)
        plain["cells"] = [{**cell.pop("takes"), **cell} for cell in plain["cells"]]
        print_json(plain)
        return
    console = new_console()
    warnings = [f"not on this machine: {facts.here}"] if facts.here else []
    warnings += [f"not under this name: {facts.refusal}"] if facts.refusal else []
    if facts.missing_inputs:
        warnings.append("\n  ".join(("missing (a run would stop here):", *facts.missing_inputs)))
    for line in (*warnings, *(texts.words for texts in facts.control_texts), *facts.unused_settings):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print(_cells_table(facts.cells))
    to_come = [cell for cell in facts.cells if cell.missing]
    if hours := hour_sums(to_come):
        console.print()
        if max(hours.values()) < LEAST_HOURS:
            console.print(f"accelerator hours, cells to do: less than {LEAST_HOURS} together on any accelerator")
        else:
            console.print(_hours_table(to_come, hours))
            if any(sums.too_small for sums in recipe_sums(to_come)):
                console.print(TOO_SMALL_MEANS, soft_wrap=True)
        if facts.costs:
            least = [f"{of.accelerator} {'at least ' * of.at_least}{of.cost:,.2f}" for of in facts.costs]
            shown = ", ".join(text + TOO_SMALL * of.too_small for text, of in zip(least, facts.costs, strict=True))
            basis = "an estimate, from the hours of cells and teachers"
            console.print(f"cost by `prices`, if all runs on one type: {shown}; {basis}", soft_wrap=True)
        console.print()
    console.print("\n".join(_lines(facts, work_sums(facts.cells))), soft_wrap=True)


def _lines(facts: PlanFacts, to_do: WorkSums) -> Iterator[str]:
    yield from _summary_lines(facts, to_do)
    yield from facts.assumptions
    yield from shown_lines({model.model: model.shown for model in facts.models})
    yield from _model_lines(facts.models)
    for rows in facts.rows_read:
        yield from rows.lines
    for step in facts.steps:
        rows_at_most = f"at most {count(step.rows, 'row')}"  # what doesn't fit or has no pair is left out
        steps = f"recipe {step.recipe}: {count(step.steps, 'step')} of {step.batch_size:,} on {rows_at_most}"
        over = f"; {step.left_over:,} of them are left over in each epoch, as fewer than `batch_size`"
        yield steps + over * (step.left_over >= LEFT_OVER * step.rows)
    if to_do.retrained:
        what = f"{count(to_do.retrained, 'model')} to train again"
        yield f"{what}: their weights were dropped once they were evaluated (keep_models: adapters)"
    if facts.shared_missing:
        items = list(dict.fromkeys(facts.shared_missing))  # two problem sets' rows can have one name
        first, more = items[:MADE_FIRST], len(items) - MADE_FIRST
        yield f"to make first: {', '.join(first)}{f' and {more} more (--json)' if more > 0 else ''}"
    yield from map(_teacher_line, facts.teachers)
    for pairs in facts.encoded:
        spent, to_encode = duration(pairs.takes.cpu_seconds), count(pairs.takes.pairs, "preference pair")
        takes = f"{size(pairs.takes.disk_bytes)}, about {spent} of a CPU"
        yield f"{pairs.rows}: at most {to_encode} to encode before the cells, {takes}"
    for files in facts.linted:
        of = f"{files.tuned:,} completions of fine-tuned and {files.bases:,} of base models"
        yield f"code quality on {files.problem_set}: {of}, {files.to_lint:,} to lint"
    yield from map(_parts_line, facts.parts)
    yield from _asked_lines(facts.asks)
    yield from (f"faster: {line}" for line in facts.faster)
    if facts.doubtful_types:
        yield f"no known accelerator is called {', '.join(facts.doubtful_types)}"
    seconds = ", ".join(f"{name} {timeout:g} s" for name, timeout in facts.timeouts.items())
    lane = f"lane {facts.lane}: {PROCESSES_OF[facts.lane]}"
    how = f"{Lane(facts.lane).mode} mode ({lane}), at isolation level {facts.require} or better"
    yield f"programs: {how}; time limits: {seconds}"
    for name, compiler in facts.compilers.items():
        yield f"programs on {name}: isolated mode; {compiler or 'no compiler for them is here'}"
    for there in facts.environments:
        yield f"programs on {there.problem_set}: {there.words}"
    for name, reasons in facts.unchecked.items():
        yield f"{UNCHECKED} on {name}: {count(len(reasons), 'problem')}: {with_reasons(reasons, 5)}"
    if not facts.allowed and to_do.cells:
        yield "programs may not run yet: `raysweep run` needs --allow-code-execution"
    yield f"storage: {facts.storage}"


def _model_lines(models: Sequence[ModelFacts]) -> Iterator[str]:
    if unused := unused_template_line([model.model for model in models if model.unused_chat_template]):
        yield unused
    short: dict[int, list[str]] = {}
    trained: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    for model in models:
        if model.left_out:
            yield f"{model.model}: {model.left_out}"
        if model.traits:
            alike.setdefault(model.traits, []).append(model.model)
        if model.positions is not None:
            short.setdefault(model.positions, []).append(model.model)
        for weights in model.weights:
            what = f"all {weights.total:,} weights"
            if weights.modules:
                part = f"{weights.trained:,} weights ({100 * weights.trained / weights.total:.2g} %)"
                added = f"{part} beside the model's {weights.total:,}, which stay as they are"
                but = f" (PEFT can't adapt {', '.join(weights.unadapted)})" if weights.unadapted else ""
                what = f"{weights.adapter} on {', '.join(weights.modules)}{but}: {added}"
            trained.setdefault(what, []).append(f"{model.model}, recipe {weights.recipe}")
    for traits, names in alike.items():
        yield f"{', '.join(names)}: {traits}"
    for positions, names in short.items():
        yield f"{', '.join(names)}: {positions:,} positions; longer rows are left out of training, and counted"
    for what, names in trained.items():
        yield f"{'; '.join(names)}: training of {what}"


def _teacher_line(facts: TeacherFacts) -> str:
    line = f"teacher {facts.teacher}: {count(facts.answers, 'answer')} of at most {facts.tokens:,} tokens about "
    line += f"{facts.rows}, before the cells; a process asks for {amounts_text(facts.asks)}"
    hours, small = facts.takes.hours, facts.too_small
    shown = ", ".join(f"{device} {_hours(hours, device, small)}" for device in hours)
    return f"{line}; hours: {shown}" if hours else line


def _parts_line(parts: TrainingParts) -> str:
    memory = parts.memory
    held = {"weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.optimizer}
    passing = {"activations": memory.activations, "the loss": memory.loss}
    shown = ", ".join(f"{name} {size(amount)}" for name, amount in {**held, **passing}.items())
    largest = f"{count(parts.rows, 'row')} of {parts.width:,} tokens" if parts.rows else "none, not even of one row"
    return (
        f"{parts.model}, recipe {parts.recipe}, memory on {parts.on}: {shown}; with what a block computes at most "
        f"{size(memory.peak)} of {size(parts.room)}; the largest pass that fits: {largest}"
    )


PROCESSES = {"training": "a training worker", "generation": "a generation actor", "execution": "an execution actor"}


def _asked_lines(asks: Sequence[Asked]) -> Iterator[str]:
    for stage, process in PROCESSES.items():
        alike: dict[str, list[str]] = {}
        for asked in asks:
            if amounts := getattr(asked, stage):
                alike.setdefault(amounts_text(amounts), []).append(f"{asked.model}.{asked.recipe or BASE}")
        for text, names in alike.items():
            yield f"{process} asks for {text}" + (f": {', '.join(names)}" if len(alike) > 1 else "")


def _cells_table(cells: Sequence[CellFacts]) -> Table:
    names = ("cells", "trained", "evaluations done", "memory: train", "generate", "disk, all")
    table = Table("model", "recipe", *(Column(name, justify="right") for name in names), box=None)
    for sums in recipe_sums(cells):
        trained = f"{sums.trained} of {sums.tuned}" if sums.tuned else ""
        pairs = f"{sums.pairs_done:,} of {sums.pairs:,}"
        sizes = (_size(sums.peak_memory_bytes), _size(sums.generation_memory_bytes), _size(sums.disk_bytes))
        if sums.unknown:
            sizes = (UNKNOWN if sums.recipe else "", UNKNOWN, UNKNOWN)
        table.add_row(sums.base_model, sums.recipe, str(sums.cells), trained, pairs, *sizes)
    return table


def _hours_table(cells: Sequence[CellFacts], together: Mapping[str, float]) -> Table:
    columns = (Column(device, justify="right") for device in together)
    table = Table("accelerator hours, cells to do", "recipe", *columns, Column("", justify="left"), box=None)
    groups = [sums for sums in recipe_sums(cells) if sums.hours]
    for sums in groups:
        hours = (_hours(sums.hours, device, sums.too_small) for device in together)
        table.add_row(sums.base_model, sums.recipe, *hours, ", ".join(sums.basis))
    if len(groups) > 1:
        small = {device for sums in groups for device in sums.too_small}
        table.add_row("together", "", *(_hours(together, device, small) for device in together), "", style="bold")
    return table


def _hours(hours: Mapping[str, float], device: str, too_small: Collection[str]) -> str:
    return f"{_amount(hours[device])}{TOO_SMALL * (device in too_small)}" if device in hours else ""


def _amount(total: float) -> str:
    if total == 0:
        return "0"
    if total < LEAST_HOURS:
        return f"< {LEAST_HOURS}"
    return f"{total:,.0f}" if total >= 100 else f"{total:.2f}" if total < 1 else f"{total:.1f}"


def _size(amount: int) -> str:
    return size(amount) if amount else ""


def _summary_lines(facts: PlanFacts, to_do: WorkSums) -> Iterator[str]:
    summary = facts.summary
    if summary.fine_tuned_models:
        yield (
            f"{count(summary.base_models, 'base model')}, {count(summary.training_sets, 'training set')}, "
            f"{count(summary.fine_tuned_models, 'fine-tuned model')}, {count(summary.test_sets, 'test set')}"
        )
    if summary.edited_models:
        yield (
            f"{count(summary.edited_models, 'edit')} at most, in {count(summary.edit_cells, 'cell')}; those without an "
            f"eligible edit example, or not reproduced, end without a model: {summary.ended_edits:,} so far"
        )
    if summary.rewriters:
        yield f"prompts that the model itself rewrites first (self-denoising): {', '.join(summary.rewriters)}"
    if summary.choices:
        yield (
            f"{count(summary.choices, 'model')} to be evaluated, chosen among {count(summary.candidates, 'candidate')} "
            "by validation loss (`select`)"
        )
    cells = f"{count(len(facts.cells), 'cell')}, {count(summary.pairs, 'evaluation')}"
    yield f"{cells} (rule: {facts.rule}); {count(to_do.cells, 'cell')} to do"
    if not facts.has_rd:
        yield "no RD: clean prompts alone are evaluated; name others in `evaluation.perturbations`"
    known = ", as far as they are known" * to_do.unknown
    parts = [f"{size(to_do.disk_bytes)} for models and completions{known}"]
    if to_do.checkpoint_bytes:
        parts.append(f"up to {size(to_do.checkpoint_bytes)} for the checkpoints of a training")
    before = sum(teacher.takes.disk_bytes for teacher in facts.teachers)
    before += sum(pairs.takes.disk_bytes for pairs in facts.encoded)
    if before:
        parts.append(f"{size(before)} for teachers' answers and encoded preference pairs")
    if downloads := sum(facts.download_bytes.values()):
        parts.append(f"{size(downloads)} of weights from the hub, in its cache")
    if to_do.cells:
        yield f"disk, estimated: {', '.join(parts)}"
