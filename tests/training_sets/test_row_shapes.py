"""Instruction and response in rows of data sets of many shapes."""

import json
import re

import pytest

from raysweep.errors import UsageError
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.jsonl import JsonlSource
from raysweep.training_sets.row_shapes import instruction_and_output, rejected_response

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


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_each_shape_give_the_same_instruction_and_response(row):
    assert instruction_and_output(JsonRow("f:1", row)) == ("Add.", ANSWER["content"])


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


@pytest.mark.parametrize(
    "rejected", ["a - b", [{"role": "assistant", "content": "a - b"}], [QUESTION, {"from": "gpt", "value": "a - b"}]]
)
def test_a_rejected_response_is_a_text_or_ends_messages(rejected):
    assert rejected_response(JsonRow("f:1", {"bad": rejected}), "bad") == "a - b"


def test_both_sources_read_them_and_a_rejected_response_where_its_field_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    path, found = tmp_path / "rows.jsonl", []
    more = {"completion": [ANSWER], "messages": [QUESTION, ANSWER], "other": "o", "rejected": "a - b"}
    path.write_text((json.dumps({"prompt": [QUESTION], **more}) + "\n") * 2)
    for kind in (JsonlSource, HubRows):
        plain, paired = kind(str(path)), kind(str(path), rejected_field="rejected")
        paired.check()
        assert paired.size == 2 and [row.rejected for row in plain.rows()] == [None, None]
        assert {**plain.fingerprint(), "rejected": "rejected"} == paired.fingerprint()
        found.append(list(paired.rows()))
    assert found[0] == found[1]
    assert [(row.instruction, row.language, row.rejected) for row in found[0]] == [("Add.", "python", "a - b")] * 2
    (named, _) = HubRows(str(path), instruction_column="rejected", output_column="other").rows()
    assert (named.instruction, named.output) == ("a - b", "o"), "a column that is named is the one that counts"


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
