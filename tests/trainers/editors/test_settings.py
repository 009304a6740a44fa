"""Settings that no editor can mean are refused, and blocks that a model doesn't have."""

from __future__ import annotations

import pytest

from raysweep.errors import UsageError
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.editors.dinm import Dinm
from raysweep.trainers.editors.lora_edit import LoraEdit
from raysweep.trainers.editors.rome import Rome
from raysweep.trainers.editors.running import run_edit
from tests.services import EditServicesHere

OUT_OF_RANGE = {
    Creme: {"lr": 0.0, "most_change": -0.1, "keep_weight": -1.0, "steps": 0},
    Dinm: {"lr": 0.0, "steps": 0, "target_weight": -1.0, "stop_below": -1.0},
    LoraEdit: {"lr": 0.0, "steps": 0, "r": 0, "alpha": 0},
    Rome: {"lr": 0.0, "steps": 0, "prefixes": -1, "decay": -1.0, "target_tokens": 0}
    | {"covariance_ridge": -0.1, "covariance_text_tokens": 0},
}


@pytest.mark.parametrize("editor", OUT_OF_RANGE)
def test_a_setting_out_of_its_range_is_refused(editor):
    for setting, value in OUT_OF_RANGE[editor].items():
        told = rf"editor {editor.name}: {setting} {value} must be (above 0|[01] or more)"
        with pytest.raises(UsageError, match=told):
            editor(**{setting: value})
    with pytest.raises(UsageError, match="`positions: some`"):  # CREME's localization is checked too
        Creme(positions="some")


@pytest.mark.parametrize(
    ("editor", "family"),
    [(Creme(edit_at=-2), "codegen"), (Creme(edit_at=2), "codegen"), (Dinm(edit_at=-1), "llama"), (Rome(), "llama")],
)
def test_a_block_that_the_model_does_not_have_is_refused(editor, family, make_edit):
    told = f"`edit_at: {editor.edit_at}` names no block of this {family} model, which has 2; write a number from 0 to 1"
    with pytest.raises(UsageError, match=told):
        run_edit(editor, make_edit(family), EditServicesHere())
