"""What a report knows of edits: read from manifests, pairs and localizations in a store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.edits import BaseRates, Edits
from raysweep.config.loading import config_from
from raysweep.metrics.base import CellLabels
from raysweep.metrics.restoration import L_RIR, NOTHING_LOST
from raysweep.records import BlockAccuracy, PromptPair
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.editing import BLOCKS
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.sweep.grid import GridRow, edited_problems
from raysweep.sweep.report.edits import EditorChoice, EditReader, edit_scores
from raysweep.sweep.report.names import order_of
from tests.analysis.exhibits.layer_editing.examples import edit_of, ended, localization, pair_of, rewritten
from tests.storage.stores import commit

COUNTS = {
    "block": 2, "blocks": 4, "relative_change": 0.05, "changes_nothing": "",
    "seconds": {"localization": 0.2, "edit": 0.5, "checks": 0.1}, "memory_bytes": 2**30,
    "edited": {"problem_set": "minicode", "task_id": "minicode/7"},
}  # fmt: skip
PAIR = pair_of("llama", "C1", 1)
EDITED = CellLabels("llama", "creme", "minicode-C1-pair1", 42)
BASE = CellLabels("llama", "none", "base", 42)
EDITORS = {"creme": EditorChoice("creme", "auto", "{}")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def rated(passed: float) -> ProblemRates:
    return ProblemRates({"minicode/1": passed, "minicode/2": 1.0}, {}, 1, 1)


PAIRS = {EDITED.training_set: "C1"}
RATES = {
    BASE: {("minicode", "clean"): rated(1.0), ("minicode", "C1"): rated(0.0)},
    EDITED: {("minicode", "clean"): rated(1.0), ("minicode", "C1"): rated(1.0)},
}


def made(store: Store, stage: str, counts=None, rows=None, record=None, file: str = ROWS) -> str:
    node = Node(stage, 1, {"of": f"{counts} {rows}"}, (), stage)
    with store.writing(node) as draft:
        draft.counts = counts or {}
        (draft.folder / ("delta.safetensors" if stage == "model" else ROWS)).touch()
        if rows is not None:
            write_rows(draft.folder / file, record, rows, ["positions", "block"] if file == BLOCKS else ["task_id"])
    return node.key


def rows_of(cell: CellLabels, model: str = "", pair: str = "", test_sets=("", "")) -> list[GridRow]:
    name = f"{cell.model}.{cell.recipe}.{cell.training_set}.s{cell.seed}"
    stage = "model" if model else ""
    return [
        GridRow(name, cell.model, cell.recipe, cell.training_set, cell.seed, "minicode", perturbation, stage, model,
                key or "5" * 64, "6" * 64, "7" * 64, 0, "", "rewritten_set" if key else "test_set", pair)
        for perturbation, key in zip(("clean", "C1"), test_sets, strict=True)
    ]  # fmt: skip


def test_an_edit_has_what_its_manifest_its_pair_and_its_localization_say(store):
    import random

    blocks = [replace(one, divergence_removed=0.5) for one in localization(random.Random(1), 2)]
    model = made(store, "model", COUNTS, blocks, BlockAccuracy, BLOCKS)
    pair = made(store, "prompt_pair", {"task_id": "minicode/7", "eligible": 62}, [PAIR], PromptPair)
    grid = [*rows_of(BASE), *rows_of(EDITED, model, pair)]
    (edit,) = EditReader(store, grid, RATES, {}, PAIRS).edits(EDITORS, ()).made
    assert (edit.cell, edit.problem_set, edit.perturbation, edit.task_id) == (EDITED, "minicode", "C1", "minicode/7")
    assert list(edit.pairs) == [PAIR] and edit.eligible == 62 and list(edit.localization) == blocks and edit.ended == ""
    assert (edit.work.block, edit.work.blocks, edit.work.depth) == (2, 4, 0.5)
    assert (edit.work.localization_seconds, edit.work.edit_seconds, edit.work.check_seconds) == (0.2, 0.5, 0.1)
    assert edit.base == BaseRates(RATES[BASE]["minicode", "clean"].rates, RATES[BASE]["minicode", "C1"].rates)
    assert edit.restored.value == 1 and edit.is_judged
    edited = replace(edit, pairs=(replace(PAIR, accuracy_original=1.0, accuracy_perturbed=0.2),), repaired=0.6)
    (own,) = (number for _, number in edited.measurements() if number.metric == L_RIR)
    assert own.value == pytest.approx(0.5) and own.note == "of the edited prompt: 0.2 to 0.6, and 1 unperturbed"


def test_the_edited_problem_counts_nowhere_also_where_the_models_files_are_gone(store):
    node = Node("model", 1, {"of": "dropped"}, (), "model")
    commit(store, node, COUNTS)
    (row, _) = rows_of(EDITED, node.key, "9" * 64)
    assert edited_problems(row, store) == ("minicode/7",)
    store.drop(node)
    assert not store.has(node) and edited_problems(row, store) == ("minicode/7",)
    shutil.rmtree(store.folder(node))
    assert edited_problems(row, store) == ()
    pair = made(store, "prompt_pair", {"task_id": "minicode/7"}, [PAIR], PromptPair)
    assert edited_problems(replace(row, prompt_pair_key=pair), store) == ("minicode/7",)
    assert edited_problems(rows_of(BASE)[0], store) == ()


@pytest.mark.parametrize("reason", ["no such pair", "not reproduced: both pass"])
def test_a_cell_that_ended_has_its_reason_and_no_work(store, reason):
    without = {"ended": reason, "eligible": 0, "task_id": ""} if reason == "no such pair" else {"eligible": 0}
    pair = made(store, "prompt_pair", without, [], PromptPair)
    model = made(store, "model", {"ended": reason}) if reason != "no such pair" else "8" * 64
    (edit,) = EditReader(store, rows_of(EDITED, model, pair), {}, {}, PAIRS).edits(EDITORS, ()).made
    assert edit.ended == reason and edit.work is None and not edit.is_judged and not edit.pairs
    assert edit.eligible == 0


def test_a_cell_that_is_not_done_has_neither_reason_nor_work(store):
    (edit,) = EditReader(store, rows_of(EDITED, "8" * 64, "9" * 64), {}, {}, PAIRS).edits(EDITORS, ()).made
    assert (edit.ended, edit.work, edit.pairs, edit.task_id, edit.eligible) == ("", None, (), "", None)


def test_rewritten_test_sets_have_their_counts_and_the_bases_rates(store):
    sets = [made(store, "rewritten_set", {"rewritten": {"accepted": number, "empty": 1}}) for number in (3, 4)]
    cell = CellLabels("llama", "self-denoising", "rewritten", 42)
    rates = RATES | {cell: RATES[EDITED]}
    found = EditReader(store, rows_of(cell, test_sets=sets), rates, {}, PAIRS).edits(EDITORS, ["self-denoising"])
    assert found.made == [] and [one.perturbation for one in found.rewritten] == ["clean", "C1"]
    assert found.rewritten[1].reasons == {"accepted": 4, "empty": 1}
    assert found.rewritten[1].base.perturbed == {"minicode/1": 0.0, "minicode/2": 1.0}
    assert found.rewritten[1].rates == {"minicode/1": 1.0, "minicode/2": 1.0}


def test_numbers_of_edits_are_scores_and_what_is_undefined_has_its_reason():
    edit = edit_of("llama", "creme", "C1", 1)
    scores = {score.metric: score for score in edit_scores(Edits([edit, ended(edit, "no such pair")]))}
    assert {score.training_set for score in scores.values()} == {"minicode-C1-pair1"}
    assert scores["G-RIR"].value == edit.accuracy.restored.value and scores["G-RIR"].low < scores["G-RIR"].value
    patched = f"block {edit.work.block} (positions: all, phase: prefill)"
    assert scores["RI"].value == 1 and scores["RI"].note.startswith(f"{patched}, 5 samples of the pair")
    assert (scores["clean_change"].perturbation, scores["G-RIR"].perturbation) == ("clean", "C1")
    assert scores["edited_block"].value == edit.work.block and scores["memory_bytes"].value == edit.work.memory_bytes
    nothing_lost = replace(edit, base=BaseRates(edit.base.clean, edit.base.clean))
    undefined = next(score for score in edit_scores(Edits([nothing_lost])) if score.metric == "G-RIR")
    assert isnan(undefined.value) and undefined.note == NOTHING_LOST
    rewriting = edit_scores(Edits(rewritten=rewritten(["llama"])))
    assert [score.metric for score in rewriting] == ["clean_change", "G-RIR", "G-RIR", "G-RIR"]
    assert rewriting[0].value == rewriting[1].value == 0 and rewriting[0].high == -rewriting[0].low


def test_recipes_of_other_trainers_are_no_edits(store):
    grid = rows_of(CellLabels("llama", "full", "C1", 42))
    assert EditReader(store, grid, {}, {}, PAIRS).edits(EDITORS, ()).made == []


def test_an_editor_has_its_defaults_and_its_blocks_setting_apart_from_the_others():
    plain, other = EditorChoice.of("dinm", {}), EditorChoice.of("dinm", {"edit_at": 2, "lr": 0.5})
    assert plain.edit_at == "dinm" and other.edit_at == "2" and plain.settings != other.settings
    assert EditorChoice.of("dinm", {"edit_at": "last"}).settings == plain.settings


def test_pairs_are_one_training_set_of_the_order_and_rewriting_is_another():
    config = config_from(CONFIG, "test")
    order = order_of(config)
    assert order.training_sets == ("base", "edited", "rewritten")
    assert order.pairs == {f"minicode-{name}-pair{number}": name for name in ("C1", "C3") for number in (1, 2)}
    assert order.way("edited") == "edited from one edit example (mean over examples)"
    assert order_of(config_from({**CONFIG, "models": [MODEL], "edits": None}, "test")).training_sets == ("base",)


MODEL = {"name": "reference", "generator": "reference"}
PRETRAIN = {"family": "llama", "source": {"name": "minicode", "part": "pretraining", "rows": 100}, "recipe": "pretrain"}
CONFIG = {
    "name": "s",
    "allow_code_execution": True,
    "models": [{"name": "llama", "pretrain": PRETRAIN, "recipes": ["creme", "denoised"]}],
    "recipes": {"pretrain": {"steps": 1}, "creme": {"trainer": "creme"}, "denoised": {"trainer": "self-denoising"}},
    "edits": {"perturbations": ["C1", "C3"], "pairs": 2},
    "evaluation": {"problems": [{"name": "minicode", "count": 5}], "perturbations": ["clean", "C1", "C3"]},
}
