"""What every registered source of training rows promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raysweep.records import Spec
from raysweep.testing import contract
from raysweep.training_sets.base import SOURCES

ROWS = [
    {"instruction": "Add `a` and b.", "output": "```python\na + b\n```", "input": "1, 2"},
    {"instruction": "Say hello.\n\n```\nprint()\n```\n", "output": "Hello."},
    {"instruction": "Say hello.", "output": "Hello."},
]
FAULTS = [
    {"before": "// Adds.\nint add() {\n", "buggy": "    a - b;\n", "after": "}\n", "fixed": "    a + b;\n"},
    {"before": "", "buggy": "", "after": "return 1\n", "fixed": "# one\n", "language": "python"},
]

ASKED = {"nl": "", "fwd_mnl": "", "bwd_mnl": ""}
PYX = [{"nl": "Add one.", "response": "x + 1"}, {"fwd_mnl": "assert f(1) == ??", "response": "It is 2."}]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES.names())
def test_rows_have_ids_of_their_own_and_segments_join_to_their_texts(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    for file, rows in {"rows/train": ROWS, "faults": FAULTS, "pyx/pyx": [{**ASKED, **row} for row in PYX]}.items():
        path = tmp_path / f"{file}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = tmp_path / "rows.csv"
    table.write_text('instruction,output,input\n"Add `a`, and b.",007,\n"Say\n\nhello.",NA,True\n')
    args: dict[str, dict[str, Any]] = {
        "csv": {"path": str(table)},
        "hf": {"path": str(tmp_path / "rows")},
        "jsonl": {"path": str(tmp_path / "rows" / "train.jsonl")},
        "minicode": {"world": 1, "rows": 100},
        "minirepair": {"world": 1, "rows": 100},
        "pyx": {"path": str(tmp_path / "pyx")},
        "repair": {"path": str(tmp_path / "faults.jsonl")},
    }
    source = contract("sources", name, **args[name])
    source.check()
    rows = list(source.rows())
    assert rows and len({row.row_id for row in rows}) == len(rows)
    for row in rows:
        assert row.entry_point in row.instruction
        for text in (row.instruction, row.input):
            assert "".join(segment.text for segment in source.segments(row, text)) == text


def test_numbers_that_choose_rows_are_in_the_fingerprint():
    one, other = (SOURCES.create(Spec("minicode", {"world": 1, "rows": rows})) for rows in (99, 100))
    assert one.fingerprint() != other.fingerprint()
