"""Reads JSON objects from users' files (JSON lines, one array or one object, gzipped too); remembers each one's line.

A byte-order mark, which Windows programs write before UTF-8, is passed over. It also checks the file that a command is
to write, which must be none of those that it reads.

Not covered: pipes, since files are read more than once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, AnyStr

from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.units import size

GZIP_START = b"\x1f\x8b"
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive; unpack it and give what it holds (inspect's log: `inspect log dump {0} > log.json`)",
    b"PAR1\x15": (
        "Parquet; training rows of it are read by `name: hf`, and `python -c \"import pandas; pandas.read_parquet('{0}'"
        ").to_json('rows.jsonl', orient='records', lines=True)\"` writes JSONL"
    ),
    b"\x28\xb5\x2f\xfd": "compressed by zstd; `zstd -d {0}` writes the file to give",
    b"BZh91AY": "compressed by bzip2; `bunzip2 -k {0}` writes the file to give",
    b"\xfd7zXZ": "compressed by xz; `unxz -k {0}` writes the file to give",
}
"""What files of other kinds begin with, and how they become one that is read."""
AS_DATE = "the package `datasets` takes such texts for dates: read the file by `name: jsonl`, or save it as Parquet"
"""The way out for texts of JSON files that `datasets` has read; it keeps those of Parquet."""
MOST_BYTES = 2**30
"""Unzipped bytes of what is read as a whole: a line, or an array or object over several. A large row of tests has tens
of MiB, and a small gzipped file can hold a line without end."""
Hook = Callable[[list[tuple[str, Any]]], dict[str, Any]]
"""Makes an object of its keys and values."""
_BETWEEN_ELEMENTS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class JsonRow:
    """One object of a file. `place`: ``file:line``, for messages."""

    place: str
    fields: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """Return the text of the field `name`; `default`, unless it is None, replaces an absent or null one.

        Raises:
            UsageError: the field is absent and has no default, is no string, or is no valid Unicode.
        """
        value = self.fields.get(name)
        if value is None and default is not None:
            return default
        if name not in self.fields:
            present = ", ".join(self.fields) or "nothing"
            raise UsageError(f"{self.place}: the row has no `{name}`; it has {present}")
        if not isinstance(value, str):
            shown = json.dumps(value, default=str)[:60]
            way = "give it a text, or remove the row" if value is None else "write it as a text, in JSON in quotes"
            way = AS_DATE if isinstance(value, date) else way
            raise UsageError(f"{self.place}: `{name}` must be a string, not {shown}; {way}")
        try:
            value.encode()
        except UnicodeEncodeError:
            half = f"`{name}` holds half of a surrogate pair, which is no character; remove it"
            raise UsageError(f"{self.place}: {half}") from None
        return value

    def label(self, name: str, default: str | None = None) -> str:
        """Return the text of a field that names something, which may be a whole number; see `text`."""
        value = self.fields.get(name)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number else self.text(name, default)


def check_out(out: Path, inputs: Sequence[Path]) -> None:
    """Raise UsageError unless the file of an option --out can be written without overwriting one of the `inputs`."""
    try:
        if out.is_dir():
            raise UsageError(f"--out {out} is a folder; name a file in it")
        folder = (out.resolve() if out.is_symlink() else out).parent
        if not folder.is_dir():
            raise UsageError(f"--out {out}: the folder {folder} doesn't exist; make it, or choose another")
        for read in inputs:
            if out.exists() and read.exists() and out.samefile(read):
                raise overwrites(out, read)
    except (OSError, RuntimeError) as error:  # no right to look, a name too long, a circle of links
        raise UsageError(f"--out {out} can't be used ({error}); choose another file") from None


def overwrites(out: Path, read: Path) -> UsageError:
    return UsageError(f"--out {out} would overwrite {read}, which is read; choose another --out")


def read_json_rows(path: Path) -> list[JsonRow]:
    return list(stream_json_rows(path))


def stream_json_rows(path: Path) -> Iterator[JsonRow]:
    """Yield the objects of a file in order. JSON lines are read one at a time, an array as a whole.

    Raises:
        UsageError: the file is missing, can't be unzipped or holds no rows, or a line is no UTF-8 or no JSON object.
            Rows before a broken line are yielded first.
    """
    return (row_of(place, value) for place, value in stream_json_values(path))


def stream_json_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each line, or of each element of an array; see `stream_json_rows`."""
    is_empty = True
    for placed in _values(path):
        is_empty = False
        yield placed
    if is_empty:
        raise UsageError(f"{path}: the file has no rows; it needs one JSON object a line")


def row_of(place: str, value: Any) -> JsonRow:
    """Return a value as a row; raise UsageError (its place) unless it is a JSON object."""
    if not isinstance(value, dict):
        raise UsageError(f"{place}: a row must be a JSON object in braces, not {json.dumps(value)[:60]}")
    return JsonRow(place, value)


def read_content(path: Path) -> bytes:
    """Return a file's bytes, unzipped; raise UsageError when it can't be read or has more than `MOST_BYTES`."""
    with opened(path) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path}: the file has more than {size(MOST_BYTES)} unzipped, which is no file of this kind")
    return content


def content_sha(path: Path) -> str:
    """Return the SHA-256 of a file's unzipped bytes as 64 hex digits; raise UsageError when it can't be read."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def check_file(path: Path) -> None:
    """Raise UsageError, with the most similar name, unless `path` is a file; MissingInput if nothing is there."""
    if path.is_file():
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    if path.exists():
        raise UsageError(f"{path} is a pipe or a device, which can't be read twice; save it to a file first")
    if not path.parent.is_dir():
        raise MissingInput(f"{path} doesn't exist, nor does its folder")
    near = did_you_mean(path.name, (other.name for other in path.parent.iterdir()))
    raise MissingInput(f"{path} doesn't exist{near}")


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    is_first = True
    lines = enumerate(_lines(path), 1)
    for number, line in lines:
        if not line.strip():
            continue
        if is_first and line.lstrip().startswith("["):
            blank_lines = "\n" * (number - 1)  # so that line numbers stay right
            yield from _elements(path, blank_lines + _whole(path, line, lines))
            return
        if is_first and line.lstrip().startswith("{") and not _is_json(line):
            whole = _whole(path, line, lines)
            if _is_json(whole):
                yield f"{path}:{number}", _parsed(path, number, whole, "", _checked(f"{path}:{number}"))
                return
        is_first = False
        place = f"{path}:{number}"
        yield place, _parsed(path, number, line.rstrip(), "each line must be one JSON object", _checked(place))


def _whole(path: Path, first: str, others: Iterable[tuple[int, str]]) -> str:
    """Return a line and those behind it as one text; raise UsageError if it has more than `MOST_BYTES` characters."""
    lines, characters = [first], len(first)
    for _, line in others:
        lines.append(line)
        characters += len(line)
        if characters > MOST_BYTES:
            raise UsageError(
                f"{path}: a JSON array or object over several lines is read as a whole, and this one has more than "
                f"{size(MOST_BYTES)} unzipped; write one object a line, as `jq -c '.[]'` does with an array"
            )
    return "".join(lines)


def _checked(place: str) -> Hook:
    """Return the hook with which an object is read; it raises UsageError for a key that is there twice."""

    def fields_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UsageError(f"{place}: the key {twice!r} is twice in one object; remove or rename one")
        return fields

    return fields_of


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading its unzipped bytes; raise UsageError for what goes wrong until the block ends."""
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if other := next((kind for begin, kind in _OTHER_KINDS.items() if start.startswith(begin)), None):
            raise UsageError(f"{path}: this is {other.format(path)}")
        is_zipped = path.suffix == ".gz" or start.startswith(GZIP_START)
        with gzip.open(path) if is_zipped else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: can't be read ({error})") from error


def bounded_lines(path: Path, file: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines of a file, those of bytes up to line feeds; raise UsageError for one above `MOST_BYTES`."""
    number, line = 1, file.readline(MOST_BYTES + 1)
    while line:
        if len(line) > MOST_BYTES:
            raise UsageError(
                f"{path}:{number}: the line has more than {size(MOST_BYTES)} unzipped, which no row needs; the file "
                "is damaged, or has other line ends than line feeds"
            )
        yield line
        number, line = number + 1, file.readline(MOST_BYTES + 1)


def _lines(path: Path) -> Iterator[str]:
    with opened(path) as file:
        for number, line in enumerate(bounded_lines(path, file), 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UsageError(f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8") from None


def _elements(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Yield the elements of an array with their places: they are decoded again one by one, which gives the lines."""
    elements = len(_parsed(path, 1, text, "the array must hold JSON objects"))
    line, end = 1, text.index("[") + 1
    counted = 0
    for _ in range(elements):
        start = _BETWEEN_ELEMENTS.match(text, end).end()  # type: ignore[union-attr]  # matches an empty text too
        line += text.count("\n", counted, start)
        counted = start
        place = f"{path}:{line}"
        element, end = json.JSONDecoder(object_pairs_hook=_checked(place)).raw_decode(text, start)
        yield place, element


def _parsed(path: Path, number: int, text: str, rule: str, hook: Hook | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=hook)
    except json.JSONDecodeError as error:
        if ".csv" in path.name.lower() and not text.lstrip().startswith(("{", "[")):
            raise UsageError(
                f"{path}: this is CSV, and JSON is read here, one object a line; training rows can stay CSV: "
                f"{{name: csv, path: {path}}}; save other files as JSONL"
            ) from None
        line = number + error.lineno - 1
        raise UsageError(f"{path}:{line}: broken JSON at column {error.colno} ({error.msg}); {rule}") from None
    except (ValueError, RecursionError) as error:  # a number of too many digits, too deep nesting
        raise UsageError(f"{path}:{number}: broken JSON ({error}); {rule}") from None
