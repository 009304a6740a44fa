"""Reads the sets that `raysweep sets --out` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError

GIVE = "give a folder that `raysweep sets CONFIG --out DIR` wrote, or a Parquet file of it"
REASON = "rejected"
"""The key of a training row's `meta` that says how its rejected response was made."""


def exported_sets(path: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Yield each set of a folder, or the one of a file: its file, and its rows by the names of their columns.

    Raises:
        UsageError: the file or folder can't be read, or has no set.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.exists():
        file = path.with_name(f"{path.name}.parquet")
        raise UsageError(f"{path} doesn't exist; {f'did you mean {file}?' if file.exists() else GIVE}")
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise UsageError(f"{path} contains no Parquet file; make one with `raysweep sets CONFIG --out {path}`")
    for file in paths:
        try:
            rows = pyarrow.parquet.read_table(file).to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{file} can't be read ({reason}); {GIVE}") from None
        yield file, rows


def reason_of(row: Mapping[str, Any]) -> str:
    """Return how a training row's rejected response was made, such as ``off by one``; ``given`` where nothing says."""
    try:
        return str(json.loads(row.get("meta") or "{}").get(REASON) or "given")
    except (ValueError, AttributeError):
        return "given"


def task_of(row: Mapping[str, Any]) -> str:
    """Return what a training row asks for, unperturbed: its system text and earlier turns, then its instruction."""
    texts = (row.get("system"), *(row.get("history") or ()), row["clean_instruction"], row["clean_input"])
    return "\n".join(filter(None, texts))
