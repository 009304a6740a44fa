"""Blocks of rows: undamaged ones of this version are read, all others are skipped."""

from __future__ import annotations

import json
import threading

import pytest

from raysweep.programs import Outcome, Verdict
from raysweep.records import Completion
from raysweep.storage.blocks import Blocks, _name
from raysweep.storage.files import Files


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(str(tmp_path))


def completion(task: str, text: str = "pass") -> Completion:
    fields = Completion.__dataclass_fields__
    values = {"task_id": task, "sample": 0, "text": text}
    empty = {"str": "", "int": 0, "float": 0.0, "bool": False}
    return Completion(**{name: values.get(name, empty.get(str(field.type), "")) for name, field in fields.items()})


def test_rows_come_back_as_they_were(files):
    blocks = Blocks(files, Completion)
    rows = {"a": completion("t/1"), "b": completion("t/2", "ü \u2028 \ud800 \0 'x'\n")}
    blocks.add(rows)
    blocks.add({"c": completion("t/3")})
    assert Blocks(files, Completion).read() == {**rows, "c": completion("t/3")}


def test_enums_come_back_through_a_function_that_builds_them(files):
    verdict = Verdict(Outcome.PASSED, "", "", 0.25)
    Blocks(files, Verdict).add({"a": verdict})
    assert Blocks(files, lambda outcome, **more: Verdict(Outcome(outcome), **more)).read() == {"a": verdict}


def test_an_empty_folder_or_block_holds_no_rows(files):
    assert Blocks(files.below("none"), Completion).read() == {}
    Blocks(files, Completion).add({})
    assert Blocks(files, Completion).read() == {}


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-3], lambda data: b"", lambda data: data.replace(b"pass", b"PASS"), lambda data: b"{"]
)
def test_a_torn_or_altered_block_is_skipped(files, harm):
    blocks = Blocks(files, Completion)
    blocks.add({"a": completion("t/1")})
    (path,) = files.local.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    blocks.add({"b": completion("t/2")})
    assert blocks.read() == {"b": completion("t/2")}


@pytest.mark.parametrize("content", [{"a": {"colour": "red"}}, {"a": 3}, [1], 3, {"a": None}])
def test_a_block_of_another_version_is_skipped(files, content):
    data = json.dumps(content).encode()
    files.write(_name(data), data)
    Blocks(files, Completion).add({"b": completion("t/2")})
    assert Blocks(files, Completion).read() == {"b": completion("t/2")}


def test_blocks_may_be_added_and_read_at_the_same_time(files):
    blocks = Blocks(files, Completion)
    threads = [
        threading.Thread(target=lambda part=part: [blocks.add({f"{part}-{n}": completion("t")}) for n in range(20)])
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        blocks.read()
    assert len(blocks.read()) == 80
