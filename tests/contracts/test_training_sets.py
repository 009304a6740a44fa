"""Every registered source of training rows, held to the contract of sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysweep.records import Spec
from raysweep.testing.training_sets import TrainingSourceContract
from raysweep.training_sets.base import SOURCES, TrainingSource

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
class TestSources(TrainingSourceContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
        file = tmp_path / "rows" / "train.jsonl"
        file.parent.mkdir()
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        table = tmp_path / "rows.csv"
        table.write_text('instruction,output,input\n"Add `a`, and b.",007,\n"Say\n\nhello.",NA,True\n')
        faults = tmp_path / "faults.jsonl"
        faults.write_text("".join(json.dumps(row) + "\n" for row in FAULTS))
        pyx = tmp_path / "pyx" / "pyx.jsonl"
        pyx.parent.mkdir()
        pyx.write_text("".join(json.dumps({**ASKED, **row}) + "\n" for row in PYX))
        args: dict[str, dict[str, Any]] = {
            "csv": {"path": str(table)},
            "hf": {"path": str(file.parent)},
            "jsonl": {"path": str(file)},
            "minicode": {"world": 1, "rows": 100},
            "minirepair": {"world": 1, "rows": 100},
            "pyx": {"path": str(pyx.parent)},
            "repair": {"path": str(faults)},
        }
        self.one = Spec(name, args[name])

    def make(self) -> TrainingSource:
        return SOURCES.create(self.one)
