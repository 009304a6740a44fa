"""The texts of rows of data sets of many shapes."""

import json
import re
from dataclasses import replace

import pytest

from raysweep.errors import UsageError
from raysweep.records import CLEAN
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.build import build_rows
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.jsonl import JsonlSource
from raysweep.training_sets.row_shapes import texts_of, unread_names

QUESTION, ANSWER = {"role": "user", "content": "Add."}, {"role": "assistant", "content": "```python\na + b\n```"}
WORSE = {"role": "assistant", "content": "a - b"}
FIRST, REPLY = {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}
TERSE = {"role": "system", "content": "Be terse."}
HUMAN, GPT = {"from": "human", "value": QUESTION["content"]}, {"from": "gpt", "value": ANSWER["content"]}
TEXT = ANSWER["content"]
UNTRAINED = ({"weight": 0}, {"train": False}, {"training": False}, {"loss": False})
ROWS = [
    {"messages": [QUESTION, ANSWER]},
    {"messages": [{"from": "human", "value": "Add."}, ANSWER], "id": 3},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Add."}]}, ANSWER]},
    {"messages": [QUESTION, {**ANSWER, "weight": 1, "tool_calls": [], "reasoning_content": ""}], "tools": None},
    *({"messages": [QUESTION, ANSWER, FIRST, {**REPLY, **untrained}]} for untrained in UNTRAINED),
    {"messages": [QUESTION, {**ANSWER, "train": True, "loss": 1}], "weight": 1, "thinking": False},
    {"messages": [QUESTION, ANSWER], "reasoning": "off", "input": None},
    {"messages": [QUESTION, ANSWER], "label": 0, "reasoning": "", "chat_template_kwargs": {}},
    {"conversations": [HUMAN, GPT], "tools": "[]"},
    {"conversations": [HUMAN, {"from": "chatgpt", "value": TEXT}], "source": "x"},
    {"prompt": "Add.", "completion": TEXT},
    {"prompt": [QUESTION], "completion": [ANSWER]},
    {"prompt": [QUESTION], "completion": TEXT},
    {"prompt": "Add.", "chosen": [ANSWER], "rejected": [QUESTION]},
    {"instruction": "Add.", "output": TEXT, "messages": [], "prompt": 1},
    {"instruction": "Add.", "output": TEXT, "system": "", "history": [], "label": True},
]
PAIRS = [
    {"instruction": "Add.", "output": TEXT, "rejected": "a - b"},
    {"instruction": "Add.", "input": "", "chosen": TEXT, "rejected": "a - b"},
    {"instruction": "Add.", "chosen": GPT, "rejected": [WORSE]},
    {"prompt": "Add.", "chosen": TEXT, "rejected": "a - b"},
    {"prompt": "Add.", "chosen": [ANSWER], "rejected": [WORSE]},
    {"prompt": [QUESTION], "chosen": [ANSWER], "rejected": [WORSE]},
    {"prompt": [QUESTION], "chosen": [QUESTION, ANSWER], "rejected": [WORSE]},
    {"prompt": "Add.", "prompt_id": "1", "chosen": [QUESTION, ANSWER], "rejected": [QUESTION, WORSE]},
    {"prompt": "Add.\n", "messages": [QUESTION, ANSWER], "chosen": [QUESTION, ANSWER], "rejected": [QUESTION, WORSE]},
    {"question": "Add.", "chosen": TEXT, "rejected": "a - b"},
    {"chosen": [QUESTION, ANSWER], "rejected": [QUESTION, WORSE]},
    {"chosen": [QUESTION, ANSWER], "rejected": [WORSE]},
    {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "a - b"}},
    {"messages": [QUESTION], "chosen": ANSWER, "rejected": WORSE},
]
TALK = [TERSE, FIRST, REPLY, QUESTION]
TURNS = [
    {"instruction": "Add.", "output": TEXT, "system": "Be terse.", "history": [["Hello.", "Hi."]]},
    {"instruction": "Add.", "output": TEXT, "system_prompt": "Be terse.", "history": [FIRST, REPLY]},
    {"messages": [*TALK, ANSWER]},
    {"messages": [{**TERSE, "role": "developer"}, *TALK[1:], ANSWER]},
    {"conversations": [{"from": "system", "value": "Be terse."}, *TALK[1:], GPT], "system": "Be terse."},
    {"conversations": [FIRST, REPLY, HUMAN, GPT], "system": "Be terse."},
    {"prompt": TALK, "completion": [ANSWER]},
    {"prompt": [TERSE, FIRST], "completion": [REPLY, QUESTION, ANSWER]},
    {"prompt": "Hello.", "chosen": [*TALK, ANSWER]},
    {"prompt": "Add.", "chosen": [*TALK, ANSWER]},
    {"prompt": TALK[1:], "chosen": [*TALK, ANSWER]},
    {"prompt": "Add.", "system": "Be terse.", "history": [["Hello.", "Hi."]], "chosen": [QUESTION, ANSWER]},
    {"conversations": TALK, "chosen": GPT},
    {"chosen": [*TALK, ANSWER]},
]


def read(row, rejected=None):
    return texts_of(JsonRow("f:7", row), rejected)


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_each_shape_give_the_same_instruction_and_response(row):
    texts = read(row)
    assert (texts.instruction, texts.output, texts.system, texts.history) == ("Add.", TEXT, "", ())


@pytest.mark.parametrize("row", PAIRS)
def test_pairs_of_each_shape_give_the_same_question_and_two_answers(row):
    texts = read(row, "rejected")
    assert (texts.instruction, texts.output, texts.rejected, texts.history) == ("Add.", TEXT, "a - b", ())


@pytest.mark.parametrize("row", TURNS)
@pytest.mark.parametrize("rejected", ["a - b", [WORSE], [*TALK, WORSE]])
def test_system_texts_and_earlier_turns_of_each_shape_are_the_same(row, rejected):
    texts = read({**row, "worse": rejected}, "worse")
    assert (texts.instruction, texts.output, texts.rejected) == ("Add.", TEXT, "a - b")
    assert (texts.system, texts.history) == ("Be terse.", ("Hello.", "Hi."))


def test_columns_that_other_rows_alone_fill_change_nothing():
    """Parquet and `datasets` give each row all columns, those that it lacks with a null."""
    columns = dict.fromkeys(name for row in (*ROWS, *PAIRS, *TURNS) for name in row)
    for row in (*ROWS, *PAIRS, *TURNS):
        rejected = "rejected" if row in PAIRS else None
        whole, alone = read(columns | row, rejected), read(row, rejected)
        assert replace(whole, read=alone.read) == alone, row


@pytest.mark.parametrize(
    ("row", "message", "mended"),
    [
        ({"messages": []}, "not none; give it a question and its answer", ROWS[0]),
        ({"prompt": [TERSE], "completion": TEXT}, "not system, model; give it a question", TURNS[7]),
        ({"messages": None}, "`messages` is null and must be a list of messages; give it one", ROWS[0]),
        ({"conversations": 5}, "`conversations` is 5 and must be a list of messages", ROWS[5]),
        *(
            ({"messages": [{"role": "user", "content": [part]}, ANSWER]}, f"has {part} as a part", ROWS[2])
            for part in ({"type": "text", "text": None}, {"type": "text", "text": 5}, {"type": "text"}, 5)
        ),
        ({"messages": [QUESTION]}, "not user; give the question an answer", ROWS[0]),
        ({"messages": [QUESTION, ANSWER, QUESTION]}, "remove the last question", ROWS[0]),
        ({"messages": [REPLY, QUESTION, ANSWER]}, "not model, user, model; remove what the model says", ROWS[0]),
        ({"messages": [QUESTION, QUESTION, ANSWER]}, "join messages of the same side", ROWS[0]),
        (
            {"messages": [QUESTION, TERSE, ANSWER]},
            "put one system message first",
            {"messages": [TERSE, *ROWS[0]["messages"]]},
        ),
        ({"messages": "Add."}, "`messages` is a text and must be a list of messages; save the rows as JSONL", ROWS[0]),
        ({"messages": [{"role": "user", "content": None}, ANSWER]}, "must be a list of messages with `role`", ROWS[0]),
        ({"messages": [QUESTION, {"role": "narrator", "content": ""}]}, "the role 'narrator'; known: system,", ROWS[0]),
        ({"messages": [{"role": "user", "content": "\ud800"}, ANSWER]}, "half of a surrogate pair", ROWS[0]),
        *(
            ({"messages": [QUESTION, {**ANSWER, **no}]}, "so nothing is trained on; remove the row, or give", ROWS[0])
            for no in UNTRAINED
        ),
        ({"messages": [QUESTION, {**ANSWER, "weight": 0.5}]}, "the `weight` 0.5; give 1", ROWS[0]),
        ({"messages": [QUESTION, {**ANSWER, "train": "no"}]}, "the `train` 'no'; give 1 or true", ROWS[0]),
        *(
            ({**ROWS[0], key: "Sum."}, f"`{key}` is reasoning, whose place", {**ROWS[0], key: None})
            for key in ("reasoning_content", "reasoning", "thinking")
        ),
        ({**ROWS[0], "weight": 0}, "the row's `weight` is 0, and all rows weigh the same here", ROWS[0]),
        ({**ROWS[0], "weight": "0.5"}, "the row's `weight` is '0.5', and all", ROWS[0]),
        ({**ROWS[0], "chat_template_kwargs": {"a": 1}}, "`chat_template_kwargs` gives the model's template", ROWS[0]),
        (
            {"messages": [QUESTION, {**ANSWER, "reasoning_content": "Sum."}]},
            "put it before the answer's text, in your model's marks such as <think>",
            {"messages": [QUESTION, {**ANSWER, "content": f"<think>Sum.</think>{TEXT}"}]},
        ),
        ({"messages": [QUESTION, {**ANSWER, "tool_calls": [{}]}]}, "call of a tool or its result, and models", ROWS[0]),
        ({"conversations": [HUMAN, {"from": "observation", "value": "3"}]}, "leave such rows out", ROWS[0]),
        ({**ROWS[0], "tools": [{"name": "add"}]}, "`tools` describes tools, and models", {**ROWS[0], "tools": []}),
        ({**ROWS[0], "images": ["a.png"]}, "`images` has pictures or sound", {**ROWS[0], "images": []}),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, ANSWER]},
            "`messages` has pictures or sound, and models read texts alone; leave such rows out",
            ROWS[0],
        ),
        (
            {"messages": [QUESTION, {**ANSWER, "content": [{"type": "thinking", "thinking": "Sum."}]}]},
            "has a part that is thinking, whose place in an answer",
            {"messages": [QUESTION, {**ANSWER, "content": f"<think>Sum.</think>{TEXT}"}]},
        ),
        (
            {"messages": [QUESTION, {**ANSWER, "train_detail": [{"begin_offset": 0, "train": False}]}]},
            "`train_detail`, which trains on parts of an answer (Axolotl), and answers are trained on whole here; rem",
            ROWS[0],
        ),
        *(
            ({**row, "input": "1, 2"}, "`input` belongs to `instruction`, and the row has `", {**row, "input": ""})
            for row in (ROWS[0], PAIRS[3])
        ),
        *(
            ({"prompt": "Add.", "completion": TEXT, "label": no}, "`label` is ", {**PAIRS[3], "label": no})
            for no in (False, 0, "0", "False")
        ),
        ({"messages": [QUESTION, ANSWER], "label": False}, "`label` is false", ROWS[0]),
        ({**ROWS[0], "kto_tag": "False"}, "`kto_tag` is false, which says that the response is a bad one", PAIRS[3]),
        ({**ROWS[-1], "history": "Hello."}, "`history` must be a list of pairs", TURNS[0]),
        ({**ROWS[-1], "history": [["Hello."]]}, "`history` must be a list of pairs", TURNS[0]),
        ({"messages": [*TALK, ANSWER], "system": "Be kind."}, "two system texts, 'Be kind.' and 'Be terse.'", TURNS[2]),
        (
            {"prompt": "x"},
            "the row has no `instruction`; it has prompt; write its question as `instruction` and its answer",
            {"instruction": "x", "output": "y"},
        ),
        ({"text": "Add. a + b"}, "where `text` holds both, cut it where its answer begins", PAIRS[0]),
        (
            {"segments": [{"label": False, "text": "<s>Add."}, {"label": True, "text": "a + b</s>"}]},
            "of Axolotl's segments, write the text of those with `label: false` as `instruction`",
            PAIRS[0],
        ),
        (
            {"input": {"messages": [QUESTION]}, "preferred_output": [ANSWER], "non_preferred_output": [WORSE]},
            "of OpenAI's preferences, write `input.messages` as `prompt`, `preferred_output` as `chosen`",
            PAIRS[5],
        ),
        ({"instruction": "Add.", "output": [TEXT, "a - b"]}, "write the good one as `chosen` in place of", PAIRS[1]),
        ({"instruction": "x"}, "the row has no `output`; it has instruction", ROWS[-1]),
        ({"chosen": "Q A", "rejected": "Q B"}, "write the question as `prompt`, and the answers alone", PAIRS[3]),
        ({"prompt": "Add.", "chosen": [FIRST, ANSWER]}, "'Hello.' there and 'Add.' here; give all", PAIRS[7]),
        ({"prompt": "Add.", "chosen": [QUESTION]}, "`chosen` must end with a model's message", PAIRS[7]),
    ],
)
def test_what_can_not_be_trained_on_is_refused_with_a_way_that_works(row, message, mended):
    with pytest.raises(UsageError) as error:
        read(row)
    assert str(error.value).startswith("f:7: ") and message in str(error.value)
    assert read(mended).instruction in ("Add.", "x")


@pytest.mark.parametrize(
    ("row", "message", "mended"),
    [
        (
            {**PAIRS[7], "rejected": [FIRST, WORSE]},
            "`rejected` answers another question than the row asks: 'Hello.'",
            PAIRS[7],
        ),
        (
            {**PAIRS[10], "rejected": [*TALK[1:], WORSE]},
            "`rejected` goes on after other turns than `chosen`",
            PAIRS[10],
        ),
        (
            {"chosen": [*TALK[1:], ANSWER], "rejected": [FIRST, WORSE, QUESTION, WORSE]},
            "`rejected` answers the row's question, 'Add.', after other turns than the row has before it",
            {"chosen": [*TALK[1:], ANSWER], "rejected": [*TALK[1:], WORSE]},
        ),
        *(
            (
                {**PAIRS[10], "system": system, "rejected": [TERSE, QUESTION, WORSE]},
                f"`rejected` has the system text 'Be terse.', and the row {system!r}; give all",
                {**PAIRS[10], "system": "Be terse.", "rejected": [TERSE, QUESTION, WORSE]},
            )
            for system in ("", "Be kind.")
        ),
        *(
            (
                {"messages": [FIRST, REPLY, QUESTION, {**ANSWER, **untrained}], "rejected": worse},
                "`rejected` is a worse answer to 'Add.', whose own answer isn't trained on",
                {"messages": [FIRST, REPLY, QUESTION, ANSWER], "rejected": worse},
            )
            for untrained in UNTRAINED
            for worse in ("a - b", WORSE)
        ),
        (
            {**PAIRS[10], "rejected": [QUESTION, WORSE, QUESTION]},
            "`rejected` must end with a model's message",
            PAIRS[10],
        ),
        ({**PAIRS[0], "rejected": 3}, "`rejected` must be a string, not 3", PAIRS[0]),
        (
            {**PAIRS[8], "chosen": [QUESTION, REPLY]},
            "`chosen` is 'Hi.', and the answer of `messages` another",
            PAIRS[8],
        ),
        ({**PAIRS[0], "chosen": "Hi."}, "`chosen` is 'Hi.', and the answer of `output` another", PAIRS[0]),
    ],
)
def test_what_is_no_pair_is_refused_with_a_way_that_works(row, message, mended):
    with pytest.raises(UsageError) as error:
        read(row, "rejected")
    assert str(error.value).startswith("f:7: ") and message in str(error.value)
    assert read(mended, "rejected").rejected == "a - b"


def test_what_nobody_reads_is_named_down_to_keys_of_messages():
    row = {
        "id": 1,
        "messages": [{**QUESTION, "name": "x", "weight": 0, "train": True}, {**ANSWER, "train": True}],
        "rejected": "x",
        "tools": [],
        "y": None,
    }
    assert list(unread_names(JsonRow("f:1", row), read(row))) == ["id", "messages.name", "messages.train", "rejected"]
    assert list(unread_names(JsonRow("f:1", row), read(row, "rejected"))) == ["id", "messages.name", "messages.train"]
    row = TURNS[0] | {"language": "python", "task_id": 3, "input": "1"}
    assert list(unread_names(JsonRow("f:1", row), read(row))) == []


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
        assert paired.unread == ("prompt", "completion", "other")
        assert {**plain.fingerprint(), "rejected": "rejected"} == paired.fingerprint()
        found.append(list(paired.rows()))
    assert found[0] == found[1]
    assert [(row.instruction, row.language, row.rejected) for row in found[0]] == [("Add.", "python", "a - b")] * 2
    (named, _) = HubRows(str(path), instruction_column="rejected", output_column="other").rows()
    assert (named.instruction, named.output) == ("a - b", "o"), "a column that is named is the one that counts"


def test_both_sources_count_rows_in_turns_and_their_keys_alone_change(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    rows = {
        "plain": [{"instruction": "Add.", "output": "1", "system": None, "history": None}],
        "turns": [TURNS[0], {"instruction": "Add.", "output": "1", "system": "Be terse.", "history": []}],
        "talk": [{"messages": [*TALK, ANSWER]}],
    }
    for name, of in rows.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in of))
        for kind in (JsonlSource, HubRows):
            source = kind(str(path))
            source.check()
            assert source.unread == ()
            assert (source.with_system, source.with_history) == {"plain": (0, 0), "turns": (2, 1), "talk": (1, 1)}[name]
            assert all(row.system or row.history for row in source.in_turns)
            assert ("turns" in source.fingerprint()) == (name != "plain")


@pytest.mark.parametrize("no", UNTRAINED)
def test_earlier_answers_that_are_not_trained_on_are_known_by_their_numbers(no, tmp_path):
    path, turns = tmp_path / "rows.jsonl", [QUESTION, ANSWER]
    rows = [{"messages": [*turns, QUESTION, {**ANSWER, **no}, *turns, QUESTION, {**ANSWER, **no}, *turns]}]
    rows += [{"messages": [*turns, *turns, QUESTION, {**ANSWER, **no}]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = JsonlSource(str(path))
    whole, ended = source.rows()
    assert (whole.masked, len(whole.history)) == ("1,3", 8) and (ended.masked, len(ended.history)) == ("", 2)
    (trained,) = build_rows([whole], [[CLEAN]], {})
    assert trained.masked == "1,3"
    before = source.fingerprint()
    source.check()
    assert source.fingerprint() == before and before["masked"] == 1


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
    plain = {"instruction": "Add.", "output": "a + b"}
    path.write_text("".join(json.dumps(each) + "\n" for each in (plain, {**plain, **row})))
    with pytest.raises(UsageError, match=re.escape(message)):
        JsonlSource(str(path), rejected_field="bad").check()


@pytest.mark.parametrize(
    ("row", "column"),
    [({"prompt": "Add.", "chosen": ""}, "chosen"), ({"messages": [QUESTION, {**ANSWER, "content": " "}]}, "messages")],
)
def test_a_row_without_a_response_names_the_column_that_should_hold_it(row, column, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(PAIRS[0]) + "\n")
    with pytest.raises(UsageError, match=re.escape(f"rows.jsonl:1: the response in `{column}` is empty, the first of")):
        JsonlSource(str(path)).check()
    assert len(list(JsonlSource(str(path), drop_empty=True).rows())) == 1


def test_rows_without_a_rejected_response_beside_others_have_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"instruction": "Add.", "output": "a + b", **more} for more in ({}, {"bad": "a - b"}, {"bad": None})]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = JsonlSource(str(path), rejected_field="bad")
    source.check()
    assert [row.rejected for row in source.rows()] == [None, "a - b", None]
