"""The commands `raysweep perturb`, `evaluate`, `execute` and `attack`, which need no config."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from raysweep.cli import options as opt
from raysweep.cli.exit import invocation
from raysweep.errors import UnknownName, UsageError
from raysweep.programs import DEFAULT_SANDBOX, MAX_WALL_SECONDS, Lane, Level, Limits, Oracle, Sandbox
from raysweep.prompts.answers.ways import PATCHES, Extract
from raysweep.records import CLEAN, Decoding, Spec
from raysweep.seeding import DEFAULT_SEED
from raysweep.trainers.base import Recipe

if TYPE_CHECKING:
    from raysweep.problems.base import ProblemSet
    from raysweep.tools.samples.scores import SampleScores

log = logging.getLogger("raysweep")
E = TypeVar("E", bound=StrEnum)
DECODING = Decoding()


def perturb(
    problems: Annotated[str, typer.Argument(metavar="PROBLEMS", help="A problem set's name, or a JSONL file")],
    method: Annotated[str, typer.Option("--method", "-m", help="`raysweep list perturbations` shows them")],
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other texts")] = DEFAULT_SEED,
    strength: Annotated[float | None, typer.Option("--strength", help="1: the study's rates; 0: nothing")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="ARG=VALUE", help="Another argument of the method; repeatable")
    ] = None,
    compat: Annotated[str | None, typer.Option("--compat", metavar="recode", help="Bit for bit as ReCode")] = None,
    limit: opt.Limit = None,
    show: Annotated[int, typer.Option("--show", metavar="N", min=0, help="How many changed prompts to show")] = 5,
    out: opt.OutFile = None,
) -> None:
    """Perturb the prompts of a problem set; show them before and after."""
    from raysweep.cli.views.console import new_console
    from raysweep.cli.views.perturb import preview, write_problem_rows
    from raysweep.config.document import settings
    from raysweep.perturbations.base import PERTURBATIONS
    from raysweep.stages.test_sets import build_test_set

    args = {**settings(sets or []), **({} if strength is None else {"strength": strength})}
    problem_set = _problem_set(problems, seed, out, judged=False)
    if lacking := [argument for argument in PERTURBATIONS.required_arguments(method) if argument not in args]:
        raise UsageError(f"--method {method} needs {' '.join(f'--set {argument}=...' for argument in lacking)}")
    spec = Spec(method, args)
    _tell_cautions([spec])
    if compat not in (None, "recode"):
        raise UsageError(f"--compat {compat!r} is unknown; known: recode")
    if compat is not None and "strength" in args:
        raise UsageError(f"--strength has no effect with --compat {compat}, whose rates are fixed; leave one out")
    rows = build_test_set(problem_set, spec, seed=seed, compat=compat, limit=limit)
    if out is not None:
        write_problem_rows(problem_set.problems(), rows, out)
    preview(rows, new_console(), show)


def evaluate(
    model: opt.ModelName,
    problems: opt.SeveralProblems,
    perturbations: opt.Perturbations = CLEAN,
    name: opt.NameInResults = None,
    sweep: opt.SweepToMake = None,
    prompt_format: opt.FormatToEvaluate = None,
    extract: opt.Extraction = Extract.AUTO.value,
    storage: opt.Storage = None,
    engine: opt.EngineName = "local",
    samples: opt.Samples = DECODING.samples,
    draws: opt.Draws = None,
    temperature: opt.Temperature = DECODING.temperature,
    max_new_tokens: opt.MaxNewTokens = DECODING.max_new_tokens,
    seed: Annotated[int, typer.Option("--seed", help="Seed of perturbations and samples")] = DEFAULT_SEED,
    limit: opt.Limit = None,
    sets: opt.Sets = None,
    environment: opt.Environment = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    allow_code_execution: opt.Allow = False,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
    out: opt.OutFile = None,
) -> None:
    """Evaluate one model, without fine-tuning, on clean and perturbed prompts."""
    from raysweep.cli.views.results import print_result, watcher
    from raysweep.problems.base import problems_entry
    from raysweep.rows.json_files import check_out
    from raysweep.sweep.evaluate import evaluation_config
    from raysweep.sweep.overview.scores import reference_lines
    from raysweep.sweep.run import run_sweep
    from raysweep.sweep.samples import write_samples
    from raysweep.sweep.tasks import RunOptions

    if out is not None:
        check_out(out, [file for text in problems for file in _files_of(problems_entry(text, seed))])
    options = RunOptions(storage, engine, None, watcher(quiet))
    settings = {"samples": samples, "temperature": temperature, "max_new_tokens": max_new_tokens, "extract": extract}
    optional = {"draws": draws, "prompt_format": prompt_format}
    settings |= {"limit": limit} | {key: value for key, value in optional.items() if value is not None}
    allowed = {"trust_remote_code": trust_remote_code, "allow_code_execution": allow_code_execution}
    config = evaluation_config(
        model,
        problems,
        perturbations,
        seed=seed,
        name=name,
        sweep=sweep,
        settings=settings,
        sets=sets or [],
        environment=environment,
        **allowed,
    )
    result = run_sweep(config, options)
    if out is not None:
        write_samples(result.folder, out)
    print_result(result, as_json)
    raise typer.Exit(1 if result.errors or reference_lines(result) else 0)


def execute(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="A file or folder of samples, such as JSONL")],
    problems: opt.Problems = "humaneval",
    out: opt.OutFile = None,
    timeout: opt.Timeout = None,
    workers: opt.Workers = None,
    require: opt.Require = DEFAULT_SANDBOX.require.value,
    require_oracle: opt.RequireOracle = DEFAULT_SANDBOX.require_oracle.value,
    lane: opt.LaneName = DEFAULT_SANDBOX.lane.value,
    environment: opt.Environment = None,
    extract: opt.Extraction = Extract.NONE.value,
    allow_code_execution: opt.Allow = False,
    as_json: opt.AsJson = False,
) -> None:
    """Run the programs of a samples file against their tests and print pass@k; the same command resumes."""
    from raysweep.cli.views.execute import print_sample_scores
    from raysweep.execution.environments import path_of_python
    from raysweep.problems.base import GIVEN

    sandbox = Sandbox(
        _member(Lane, "--lane", lane),
        _member(Level, "--require", require),
        _member(Oracle, "--require-oracle", require_oracle),
        environments=((GIVEN, path_of_python(environment)),) if environment is not None else (),
    )
    way = _member([way for way in Extract if way not in PATCHES], "--extract", extract)
    scores = _execute(
        samples, problems, out, sandbox, way, timeout=timeout, workers=workers, allowed=allow_code_execution
    )
    print_sample_scores(scores, as_json)
    raise typer.Exit(1 if scores.harness_errors else 0)


def attack(
    model: opt.ModelName,
    problems: opt.Problems,
    budget: Annotated[
        int, typer.Option("--budget", metavar="N", min=1, help="Prompts per problem and search, at most")
    ] = 50,
    methods: opt.Methods = "C1,C2,C3",
    max_changed: Annotated[float, typer.Option("--max-changed", help="Share of the words, at least one word")] = 0.1,
    prompt_format: opt.PromptFormat = None,
    template: opt.Template = Recipe.template,
    max_new_tokens: opt.MaxNewTokens = DECODING.max_new_tokens,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all random choices")] = DEFAULT_SEED,
    limit: opt.Limit = None,
    storage: opt.Storage = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    allow_code_execution: opt.Allow = False,
    as_json: opt.AsJson = False,
    out: opt.OutFile = None,
) -> None:
    """Search for changed words that make a model fail, greedily and at random; the same command resumes."""
    from raysweep.cli.views.attack import print_attack, write_rows
    from raysweep.cli.views.progress import counting
    from raysweep.execution.pool import require_permission
    from raysweep.problems.runtimes import check_runtime
    from raysweep.prompts.templates import NATIVE
    from raysweep.storage.store import open_store
    from raysweep.tools.attack.run import AttackJob, run_attack

    problem_set = _problem_set(problems, seed, out, judged=True)
    job = AttackJob(
        model=model,
        problem_set=problem_set,
        methods=tuple(Spec(name.strip()) for name in methods.split(",") if name.strip()),
        budget=budget,
        max_changed=max_changed,
        prompt_format=prompt_format or NATIVE,
        template=template,
        max_new_tokens=max_new_tokens,
        limit=limit,
        seed=seed,
        trust_remote_code=trust_remote_code,
    )
    check_runtime(problem_set.runtime, job.problems, DEFAULT_SANDBOX)
    require_permission(allow_code_execution)
    _tell_cautions(job.methods)
    with counting("attacking", len(job.problems)) as report:
        rows = run_attack(job, open_store(storage), report)
    if out is not None:
        write_rows(rows, out)
    print_attack(job, rows, as_json)


def _execute(
    samples: Path,
    problems: str,
    out: Path | None,
    sandbox: Sandbox,
    extract: Extract,
    *,
    timeout: float | None,
    workers: int | None,
    allowed: bool,
) -> SampleScores:
    """Write the rows with their verdicts to `out`, if it is given, and return the scores.

    An interrupted command resumes from the file that it left beside `out`. `timeout`: None: the problem set's.
    """
    from raysweep.cli.views.progress import counting
    from raysweep.execution.pool import require_permission
    from raysweep.problems.base import problem_set_of
    from raysweep.tools.samples.folders import check_samples
    from raysweep.tools.samples.results import check_results_out, part_of
    from raysweep.tools.samples.run import SampleJob, SampleRun

    longest = MAX_WALL_SECONDS / Limits().wall_factor
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise UsageError(f"--timeout {timeout:g} is no time limit; give seconds above 0")
    if timeout is not None and timeout > longest:
        raise UsageError(f"--timeout {timeout:g} is too long; give at most {longest:.0f} seconds")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers} can't run anything; give 1 or more")
    check_samples(samples, out)
    environment = next((name for name, _ in sandbox.environments), "")
    problem_set, spec = problem_set_of(problems, seed=DEFAULT_SEED, judged=True, mixed=True, environment=environment)
    if problem_set.repair and extract not in (Extract.NONE, Extract.AUTO):
        raise UsageError(
            f"--extract {extract} is for whole programs; for {problems}, code to repair, give auto or none"
        )
    if out is not None:
        check_results_out(out, [samples, *_files_of(spec)])
        invocation.part = part_of(out)
    limits = problem_set.limits if timeout is None else dataclasses.replace(problem_set.limits, timeout=timeout)
    workers = workers or len(os.sched_getaffinity(0))
    job = SampleJob(samples, problem_set, out, limits, sandbox, workers, problems, extract)
    require_permission(allowed)
    with counting("checking") as report:
        run = SampleRun(job, report)
    with counting("executing", run.runs) as report:
        return run.run(report)


def _tell_cautions(methods: Sequence[Spec]) -> None:
    from raysweep.perturbations.base import PERTURBATIONS

    for method in methods:
        if caution := PERTURBATIONS.create(method).caution:
            log.warning("%s is %s", method.name, caution)


def _problem_set(problems: str, seed: int, out: Path | None, *, judged: bool) -> ProblemSet:
    """Return a problem set; raise UsageError if `out` would overwrite its file."""
    from raysweep.problems.base import problem_set_of
    from raysweep.rows.json_files import check_out

    problem_set, spec = problem_set_of(problems, seed, judged=judged)
    if out is not None:
        check_out(out, _files_of(spec))
    return problem_set


def _files_of(problems: Mapping[str, Any]) -> list[Path]:
    return [Path(problems["path"])] if "path" in problems else []


def _member(kinds: Iterable[E], option: str, value: str) -> E:
    known = {str(kind): kind for kind in kinds}
    if value not in known:
        raise UnknownName(option, value, list(known))
    return known[value]
