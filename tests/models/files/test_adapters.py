"""A key of an adapter's config that the installed PEFT drops is an error, with a way out that works."""

from __future__ import annotations

import json
import warnings

import peft
import pytest

from raysweep.errors import UnfitModel
from raysweep.models.files.adapters import NAME
from raysweep.models.loading import adapter_misfit, load_model
from tests.models.test_adapters import lora, make
from tests.models.test_traits import rewrite


@pytest.mark.parametrize("value", [True, 0.5, "mean", {"q_proj": 2}])
def test_a_key_that_peft_does_not_read_is_told_and_deleting_it_helps(value, tiny, tmp_path):
    adapter = make(tiny["llama"], lora(target_modules=["q_proj"]), tmp_path)
    rewrite(tmp_path / NAME, scale_by_depth=value, peft_version="0.99.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # PEFT's own word for it
        told = adapter_misfit(adapter)
    assert told.startswith(f"{tmp_path / NAME}, written by peft 0.99.0, has `scale_by_depth` ({value!r}), which ")
    assert f"peft {peft.__version__} doesn't read" in told and '`pip install "peft>=0.99.0"`' in told
    with pytest.raises(UnfitModel, match="scale_by_depth"):
        load_model(adapter)
    assert "delete it from the file" in told
    rewrite(tmp_path / NAME, scale_by_depth=None)
    assert adapter_misfit(adapter) == ""


WRONG = [
    ({"peft_type": "NEWLORA", "peft_version": "0.99.0"}, "peft 0.99.0, has `peft_type` ('NEWLORA')", '"peft>=0.99.0"'),
    ({"peft_type": "LORRA"}, "has `peft_type` ('LORRA')", "write one of these into the file: "),
    ({"rank_pattern": ["q_proj"]}, "`rank_pattern` must be a mapping, not ['q_proj']", '`"rank_pattern": {}`'),
    ({"alpha_pattern": [4]}, "`alpha_pattern` must be a mapping, not [4]", '`"alpha_pattern": {}`'),
]


@pytest.mark.parametrize(("fields", "named", "way"), WRONG)
def test_a_value_that_peft_cannot_take_is_named_with_what_to_write(fields, named, way, tiny, tmp_path):
    adapter = make(tiny["llama"], lora(target_modules=["q_proj"]), tmp_path)
    rewrite(tmp_path / NAME, **fields)
    told = adapter_misfit(adapter)
    assert told.startswith(str(tmp_path / NAME)) and named in told and way in told
    with pytest.raises(UnfitModel, match=next(iter(fields))):
        load_model(adapter)
    right = {"peft_type": "LORA"} if "peft_type" in fields else {key: {} for key in fields}
    rewrite(tmp_path / NAME, **right)
    assert adapter_misfit(adapter) == ""


def test_keys_without_a_value_are_no_fault(tiny, tmp_path):
    adapter = make(tiny["llama"], lora(target_modules=["q_proj"]), tmp_path)
    content = json.loads((tmp_path / NAME).read_text())
    new = {"of_tomorrow": None, "use_it": False, "named": "", "some": [], "more": {}, "unsloth_fixed": True}
    (tmp_path / NAME).write_text(json.dumps({**content, **new, "peft_version": "0.99.0"}))
    assert adapter_misfit(adapter) == ""
