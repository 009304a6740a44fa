"""The arguments and options of commands: those that several share, and long ones, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raysweep.config.schema import SweepConfig

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The sweep's YAML file; `raysweep init` writes one")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="`name` of the sweep's config")]
SweepOrAll = Annotated[
    str | None, typer.Argument(metavar="[SWEEP]", help="`name` of the sweep's config; without it all sweeps are listed")
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="The store: a folder, s3://..., gs://...; default $RAYSWEEP_STORAGE, ./raysweep-store",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
EachSeed = Annotated[bool, typer.Option("--each-seed", help="A row for each seed of fine-tuning, not their mean")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a config key; repeatable")]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N problems of every set")
]
Extraction = Annotated[
    str,
    typer.Option(
        "--extract", metavar="HOW", help="How an answer becomes a program: auto, none, first, last, study, evalplus"
    ),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or: reference, fake, openai:NAME")]
NameInResults = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The model's name in results; default: from MODEL")
]
SweepToMake = Annotated[
    str | None,
    typer.Option("--sweep", metavar="NAME", help="Name of its sweep, for status, report and compare; default: a hash"),
]
Perturbations = Annotated[
    str, typer.Option("--perturbations", metavar="C1,C2", help="Names, or all: clean, 9 methods, 4 mixes")
]
Methods = Annotated[str, typer.Option("--methods", "-m", metavar="C1,C2", help="Perturbations of characters or words")]
Problems = Annotated[str, typer.Option("--problems", "-p", help="A problem set's name, a JSONL file, or NAME=PATH")]
SeveralProblems = Annotated[
    list[str], typer.Option("--problems", "-p", help="A problem set's name, a JSONL file, or NAME=PATH; repeatable")
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", metavar="N", min=1, help="Longest completion")]
Samples = Annotated[int, typer.Option("--samples", metavar="N", min=1, help="Completions of each prompt")]
Draws = Annotated[
    int | None,
    typer.Option("--draws", metavar="N", min=1, help="Perturbation samples, each a test set; above 1: robust pass_s@k"),
]
Temperature = Annotated[float, typer.Option("--temperature", metavar="T", min=0, help="0: greedy")]
PromptFormat = Annotated[
    str | None,
    typer.Option("--prompt-format", metavar="FORMAT", help="raw, or a template; default: as `evaluate` asks"),
]
FormatToEvaluate = Annotated[
    str | None,
    typer.Option("--prompt-format", metavar="FORMAT", help="chat, instruct, raw or a Jinja string; default: stripped"),
]
Template = Annotated[
    str,
    typer.Option("--template", metavar="NAME", help="instruct, chat, a Jinja string; raw: not stripped, as MiniCode"),
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run the model repository's code")]
Allow = Annotated[bool, typer.Option("--allow-code-execution", help="Run programs that a model wrote on this machine")]
EngineName = Annotated[str, typer.Option("--engine", metavar="ray|local", help="local: in this process, without Ray")]
Address = Annotated[str | None, typer.Option("--address", help="A running Ray to use: auto, or host:port")]
Dashboard = Annotated[
    str | None, typer.Option("--address", metavar="URL", help="The cluster's dashboard: http://HEAD:8265")
]
JobVariables = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME[=VALUE]", help="Environment variable for the job; no secrets; repeatable"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that gives up")]
MaxGpuHours = Annotated[
    float | None,
    typer.Option("--max-gpu-hours", metavar="H", help="Once all runs of the sweep have used so many, start no cell"),
]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write rows to this JSONL file")]
Kind = Annotated[str | None, typer.Argument(metavar="[KIND]", help="perturbations, models, ...; default: every kind")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="S", help="Seconds of effective time that a program may take")
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Programs that run at once; default: as many as CPUs")
]
Require = Annotated[
    str,
    typer.Option(
        "--require", metavar="LEVEL", help="limits, partial, filtered or strong: lowest isolation of programs"
    ),
]
RequireOracle = Annotated[
    str, typer.Option("--require-oracle", metavar="ORACLE", help="outside: refuse in-process tests")
]
Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="PYTHON", help="The Python of another environment, which runs the programs"),
]
LaneName = Annotated[
    str,
    typer.Option(
        "--lane", metavar="LANE", help="shared: batched mode; strict: isolated mode, a process for each program"
    ),
]


def load(
    config: Path, sets: list[str] | None, limit: int | None, allow: bool = False, missing: list[str] | None = None
) -> SweepConfig:
    """Return the config that a command line names, with its overrides; see `load_config` for `missing`."""
    from raysweep.config.loading import load_config

    overrides = list(sets or [])
    if limit is not None:
        overrides.append(f"evaluation.limit={limit}")
    if allow:
        overrides.append("allow_code_execution=true")
    loaded = load_config(config, overrides, missing=missing)
    # a limited sweep has other results, so it gets another folder
    return loaded if limit is None else loaded.model_copy(update={"name": f"{loaded.name}-limit{limit}"})
