"""Reads data sets of the Hugging Face hub, or local ones, and caches their rows as Parquet.

The first use reads a set with the `datasets` package. The cache lies in ``datasets/`` below $RAYSWEEP_CACHE (by default
~/.cache/raysweep) and holds the hub's commit too. From then on all processes of this machine read the cache and never
ask the hub; remove the folder to fetch a set again. A local set is read again when its files change.

Every cell of a CSV file is a text as it is written, where `datasets` would guess numbers and missing values.

Not covered: sets that need code of their own, and files in an object store.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, UsageError, last_line
from raysweep.hashing import canonical_json, text_sha
from raysweep.machine import cache_folder
from raysweep.rows.csv_files import stream_csv_rows
from raysweep.rows.json_files import JsonRow

log = logging.getLogger("raysweep")

ROWS = "rows.parquet"
ABOUT = "about.json"
BATCH_ROWS = 512
TIMEOUT_SECONDS = 5
"""How long the hub may take to answer."""
_answers: list[tuple[float, bool]] = []
"""When the hub was asked last, and whether it answered."""
READERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".arrow": "arrow"}
"""The readers of the `datasets` package for single files, by the ending of their names, ``.gz`` left out."""


@dataclass(frozen=True)
class DataSetRef:
    """Names a data set to read.

    Attributes:
        path: a hub id, or a local folder or file.
        split: in the notation of `datasets`; ``+`` joins several.
        config: one of the set's configurations; None: its only one.
        revision: a branch, tag or commit on the hub; None: the newest one at the time of fetching.
    """

    path: str
    split: str
    config: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class CachedRows:
    """A data set in this machine's cache."""

    path: str  # the path of its DataSetRef
    folder: Path
    revision: str  # the hub's commit; empty for a local set
    sha256: str  # of the rows, in whatever files they came
    rows: int  # how many
    columns: tuple[str, ...]
    is_csv: bool = False  # nothing is missing in it: an empty cell is an empty text

    def stream(self) -> Iterator[JsonRow]:
        """Yield the rows in order, a few hundred read at a time; raise UsageError if the file can't be read."""
        import pyarrow
        import pyarrow.parquet

        try:
            file = pyarrow.parquet.ParquetFile(self.folder / ROWS)
            of_json = [field for field in file.schema_arrow if _has_json(field.type)]
            rows = (row for batch in file.iter_batches(BATCH_ROWS) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                row |= {field.name: _decoded(row[field.name], field.type) for field in of_json}
                yield JsonRow(f"{self.path}, row {number}", row)
        except (OSError, pyarrow.ArrowException) as error:
            raise UsageError(f"{self.folder / ROWS} can't be read ({last_line(error)}); remove its folder") from None

    def fingerprint(self) -> dict[str, Any]:
        return {"sha256": self.sha256} | ({"revision": self.revision} if self.revision else {})


def fetch(ref: DataSetRef) -> CachedRows:
    """Return a data set from the cache, after reading it into the cache where that lacks it.

    Raises:
        UsageError: the set can't be read, lacks the config or split, or has no rows; or the cache can't be written.
    """
    local = Path(ref.path).expanduser()
    files = _file_states(local) if local.exists() else []
    key = text_sha(canonical_json([asdict(ref), files]))[:16]
    folder = cache_folder() / "datasets" / key
    if not (folder / ABOUT).is_file():
        draft = folder.with_name(f".{key}.{uuid.uuid4().hex[:8]}")
        try:
            draft.mkdir(parents=True)
            _write(ref, local if files else None, draft)
            draft.rename(folder)
        except FileExistsError:
            pass  # another process was faster
        except OSError as error:
            if not (folder / ABOUT).is_file():
                raise UsageError(f"{folder} can't be written ({error.strerror}); set RAYSWEEP_CACHE") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    about = json.loads((folder / ABOUT).read_text())
    facts = (about["revision"], about["sha256"], about["rows"], tuple(about["columns"]))
    return CachedRows(ref.path, folder, *facts, is_csv=about.get("csv", False))


def _file_states(local: Path) -> list[tuple[str, int, int]]:
    """Return (name, bytes, time) of a local set's files: a set with changed files has another cache key."""
    try:
        files = [local] if local.is_file() else sorted(file for file in local.rglob("*") if file.is_file())
        return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError as error:
        raise UsageError(f"data set {local}: {error.filename} can't be read ({error.strerror})") from None


def _write(ref: DataSetRef, local: Path | None, draft: Path) -> None:
    import pyarrow.parquet

    data, revision, is_csv = _load(ref, local)
    if not len(data):
        raise UsageError(f"data set {ref.path}: split {ref.split} has no rows")
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
    about |= {"csv": True} if is_csv else {}
    (draft / ABOUT).write_text(json.dumps({**asdict(ref), **about}, indent=1))
    log.info("data set %s, split %s: %d rows%s", ref.path, ref.split, len(data), f" of {revision}" * bool(revision))


def _has_json(kind: Any) -> bool:
    """Return True where a type of Arrow is or holds JSON, by which `datasets` keeps objects of differing keys."""
    inner = [kind.field(at).type for at in range(kind.num_fields)]
    return getattr(kind, "extension_name", "") == "arrow.json" or any(map(_has_json, inner))


def _decoded(value: Any, kind: Any) -> Any:
    """Return a value of a row with objects in place of their JSON."""
    import pyarrow

    if value is None or not _has_json(kind):
        return value
    if pyarrow.types.is_struct(kind):
        return {field.name: _decoded(value[field.name], field.type) for field in kind}
    if isinstance(value, list):
        return [_decoded(one, kind.value_type) for one in value]
    return json.loads(value)


def hub_is_reachable() -> bool:
    """Return True if the hub answers, asked at most once a minute: its own clients try for half a minute each time."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    now = time.monotonic()
    if not _answers or now - _answers[-1][0] > 60:
        try:
            get_session().head(constants.ENDPOINT, timeout=TIMEOUT_SECONDS)
            _answers[:] = [(now, True)]
        except network_errors():  # also in offline mode
            _answers[:] = [(now, False)]
    return _answers[-1][1]


def network_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what huggingface_hub raises where the network fails, and `others`: its version 1 has httpx's errors."""
    try:
        import httpx
    except ImportError:
        return OSError, *others
    return OSError, httpx.HTTPError, *others


def cache_alone(location: str) -> dict[str, Any]:
    """Return the option of transformers that takes a model from the hub's cache, if the hub can't be reached."""
    return {} if Path(location).is_dir() or hub_is_reachable() else {"local_files_only": True}


def _load(ref: DataSetRef, local: Path | None) -> tuple[Any, str, bool]:
    """Return the split, the hub's commit, and whether it is of CSV files."""
    import datasets
    from datasets.packaged_modules.csv.csv import CsvConfig
    from pandas.errors import ParserWarning

    offline = datasets.config.HF_HUB_OFFLINE
    try:
        datasets.config.HF_HUB_OFFLINE = offline or (local is None and not hub_is_reachable())
        builder = found = datasets.load_dataset_builder(name=ref.config, **_source(ref, local))
        is_csv = isinstance(found.config, CsvConfig)
        if is_csv:
            builder = _of_texts(found, ref.split)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # rows with more cells than columns, which it would cut
            builder.download_and_prepare()
        data = builder.as_dataset(split=ref.split)
    except Exception as error:  # the package, the hub and the network raise many kinds
        log.debug("%s", ref, exc_info=True)
        raise _explained(ref, local, error) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    return data, "" if local is not None else str(found.hash), is_csv


def _source(ref: DataSetRef, local: Path | None) -> dict[str, Any]:
    """Return where `datasets` finds a set; raise UsageError for a file of another kind than it reads."""
    if local is None:
        return {"path": ref.path, "revision": ref.revision}
    if not local.is_file():
        return {"path": str(local)}
    reader = READERS.get(f".{_kind(local)}")
    if reader is None:
        known = ", ".join(READERS)
        raise UsageError(f"data set {ref.path}: files end in {known}; name such a file, or a folder of them")
    return {"path": reader, "data_files": str(local)}


def _of_texts(found: Any, split: str) -> Any:
    """Return what reads the CSV files of a split as texts; `found`: what `datasets` would read all files with.

    Raises:
        UsageError: the files don't have the same columns; or a row of a file on this machine, in UTF-8 and with one
            character between cells, has more or fewer cells than columns.
        ValueError: there is no such split.
    """
    import datasets
    import pandas
    from datasets.data_files import DataFilesDict
    from datasets.packaged_modules.csv.csv import Csv, CsvConfig

    config = found.config
    known = {str(name): files for name, files in config.data_files.items()}
    names = {part.partition("[")[0].strip() for part in split.split("+")}
    wanted = known if "all" in names else {name: files for name, files in known.items() if name in names}
    if unknown := names - {"all", *known}:
        raise ValueError(f"Unknown split {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    headers: dict[str, list[str]] = {}
    for file in [file for files in wanted.values() for file in files]:
        if config.sep and len(config.sep) == 1 and config.encoding is None and Path(file).is_file():
            for _ in stream_csv_rows(Path(file), config.sep, **_dialect(config)):
                pass
        header = pandas.read_csv(file, **config.pd_read_csv_kwargs | {"nrows": 0, "chunksize": None}).columns
        headers[file] = [str(name) for name in header]
    features = datasets.Features(dict.fromkeys(_common_columns(headers), datasets.Value("string")))
    own = {field.name for field in fields(CsvConfig)} - {field.name for field in fields(datasets.BuilderConfig)}
    options = {name: getattr(config, name) for name in own}
    options |= {"features": features, "na_filter": False, "index_col": False}
    return Csv(data_files=DataFilesDict(wanted), hash=found.hash, **options)


def _dialect(config: Any) -> dict[str, Any]:
    quoting = csv.QUOTE_NONE if config.quoting == csv.QUOTE_NONE else csv.QUOTE_MINIMAL  # others make numbers of cells
    same = ("quotechar", "escapechar", "doublequote", "skipinitialspace")
    return {"quoting": quoting} | {name: getattr(config, name) for name in same}


def _common_columns(headers: dict[str, list[str]]) -> list[str]:
    """Return the columns of all files, in the first one's order; raise UsageError if one has others."""
    first, columns = next(iter(headers.items()))
    for file in headers:
        for rich, poor in ((file, first), (first, file)):
            more = [name for name in headers[rich] if name not in headers[poor]]
            if more:
                raise UsageError(
                    f"{rich} has the columns {', '.join(more)}, which {poor} lacks; give all files that are read the "
                    "same columns, whose cells may be empty, or name one of the files in place of the folder"
                )
    return columns


def _kind(file: Path) -> str:
    """Return the ending of a file's name without its dot, ``.gz`` left out."""
    return "".join(file.suffixes[-2:]).removesuffix(".gz").rpartition(".")[2]


def _explained(ref: DataSetRef, local: Path | None, error: Exception) -> UsageError:
    if isinstance(error, UsageError):
        return error
    cause = error.__cause__ if isinstance(error.__cause__, Warning | ValueError) else error  # of "An error occurred"
    reason = "the file has no rows" if isinstance(error, StopIteration) else last_line(cause)
    if isinstance(error, ValueError) or local is not None:  # no such config or split, or broken files
        return UsageError(f"data set {ref.path}: {reason}")
    return MissingInput(
        f"data set {ref.path}: there is no such file or folder, and the hub can't give it ({reason}); name a local "
        "folder or file, or correct the id and run this once online: the rows stay in the cache"
    )
