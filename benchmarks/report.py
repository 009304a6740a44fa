"""Measures `raysweep report` on a sweep of the study's shape: 204 cells, 4,308 pairs, one completion of each problem.

    python benchmarks/report.py [--models 6] [--safecoder FOLDER] [--storage FOLDER]

Verdicts are random, completions come from a pool of short programs. `--models 1` is quickly tried: a sixth of all.
With SafeCoder's checkout the prompts are its own, else they are made up. To write the store takes some minutes; one
that `--storage` names is kept, and used again. The command runs in a process of its own. One JSON object comes out.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from large_sweeps import STUDY, measured

from raysweep.config.loading import load_config, to_yaml
from raysweep.hashing import text_sha
from raysweep.machine import provenance
from raysweep.planning.plan import CellPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Lane, Level, Oracle, Outcome
from raysweep.records import CLEAN, Completion, PromptRow, Result, Score
from raysweep.rows.parquet import ROWS, read_rows, write_rows
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.numbers import SCORES

SIZES = {"safecoder-humaneval": 161, "safecoder-mbpp": 427}
WORDS = "return the sum of all even numbers in a list without those that are smaller than its first item"
OUTCOMES = {  # with a detail, and how many of a hundred
    Outcome.PASSED: ("", 40),
    Outcome.FAILED: ("assert candidate([1, 2, 3]) == {}", 33),
    Outcome.EXCEPTION: ("NameError: name 'value_{}' is not defined", 17),
    Outcome.SYNTAX_ERROR: ("SyntaxError: invalid syntax (<program>, line {})", 8),
    Outcome.TIMEOUT: ("", 2),
}
STEPS = range(25, 5001, 25)


def main() -> None:
    """Fill a store, measure the report and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--safecoder", type=Path)
    parser.add_argument("--storage", type=Path)
    options = parser.parse_args()
    document = yaml.safe_load(STUDY.read_text())
    document["models"] = document["models"][: options.models]
    document["evaluation"]["samples"] = 1
    for problems in document["evaluation"]["problems"] if options.safecoder else ():
        problems["path"] = str(options.safecoder.absolute())
    with tempfile.TemporaryDirectory() as folder:
        config, storage = Path(folder, "config.yaml"), options.storage or Path(folder, "store")
        config.write_text(yaml.safe_dump(document))
        plan = build_plan(load_config(config, missing=[]), tolerant=True)
        sweep = SweepFolder(Store(storage), plan.config.name)
        if not sweep.exists():
            fill(sweep, plan)
        command = measured("report", sweep.name, "--storage", str(storage))
        scores = read_rows(sweep.path / SCORES, Score)
        rows = sum(SIZES[pair.pair.problem_set] for cell in plan.cells for pair in cell.pairs)
        found = {
            "cells with scores": len({(one.model, one.recipe, one.training_set) for one in scores}),
            "pairs": sum(len(cell.pairs) for cell in plan.cells),
            "results": rows,
            "report": command,
            "MiB of the page": round((sweep.path / "report.html").stat().st_size / 2**20, 1),
        }
    print(json.dumps(found, indent=2))


def fill(folder: SweepFolder, plan: SweepPlan) -> None:
    """Write what a report reads: test sets, models' manifests, completions and results."""
    store, rng = folder.store, random.Random(0)
    store.require_writable()
    loop = "    for value in values:\n        total += value\n    return total\n"
    pool = [f"    total = {number}\n{loop}" for number in range(2000)]
    prompts: dict[str, list[PromptRow]] = {}
    for test_set in {pair.test_set.node.key: pair for cell in plan.cells for pair in cell.pairs}.values():
        rows = prompts_of(plan, test_set.pair.problem_set, test_set.pair.perturbation, rng)
        prompts[test_set.test_set.node.key] = rows
        changed = sum(row.changed for row in rows)
        write(store, test_set.test_set.node, PromptRow, rows, {"rows_unchanged": len(rows) - changed})
    for cell in plan.cells:
        if cell.model is not None:
            with store.writing(cell.model) as draft:
                (draft.folder / "adapter_model.safetensors").write_bytes(b"weights")
                draft.counts = training_counts(rng)
        fill_pairs(store, cell, prompts, pool, rng)
    folder.claim(plan, to_yaml(plan.config))
    run = {"started": "2026-11-28T00:00:00Z", "wall_seconds": 1.0, "engine": "ray", "cells": len(plan.cells)}
    folder.add_run({**run, "failed": {}, **provenance()})


def prompts_of(plan: SweepPlan, name: str, perturbation: str, rng: random.Random) -> list[PromptRow]:
    """Return a test set's prompts: in each perturbed one, two letters of every fifth word change places."""
    spec = next(one for one in plan.config.evaluation.problems if one.label == name)
    if spec.model_extra and Path(str(spec.model_extra["path"])).is_dir():
        texts = {one.task_id: one.prompt for one in PROBLEMS.create(spec.spec(PROBLEMS, plan.config.seed)).problems()}
    else:
        made = random.Random(name)
        texts = {
            f"{name}/{n}": f'def task_{n}(values):\n    """{" ".join(made.choices(WORDS.split(), k=60))}."""\n'
            for n in range(SIZES[name])
        }
    rows = []
    for task, clean in texts.items():
        words = clean.split(" ")
        for place in range(rng.randrange(5), len(words), 5) if perturbation != CLEAN else ():
            words[place] = words[place][:1] + words[place][2:3] + words[place][1:2] + words[place][3:]
        prompt = " ".join(words)
        rows.append(PromptRow(task, prompt, clean, perturbation, prompt != clean, True))
    return rows


def fill_pairs(
    store: Store, cell: CellPlan, prompts: dict[str, list[PromptRow]], pool: Sequence[str], rng: random.Random
) -> None:
    """Write a cell's completions and results."""
    weights = [share for _, share in OUTCOMES.values()]
    for pair in cell.pairs:
        tasks = [row.task_id for row in prompts[pair.test_set.node.key]]
        texts, number = rng.choices(pool, k=len(tasks)), rng.randrange(50)
        shas = [text_sha(f"{task} {text}") for task, text in zip(tasks, texts, strict=True)]
        completions = [
            Completion(task, 0, text, "eos", 40, sha, 0, sha)
            for task, text, sha in zip(tasks, texts, shas, strict=True)
        ]
        outcomes = rng.choices(list(OUTCOMES), weights, k=len(tasks))
        results = [
            Result(task, 0, end, OUTCOMES[end][0].format(number), "", rng.random() / 100, sha, 5.0, Oracle.OUTSIDE)
            for task, end, sha in zip(tasks, outcomes, shas, strict=True)
        ]
        write(store, pair.completions, Completion, completions, generation_counts(len(tasks)))
        write(store, pair.results, Result, results, judging_counts(len(tasks)))


def write(store: Store, node: Node, record: type[Any], rows: Sequence[Any], counts: dict[str, Any]) -> None:
    """Commit a table."""
    with store.writing(node) as draft:
        write_rows(draft.folder / ROWS, record, rows, ["task_id"])
        draft.counts = {"rows": len(rows), **counts}


def generation_counts(rows: int) -> dict[str, Any]:
    """Return what the manifest of a pair's completions says."""
    none = dict.fromkeys(("reused", "prompt_tokens", "prompts_resumed", "models_loaded", "prompts_too_long"), 0)
    return {
        **none,
        "distinct": rows,
        "tokens": 40 * rows,
        "cpu_seconds": 0.02 * rows,
        "batch_tokens": 24576,
        "merged": False,
    }


def judging_counts(rows: int) -> dict[str, Any]:
    """Return what the manifest of a pair's results says."""
    return {
        "distinct_programs": rows,
        "programs_run": rows,
        "program_seconds": rows / 200,
        "level": str(Level.STRONG),
        "levels": {Level.STRONG.value: rows},
        "oracles": {Oracle.OUTSIDE.value: rows},
        "lanes": {Lane.SHARED.value: rows},
        "near_limit": 0,
        "programs_shared": rows,
        "programs_judged_again": 0,
        "programs_judged_otherwise": 0,
    }


def training_counts(rng: random.Random) -> dict[str, Any]:
    """Return what the manifest of a model says of its training: a curve of 200 losses."""
    losses = [(step, 0.6 + rng.random() / 10) for step in STEPS]
    times = {"seconds": 9000.0, "cpu_seconds": 9100.0, "memory_bytes": 2**34, "trainable_weights": 10**7}
    rows = {"rows": 30087, "rows_dropped": 12, "dropped": {"too long": 12}, "steps": STEPS[-1], "tokens": 10**7}
    return {**rows, **times, "losses": losses, "final_loss": losses[-1][1]}


if __name__ == "__main__":
    main()
