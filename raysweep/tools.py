"""The commands that need no config: perturb, evaluate, execute, list."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.config import SweepConfig
from raysweep.config_file import config_from
from raysweep.errors import UsageError
from raysweep.generators.base import GENERATORS
from raysweep.metrics.base import METRICS
from raysweep.models.base import FAMILIES
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.records import Completion, Result, Spec, canonical_json, text_sha
from raysweep.registry import Registry
from raysweep.samples import SampleScores, programs_of, read_samples, score_samples, write_results
from raysweep.sweep_folder import Held, SweepFolder
from raysweep.tables import ROWS, read_rows
from raysweep.trainers.base import OBJECTIVES, TRAINERS
from raysweep.training_sets.base import SOURCES

REGISTRIES: Mapping[str, Registry[Any]] = {
    "perturbations": PERTURBATIONS,
    "models": FAMILIES,
    "problems": PROBLEMS,
    "trainers": TRAINERS,
    "metrics": METRICS,
    "objectives": OBJECTIVES,
    "generators": GENERATORS,
    "sources": SOURCES,
}


def entries(kind: str) -> dict[str, str]:
    """Return the registered names of a kind, each with the first line of its class's docstring."""
    registry = REGISTRIES[kind]
    return {name: (inspect.getdoc(registry.get(name)) or "").split("\n")[0] for name in registry.names()}


def problem_set_of(name: str, seed: int) -> tuple[ProblemSet, dict[str, Any]]:
    """Return a problem set by name, or from a JSONL file, and its entry for a config.

    Raises:
        UsageError: neither a registered name nor a file, or the file can't be used.
    """
    if name in PROBLEMS.names() and not Path(name).is_file():
        spec: dict[str, Any] = {"name": name}
        if "world" in PROBLEMS.parameters(name):
            spec["world"] = seed
    elif Path(name).suffix or Path(name).exists():
        spec = {"name": "jsonl", "path": name}
    else:
        PROBLEMS.get(name)  # raises, with the nearest name
    problem_set = PROBLEMS.create(Spec(spec["name"], {key: value for key, value in spec.items() if key != "name"}))
    problem_set.check()
    return problem_set, spec


def perturb_problems(
    problems: str,
    method: str,
    seed: int,
    strength: float | None,
    compat: str | None,
    limit: int | None,
    show: int,
    out: Path | None,
) -> None:
    """Perturb a problem set's prompts, print some before and after, and write the rows."""
    from rich.console import Console

    from raysweep.perturb_view import preview, write_problem_rows
    from raysweep.problems.test_sets import build_test_set

    problem_set, _ = problem_set_of(problems, seed)
    spec = Spec(method, {} if strength is None else {"strength": strength})
    PERTURBATIONS.create(spec)
    if compat not in (None, "recode"):
        raise UsageError(f"--compat {compat!r} is unknown; known: recode")
    rows = build_test_set(problem_set, spec, seed=seed, compat=compat, limit=limit)
    if out is not None:
        write_problem_rows(problem_set.problems(), rows, out)
    preview(rows, Console(), show)


def evaluation_config(
    model: str,
    problems: str,
    perturbations: str,
    *,
    seed: int,
    decoding: Mapping[str, Any],
    trust_remote_code: bool,
    allow_code_execution: bool,
) -> SweepConfig:
    """Return the config of a sweep that judges one model as it is; its name follows from what is asked."""
    known = PERTURBATIONS.names()
    wanted = known if perturbations == "all" else [name.strip() for name in perturbations.split(",") if name.strip()]
    short = re.sub(r"[^A-Za-z0-9_.@+-]+", "-", Path(model).name)[:40].strip("-.@+_")
    entry: dict[str, Any] = {"name": short or "model"}
    if model in GENERATORS.names() and model != "transformers" and not Path(model).exists():
        entry["generator"] = {"name": model}
    else:
        entry |= {"path": model, "trust_remote_code": trust_remote_code}
    _, problem_spec = problem_set_of(problems, seed)
    config = {
        "seed": seed,
        "allow_code_execution": allow_code_execution,
        "models": [entry],
        "evaluation": {"problems": [problem_spec], "perturbations": wanted, **decoding},
    }
    asked = {**config, "allow_code_execution": None}
    config["name"] = f"evaluate-{entry['name']}-{text_sha(canonical_json(asked))[:8]}"
    return config_from(config, "evaluate")


def write_samples(folder: SweepFolder, out: Path) -> None:
    """Write every completion of a sweep with its verdict as JSONL."""
    lines = []
    for row in folder.grid():
        completions = Held("completions", row.completions_key, row.cell)
        results = Held("results", row.results_key, row.cell)
        if not folder.store.has(results):
            continue
        verdicts = {(r.task_id, r.draw): r for r in read_rows(folder.store.folder(results) / ROWS, Result)}
        for completion in read_rows(folder.store.folder(completions) / ROWS, Completion):
            verdict = verdicts[completion.task_id, completion.draw]
            lines.append(
                {
                    "task_id": completion.task_id,
                    "completion": completion.text,
                    "model": row.model,
                    "training_set": row.training_set,
                    "problem_set": row.problem_set,
                    "perturbation": row.perturbation,
                    "draw": completion.draw,
                    "passed": None if verdict.outcome == "harness_error" else verdict.outcome == "passed",
                    "result": verdict.outcome if not verdict.detail else f"{verdict.outcome}: {verdict.detail}",
                }
            )
    try:
        out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} can't be written ({error.strerror}); choose another file") from None


def execute_samples(
    samples: Path, problems: str, out: Path | None, timeout: float | None, workers: int | None, allowed: bool
) -> SampleScores:
    """Run the programs of a samples file, write the rows with their verdicts, and return the scores."""
    import dataclasses

    from rich.console import Console

    from raysweep.execution.permission import require_permission
    from raysweep.execution.pool import Executor
    from raysweep.watching import counting

    problem_set, _ = problem_set_of(problems, seed=42)
    rows = read_samples(samples)
    programs = programs_of(rows, problem_set.problems())
    require_permission(allowed)
    limits = problem_set.limits if timeout is None else dataclasses.replace(problem_set.limits, cpu_seconds=timeout)
    with (
        counting(Console(file=sys.stderr), "executing", len(programs)) as tell,
        Executor(workers or len(os.sched_getaffinity(0))) as executor,
    ):
        verdicts = executor.run(programs, limits, tell)
    if out is not None:
        write_results(out, rows, verdicts)
    return score_samples(rows, verdicts, problem_set.problems())
