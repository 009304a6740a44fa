"""Pairs of responses that are encoded once: resumable, shared by recipes, and the same rows as encoded at the start."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.config.loading import config_from
from raysweep.models.loading import load_model
from raysweep.pipeline import make
from raysweep.planning.plan import CellPlan, EncodedPairsPlan, ModelPlan
from raysweep.planning.planner import build_plan
from raysweep.records import EncodedPair
from raysweep.rows.parquet import ROWS
from raysweep.stages import preference_pairs
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from tests.stages.making import opened, work_on
from tests.tiny import make_tiny

RECIPES = {
    "fait": {"objective": "fait"},
    "alpha3": {"objective": "fait", "objective_args": {"alpha": 3, "granularity": "line"}},
    "fixed": {"objective": "fixed"},
    "dpo": {"objective": "dpo"},
    "sft": {"objective": "sft"},
    "rehearsing": {"objective": "fait", "rehearsal": 0.5},
}
PAIRS = ("fait", "alpha3", "fixed", "dpo")


@pytest.fixture
def cells(tmp_path):
    """The cells of a sweep by recipe; one row of its source has no rejected response, one is long, one is equal."""
    rows = [
        {"row_id": f"r{n}", "instruction": f"Add {n}.", "output": f"def f(a):\n    return a + {n}\n",
         "rejected": f"def f(a):\n    return a - {n}\n"}
        for n in range(40)
    ]  # fmt: skip
    rows[3]["rejected"] = rows[3]["output"] + "# " + "long " * 900
    rows[4]["rejected"] = rows[4]["output"]
    rows[5]["rejected"] = rows[5]["output"].replace(" + 5", "")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"name": "jsonl", "path": str(path), "rejected": {"field": "rejected"}}
    others = tmp_path / "others.jsonl"
    changed = [{**row, "instruction": f"Subtract {n}."} for n, row in enumerate(rows)]
    others.write_text("".join(json.dumps(row) + "\n" for row in changed))
    config = config_from(
        {
            "name": "pairs",
            "models": [
                {"name": "m", "path": make_tiny("llama", tmp_path / "model").location, "recipes": list(RECIPES)}
            ],
            "recipes": {name: {"steps": 1, "batch_size": 4, "max_tokens": 160, **r} for name, r in RECIPES.items()},
            "training": {"source": source, "sets": ["clean"], "validation": {**source, "path": str(others)}},
            "evaluation": {"problems": [{"name": "minicode", "count": 3}]},
        },
        "test",
    )
    return {cell.cell.recipe: cell for cell in build_plan(config).cells if cell.recipe is not None}


def pairs_plan(cells: dict[str, CellPlan]) -> EncodedPairsPlan:
    plan = cells["fait"].pairs_of_rows
    return plan


def test_recipes_that_compare_share_their_pairs_and_others_have_none(cells):
    keys = {cells[name].pairs_of_rows.node.key for name in PAIRS}
    assert len(keys) == 1
    assert cells["sft"].pairs_of_rows is None and cells["rehearsing"].pairs_of_rows is None
    cell = cells["fait"]
    assert cell.model is not None and pairs_plan(cells) in ModelPlan(cell.model, cell).inputs
    assert pairs_plan(cells).node.key not in cell.model.inputs  # so keys of models are those of before


@pytest.mark.slow
def test_stored_pairs_are_the_rows_that_a_training_would_encode(cells, tmp_path):
    done, plan = work_on(opened(tmp_path / "store")), pairs_plan(cells)
    make([plan], done)
    counts = done.store.manifest(plan.node)["counts"]
    assert counts == {"rows": 40, "marked": 38, "marked_on_one_side": 1, "without_marks": 1}
    assert "1 of 40 have no token that differs" in "".join(done.progress.activity.tail)
    stored, rows = done.store.use(plan.node) / ROWS, done.store.use(plan.training_set.node) / ROWS
    model, tokenizer = load_model(plan.base.ref)
    for name in PAIRS:
        recipe = cells[name].recipe
        assert isinstance(recipe, Recipe)
        job = TrainJob(plan.base.ref, "llama", recipe, rows, Path(), 7, name)
        fresh = encode_set(job, tokenizer, model.config)
        kept = encode_set(dataclasses.replace(job, pairs=stored), tokenizer, model.config)
        assert fresh.dropped == kept.dropped and len(fresh.rows) == len(kept.rows) == 39
        for row, same in zip(fresh.rows, kept.rows, strict=True):
            assert row.keys() == same.keys() and all(np.array_equal(row[key], same[key]) for key in row)
            assert all(row[key].dtype == same[key].dtype for key in row)


def test_a_killed_run_loses_a_block_and_a_damaged_block_is_made_again(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.stages.training_sets.BLOCK_ROWS", 16)
    plan, (done, other) = pairs_plan(cells), (work_on(opened(tmp_path / name)) for name in ("one", "two"))
    real, calls = preference_pairs.token_pairs, [0]

    def third_fails(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(preference_pairs, "token_pairs", third_fails)
    with pytest.raises(KeyboardInterrupt):
        make([plan], done)
    files = done.store.unfinished(plan.node)
    damaged = sorted(files.infos())[0]
    files.write(damaged, (files.read(damaged) or b"")[:-9])
    make([plan], done)
    assert calls[0] == 3 + 2  # of three blocks the second was kept
    make([plan], other)
    assert done.store.rows(plan.node, EncodedPair) == other.store.rows(plan.node, EncodedPair)
