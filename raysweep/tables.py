"""Records <-> Parquet: one frozen record is one row, one field one column, with the schema version beside them."""

from __future__ import annotations

import dataclasses
import types
import typing
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from raysweep.errors import StoreError
from raysweep.records import SCHEMA_VERSION

R = TypeVar("R")

ROWS = "rows.parquet"
"""The file of every tabular artefact."""


class UnreadableTable(StoreError):
    """A Parquet file that is not whole, such as one that was being written when the machine went down."""


def write_rows(path: Path, record: type[R], rows: Iterable[R], sort_by: Sequence[str]) -> int:
    """Write rows sorted by the named fields; return how many. Equal rows give an equal file.

    Readers see the old file or the new one, never a part.
    """
    import pyarrow
    import pyarrow.parquet

    listed = sorted(rows, key=lambda row: tuple(getattr(row, name) for name in sort_by))
    columns = {name: [getattr(row, name) for row in listed] for name in _field_types(record)}
    table = pyarrow.table(columns, schema=schema_of(record))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(listed)


def read_rows(path: Path, record: type[R]) -> list[R]:
    """Read all rows of a file that `write_rows` wrote.

    Raises:
        UnreadableTable: it is missing or not whole.
        StoreError: it is of a newer schema.
    """
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableTable(f"{path} can't be read ({reason}); the sweep's command writes it again") from None
    metadata = table.schema.metadata or {}
    version = int(metadata.get(b"raysweep.schema_version", b"0"))
    if version > SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}; this raysweep reads up to {SCHEMA_VERSION}: upgrade it")
    return _records(table, record)


def _records(table: Any, record: type[R]) -> list[R]:
    known = [name for name in _field_types(record) if name in table.column_names]
    columns = [table.column(name).to_pylist() for name in known]
    return [record(**dict(zip(known, values, strict=True))) for values in zip(*columns, strict=True)]


class RowWriter(Generic[R]):
    """Writes rows a block at a time, so that a table need not fit into memory; each block is a row group of its own.

    Used as a context manager. The file is whole only after the end of the block, so it belongs into a draft's folder.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        import pyarrow.parquet

        self._schema = schema_of(record)
        self._names = list(_field_types(record))
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self.rows = 0  # written so far

    def add(self, rows: Sequence[R]) -> None:
        """Write one block; nothing where there are no rows."""
        import pyarrow

        if rows:
            columns = {name: [getattr(row, name) for row in rows] for name in self._names}
            self._writer.write_table(pyarrow.table(columns, schema=self._schema), row_group_size=len(rows))
            self.rows += len(rows)

    def __enter__(self) -> RowWriter[R]:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()


def block_count(path: Path) -> int:
    """Return how many blocks a `RowWriter` wrote into a file."""
    import pyarrow.parquet

    return int(pyarrow.parquet.ParquetFile(path).num_row_groups)


def row_count(path: Path) -> int:
    """Return how many rows a file holds."""
    import pyarrow.parquet

    return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)


def read_block(path: Path, record: type[R], at: int) -> list[R]:
    """Return the rows of one block of a file that a `RowWriter` wrote."""
    import pyarrow.parquet

    return _records(pyarrow.parquet.ParquetFile(path).read_row_group(at), record)


def schema_of(record: type[Any]) -> Any:
    """Return the Arrow schema of a record: str, int, float, bool and `str | None` fields."""
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
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
