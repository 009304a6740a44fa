"""Rows of a data set of the hub, or of a local one that the `datasets` package reads, kept once as Parquet.

What was kept is used from then on, without the hub, by all processes of this machine: it lies below ``datasets/`` in
$RAYSWEEP_CACHE (by default ~/.cache/raysweep) with the commit it is from. Removing that folder has it fetched again.
A local set whose files have changed since is read again.

Not covered: sets that need code of their own, and files in an object store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, last_line
from raysweep.jsonrows import JsonRow
from raysweep.records import canonical_json
from raysweep.storage.copies import cache_folder

log = logging.getLogger("raysweep")

ROWS = "rows.parquet"
ABOUT = "about.json"
BATCH_ROWS = 512
READERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".arrow": "arrow"}
"""The readers of the `datasets` package for single files, by the ending of their names, ``.gz`` left out."""


@dataclass(frozen=True)
class Wanted:
    """A data set to read.

    Attributes:
        path: a hub id, or a local folder or file.
        split: as `datasets` writes it; several are joined by ``+``.
        config: which of the set's; None: its only one.
        revision: a branch, tag or commit of the hub's; None: the newest when it is fetched.
    """

    path: str
    split: str
    config: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class KeptRows:
    """A data set that is kept on this machine. `sha256`: of the rows, whatever file they came from."""

    path: str  # as wanted
    folder: Path
    revision: str  # the hub's commit; empty for a local set
    sha256: str
    rows: int
    columns: tuple[str, ...]

    def stream(self) -> Iterator[JsonRow]:
        """Yield the rows in order, reading a few hundred at a time.

        Raises:
            UsageError: the kept file can't be read.
        """
        import pyarrow
        import pyarrow.parquet

        try:
            batches = pyarrow.parquet.ParquetFile(self.folder / ROWS).iter_batches(BATCH_ROWS)
            rows = (fields for batch in batches for fields in batch.to_pylist())
            for number, fields in enumerate(rows, 1):
                yield JsonRow(f"{self.path}, row {number}", fields)
        except (OSError, pyarrow.ArrowException) as error:
            raise UsageError(f"{self.folder / ROWS} can't be read ({last_line(error)}); remove its folder") from None

    def fingerprint(self) -> dict[str, Any]:
        """Return what the rows depend on: their sha256, and the commit of a hub's set."""
        return {"sha256": self.sha256} | ({"revision": self.revision} if self.revision else {})


def keep(wanted: Wanted) -> KeptRows:
    """Return a data set's rows, read and written as Parquet the first time they are wanted.

    Raises:
        UsageError: it can't be had, has no such config or split, or no rows; or the cache can't be written.
    """
    local = Path(wanted.path).expanduser()
    files = _state_of(local) if local.exists() else []
    key = hashlib.sha256(canonical_json([asdict(wanted), files]).encode()).hexdigest()[:16]
    folder = cache_folder() / "datasets" / key
    if not (folder / ABOUT).is_file():
        draft = folder.with_name(f".{key}.{uuid.uuid4().hex[:8]}")
        try:
            draft.mkdir(parents=True)
            _write(wanted, local if files else None, draft)
            draft.rename(folder)
        except FileExistsError:
            pass  # another process was faster
        except OSError as error:
            if not (folder / ABOUT).is_file():
                raise UsageError(f"{folder} can't be written ({error.strerror}); set RAYSWEEP_CACHE") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    about = json.loads((folder / ABOUT).read_text())
    return KeptRows(wanted.path, folder, about["revision"], about["sha256"], about["rows"], tuple(about["columns"]))


def _state_of(local: Path) -> list[tuple[str, int, int]]:
    """Return name, bytes and time of a local set's files: another state is another set."""
    files = [local] if local.is_file() else sorted(file for file in local.rglob("*") if file.is_file())
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _write(wanted: Wanted, local: Path | None, draft: Path) -> None:
    import pyarrow.parquet

    data, revision = _load(wanted, local)
    if not len(data):
        raise UsageError(f"data set {wanted.path}: split {wanted.split} has no rows")
    digest = hashlib.sha256()
    writer = None
    for table in data.with_format("arrow").iter(batch_size=BATCH_ROWS):
        for row in table.to_pylist():
            digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        writer = writer or pyarrow.parquet.ParquetWriter(draft / ROWS, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
    about = {"revision": revision, "sha256": digest.hexdigest(), "rows": len(data), "columns": data.column_names}
    (draft / ABOUT).write_text(json.dumps({**asdict(wanted), **about}, indent=1))
    log.info(
        "data set %s, split %s: %d rows%s", wanted.path, wanted.split, len(data), f" of {revision}" * bool(revision)
    )


def _load(wanted: Wanted, local: Path | None) -> tuple[Any, str]:
    """Return the data set, and the hub's commit that it is from."""
    import datasets

    source: dict[str, Any] = {"path": wanted.path, "revision": wanted.revision}
    if local is not None:
        source = {"path": str(local)}
    if local is not None and local.is_file():
        kind = "".join(local.suffixes[-2:]).removesuffix(".gz").rpartition(".")[2]
        reader = READERS.get(f".{kind}")
        if reader is None:
            known = ", ".join(READERS)
            raise UsageError(f"data set {wanted.path}: files end in {known}; name such a file, or a folder of them")
        source = {"path": reader, "data_files": str(local)}
    try:
        builder = datasets.load_dataset_builder(name=wanted.config, **source)
        builder.download_and_prepare()
        data = builder.as_dataset(split=wanted.split)
    except Exception as error:  # whatever the package, the hub and the network come up with
        log.debug("%s", wanted, exc_info=True)
        raise UsageError(_explained(wanted, local, error)) from error
    return data, "" if local is not None else str(builder.hash)


def _explained(wanted: Wanted, local: Path | None, error: Exception) -> str:
    reason = "the file has no rows" if isinstance(error, StopIteration) else last_line(error)
    if isinstance(error, ValueError) or local is not None:  # no such config or split, or broken files
        return f"data set {wanted.path}: {reason}"
    return (
        f"data set {wanted.path}: there is no such file or folder, and the hub can't give it ({reason}); name a local "
        "folder or file, or correct the id and run this once online: what was fetched is kept"
    )
