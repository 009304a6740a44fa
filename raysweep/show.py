"""What commands print: tables with rich on stdout, or JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raysweep.analysis.layout import Order
from raysweep.config import SweepConfig
from raysweep.plans import SweepPlan
from raysweep.progress import FAILED, RUNNING, Activity, read_activities
from raysweep.records import Score
from raysweep.reporting import order_of
from raysweep.samples import SampleScores
from raysweep.store import Store
from raysweep.sweep import SweepResult
from raysweep.sweep_folder import GridRow, Held, SweepFolder
from raysweep.watching import Watcher, duration


def watcher(quiet: bool) -> Watcher:
    """Return what shows progress on stderr."""
    return Watcher(Console(file=sys.stderr), quiet)


def print_result(result: SweepResult, as_json: bool) -> None:
    """Print a run's scores, errors and where the report lies."""
    if as_json:
        rows = [{k: _plain(v) for k, v in dataclasses.asdict(score).items()} for score in result.scores]
        _json(
            {"sweep": result.folder.name, "report": str(result.report), "errors": dict(result.errors), "scores": rows}
        )
        return
    console = _console()
    for table in score_tables(result.scores, result.config):
        console.print(table)
    for name, error in result.errors.items():
        console.print(Text(f"failed: {name}: {error}", style="red"), soft_wrap=True)
    if not result.made:
        console.print("nothing was missing in the store: no work was done")
    console.print(f"report: {result.report}", soft_wrap=True, highlight=False)


def score_tables(scores: Sequence[Score], config: SweepConfig) -> list[Table]:
    """Return one table a problem set and pass@k: each model on each test set, RD beside it, in the config's order."""
    order = order_of(config)
    models = sorted({_model(score) for score in scores}, key=lambda model: _place(model, order))
    found = []
    for problems in order.problem_sets:
        own = {(_model(s), s.perturbation, s.metric): s for s in scores if s.problem_set == problems}
        for metric in sorted({metric for _, _, metric in own if metric.startswith("pass@")}):
            title = f"{problems}: {metric}" + (" (RD: share of clean pass@1 lost)" if metric == "pass@1" else "")
            table = Table("model", "recipe", "training set", "seed", title=title, title_justify="left", box=None)
            for name in order.perturbations:
                table.add_column(name, justify="right")
            for model in models:
                cells = [_number(own, model, name, metric) for name in order.perturbations]
                if any(cells):
                    table.add_row(*map(str, model), *cells)
            found.append(table)
    return found


def print_plan(plan: SweepPlan, store: Store, as_json: bool) -> None:
    """Print cells, pairs, and what of them exists."""
    missing = {cell.cell.id for cell in plan.missing_cells(store)}
    shared = plan.missing_shared(store, plan.missing_cells(store))
    cells = [
        {
            "cell": cell.cell.id,
            "pairs": len(cell.pairs),
            "model": "base" if cell.model is None else _state(store.has(cell.model)),
            "pairs_done": sum(store.has(pair.results) for pair in cell.pairs),
            "missing": cell.cell.id in missing,
        }
        for cell in plan.cells
    ]
    pairs = plan.config.evaluation.pairs
    rule = pairs if isinstance(pairs, str) else "as written"
    made = [item.node.label for item in shared if item.node]
    asked = plan.config.resources.model_dump()
    if as_json:
        _json({"cells": cells, "shared_missing": made, "rule": rule, "resources": asked, "storage": str(store.root)})
        return
    console = _console()
    table = Table("cell", "pairs", "model", "pairs done", box=None)
    for cell in cells:
        table.add_row(
            str(cell["cell"]), str(cell["pairs"]), str(cell["model"]), f"{cell['pairs_done']} of {cell['pairs']}"
        )
    console.print(table)
    console.print(
        f"{len(cells)} cells, {len(plan.grid.pairs)} evaluation pairs (rule: {rule}); {len(missing)} cells to do"
    )
    if made:
        console.print(f"to make first: {', '.join(made)}", soft_wrap=True)
    console.print(f"each cell asks for {asked['cpus']:g} CPUs, {asked['gpus']:g} GPUs, {asked['memory_gib']:g} GiB")
    console.print(f"storage: {store.root}", soft_wrap=True, highlight=False)


def print_status(folder: SweepFolder, as_json: bool) -> None:
    """Print each cell's state, its pass@1 on the clean set, and where its model lies."""
    rows = _status_rows(folder)
    if as_json:
        _json({"sweep": folder.name, "cells": rows, "runs": folder.runs()})
        return
    console = _console()
    table = Table("cell", "state", "pairs", "model", box=None)
    for row in rows:
        style = {FAILED: "red", RUNNING: "cyan"}.get(str(row["state"]).split(" ")[0], "")
        table.add_row(row["cell"], Text(row["state"], style=style), f"{row['done']} of {row['pairs']}", row["model"])
    console.print(table)
    tuned = next((row for row in rows if row["model"] and not str(row["cell"]).endswith(".base")), None)
    if tuned:
        console.print(f"\nload one:\n{_loading_lines(folder, tuned)}", highlight=False, soft_wrap=True)


def print_sample_scores(scores: SampleScores, as_json: bool) -> None:
    """Print pass@k of a samples file."""
    if as_json:
        _json({**dataclasses.asdict(scores), "pass_at_k": {f"pass@{k}": v for k, v in scores.pass_at_k.items()}})
        return
    console = _console()
    console.print(f"{scores.samples:,} samples of {scores.tasks:,} tasks", highlight=False)
    for k, value in scores.pass_at_k.items():
        console.print(f"pass@{k}: {value:.4f}", highlight=False)
    if scores.missing:
        shown = ", ".join(scores.missing[:5]) + (", ..." if len(scores.missing) > 5 else "")
        console.print(f"no sample for {len(scores.missing)} tasks, which are left out: {shown}", highlight=False)
    if scores.harness_errors:
        console.print(f"{scores.harness_errors} samples have no verdict (harness error)", style="red")


def _status_rows(folder: SweepFolder) -> list[dict[str, Any]]:
    activities = read_activities(folder.progress)
    cells: dict[str, list[GridRow]] = {}
    for row in folder.grid():
        cells.setdefault(row.cell, []).append(row)
    found = []
    for name, pairs in cells.items():
        done = sum(folder.store.has(Held("results", row.results_key, name)) for row in pairs)
        model = Held(pairs[0].model_stage, pairs[0].model_key, name)
        path = str(folder.store.folder(model)) if model.stage and folder.store.has(model) else ""
        state = "done" if done == len(pairs) else _activity_text(activities.get(name))
        found.append({"cell": name, "state": state, "done": done, "pairs": len(pairs), "model": path})
    return found


def _activity_text(activity: Activity | None) -> str:
    if activity is None:
        return "waiting"
    if activity.state == FAILED:
        return f"failed: {activity.error}"
    silent = time.time() - activity.updated
    news = f", no news for {duration(silent)}" if silent > 60 else ""
    amount = f" {activity.done}/{activity.total}" if activity.total else ""
    return f"{activity.state} ({activity.stage}{amount}{news})"


def _loading_lines(folder: SweepFolder, row: Mapping[str, Any]) -> str:
    from pathlib import Path

    if (Path(row["model"]) / "adapter_config.json").is_file():
        return (
            f'  from peft import AutoPeftModelForCausalLM\n  AutoPeftModelForCausalLM.from_pretrained("{row["model"]}")'
        )
    return f'  from transformers import AutoModelForCausalLM\n  AutoModelForCausalLM.from_pretrained("{row["model"]}")'


def _model(score: Score) -> tuple[str, str, str, int]:
    return (score.model, score.recipe, score.training_set, score.seed)


def _place(model: tuple[str, str, str, int], order: Order) -> tuple[int, str, int, int]:
    """Return a sort key: the config's order of models, then recipes, then the config's order of training sets."""
    name, recipe, training_set, seed = model
    base = training_set == "base"
    return (order.models.index(name), "" if base else recipe, order.training_sets.index(training_set), seed)


def _number(scores: Mapping[Any, Score], model: tuple[Any, ...], perturbation: str, metric: str) -> str:
    found = scores.get((model, perturbation, metric))
    if found is None:
        return ""
    degraded = scores.get((model, perturbation, "RD"))
    text = "undefined" if math.isnan(found.value) else f"{found.value:.3f}"
    own = (
        ""
        if degraded is None or metric != "pass@1"
        else f" ({'–' if math.isnan(degraded.value) else f'{degraded.value:.2f}'})"
    )
    return text + own


def _state(exists: bool) -> str:
    return "exists" if exists else "to train"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))
