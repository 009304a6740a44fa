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


def test_rows_have_their_fields_and_a_number(tmp_path):
    good = source(tmp_path, LINES)
    good.check()
    rows = list(good.rows())
    assert good.size == 3 and [row.instruction for row in rows] == ["Add two numbers.", "Sort it.", "Say hello."]
    assert [row.input for row in rows] == ["", "3, 1", ""]
    assert [row.language for row in rows] == ["python", "sql", ""]
    assert [row.row_id for row in rows] == ["0000000", "0000001", "0000002"]


@pytest.mark.parametrize(
    ("output", "language"),
    [
        ("Here:\n\n```Java\nclass A {}\n```\n```sql\n```", "java"),
        ("```c++\nint a;\n```", "c++"),
        ("  ~~~js\r\n~~~", "js"),
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
        (LINES + '{"instruction": "x", "output": "y", "input": []}\n', "rows.jsonl:4: `input` must be a string"),
        (LINES + '{"instruction": " \\n", "output": "y"}\n', "rows.jsonl:4: the instruction is empty; remove the row"),
        (
            '{"instruction": "x", "output": " \\n"}\n' * 2 + LINES + '{"instruction": "x", "output": ""}\n',
            "rows.jsonl:1: the response in `output` is empty, the first of 3 such among 6 rows; .*: remove them, or",
        ),
    ],
)
def test_check_names_file_line_and_what_is_wrong(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        source(tmp_path, text).check()


def test_a_relative_path_is_kept_wherever_the_process_goes(tmp_path, monkeypatch):
    source(tmp_path, LINES)
    monkeypatch.chdir(tmp_path)
    relative = JsonlSource("rows.jsonl")
    monkeypatch.chdir("/")
    assert len(list(relative.rows())) == 3


def test_the_fingerprint_follows_the_content_and_holds_no_path(tmp_path):
    one = source(tmp_path, LINES).fingerprint()
    assert one == source(tmp_path, gzip.compress(LINES.encode(), mtime=0), "other.gz").fingerprint()
    assert one != source(tmp_path, LINES + LINES).fingerprint()
    assert str(tmp_path) not in json.dumps(one)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("evol_code/evol-codealpaca-2k-1.json.gz", 1966),
        ("evol_code/evol-codealpaca-2k-2.json.gz", 1953),
    ],
)
def test_published_instruction_sets_load(name, count):
    published = JsonlSource(str(shared_data(*name.split("/"))))
    published.check()
    assert len({row.row_id for row in published.rows()}) == count


def test_a_published_set_with_empty_outputs_is_refused_with_their_number():
    path = str(shared_data("code_alpaca", "code_alpaca_2k.json.gz"))
    published, without = JsonlSource(path), JsonlSource(path, drop_empty=True)
    without.check()
    assert without.size == 2015 == len(list(without.rows())) and without.fingerprint() != published.fingerprint()
    with pytest.raises(
        UsageError, match=r"code_alpaca_2k.json.gz:1187: the response in `output` is empty, the first of 2 such"
    ):
        published.check()
    assert sum(not row.output.strip() for row in published.rows()) == 2


@pytest.mark.parametrize("task_id", [0, 11, "Mbpp/11"])
def test_a_rows_task_may_be_a_whole_number(tmp_path, task_id):
    (row,) = source(tmp_path, json.dumps({**ROWS[0], "task_id": task_id})).rows()
    assert row.task_id == str(task_id)
