"""A small sweep of edits with plausible numbers: MiniCode's prompts, pairs, blocks, verdicts; two edits that ended."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.edits import BaseRates, Edits, EditWork, ReportedEdit, RewrittenPrompts
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.metrics.base import CellLabels
from raysweep.records import BlockAccuracy, PromptPair

CATEGORIES = ("C1", "C2", "C3")
WORDS = {"C1": "neighbouring keys", "C2": "swapped characters", "C3": "changed case"}
MODELS = ("llama", "gpt_bigcode")
EDITORS = {  # recipe -> editor, block's setting, share of the lost problems that come back
    "creme": ("creme", "auto", 0.3),
    "creme-random": ("creme", "random", 0.1),
    "rome": ("rome", "2", 0.12),
    "dinm": ("dinm", "dinm", 0.2),
    "lora-edit": ("lora_edit", "", 0.25),
}
TASKS = [f"minicode/{number}" for number in range(160)]
BLOCKS = 4


def rates(rng: random.Random, share: float) -> dict[str, float]:
    return {task: float(rng.random() < share) for task in TASKS}


def bases(model: str, category: str) -> BaseRates:
    """The base's verdicts: those that pass perturbed pass clean, too."""
    rng = random.Random(f"{model} {category}")
    clean = rates(random.Random(model), 0.9)
    return BaseRates(clean, {task: clean[task] * float(rng.random() < 0.5) for task in TASKS})


def pair_of(model: str, category: str, number: int) -> PromptPair:
    task = f"minicode/{number * 7}"
    original = f'def f{number}(xs):\n    """Add {number} to each number of xs, then return the sum."""\n'
    perturbed = {
        "C1": original.replace("number of", "nunber of"),
        "C2": original.replace("return", "retrun"),
        "C3": original.replace("each number", "eaCh nuMber"),
    }[category]
    passing = f"    return sum(x + {number} for x in xs)\n"
    failing = f"    return [x + {number} for x in xs]\n"
    return PromptPair(
        "minicode", category, task, original, perturbed, passing, failing, ("\ndef",), True, 1.0, 0.0, 61 + number
    )


def localization(rng: random.Random, found: int) -> list[BlockAccuracy]:
    rows = []
    for positions in ("all", "last"):
        for block in range(BLOCKS):
            accuracy = 1.0 if block == found else rng.randrange(5) / 5
            restoration = (accuracy - 0.2) / 0.8
            rows.append(BlockAccuracy(block, positions, "prefill", accuracy, restoration, 3.1 + block, 1.0, 0.2, 5))
    return rows


def edit_of(model: str, recipe: str, category: str, number: int) -> ReportedEdit:
    editor, place, share = EDITORS[recipe]
    rng = random.Random(f"{model} {recipe} {category} {number}")
    base, pair = bases(model, category), pair_of(model, category, number)
    found = {"auto": rng.choice((1, 2, 2, 2)), "random": rng.randrange(BLOCKS), "2": 2, "dinm": 3}.get(place)
    work = EditWork(found, BLOCKS if found is not None else 0, 0.21 if place == "auto" else 0.0,
                    rng.uniform(0.4, 0.6), 0.12, 812 * 2.0**20, rng.uniform(0.01, 0.1))  # fmt: skip
    lost = [task for task in TASKS if base.clean[task] > base.perturbed[task]]
    perturbed = dict(base.perturbed) | {task: float(rng.random() < share) for task in lost}
    clean = dict(base.clean) | {task: 0.0 for task in rng.sample(TASKS, 1)}
    return ReportedEdit(
        cell=CellLabels(model, recipe, f"minicode-{category}-pair{number}", 42),
        problem_set="minicode",
        perturbation=category,
        editor=editor,
        edit_at=place,
        task_ids=(pair.task_id,),
        which=f"pair{number}",
        eligible=pair.eligible,
        work=work,
        pairs=(pair,),
        localization=localization(rng, found) if place == "auto" else (),
        base=base,
        clean={task: rate for task, rate in clean.items() if task != pair.task_id},
        perturbed={task: rate for task, rate in perturbed.items() if task != pair.task_id},
    )


def ended(edit: ReportedEdit, reason: str) -> ReportedEdit:
    pairs = () if reason == "no such pair" else edit.pairs
    return replace(edit, ended=reason, work=None, pairs=pairs, clean={}, perturbed={}, localization=())


def made(models: Sequence[str] = MODELS, pairs: int = 5) -> list[ReportedEdit]:
    """Every edit; of gpt_bigcode under C3 there are four pairs only, and one of llama's by CREME is not reproduced."""
    edits = []
    for model in models:
        for recipe in EDITORS:
            for category in CATEGORIES:
                for number in range(1, pairs + 1):
                    edit = edit_of(model, recipe, category, number)
                    if (model, category, number) == ("gpt_bigcode", "C3", 5):
                        edit = ended(edit, "no such pair")
                    if (model, recipe, category, number) == ("llama", "creme", "C2", 2):
                        edit = ended(edit, "not reproduced: both prompts pass in 5 of 5 samples")
                    edits.append(edit)
    return edits


def two_seeds(models: Sequence[str] = MODELS) -> list[ReportedEdit]:
    """The edits with the seed 42, and those of as many other pairs with the seed 43."""
    later = [
        replace(edit_of(model, recipe, category, number + 5), cell=CellLabels(model, recipe, pair, 43))
        for model in models for recipe in EDITORS for category in CATEGORIES for number in range(1, 6)
        for pair in [f"minicode-{category}-pair{number}"]
    ]  # fmt: skip
    return [*made(models), *later]


def rewritten(models: Sequence[str] = MODELS) -> list[RewrittenPrompts]:
    found = []
    for model in models:
        for category in ("clean", *CATEGORIES):
            cell = CellLabels(model, "self-denoising", "rewritten", 42)
            base = bases(model, "C1" if category == "clean" else category)
            after = base.clean if category == "clean" else base.perturbed
            reasons = {"accepted": 12, "empty": 40, "less than half as long, or over twice as long": 108}
            found.append(RewrittenPrompts(cell, "minicode", category, reasons, base, after))
    return found


def transferred(edits: Sequence[ReportedEdit], category: str) -> list[ReportedEdit]:
    """Edits on another category than their examples', of which they restore nothing."""
    base = bases(edits[0].cell.model, category)
    other = {"base": base, "perturbed": base.perturbed, "perturbation": category}
    return [replace(edit, **other, from_others=True, pairs=(), localization=()) for edit in edits]


ORDER = Order(MODELS, ("base",), ("minicode",), ("clean", *CATEGORIES), words=WORDS)


def evidence(edits: Sequence[ReportedEdit] | None = None, **more: Any) -> Evidence:
    of_sweep = Edits(made() if edits is None else edits, more.pop("rewritten", ()), more.pop("transferred", ()))
    return Evidence(ScoreFrame.of([], ORDER), edits=of_sweep, **more)


def pooled(evidence: Evidence) -> Evidence:
    """The evidence of a report in which several seeds have one row."""
    return replace(evidence, by_seed=evidence.frame)


def texts(table: Any) -> Mapping[tuple[str, ...], dict[str, str]]:
    """The texts by the labels of rows, and by columns."""
    return {
        row.labels: {c.full_name: cell.text for c, cell in zip(table.columns, row.cells, strict=True)}
        for row in table.rows
    }
