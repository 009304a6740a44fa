"""GPU time is counted over all runs of a sweep."""

from __future__ import annotations

import pytest

from raysweep.engine.ledger import FILE, FOLDER, Ledger, spent_text
from raysweep.errors import StoreError
from raysweep.storage.files import Files


@pytest.fixture
def folder(tmp_path) -> Files:
    return Files(str(tmp_path))


def test_what_was_written_is_added_to(folder):
    ledger = Ledger(folder)
    ledger.add("one", "A100", 1800)
    ledger.add("one", "V100", 3600)
    ledger.write()
    again = Ledger(folder)
    again.add("one", "A100", 1800)
    again.add("", "A100", 900)
    assert again.all_hours() == {"": 0.25, "one": 2.0}
    assert again.by_accelerator() == {"A100": 1.25, "V100": 1.0}
    assert (again.total, again.hours("one"), again.hours("other")) == (2.25, 2.0, 0.0)
    assert Ledger(folder).total == 1.5, "the second one has not written"


def test_a_sweep_that_used_no_gpu_has_no_ledger(folder, tmp_path):
    Ledger(folder).write()
    assert not list(tmp_path.rglob("*.json")) and Ledger(folder).total == 0


def test_a_cap_is_spent_once_it_is_reached(folder):
    ledger = Ledger(folder)
    assert spent_text(ledger, 0.5) == ""
    ledger.add("one", "", 1800)
    assert spent_text(ledger, None) == spent_text(ledger, 0.51) == ""
    assert spent_text(ledger, 0.5) == "the sweep has used 0.5 GPU-hours (--max-gpu-hours 0.5)"


@pytest.mark.parametrize("content", ["{", "[]", '{"one": 3}', '{"one": {"A100": "many"}}'])
def test_a_damaged_ledger_is_no_empty_one(folder, content):
    folder.write(f"{FOLDER}/{FILE}", content)
    with pytest.raises(StoreError, match=r"ledger/gpu_seconds.json is damaged .*; remove it"):
        Ledger(folder)
