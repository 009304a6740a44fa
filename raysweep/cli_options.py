"""The arguments and options that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raysweep.config import SweepConfig

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The sweep's YAML file, see configs/")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="`name` of the sweep's config")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="The store: a folder, s3://..., gs://...; default $RAYSWEEP_STORAGE, ./raysweep-store",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a config key; repeatable")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N problems of every set")]
Problems = Annotated[str, typer.Option("--problems", "-p", help="A problem set's name, or a JSONL file")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Of one completion")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run the model repository's code")]
Allow = Annotated[bool, typer.Option("--allow-code-execution", help="Run programs that a model wrote on this machine")]
EngineName = Annotated[str, typer.Option("--engine", metavar="ray|local", help="local: in this process, without Ray")]
Address = Annotated[str | None, typer.Option("--address", help="A running Ray to use: auto, or host:port")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that gives up")]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write rows to this JSONL file")]
Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help="perturbations, models, problems, sources, trainers, objectives, generators or metrics"
    ),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="S", help="Seconds of effective time that a program may take")
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Programs at a time; default: as many as CPUs")
]
Require = Annotated[
    str,
    typer.Option("--require", metavar="LEVEL", help="limits, partial, filtered or strong: run nothing isolated less"),
]
LaneName = Annotated[
    str, typer.Option("--lane", metavar="strict|shared", help="strict: a process for each program, whatever it does")
]


def load(config: Path, sets: list[str] | None, limit: int | None, allow: bool = False) -> SweepConfig:
    """Return the config that a command line names, with what it overrides."""
    from raysweep.config_file import load_config

    given = list(sets or [])
    if limit is not None:
        given.append(f"evaluation.limit={limit}")
    if allow:
        given.append("allow_code_execution=true")
    loaded = load_config(config, given)
    # a limited sweep has other results, so it gets a folder of its own
    return loaded if limit is None else loaded.model_copy(update={"name": f"{loaded.name}-limit{limit}"})
