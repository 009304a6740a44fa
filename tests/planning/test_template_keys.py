"""What a model's template and tokenizer do is in the keys where it counts, and in no other model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.planning.models import model_lines
from raysweep.planning.planner import build_plan
from raysweep.stages.inputs import model_ref
from tests.models.scripted import byte_tokenizer, chat_bytes, write_scripted
from tests.models.test_traits import rewrite
from tests.paths import NANO

CHANNEL = "<|channel|>final<|message|>"


def model_at(folder: Path) -> str:
    return f"models=[{{name: m, path: {folder}, recipes: [tiny], template: chat}}]"


def parts(folder: Path, *overrides: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return the specs of the completions and of the fine-tuned model of a chat model."""
    given = [model_at(folder), "evaluation.prompt_format=native", *overrides]
    cell = next(cell for cell in build_plan(load_config(NANO, given)).cells if cell.is_fine_tuned)
    assert cell.model is not None
    return dict(cell.pairs[0].completions.spec), dict(cell.model.spec["recipe"])


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("plain", {}, "prompts end with '<|assistant|>', then comes the signature"),
        ("opens reasoning", {"opens": "<think>\n"}, "then comes what the model writes before its answer"),
        ("reads the clock", {"day": "2024-07-26"}, "the template shows a date: 2024-07-26 (`evaluation.date`)"),
        ("has a date", {}, "then comes the signature"),
        ("has channels", {"answers": CHANNEL}, "then comes what the model writes before its answer"),
    ],
)
def test_how_a_template_ends_and_the_day_it_shows_are_in_keys_and_plans(name, facts, words, tmp_path):
    write_scripted(tmp_path / "model", chat_bytes(name))
    completions, recipe = parts(tmp_path / "model")
    for spec in (completions["prompt"], recipe):
        assert {key: spec[key] for key in ("opens", "day", "answers") if key in spec} == facts
    given = [model_at(tmp_path / "model"), "evaluation.prompt_format=native"]
    assert words in "\n".join(model_lines(build_plan(load_config(NANO, given))))


@pytest.mark.parametrize(
    ("name", "begins", "written", "words"),
    [
        ("plain", "", "", "'<|assistant|>'"),
        ("has spaces", " ", " \n  The answer.\n ", "' [/INST] '"),
        ("has a line end", "\n", "\n\n  The answer.\n", r"'<|endoftext|>\n<|assistant|>\n'"),
        ("strips", "", "The answer.", r"'<|endoftext|><|assistant|>\n'"),
    ],
)
def test_what_a_template_writes_around_answers_is_in_the_keys_of_what_shows_it(name, begins, written, words, tmp_path):
    write_scripted(tmp_path / "model", chat_bytes(name))
    completions, recipe = parts(tmp_path / "model")
    assert (completions["prompt"].get("begins", ""), recipe.get("written", "")) == (begins, written)
    assert "written" not in completions["prompt"] and "begins" not in recipe
    given = [model_at(tmp_path / "model"), "evaluation.prompt_format=native"]
    assert f"m: prompts end with {words}, then comes the signature" in model_lines(build_plan(load_config(NANO, given)))


def test_arguments_of_a_chat_template_are_in_the_keys_of_all_that_it_shows_and_in_no_others(tmp_path):
    write_scripted(tmp_path / "model", chat_bytes("may reason"))
    given = "models.0.template_arguments={enable_thinking: false}"
    for spec in parts(tmp_path / "model"):
        of_template = spec.get("prompt", spec)
        assert of_template["answers"] == "<think>\n\n</think>\n\n"
        assert not {"arguments", "template_arguments"} & of_template.keys()
    for spec in parts(tmp_path / "model", given):
        of_template = spec.get("prompt", spec)
        assert of_template["arguments"] == {"enable_thinking": False} and "answers" not in of_template
    config = load_config(NANO, [model_at(tmp_path / "model"), "evaluation.prompt_format=native", given])
    lines = "\n".join(model_lines(build_plan(config)))
    assert "with enable_thinking: false\n" in lines and r"</think>\n\n', then comes the signature" in lines
    cell = next(cell for cell in build_plan(config).cells if cell.is_fine_tuned)
    assert cell.recipe and cell.recipe.template_arguments == cell.template_arguments == {"enable_thinking": False}


def test_attention_that_is_asked_for_is_in_keys_and_travels_and_none_leaves_them_as_they_were(tmp_path):
    write_scripted(tmp_path / "model", chat_bytes("plain"))
    existing, made = model_at(tmp_path / "model"), "evaluation.limit=2"

    def cells(*overrides):
        return build_plan(load_config(NANO, overrides)).cells

    for given in (existing, made):
        plain, none, eager = (
            cells(given),
            cells(given, "models.0.attention=null"),
            cells(given, "models.0.attention=eager"),
        )
        assert [cell.pairs[0].completions.key for cell in plain] == [cell.pairs[0].completions.key for cell in none]
        for before, after in zip(plain, eager, strict=True):
            assert before.pairs[0].completions.key != after.pairs[0].completions.key
            assert before.model is None or before.model.key != after.model.key
            assert model_ref(after).attention == "eager" and model_ref(before).attention is None


OWN_CODE = """
from transformers import PreTrainedTokenizerFast

class Own(PreTrainedTokenizerFast):
    def apply_chat_template(self, conversation, tokenize=True, add_generation_prompt=False, **fields):
        return "".join(turn["content"] for turn in conversation) + ("<think>\\n" if add_generation_prompt else "")
"""


def test_a_tokenizer_with_code_of_its_own_renders_its_chats(tmp_path):
    folder = tmp_path / "model"
    write_scripted(folder, byte_tokenizer())
    (folder / "own_tokenizer.py").write_text(OWN_CODE)
    own = {"AutoTokenizer": [None, "own_tokenizer.Own"]}
    rewrite(folder / "tokenizer_config.json", tokenizer_class="Own", auto_map=own)
    trusted = model_at(folder).replace("template", "trust_remote_code: true, template")
    given = [trusted, "evaluation.prompt_format=native"]
    cell = next(cell for cell in build_plan(load_config(NANO, given)).cells if cell.is_fine_tuned)
    assert cell.pairs[0].completions.spec["prompt"]["opens"] == "<think>\n"


def test_another_day_is_another_key_where_a_template_shows_one_and_a_wrong_one_is_told(tmp_path):
    for name, changes in (("has a date", True), ("reads the clock", True), ("plain", False)):
        write_scripted(tmp_path / name, chat_bytes(name))
        others = [parts(tmp_path / name, f"evaluation.date={day}") for day in ("2025-01-31", "2025-02-01")]
        assert (others[0] != others[1]) is changes
        assert others[0] == parts(tmp_path / name, "evaluation.date=20250131")
    with pytest.raises(UsageError, match=r"'31\.1\.2025' is no day; write it as 2025-01-31"):
        load_config(NANO, ["evaluation.date='31.1.2025'"])


def test_control_tokens_that_completions_keep_are_in_their_keys_and_in_no_others(tmp_path):
    for special in ((), ("[THINK]", "[/THINK]")):
        write_scripted(tmp_path / "model", chat_bytes("plain", special))
        assert parts(tmp_path / "model")[0].get("control_tokens", []) == sorted(special)
