from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoTokenizer

from raysweep.errors import UsageError
from raysweep.models.scratch import prepare_scratch
from tests.models.tiny import FAMILIES, pairs

TEXTS = [p + o for p, o in pairs()]


@pytest.mark.parametrize("family", FAMILIES)
def test_config_and_tokenizer_fit_together(family: str, tmp_path: Path) -> None:
    prepare_scratch(family, TEXTS, 320, {}, tmp_path)
    config, tokenizer = AutoConfig.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert config.model_type == family
    assert config.vocab_size == len(tokenizer) <= 320
    assert config.eos_token_id == tokenizer.eos_token_id


def test_the_same_texts_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        prepare_scratch("llama", iter(TEXTS), 320, {"hidden_size": 64}, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert [(tmp_path / "one" / f).read_bytes() for f in files] == [(tmp_path / "two" / f).read_bytes() for f in files]


def test_a_field_that_no_config_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no field 'hidden_sise'"):
        prepare_scratch("llama", TEXTS, 320, {"hidden_sise": 64}, tmp_path)
