from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from raysweep.errors import UsageError
from raysweep.models.files.configs import unread
from raysweep.models.scratch import EOS, prepare_scratch, train_tokenizer
from raysweep.records import ModelRef
from tests.models.tiny import FAMILIES, TRANSFORMERS_4
from tests.tiny import pairs

TEXTS = [p + o for p, o in pairs()]


@pytest.mark.parametrize("family", FAMILIES)
def test_config_and_tokenizer_fit_together(family, tmp_path):
    prepare_scratch(family, TEXTS, 320, {}, tmp_path)
    config, tokenizer = AutoConfig.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert config.model_type == family
    assert config.vocab_size == len(tokenizer) <= 320
    assert config.eos_token_id == tokenizer.eos_token_id


def test_the_same_texts_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        prepare_scratch("llama", iter(TEXTS), 320, {"hidden_size": 64}, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert [(tmp_path / "one" / f).read_bytes() for f in files] == [(tmp_path / "two" / f).read_bytes() for f in files]


def test_a_field_that_no_config_has_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no field 'hidden_sise'"):
        prepare_scratch("llama", TEXTS, 320, {"hidden_sise": 64}, tmp_path)


def test_a_base_of_rope_is_given_alike_to_each_version_of_transformers(tmp_path):
    prepare_scratch("llama", TEXTS, 320, {"rope_theta": 5e5}, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.rope_theta if TRANSFORMERS_4 else config.rope_parameters["rope_theta"]) == 5e5
    assert unread(ModelRef(str(tmp_path))) == ""


TOKENIZER = train_tokenizer(TEXTS, 320)


def test_special_tokens_are_one_token_each_and_survive_loading(tmp_path):
    tokens = ("<fim_prefix>", "<｜fim▁hole｜>", "▁<MID>")
    prepare_scratch("llama", TEXTS, 320, {}, tmp_path, tokens)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) <= 320
    for token in tokens:
        (number,) = tokenizer(token)["input_ids"]
        assert tokenizer.convert_ids_to_tokens(number) == token
        assert tokenizer.decode([number], skip_special_tokens=True) == ""


def test_it_saves_and_loads_like_any_other(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = pairs()[3][0]
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert (loaded.eos_token, loaded.bos_token, loaded.pad_token) == (EOS, EOS, None)


def test_end_of_text_is_one_token_that_is_never_added_by_itself():
    assert TOKENIZER("x" + EOS)["input_ids"][-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.eos_token_id not in TOKENIZER(pairs()[0][0])["input_ids"]


@given(st.text(max_size=60))
def test_any_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("text", ["123", "x = 10", "a[42]"])
def test_digits_stand_alone(text):
    tokens = TOKENIZER.convert_ids_to_tokens(TOKENIZER(text)["input_ids"])
    assert all(len(token) == 1 for token in tokens if any(c.isdigit() for c in token))


@given(st.text("ab :\"'()\n\t5", max_size=12), st.text("ab :\"'()\n\t5", max_size=12))
def test_tokens_before_a_line_break_do_not_depend_on_what_follows(before, after):
    alone = TOKENIZER(before + "\n")["input_ids"]
    assert TOKENIZER(before + "\n" + after)["input_ids"][: len(alone)] == alone


@pytest.mark.parametrize("layers", [2, 6])
def test_a_model_whose_config_lists_its_layers_has_as_many_as_it_is_asked_for(layers, tmp_path):
    prepare_scratch("qwen2", TEXTS, 320, {"num_hidden_layers": layers}, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert len(AutoModelForCausalLM.from_config(config).model.layers) == layers == len(config.layer_types)
