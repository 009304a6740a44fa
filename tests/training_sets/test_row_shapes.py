"""Instruction and response in rows of data sets of many shapes."""

import json
import re

import pytest

from raysweep.errors import UsageError
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.jsonl import JsonlSource
from raysweep.training_sets.row_shapes import instruction_and_output

QUESTION, ANSWER = {"role": "user", "content": "Add."}, {"role": "assistant", "content": "```python\na + b\n```"}
HUMAN, GPT = {"from": "human", "value": QUESTION["content"]}, {"from": "gpt", "value": ANSWER["content"]}
ROWS = [
    {"messages": [QUESTION, ANSWER]},
    {"messages": [{"from": "human", "value": "Add."}, ANSWER], "id": 3},
    {"conversations": [HUMAN, GPT]},
    {"conversations": [HUMAN, {"from": "chatgpt", "value": ANSWER["content"]}], "source": "x"},
    {"prompt": QUESTION["content"], "completion": ANSWER["content"]},
    {"prompt": [QUESTION], "completion": [ANSWER]},
    {"prompt": QUESTION["content"], "chosen": [ANSWER], "rejected": [QUESTION]},
    {"instruction": QUESTION["content"], "output": ANSWER["content"], "messages": [], "prompt": 1},
]


def test_rows_of_each_shape_give_the_same_instruction_and_response():
    for row in ROWS:
        assert instruction_and_output(JsonRow("f:1", row)) == ("Add.", ANSWER["content"]), row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [QUESTION, ANSWER, QUESTION, ANSWER]}, "not user, assistant, user, assistant; split it into"),
        ({"messages": [{"role": "system", "content": "Be terse."}, QUESTION]}, "to the models as `system_prompt`"),
        ({"conversations": [GPT, HUMAN]}, "not gpt, human; split it"),
        ({"messages": []}, "not none; split it"),
        ({"messages": "Add."}, "`messages` must be a list of messages with `role` and `content`"),
        ({"messages": [{"role": "user", "content": None}, ANSWER]}, "`messages` must be a list of messages"),
        ({"messages": [{"role": "user", "content": "\ud800"}, ANSWER]}, "half of a surrogate pair"),
        ({"prompt": [QUESTION], "completion": "x"}, "`completion` must be a list of messages"),
        ({"prompt": "x"}, "the row has no `instruction`; it has prompt"),
    ],
)
def test_what_is_no_question_and_its_answer_is_refused_with_the_way_out(row, message):
    with pytest.raises(UsageError) as error:
        instruction_and_output(JsonRow("f:7", row))
    assert str(error.value).startswith("f:7: ") and message in str(error.value)


def test_a_rejected_response_is_read_where_a_source_names_its_field(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    shapes = [
        {"instruction": "Add.", "output": "a + b", "rejected": "a - b"},
        {"prompt": "Add.", "chosen": "a + b", "rejected": "a - b"},
        {"prompt": [QUESTION], "chosen": [ANSWER], "rejected": [{"role": "assistant", "content": "a - b"}]},
    ]
    for number, row in enumerate(shapes):
        path = tmp_path / f"rows{number}.jsonl"
        path.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
        for kind in (JsonlSource, HubRows):
            plain, paired = kind(str(path)), kind(str(path), rejected_field="rejected")
            assert [row.rejected for row in plain.rows()] == [None, None]
            assert [row.rejected for row in paired.rows()] == ["a - b", "a - b"]
            assert {**plain.fingerprint(), "rejected": "rejected"} == paired.fingerprint()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no row has a rejected response in `bad`"),
        (
            {"bda": "a - b"},
            "in `bad` (did you mean 'bda'?), which `rejected.field` names; rows have instr",
        ),
        ({"bad": [QUESTION]}, "`bad` must end with a model's message"),
        ({"bad": 3}, "`bad` must be a string, not 3"),
    ],
)
def test_rejected_responses_that_can_not_be_read_are_refused(row, message, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"instruction": "Add.", "output": "a + b", **row}) + "\n")
    with pytest.raises(UsageError, match=re.escape(message)):
        JsonlSource(str(path), rejected_field="bad").check()


def test_rows_without_a_rejected_response_beside_others_have_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"instruction": "Add.", "output": "a + b", **more} for more in ({}, {"bad": "a - b"}, {"bad": None})]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = JsonlSource(str(path), rejected_field="bad")
    source.check()
    assert [row.rejected for row in source.rows()] == [None, "a - b", None]


def test_both_sources_read_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    for number, row in enumerate((ROWS[0], ROWS[3], ROWS[5])):
        path = tmp_path / f"rows{number}.jsonl"
        path.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
        sources = [JsonlSource(str(path)), HubRows(str(path))]
        for source in sources:
            source.check()
            assert source.size == 2
        first, second = (list(source.rows()) for source in sources)
        assert first == second and (first[0].instruction, first[0].language) == ("Add.", "python")


def test_a_named_column_is_the_one_that_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "p", "completion": "c", "messages": [QUESTION, ANSWER], "other": "o"}) + "\n")
    (row,) = HubRows(str(path), instruction_column="prompt", output_column="other").rows()
    assert (row.instruction, row.output) == ("p", "o")
    with pytest.raises(UsageError, match="has no column 'outputs'"):
        list(HubRows(str(path), instruction_column="prompt", output_column="outputs").rows())
