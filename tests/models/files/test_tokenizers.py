"""A tokenizer that transformers 4 or 5 wrote is the same one under both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from raysweep.errors import RaysweepError
from raysweep.models.files.tokenizers import NAME, SAMPLES
from raysweep.models.loading import load_tokenizer
from raysweep.models.traits import read_traits
from raysweep.models.vocabulary import FILES, vocabulary_in_files, vocabulary_of
from raysweep.records import ModelRef
from tests.models.family_tokenizers import tokenizer_of
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.models.test_traits import rewrite
from tests.models.tiny import TRANSFORMERS_4

BOS = "<s>"
CONTROL = ["<|im_start|>", "<|im_end|>"]
MADE_ANEW = "a class that adds a token"
OF_5: dict[str, dict[str, Any]] = {
    "its class": {"tokenizer_class": "TokenizersBackend"},
    "a list": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": CONTROL},
    "an empty list": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": []},
    "its class, and a list": {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": CONTROL},
    "tokens with names": {"tokenizer_class": "TokenizersBackend", "image_token": CONTROL[0]},
    MADE_ANEW: {"tokenizer_class": "GPTNeoXTokenizer", "extra_special_tokens": CONTROL},
    "the left side": {"tokenizer_class": "TokenizersBackend", "padding_side": "left", "pad_token": EOS},
}
"""Settings as transformers 5 writes them, at which transformers 4 fails, or which it reads as another tokenizer."""
OF_4: dict[str, tuple[dict[str, Any], str, str]] = {
    "llama, as DeepSeek-R1's distilled models": ({"tokenizer_class": "LlamaTokenizerFast"}, BOS, ""),
    "llama with both": ({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True}, BOS, EOS),
    "llama with an end": (
        {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": False, "add_eos_token": True},
        "",
        EOS,
    ),
    "cohere": ({"tokenizer_class": "CohereTokenizerFast"}, BOS, ""),
    "gpt-neox": ({"tokenizer_class": "GPTNeoXTokenizerFast"}, "", ""),
    "gpt-neox with a beginning": ({"tokenizer_class": "GPTNeoXTokenizerFast", "add_bos_token": True}, BOS, ""),
    "qwen2, which adds nothing": ({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": True}, "", ""),
    "plain, which adds nothing": ({"tokenizer_class": "PreTrainedTokenizerFast", "add_eos_token": True}, "", ""),
}
"""Settings of transformers 4, and what it puts before and after a text, though tokenizer.json says nothing of it."""


def ids_in_file(folder: Path) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [list(tokenizer.encode(text).ids) for text in SAMPLES]


def written(folder: Path, begins: bool = False, prefix: bool = False, **settings: Any) -> ModelRef:
    """Write a tokenizer of bytes with other settings than its own; None removes one.

    `begins`: texts do with BOS. `prefix`: its file says that they do with a blank.
    """
    tokenizer = byte_tokenizer((EOS, BOS, "<unk>", *CONTROL), bos_token=BOS, unk_token="<unk>")
    if begins:
        around = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.bos_token_id)])
        tokenizer.backend_tokenizer.post_processor = around
    ref = write_scripted(folder, tokenizer)
    content = json.loads((folder / "tokenizer.json").read_text())
    rewrite(folder / "tokenizer.json", pre_tokenizer={**content["pre_tokenizer"], "add_prefix_space": prefix})
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    rewrite(folder / NAME, **settings)
    return ref


def require_files_tell(tokenizer: Any, folder: Path) -> None:
    """Compare what commands read in the files with the loaded tokenizer."""
    paths = [path if (path := folder / name).is_file() else None for name in FILES]
    assert vocabulary_in_files(*paths) == vocabulary_of(tokenizer)


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("name", OF_5)
def test_a_tokenizer_of_transformers_5_is_what_tokenizer_json_says(name, begins, tmp_path):
    if name == MADE_ANEW and not TRANSFORMERS_4:
        pytest.skip("transformers 5 makes this class anew, and only what it has saved itself is consistent")
    gone = dict.fromkeys(("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"))
    ref = written(tmp_path, begins, **{**gone, "backend": "tokenizers", **OF_5[name]})
    tokenizer = load_tokenizer(ref)
    assert [tokenizer(text)["input_ids"] for text in SAMPLES] == ids_in_file(tmp_path)
    assert tokenizer.padding_side == OF_5[name].get("padding_side", "right")
    if OF_5[name].get("extra_special_tokens"):
        assert set(CONTROL) <= set(tokenizer.all_special_tokens)
    if "image_token" in OF_5[name]:
        assert tokenizer.image_token == CONTROL[0]
    require_files_tell(tokenizer, tmp_path)
    tokenizer.save_pretrained(tmp_path)  # such as beside a model that was trained
    again = load_tokenizer(ref)
    assert [again(text)["input_ids"] for text in SAMPLES] == ids_in_file(tmp_path)
    assert set(again.all_special_tokens) == set(tokenizer.all_special_tokens)


@pytest.mark.parametrize("name", OF_4)
def test_a_tokenizer_of_transformers_4_puts_around_a_text_what_its_settings_say(name, tmp_path):
    settings, before, after = OF_4[name]
    tokenizer = load_tokenizer(written(tmp_path, backend=None, **settings))
    first, last = (tokenizer.convert_tokens_to_ids([end] if end else []) for end in (before, after))
    expected = [[*first, *ids, *last] for ids in ids_in_file(tmp_path)]
    assert [tokenizer(text)["input_ids"] for text in SAMPLES] == expected
    assert len(tokenizer) == len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab())
    require_files_tell(tokenizer, tmp_path)


@pytest.mark.parametrize("setting", [None, False, True])
@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("backend", [None, "tokenizers"])
def test_tokenizer_json_of_5_and_settings_of_4_say_whether_a_blank_begins_texts(backend, in_file, setting, tmp_path):
    gone = {"extra_special_tokens": None, "added_tokens_decoder": None}
    kind = "TokenizersBackend" if backend else "PreTrainedTokenizerFast"
    ref = written(tmp_path, prefix=in_file, backend=backend, tokenizer_class=kind, add_prefix_space=setting, **gone)
    tokenizer = load_tokenizer(ref)
    assert tokenizer.decode(tokenizer("a")["input_ids"]) == (" a" if (in_file if backend else setting) else "a")


@pytest.mark.parametrize("named", [{"bos_token": BOS}, {}])
def test_a_beginning_that_an_old_map_of_special_tokens_or_the_class_names_is_put_before_texts(named, tmp_path):
    gone = dict.fromkeys(("backend", "added_tokens_decoder", "eos_token", "bos_token"))
    ref = written(tmp_path, tokenizer_class="LlamaTokenizer", **gone)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": EOS, **named}))
    tokenizer = load_tokenizer(ref)
    assert tokenizer("a")["input_ids"][0] == tokenizer.convert_tokens_to_ids(BOS)
    assert read_traits(ref).before == (BOS,)


def test_a_class_that_only_config_json_names_puts_its_beginning_before_texts(tmp_path):
    ref = written(tmp_path, **dict.fromkeys(("backend", "tokenizer_class")))
    rewrite(tmp_path / "config.json", tokenizer_class="LlamaTokenizer")
    assert load_tokenizer(ref)("a")["input_ids"][0] == load_tokenizer(ref).convert_tokens_to_ids(BOS)
    assert read_traits(ref).before == (BOS,)


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "Qwen2Tokenizer"])
def test_tokens_have_the_numbers_of_tokenizer_json_whatever_the_settings_say(name, tmp_path):
    numbers = [byte_tokenizer((EOS, BOS, "<unk>", *CONTROL)).convert_tokens_to_ids(text) for text in CONTROL]
    swapped = {
        str(number): {"content": text, "special": True} for number, text in zip(numbers, CONTROL[::-1], strict=True)
    }
    ref = written(tmp_path, backend=None, tokenizer_class=name, added_tokens_decoder=swapped)
    tokenizer = load_tokenizer(ref)
    assert tokenizer.convert_tokens_to_ids(CONTROL) == numbers
    require_files_tell(tokenizer, tmp_path)


def test_a_class_that_transformers_5_makes_anew_splits_texts_as_tokenizer_json_does(tmp_path):
    tokenizer_of("codellama").save_pretrained(tmp_path)
    of_5 = dict.fromkeys(("backend", "add_prefix_space", "extra_special_tokens"))
    rewrite(tmp_path / NAME, tokenizer_class="CodeLlamaTokenizerFast", **of_5)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    tokenizer = load_tokenizer(ModelRef(str(tmp_path)))
    assert [tokenizer(text)["input_ids"] for text in SAMPLES] == ids_in_file(tmp_path)


def test_a_sentencepiece_model_alone_is_read_as_it_says_or_refused_until_transformers_4_has_written_it(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece", reason="tokenizer.model is one of its models")
    (tmp_path / "rows.txt").write_text(f"{SAMPLES[0]}{SAMPLES[1]}\n" * 9)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "rows.txt"),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    ends = {"bos_token": BOS, "eos_token": "</s>", "unk_token": "<unk>"}
    (tmp_path / NAME).write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "legacy": True, **ends}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    ref = ModelRef(str(tmp_path))
    if not TRANSFORMERS_4:
        with pytest.raises(
            RaysweepError, match=r"other tokens of '  two  2024' than tokenizer\.model says.* 4 write one"
        ):
            load_tokenizer(ref)
        return
    expected = sentencepiece.SentencePieceProcessor(str(tmp_path / "tokenizer.model")).encode(SAMPLES[1])
    load_tokenizer(ref).save_pretrained(tmp_path)
    assert load_tokenizer(ref)(SAMPLES[1], add_special_tokens=False)["input_ids"] == expected


def test_a_failure_says_whose_version_wrote_the_folder(tmp_path):
    ref = write_scripted(tmp_path, byte_tokenizer())
    rewrite(tmp_path / "config.json", transformers_version="99.0.0")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    way = r'transformers 99\.0\.0 wrote it and .* reads it: `pip install "transformers>=99\.0\.0"`'
    with pytest.raises(RaysweepError, match=rf"tokenizer of {tmp_path} can't be loaded: .*{way}"):
        load_tokenizer(ref)
