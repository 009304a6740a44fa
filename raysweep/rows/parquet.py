"""Writes records to Parquet files and reads them back.

A record is a row, a field is a column; the file's metadata holds the schema version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
import uuid
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raysweep.errors import OtherSchema, StoreError
from raysweep.records import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas

R = TypeVar("R")

SMALL = 50_000
"""Rows of a table that one thread reads faster than several."""
ROWS = "rows.parquet"
"""Name of the data file in every tabular artefact."""


class UnreadableTable(StoreError):
    """A Parquet file that is missing or incomplete, for example since the machine crashed while writing it."""


def write_rows(path: Path, record: type[R], rows: Iterable[R], sort_by: Sequence[str]) -> int:
    """Write rows, sorted by the named fields, and return their number. Equal rows give equal files.

    Readers see the old file or the new one, never a part.
    """
    import pyarrow.parquet

    table = _table_of(record, rows, sort_by)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return int(table.num_rows)


def to_bytes(record: type[R], rows: Iterable[R], sort_by: Sequence[str]) -> bytes:
    """Return the content of the file that `write_rows` would write."""
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(_table_of(record, rows, sort_by), sink, compression="zstd")
    return bytes(sink.getvalue())


def _table_of(record: type[R], rows: Iterable[R], sort_by: Sequence[str]) -> Any:
    import pyarrow

    ordered = sorted(rows, key=lambda row: tuple(getattr(row, name) for name in sort_by))
    columns = {name: [getattr(row, name) for row in ordered] for name in _field_types(record)}
    return pyarrow.table(columns, schema=schema_of(record))


def read_rows(path: Path, record: type[R]) -> list[R]:
    """Read all rows of a file that `write_rows` wrote.

    Raises:
        UnreadableTable: the file is missing or incomplete.
        OtherSchema: the file has another schema.
    """
    return _records(_table_in(path, str(path)), record)


def read_rows_of(path: Path, record: type[R], column: str, values: Collection[str]) -> list[R]:
    """Read the rows in which a column has one of some values; see `read_rows` for errors.

    Only the record's columns are read and only these records are made, which is what reading a table takes long for.
    The record may have fewer fields than the one of which the file is.
    """
    import pyarrow
    from pyarrow import compute

    table = _table_in(path, str(path), list(_field_types(record)))
    wanted = pyarrow.array(list(values), pyarrow.string())
    return _records(table.filter(compute.is_in(table.column(column), wanted)), record)


def count_rows(path: Path) -> int:
    """Return the number of rows of a file that `write_rows` wrote, from its footer; see `read_rows` for errors."""
    return int(_table_in(path, str(path), []).num_rows)


def read_groups(path: Path, record: type[R], by: str, column: str) -> list[tuple[R, list[Any]]]:
    """Read a file that `write_rows` wrote, sorted by `by`: for each of its values, the first row and a column's values.

    It is for tables of hundreds of thousands of rows, whose records would take seconds to make.

    Raises:
        UnreadableTable: the file is missing or incomplete.
        OtherSchema: the file has another schema.
    """
    import pyarrow
    from pyarrow import compute

    table = _table_in(path, str(path))
    if not table.num_rows:
        return []
    runs = compute.run_end_encode(table.column(by).combine_chunks())
    ends = runs.run_ends.to_pylist()
    starts = array("q", [0, *ends[:-1]])  # Arrow would import pandas to read a list
    indices = pyarrow.Array.from_buffers(pyarrow.int64(), len(starts), [None, pyarrow.py_buffer(starts)])
    firsts = _records(table.take(indices), record)
    values = table.column(column).to_pylist()
    return [(first, values[start:end]) for first, start, end in zip(firsts, starts, ends, strict=True)]


def from_bytes(data: bytes, name: str, record: type[R]) -> list[R]:
    """Read all rows of a file's content; `name` is the file's, for errors. See `read_rows` for what it raises."""
    import pyarrow

    return _records(_table_in(pyarrow.BufferReader(data), name), record)


def _table_in(source: Any, name: str, columns: list[str] | None = None) -> Any:
    """Read a table; `columns`: those to read, as far as it has them."""
    with _opened(source, name) as file:
        table = file.read(columns=columns, use_threads=file.metadata.num_rows > SMALL)
    metadata = table.schema.metadata or {}
    version = int(metadata.get(b"raysweep.schema_version", SCHEMA_VERSION))
    if version != SCHEMA_VERSION:
        raise OtherSchema(name, version, SCHEMA_VERSION)
    return table


@contextlib.contextmanager
def _opened(source: Any, name: str) -> Iterator[Any]:
    """Give an open Parquet file; an error of Arrow's is an UnreadableTable."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(source) as file:  # `read_table` would import pandas
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableTable(f"{name} can't be read ({reason}); the sweep's command writes it again") from None


def _records(table: Any, record: type[R]) -> list[R]:
    there = set(table.column_names)
    columns: list[Iterable[Any]] = []
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        is_there = field.name in there
        if not is_there and field.default is dataclasses.MISSING:
            raise UnreadableTable(f"a table of {record.__name__} lacks the column {field.name}")
        columns.append(_values(table.column(field.name)) if is_there else repeat(field.default, table.num_rows))
    return list(map(record, *columns))


def _values(column: Any) -> list[Any]:
    """Return the values of a column; equal texts are one object, since most texts of a table stand in many rows."""
    import pyarrow

    if pyarrow.types.is_list(column.type):
        return [tuple(values) for values in column.to_pylist()]
    if not pyarrow.types.is_string(column.type):
        return list(column.to_pylist())
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in encoded.indices.to_pylist()]


def frame_of(path: Path) -> pandas.DataFrame:
    """Return a file of records as a pandas table, one column for each field; see `read_rows` for what it raises."""
    frame: pandas.DataFrame = _table_in(path, str(path)).to_pandas()
    return frame


class RowWriter(Generic[R]):
    """Writes a table block by block, so that it need not fit into memory. Each block becomes a Parquet row group.

    Use it as a context manager. The file is complete only when the ``with`` ends, so write it into a draft's folder.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        import pyarrow.parquet

        self._schema = schema_of(record)
        self._names = list(_field_types(record))
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self.rows = 0  # written so far

    def add(self, rows: Sequence[R]) -> None:
        import pyarrow

        if rows:
            columns = {name: list(map(attrgetter(name), rows)) for name in self._names}
            self._writer.write_table(pyarrow.table(columns, schema=self._schema), row_group_size=len(rows))
            self.rows += len(rows)

    def __enter__(self) -> RowWriter[R]:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()


def block_count(path: Path) -> int:
    """Return the number of blocks in a file that a `RowWriter` wrote; see `read_rows` for what it raises."""
    with _opened(path, str(path)) as file:
        return int(file.num_row_groups)


def row_count(path: Path) -> int:
    """Return the number of rows in a file; see `read_rows` for what it raises."""
    with _opened(path, str(path)) as file:
        return int(file.metadata.num_rows)


def count_values(path: Path, column: str, without: Sequence[str] = ()) -> dict[str, int]:
    """Return how often each text of a column occurs; see `read_rows` for what it raises.

    Only that column is read, and `task_id` where the rows of some problems are to be left out.
    """
    import pyarrow.compute

    with _opened(path, str(path)) as file:
        rows = file.read(columns=[column, "task_id"] if without else [column], use_threads=False)
    if without:
        is_left_out = pyarrow.compute.is_in(rows.column("task_id"), pyarrow.array(without))
        rows = rows.filter(pyarrow.compute.invert(is_left_out))
    values = rows.column(column)
    return {pair["values"]: pair["counts"] for pair in values.value_counts().to_pylist()}


def read_block(path: Path, record: type[R], index: int) -> list[R]:
    """Return the rows of one block (from 0) of a file that a `RowWriter` wrote; see `read_rows` for what it raises."""
    with _opened(path, str(path)) as file:
        return _records(file.read_row_group(index), record)


def schema_of(record: type[Any]) -> Any:
    """Return the Arrow schema of a record class.

    Fields are str, bytes, int, float, bool, or one of them or None, or ``tuple[str, ...]``.
    """
    import pyarrow

    kinds = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
        bytes: pyarrow.binary(),
        tuple[str, ...]: pyarrow.list_(pyarrow.string()),
    }
    fields = []
    for name, annotation in _field_types(record).items():
        options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        kind = next(option for option in options if option is not type(None))
        fields.append(pyarrow.field(name, kinds[kind], nullable=type(None) in options))
    versioned = {"raysweep.schema_version": str(SCHEMA_VERSION), "raysweep.record": record.__name__}
    return pyarrow.schema(fields, metadata=versioned)


def _field_types(record: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}
