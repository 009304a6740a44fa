"""PyX, in the columns in which it is published."""

import json

import pytest

from raysweep.errors import UsageError
from raysweep.prompts.templates import PromptTemplate
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.pyx import PyxRows

ROWS = [
    {"id": "nl_1", "nl": "Add one.", "fwd_mnl": "", "bwd_mnl": "", "response": "```python\nx + 1\n```"},
    {
        "id": "fwd_1",
        "nl": "",
        "fwd_mnl": "[PYTHON]\nassert f(1) == ??\n[/PYTHON]",
        "bwd_mnl": "",
        "response": "It is 2.",
    },
    {"id": "bwd_1", "nl": "", "fwd_mnl": "", "bwd_mnl": "[PYTHON]\nassert f(??) == 2\n[/PYTHON]", "response": "Try 1."},
]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Returns the folder of a data set with some rows."""
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))

    def write(*rows):
        folder = tmp_path / "set"
        folder.mkdir()
        (folder / "pyx.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(folder)

    return write


def test_each_kind_of_row_is_asked_as_semcoders_own_training_asks_it(published):
    source = PyxRows(published(*ROWS))
    source.check()
    assert source.size == 3
    rows = list(source.rows())
    assert [row.output for row in rows] == [row["response"] for row in ROWS]
    code, forwards, backwards = (PromptTemplate("semcoder").fill(row.instruction) for row in rows)
    assert code.endswith("according to <NL_Description>\n\n<NL_Description>\nAdd one.\n\n<Code>\n")
    assert forwards.startswith("Simulate the Execution: You are given a Python function and an assertion ")
    assert forwards.endswith("in [ANSWER] and [/ANSWER] tags.\n[PYTHON]\nassert f(1) == ??\n[/PYTHON]\n")
    assert backwards.startswith("Deduce the Semantic Constraints: You are given a Python program and its ")
    assert backwards.endswith("in between [ANSWER] and [/ANSWER].\n[PYTHON]\nassert f(??) == 2\n[/PYTHON]\n")


def test_a_row_that_asks_nothing_or_two_things_is_refused(published):
    both = {**ROWS[0], "fwd_mnl": "assert f(1) == ??"}
    with pytest.raises(
        UsageError, match=r"row 2: exactly one of `nl`, `fwd_mnl`, `bwd_mnl` .* not nl and fwd_mnl; rem"
    ):
        PyxRows(published(ROWS[0], both)).check()


def test_another_data_set_is_read_by_its_own_columns(published):
    folder = published({"problem": "Add one.", "response": "x + 1"})
    with pytest.raises(
        UsageError, match="has no column 'nl' as PyX has; it has problem, response: read it by `name: h"
    ):
        PyxRows(folder).check()
    rows = HubRows(folder, instruction_column="problem", output_column="response").rows()
    assert [row.instruction for row in rows] == ["Add one."]
