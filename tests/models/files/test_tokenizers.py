"""A tokenizer that transformers 5 wrote is read as tokenizer.json says, or refused with a way out that works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from raysweep.errors import RaysweepError
from raysweep.models.files.tokenizers import NAME, SAMPLE
from raysweep.models.loading import load_tokenizer
from raysweep.records import ModelRef
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.models.test_traits import rewrite
from tests.models.tiny import TRANSFORMERS_4

CONTROL = ["<|im_start|>", "<|im_end|>"]
SETTINGS: dict[str, dict[str, Any]] = {
    "its class": {"tokenizer_class": "TokenizersBackend"},
    "a list": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": CONTROL},
    "an empty list": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": []},
    "both, empty": {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": []},
    "both": {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": CONTROL},
    "a list, and a class that adds a token": {"tokenizer_class": "GemmaTokenizer", "extra_special_tokens": CONTROL},
    "a class that adds a token": {"tokenizer_class": "CohereTokenizer"},
}
"""Settings as transformers 5 writes them, which transformers 4 fails at, or reads as another tokenizer."""


def rewritten(told: str, folder: Path) -> None:
    """Change a tokenizer's settings as an error says."""
    settings = json.loads((folder / NAME).read_text())
    fields: dict[str, Any] = dict(re.findall(r'write `"(\w+)": "(\w+)"` into the file', told))
    if renamed := re.search(r"rename `(\w+)` to `(\w+)`", told):
        fields |= {renamed[2]: settings[renamed[1]], renamed[1]: None}
    if deleted := re.search(r"delete the empty `(\w+)` from the file", told):
        fields[deleted[1]] = None
    rewrite(folder / NAME, **fields)


def ids_in_file(folder: Path) -> list[int]:
    return list(Tokenizer.from_file(str(folder / "tokenizer.json")).encode(SAMPLE).ids)


def written(folder: Path, **settings: Any) -> ModelRef:
    """Write a tokenizer of bytes with other settings than its own; None removes one."""
    ref = write_scripted(folder, byte_tokenizer((EOS, "<s>", "<unk>", *CONTROL), bos_token="<s>", unk_token="<unk>"))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    rewrite(folder / NAME, **settings)
    return ref


def of_transformers_5(folder: Path, **settings: Any) -> ModelRef:
    gone = dict.fromkeys(("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"))
    ref = written(folder, **{**gone, "backend": "tokenizers", **settings})
    rewrite(folder / "config.json", transformers_version="5.2.0")
    return ref


@pytest.mark.parametrize("name", SETTINGS)
def test_a_tokenizer_of_transformers_5_is_read_or_refused_with_what_to_write(name, tmp_path):
    ref = of_transformers_5(tmp_path, **SETTINGS[name])
    if TRANSFORMERS_4:
        with pytest.raises(RaysweepError) as error:
            load_tokenizer(ref)
        told = str(error.value)
        assert told.startswith(f"{tmp_path / NAME} is of transformers 5.2.0, and transformers 4")
        assert 'pip install "transformers>=5.2.0"' in told
        rewritten(told, tmp_path)
    tokenizer = load_tokenizer(ref)
    if TRANSFORMERS_4:
        assert tokenizer(SAMPLE)["input_ids"] == ids_in_file(tmp_path)
    if SETTINGS[name].get("extra_special_tokens"):
        assert set(CONTROL) <= set(tokenizer.all_special_tokens)


@pytest.mark.skipif(TRANSFORMERS_4, reason="transformers 4 takes the pieces of tokenizer.json in each of its classes")
def test_a_class_that_transformers_5_makes_anew_is_refused_where_tokenizer_json_says_otherwise(tmp_path):
    ref = written(tmp_path, backend=None, tokenizer_class="LlamaTokenizerFast")
    with pytest.raises(RaysweepError, match=r"is of transformers 4, and .* `tokenizer_class: LlamaTokenizerFast`") as e:
        load_tokenizer(ref)
    rewritten(str(e.value), tmp_path)
    assert load_tokenizer(ref)(SAMPLE)["input_ids"] == ids_in_file(tmp_path)


@pytest.mark.parametrize("kind", ["PreTrainedTokenizerFast", "GPT2Tokenizer"])
def test_one_that_transformers_4_reads_as_it_is_meant_is_taken(kind, tmp_path):
    assert load_tokenizer(of_transformers_5(tmp_path, tokenizer_class=kind)).eos_token == EOS


def test_another_failure_says_whose_version_wrote_the_folder(tmp_path):
    ref = write_scripted(tmp_path, byte_tokenizer())
    rewrite(tmp_path / "config.json", transformers_version="99.0.0")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    way = r'transformers 99\.0\.0 wrote it and .* reads it: `pip install "transformers>=99\.0\.0"`'
    with pytest.raises(RaysweepError, match=rf"tokenizer of {tmp_path} can't be loaded: .*{way}"):
        load_tokenizer(ref)
