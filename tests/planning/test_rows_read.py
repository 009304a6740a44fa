"""What of training rows is read, and what a plan says of the rest."""

import json

import pytest

from raysweep.config.loading import load_config
from raysweep.planning.rows_read import rows_read
from tests.config.mistakes import findings
from tests.paths import NANO

ROW = {"instruction": "Add.", "output": "a + b"}
TALK = [{"role": role, "content": "Hi.", "name": "x"} for role in ("system", "user", "assistant", "user", "assistant")]
INSTRUCT = "models.0.template=instruct"


def source(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"training.source={{name: jsonl, path: {path}}}"


def test_columns_that_nobody_reads_and_rows_in_turns_are_counted(tmp_path):
    rows = [{"messages": TALK, "id": 1}, {"messages": TALK[1:3], "source": "x"}, {**ROW, "rejected": "a - b"}]
    assert list(rows_read(load_config(NANO, [source(tmp_path, *rows, *[ROW] * 13), INSTRUCT]))) == [
        "training.source: rows: 16, 1 with earlier turns, 1 with a system text; not read: messages.name, id, source, "
        "rejected"
    ]


def test_an_earlier_answer_is_followed_by_what_the_template_ends_answers_with(tmp_path):
    given = [source(tmp_path, {"messages": TALK}, *[ROW] * 15), INSTRUCT, "recipes.tiny.loss_on=all"]
    same = (
        "{{ system }}{% for t in history %}{{ t.question }}{{ t.answer }}{{ eos_token }}{% endfor %}{{ instruction }}"
    )
    load_config(NANO, [*given, f"models.0.template='{same}'"])
    (found,) = findings(NANO, *given, f"models.0.template='{same.replace('{{ eos_token }}', '|')}'")
    assert "training.source: row 0000000, for model llama: with `loss_on: all` earlier" in found


TURN = "{{ t.question }}ANSWER{{ eos_token }}"
CHANGED = [
    ("{{ t.answer.split('</think>')[-1] }}", "0000002"),  # as chat templates leave out reasoning
    ("|{{ t.answer }}", "0000001"),
]


@pytest.mark.parametrize(("answer", "number"), CHANGED)
def test_an_earlier_answer_that_the_template_changes_is_found_behind_rows_that_have_none(tmp_path, answer, number):
    asked, said = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}
    thought = {**said, "content": "<think>\nWell.\n</think>\nHello."}
    earlier = ({**thought, "weight": 0}, said, thought)
    rows = [{"messages": [asked, of, asked, said]} for of in earlier]
    given = [source(tmp_path, *rows, *[ROW] * 16), "recipes.tiny.loss_on=all"]
    shown = f"{{% for t in history %}}{TURN.replace('ANSWER', answer)}{{% endfor %}}{{{{ instruction }}}}"
    (found,) = findings(NANO, *given, f"models.0.template={json.dumps(shown)}")
    assert f"training.source: row {number}, for model llama: with `loss_on: all` earlier" in found


def test_rows_in_turns_need_a_template_that_shows_them(tmp_path):
    changes = [source(tmp_path, *[ROW] * 16, {"messages": TALK}), "recipes.tiny.batch_size=1"]
    (found,) = findings(NANO, *changes)
    assert "training.source: row 0000016, for model llama: the template raw leaves out a row's system text" in found
    load_config(NANO, [*changes, INSTRUCT])
    (found,) = findings(NANO, *changes, "models.0.template=chat")
    assert "model 'llama' has no chat template" in found
