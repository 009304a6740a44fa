"""Users' JSON files: equal rows from each format, and errors that name file and line."""

import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.rows import json_files
from raysweep.rows.json_files import content_sha, read_content, read_json_rows, stream_json_rows

ROWS = [{"a": "1 \u2028 2", "b": "é"}, {"a": "2", "b": None}]


def written(tmp_path, text, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("rows.jsonl", LINES, [1, 2]),
        ("rows.jsonl", LINES.replace("\n", "\r\n"), [1, 2]),
        ("rows.jsonl", "\n\n" + LINES.rstrip("\n"), [3, 4]),
        ("rows.json", json.dumps(ROWS), [1, 1]),
        ("rows.json", json.dumps(ROWS, indent=2), [2, 6]),
        ("rows.json", "\n" + json.dumps(ROWS, indent=2), [3, 7]),
        ("rows.jsonl.gz", gzip.compress(LINES.encode(), mtime=0), [1, 2]),
        ("rows.jsonl", gzip.compress(LINES.encode(), mtime=0), [1, 2]),
        ("rows.jsonl", LINES.encode("utf-8-sig"), [1, 2]),
        ("rows.json", json.dumps(ROWS, indent=2).encode("utf-8-sig"), [2, 6]),
        ("rows", gzip.compress(LINES.encode("utf-8-sig"), mtime=0), [1, 2]),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS, indent=2).encode(), mtime=0), [2, 6]),
    ],
)
@pytest.mark.parametrize("read", [read_json_rows, stream_json_rows])
def test_lines_arrays_and_gzip_give_the_same_rows_with_their_lines(tmp_path, read, name, text, lines):
    path = written(tmp_path, text, name)
    rows = list(read(path))
    assert [row.fields for row in rows] == ROWS
    assert [row.place for row in rows] == [f"{path}:{line}" for line in lines]


def test_a_file_of_one_object_over_several_lines_is_one_row(tmp_path):
    (row,) = stream_json_rows(written(tmp_path, "\n" + json.dumps(ROWS[0], indent=2)))
    assert row.fields == ROWS[0] and row.place.endswith(":2")
    with pytest.raises(UsageError, match=r"rows.jsonl:1: broken JSON"):
        list(stream_json_rows(written(tmp_path, '{\n"a": "1"\n}\n{\n"a": "2"\n}')))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "1"}\n{"a": \n', r"rows.jsonl:2: broken JSON at column \d"),
        ('{"a": "1"}\n\n[1]\n', r"rows.jsonl:3: a row must be a JSON object in braces, not \[1\]"),
        ('{"a": "1"} {"a": "2"}\n', "rows.jsonl:1: broken JSON at column 12"),
        ('[\n{"a": "1"},\n{"a" "2"}]', "rows.jsonl:3: broken JSON at column 6"),
        ('[\n{"a": "1"}\n{"a": "2"}]', "rows.jsonl:3: broken JSON at column 1 .*',' delimiter.*array must hold"),
        ('[\n{"a": "1"},\n"text"]', "rows.jsonl:3: a row must be a JSON object"),
        ('[{"a": "1"}', "rows.jsonl:1: broken JSON at column 12"),
        ('[{"a": "1"}] {"a": "2"}', r"rows.jsonl:1: broken JSON at column 14 \(Extra data\)"),
        ("", "the file has no rows"),
        ("\n \n", "the file has no rows"),
        ("[]", "the file has no rows"),
        (b'{"a": "1"}\n{"a": "\xff"}\n', "rows.jsonl:2: not UTF-8"),
        ('{"a": "1"}\n'.encode("utf-16"), "rows.jsonl:1: not UTF-8"),
        (b"\xef\xbb\xbf", "the file has no rows"),
        (gzip.compress(LINES.encode(), mtime=0)[:-12], "rows.jsonl: can't be read"),
        ('{"a": ' + "[" * 200_000, "rows.jsonl:1: broken JSON"),
        ('{"a": "1"}\n{"a": {"b": 1, "c": 2, "b": 3}}', "rows.jsonl:2: the key 'b' is twice in one object"),
        ('[{"a": "1"},\n{"a": "1", "a": "1"}]', "rows.jsonl:2: the key 'a' is twice in one object"),
        ('\n{"a": "1",\n"a": "2"}', "rows.jsonl:2: the key 'a' is twice in one object"),
    ],
)
@pytest.mark.parametrize("read", [read_json_rows, stream_json_rows])
def test_errors_name_file_and_line(tmp_path, read, text, message):
    with pytest.raises(UsageError, match=message):
        list(read(written(tmp_path, text)))


@pytest.mark.parametrize("read", [read_json_rows, stream_json_rows, content_sha])
@pytest.mark.parametrize("content", [gzip.compress(LINES.encode(), mtime=0)[:-12], LINES.encode()])
def test_a_gz_file_that_can_not_be_unzipped_is_named(tmp_path, read, content):
    with pytest.raises(UsageError, match=r"rows.jsonl.gz: can't be read"):
        list(read(written(tmp_path, content, "rows.jsonl.gz")))


def packed_by(tool):
    return lambda plain: subprocess.run([tool, "-c", plain], capture_output=True, check=True).stdout


def as_zip(plain):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(plain, "log.json")
    return content.getvalue()


def as_parquet(_):
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("pack", "name", "message", "mended"),
    [
        (packed_by("zstd"), "rows.zst", r"compressed by zstd; `(zstd -d .*rows.zst)` writes", "rows"),
        (packed_by("bzip2"), "rows.bz2", r"compressed by bzip2; `(bunzip2 -k .*rows.bz2)` writes", "rows"),
        (packed_by("xz"), "rows.xz", r"compressed by xz; `(unxz -k .*rows.xz)` writes", "rows"),
        (as_parquet, "rows.parquet", "is Parquet; training .* `(python -c .*)` writes JSONL", "rows.jsonl"),
        (
            as_zip,
            "x.eval",
            r"a zip archive; unpack it and give what it holds \(inspect's log: `insp",
            "log.json",
        ),
    ],
)
def test_a_file_of_another_kind_is_named_with_the_command_that_makes_one_of_it(tmp_path, pack, name, message, mended):
    try:
        file = written(tmp_path, pack(written(tmp_path, LINES, "plain")), name)
    except FileNotFoundError as absent:
        pytest.skip(f"this machine has no {absent.filename}")
    with pytest.raises(UsageError) as error:
        read_json_rows(file)
    command = re.search(message, str(error.value))
    if command.groups():
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(command[1], shell=True, check=True, cwd=tmp_path, env={**os.environ, "PATH": paths})
    else:
        zipfile.ZipFile(file).extractall(tmp_path)
    assert [row.fields for row in read_json_rows(tmp_path / mended)] == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "1"}\n{"a": "' + 50 * "x", "rows.jsonl.gz:2: the line has more than < 1 MiB unzipped"),
        ('[{"a": "1"},\n{"a": "2"},\n{"a": "3"},\n{"a": "4"}]', "rows.jsonl.gz: a JSON array or .*jq -c"),
        ('{"a": "1",\n"b": "2",\n"c": "3",\n"d": "' + 20 * "4" + '"}', "rows.jsonl.gz: a JSON array or .*jq -c"),
    ],
)
def test_what_is_read_as_a_whole_has_a_bound(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(json_files, "MOST_BYTES", 40)
    path = written(tmp_path, gzip.compress(text.encode()), "rows.jsonl.gz")
    with pytest.raises(UsageError, match=message):
        list(stream_json_rows(path))
    with pytest.raises(UsageError, match="has more than < 1 MiB unzipped"):
        read_content(path)
    assert len(list(stream_json_rows(written(tmp_path, 100 * '{"a": "1"}\n')))) == 100


def test_rows_before_a_broken_one_are_streamed(tmp_path):
    rows = stream_json_rows(written(tmp_path, LINES + "{broken"))
    assert [next(rows).fields for _ in ROWS] == ROWS
    with pytest.raises(UsageError, match=r"rows.jsonl:3: broken JSON"):
        next(rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tesk": "x"}', r"rows.jsonl:1: the row has no `task`; it has tesk"),
        ("{}", "rows.jsonl:1: the row has no `task`; it has nothing"),
        ('{"task": 3}', "rows.jsonl:1: `task` must be a string, not 3"),
        ('{"task": null}', "rows.jsonl:1: `task` must be a string, not null; give it a text, or remove the row"),
        ('{"task": "\\ud800"}', "rows.jsonl:1: `task` holds half of a surrogate pair"),
    ],
)
def test_a_field_that_is_no_text_is_named(tmp_path, row, message):
    with pytest.raises(UsageError, match=message):
        read_json_rows(written(tmp_path, row))[0].text("task")
    row = read_json_rows(written(tmp_path, '{"a": null, "b": 3}'))[0]
    assert row.text("a", "") == row.text("c", "") == "", "a default stands in for an absent or null field"
    with pytest.raises(UsageError, match="`b` must be a string"):
        row.text("b", "")


def test_what_is_no_file_of_rows_is_named(tmp_path):
    written(tmp_path, LINES, "train.jsonl")
    os.mkfifo(tmp_path / "pipe")
    for path, error, message in (
        (tmp_path / "trian.jsonl", MissingInput, r"trian.jsonl doesn't exist \(did you mean 'train.jsonl'\?\)"),
        (tmp_path, UsageError, "is a folder"),
        (tmp_path / "none" / "rows.jsonl", UsageError, "nor does its folder"),
        (tmp_path / "pipe", UsageError, "save it to a file first"),  # it can't be read twice
    ):
        with pytest.raises(error, match=message):
            list(stream_json_rows(path))


def test_the_hash_is_of_the_content_however_it_is_packed(tmp_path):
    plain, packed = written(tmp_path, LINES), written(tmp_path, gzip.compress(LINES.encode(), mtime=0), "rows.jsonl.gz")
    assert content_sha(plain) == content_sha(packed)
    assert content_sha(written(tmp_path, LINES + " ", "other.jsonl")) != content_sha(plain)
