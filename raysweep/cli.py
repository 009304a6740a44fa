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
    Limit,
    Quiet,
    Sets,
    Storage,
    SweepName,
    load,
)
from raysweep.cli_tools import evaluate, execute, perturb
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
    from raysweep.audit.sheet import draw_items, read_key, read_raters, write_sheet
    from raysweep.audit_view import print_audit, print_sheet

    if answers:
        items = read_key(target)
        print_audit(items, read_raters(answers, items), as_json)
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


for tool in (perturb, evaluate, attack, execute):
    app.command()(tool)


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
