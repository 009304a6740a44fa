"""What changed between two configs, in words."""

from __future__ import annotations

import pytest

from raysweep.config.changes import changes, changes_in_words
from raysweep.config.loading import load_config
from tests.paths import NANO

SETS = "training.sets"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipes.tiny.lr=0.5", ["recipes.tiny.lr was 0.001 and is 0.5"]),
        ("models.0.dtype=float32", []),
        ("models.0.stop=[END]", ["models.llama.stop was [] and is ['END']"]),
        ("evaluation.limit=3", ["evaluation.limit was null and is 3"]),
        ("evaluation.problems.0.count=4", ["evaluation.problems.minicode.count was 6 and is 4"]),
        ("resources.cpus=2", []),
        ("name=other", []),
        ("report.title=Other", []),
        ("seed=8", ["seed was 7 and is 8"]),
    ],
)
def test_a_changed_setting_is_named_with_both_values(override, said):
    assert list(changes(load_config(NANO), load_config(NANO, [override]))) == said


def test_entries_of_lists_go_by_their_names():
    before, after = (load_config(NANO, [f"{SETS}=[{sets}]"]) for sets in ("clean, C1", "C2, clean"))
    words = list(changes(before, after))
    assert any(text.startswith(f"{SETS}.C1.name is gone") for text in words)
    assert any(text.startswith(f"{SETS}.C2.name is new") for text in words)
    assert not any(f"{SETS}.clean" in text for text in words)
    assert changes_in_words(before, after).endswith(f" and {len(words) - 3} more")
