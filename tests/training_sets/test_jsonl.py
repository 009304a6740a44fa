"""Training rows from a user's file."""

import gzip
import json

import pytest

from raysweep.errors import UsageError
from raysweep.training_sets.jsonl import JsonlSource
from tests.conftest import shared_data

ROWS = [
    {"instruction": "Add two numbers.", "output": "```python\nadd = 1\n```"},
    {"instruction": "Sort it.", "input": "3, 1", "output": "SELECT 1", "language": "sql"},
    {"instruction": "Say hello.", "output": "Hello."},
]


def source(tmp_path, text, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return JsonlSource(str(path))


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("text", [LINES, json.dumps(ROWS), json.dumps(ROWS, indent=1), gzip.compress(LINES.encode())])
def test_lines_arrays_and_gzip_give_the_same_rows(tmp_path, text):
    rows = list(source(tmp_path, text).rows())
    assert [row.instruction for row in rows] == ["Add two numbers.", "Sort it.", "Say hello."]
    assert [row.input for row in rows] == ["", "3, 1", ""]
    assert [row.language for row in rows] == ["python", "sql", ""]
    assert [row.row_id for row in rows] == ["0000000", "0000001", "0000002"]


@pytest.mark.parametrize(
    ("output", "language"),
    [
        ("Here:\n\n```Java\nclass A {}\n```\n```sql\n```", "java"),
        ("```c++\nint a;\n```", "c++"),
        ("  ~~~js\n~~~", "js"),
        ("```\nno tag\n```", ""),
        ("Use ```inline``` marks.", ""),
    ],
)
def test_the_language_is_the_first_fences_tag(tmp_path, output, language):
    (row,) = source(tmp_path, json.dumps({"instruction": "x", "output": output})).rows()
    assert row.language == language


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINES + '{"instruction": "x"\n', r"rows.jsonl:4: broken JSON"),
        (LINES + '{"output": "x"}\n', "rows.jsonl:4: the row has no `instruction`"),
        (LINES + '{"instruction": "x"}\n', "rows.jsonl:4: the row has no `output`"),
        (LINES + '{"instruction": "x", "output": 3}\n', "rows.jsonl:4: `output` must be a string, not 3"),
        (LINES + '{"instruction": "x", "output": "y", "input": []}\n', "rows.jsonl:4: `input` must be a string"),
        (LINES + '{"instruction": " \\n", "output": "y"}\n', "rows.jsonl:4: `instruction` is empty; remove the row"),
        ("", "rows.jsonl: the file has no rows"),
    ],
)
def test_check_names_file_line_and_what_is_wrong(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        source(tmp_path, text).check()


def test_check_names_the_nearest_file(tmp_path):
    (tmp_path / "train.jsonl").write_text(LINES)
    with pytest.raises(UsageError, match=r"did you mean 'train.jsonl'"):
        JsonlSource(str(tmp_path / "train.json")).check()


def test_check_accepts_a_good_file(tmp_path):
    good = source(tmp_path, LINES)
    good.check()
    assert good.size == 3


def test_a_relative_path_is_kept_wherever_the_process_goes(tmp_path, monkeypatch):
    source(tmp_path, LINES)
    monkeypatch.chdir(tmp_path)
    relative = JsonlSource("rows.jsonl")
    monkeypatch.chdir("/")
    assert len(list(relative.rows())) == 3


def test_the_fingerprint_follows_the_content_and_holds_no_path(tmp_path):
    one = source(tmp_path, LINES).fingerprint()
    assert one == source(tmp_path, gzip.compress(LINES.encode()), "other.gz").fingerprint()
    assert one != source(tmp_path, LINES + LINES).fingerprint()
    assert str(tmp_path) not in json.dumps(one)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("evol_code/evol-codealpaca-2k-1.json.gz", 1966),
        ("evol_code/evol-codealpaca-2k-2.json.gz", 1953),
        ("code_alpaca/code_alpaca_2k.json.gz", 2017),
    ],
)
def test_published_instruction_sets_load(name, count):
    published = JsonlSource(str(shared_data(*name.split("/"))))
    published.check()
    assert len({row.row_id for row in published.rows()}) == count
