"""What a generation_config sets beyond what raysweep decodes by, and how that is told."""

from __future__ import annotations

import pytest
from transformers import GenerationConfig

from raysweep.models.config_files import ALWAYS, WHEN_DRAWN, settings_in, unused_in_words
from raysweep.models.loading import load_model
from raysweep.models.traits import read_traits, traits_of
from raysweep.records import Decoding
from tests.models.scripted import byte_tokenizer, write_scripted

GREEDY, DRAWN = Decoding(8, 0.0), Decoding(8, 0.8, 0.95)


@pytest.mark.parametrize("name", [*ALWAYS, *WHEN_DRAWN])
def test_the_defaults_are_those_of_transformers(name):
    config, expected = GenerationConfig(), {**ALWAYS, **WHEN_DRAWN}[name]
    left_open = getattr(config, "_get_default_generation_params", dict)()  # transformers 5 fills these in later
    value = getattr(config, name) if getattr(config, name) is not None else left_open.get(name)
    assert value == expected or (value is None and not expected)


SETTINGS = [
    ({"eos_token_id": 2, "do_sample": True, "temperature": 0.6, "max_length": 4096}, {}),
    ({"repetition_penalty": 1.1, "no_repeat_ngram_size": 3}, {"repetition_penalty": 1.1, "no_repeat_ngram_size": 3}),
    ({"repetition_penalty": 1, "num_beams": 1, "suppress_tokens": [], "forced_eos_token_id": None}, {}),
    ({"top_k": 50, "min_length": 0, "typical_p": 1.0}, {}),
    ({"forced_bos_token_id": 0, "bad_words_ids": [[7]]}, {"forced_bos_token_id": 0, "bad_words_ids": [[7]]}),
]


@pytest.mark.parametrize(("generation", "settings"), SETTINGS)
def test_settings_that_change_nothing_are_left_out(generation, settings):
    assert settings_in({"repetition_penalty": 9.0}, generation) == settings
    assert settings_in(generation, None) == settings  # as `generate` takes them from a config alone


WORDS = [
    ({}, GREEDY, None, None),
    ({"top_k": 20, "top_p": 0.8}, GREEDY, None, None),
    ({"top_p": 0.95}, DRAWN, None, None),
    ({"repetition_penalty": 1.1, "top_k": 20}, GREEDY, "repetition_penalty 1.1", "0: always the likeliest token"),
    ({"num_beams": 4, "top_k": 20, "top_p": 0.9}, DRAWN, "num_beams 4, top_k 20 and top_p 0.9", "0.8, top_p 0.95"),
    ({"suppress_tokens": [1, 2, 3, 4, 5]}, DRAWN, "suppress_tokens [1, 2, 3, ...]", "0.8, top_p 0.95"),
]


@pytest.mark.parametrize(("settings", "decoding", "named", "how"), WORDS)
def test_what_would_change_a_text_is_told_with_its_value(settings, decoding, named, how):
    words = unused_in_words(settings, decoding)
    if named is None:
        assert words == ""
    else:
        assert words.startswith(f"generation_config sets {named}; ")
        assert words.endswith(f"(temperature {how})")


def test_files_and_memory_agree(tmp_path):
    generation = {"eos_token_id": [256], "repetition_penalty": 1.2, "top_k": 20, "do_sample": True}
    ref = write_scripted(tmp_path / "model", byte_tokenizer(), generation=generation)
    assert read_traits(ref).settings == {"repetition_penalty": 1.2, "top_k": 20}
    assert traits_of(*load_model(ref)) == read_traits(ref)
