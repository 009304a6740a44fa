"""Rows of repair with the tokenizers of the study's families: what trains is what generation sees and reads back."""

from __future__ import annotations

from typing import Any

import pytest

from raysweep.generators.rows import Tokens
from raysweep.models.families.t5 import T5
from raysweep.models.finding import resolve
from raysweep.models.traits import read_traits
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.styles import prompt_ids, shown, trains_suffix_first
from raysweep.prompts.templates import Prompter, PromptTemplate
from raysweep.records import Problem, TrainingRow
from raysweep.trainers.base import Recipe
from raysweep.trainers.objectives.responses import encode_apart, encode_response
from raysweep.trainers.objectives.sft import Sft
from tests.models.family_tokenizers import FAMILIES, FIM, tokenizer_of
from tests.models.tiny import TRANSFORMERS_4

HUNK = Hunk("def gcd(a, b):\n    if b == 0:\n", "        return b\n", "    return gcd(b, a % b)\n")
JAVA = Hunk("int gcd(int a, int b) {\n", "\treturn gcd(a % b, b);\n", "}\n")
FIXES = [
    (HUNK, "#", "        return a\n"),
    (HUNK, "#", "        a = b\n\n        return a  # µ 12\n"),
    (HUNK, "#", ""),
    (JAVA, "//", "\treturn gcd(b, a % b);\n"),
    (JAVA, "//", "return 10;\n"),
]
CAUSAL = [name for name in FAMILIES if name != "codet5"]
SHOWN = [(name, "repair_buggy_line") for name in CAUSAL] + [(name, "repair_infill") for name in FIM]


@pytest.fixture(scope="module")
def tokenizers():
    return {name: tokenizer_of(name) for name in FAMILIES}


def row_of(hunk: Hunk, comment: str, fixed: str, row_id: str = "1") -> TrainingRow:
    text = marked(hunk, comment)
    return TrainingRow(row_id, row_id, text, "", fixed, "", "clean", False, text, "")


def tokens_of(family: str, text: str, tokenizer: Any) -> list[int]:
    """Return the tokens of a text by itself, for CodeLlama without the blank that it puts in front of one."""
    if family != "codellama":
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    blank, line_end, *ids = tokenizer(f"\n{text}", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens([blank, line_end]) == ["▁", "<0x0A>"]
    return list(ids)


def request_of(hunk: Hunk, comment: str, template: PromptTemplate) -> Any:
    problem = Problem("p", marked(hunk, comment), "gcd", "")
    return Prompter("native", True, template).request("r", problem, problem.prompt)


IN_ORDER = next(str(number) for number in range(99) if not trains_suffix_first(str(number)))
"""A row that shows what stands before its hole first, as prompts do."""


@pytest.mark.parametrize("family, style", SHOWN)
def test_the_tokens_with_a_loss_are_those_of_the_fix_and_an_end(family, style, tokenizers):
    tokenizer = tokenizers[family]
    for hunk, comment, fixed in FIXES:
        encoded = Sft(reduction="per_token").encode(row_of(hunk, comment, fixed), tokenizer, Recipe(template=style))
        trained = [token for token, of in zip(encoded["input_ids"], encoded["weights"], strict=True) if of]
        assert len(trained) == len(tokens_of(family, fixed, tokenizer)) + 1 and trained[-1] == tokenizer.eos_token_id
        assert encoded["weights"] == [0.0] * (len(encoded["weights"]) - len(trained)) + [1.0] * len(trained)


@pytest.mark.parametrize("family, style", SHOWN)
def test_generation_sees_the_tokens_that_trained_and_reads_the_fix_back(family, style, tokenizers):
    tokenizer = tokenizers[family]
    template = PromptTemplate(style, tokenizer=tokenizer)
    reader = Tokens(tokenizer, None, 64)
    for hunk, comment, fixed in FIXES:
        encoded = encode_response(row_of(hunk, comment, fixed, IN_ORDER), fixed, tokenizer, Recipe(template=style))
        row = reader.row(request_of(hunk, comment, template))
        assert encoded.ids[: encoded.start] == row.prompt
        row.written.extend(encoded.ids[encoded.start :])
        assert reader.text(row) == fixed
        assert reader.completion(row).text == fixed
        covered = {at for first, last in encoded.spans[encoded.start :] for at in range(first, last)}
        assert covered == set(range(len(fixed)))


def test_an_encoder_decoder_row_has_the_fix_and_an_end_as_labels(tokenizers, tmp_path):
    tokenizer, style = tokenizers["codet5"], "repair_seq2seq_buggy_line"
    T5().tiny_config(len(tokenizer), tokenizer.eos_token_id).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    reader = Tokens(tokenizer, None, 64, read_traits(resolve(str(tmp_path)).ref()))
    for hunk, comment, fixed in FIXES:
        encoded = encode_apart(row_of(hunk, comment, fixed), fixed, tokenizer, Recipe(template=style))
        assert encoded.response == [*tokens_of("codet5", fixed, tokenizer), tokenizer.eos_token_id]
        row = reader.row(request_of(hunk, comment, PromptTemplate(style, tokenizer=tokenizer)))
        assert encoded.prompt == row.prompt and row.prompt[0] == tokenizer.bos_token_id
        row.written.extend(encoded.response)
        assert reader.text(row) == fixed


@pytest.mark.parametrize("family", FIM)
def test_a_hole_is_marked_with_one_token_each(family, tokenizers):
    tokenizer = tokenizers[family]
    for style in ("repair_infill", "repair_infill_plain", "zero_shot_infill"):
        text = request_of(HUNK, "#", PromptTemplate(style, tokenizer=tokenizer)).prompt
        ids = tokenizer(text)["input_ids"]
        marks = [tokenizer.convert_tokens_to_ids(token) for token in FIM[family]]
        assert [token for token in ids if token in marks] == marks and ids[-1] == marks[-1]


@pytest.mark.parametrize("family", FIM)
@pytest.mark.parametrize("suffix_first", [False, True])
@pytest.mark.parametrize("hunk", [HUNK, JAVA, Hunk(JAVA.before, JAVA.buggy, "")])
def test_code_behind_a_hole_is_read_with_no_blank_of_the_tokenizers(family, suffix_first, hunk, tokenizers):
    tokenizer = tokenizers[family]
    text = shown("zero_shot_infill", marked(hunk, "#"), tokenizer, suffix_first=suffix_first)
    (ids,), (_, behind, middle) = prompt_ids([text], tokenizer, special=True), FIM[family]
    start = ids.index(tokenizer.convert_tokens_to_ids(behind)) + 1
    end = ids.index(tokenizer.convert_tokens_to_ids(middle))
    assert ids[start:end] == (tokens_of(family, hunk.after, tokenizer) if hunk.after else [])


@pytest.mark.skipif(not TRANSFORMERS_4, reason="transformers 5's tokenizer puts no suffix first")
@pytest.mark.parametrize("suffix_first", [False, True])
@pytest.mark.parametrize("hunk", [HUNK, JAVA, Hunk("    a()\n", "", "  b()\n"), Hunk("a\n", "", "\n\tb\n")])
def test_both_orders_are_those_of_codellamas_own_tokenizer(suffix_first, hunk, tokenizers):
    tokenizer = tokenizers["codellama"]
    text = shown("zero_shot_infill", marked(hunk, "#"), tokenizer, suffix_first=suffix_first)
    own = tokenizer.encode_plus(hunk.before, hunk.after, suffix_first=suffix_first)["input_ids"]
    assert prompt_ids(["a b", text], tokenizer, special=True) == [tokenizer("a b")["input_ids"], own]
    assert prompt_ids([text], tokenizer, special=False) == [own[1:]] and own[0] == tokenizer.bos_token_id


def test_a_tokenizer_that_ends_texts_keeps_its_end_behind_a_hole():
    tokenizer = tokenizer_of("codellama")
    text = shown("zero_shot_infill", marked(JAVA, "//"), tokenizer)
    (plain,) = prompt_ids([text], tokenizer, special=True)
    tokenizer.add_eos_token = True
    assert prompt_ids([text], tokenizer, special=True) == [[*plain, tokenizer.eos_token_id]]


@pytest.mark.parametrize("family", FIM)
def test_a_row_with_the_suffix_first_ends_in_the_code_before_the_hole_and_the_fix(family, tokenizers):
    tokenizer, recipe = tokenizers[family], Recipe(template="repair_infill")
    row_id = next(str(number) for number in range(99) if trains_suffix_first(str(number)))
    fixed = "        return a\n"
    encoded = encode_response(row_of(HUNK, "#", fixed, row_id), fixed, tokenizer, recipe)
    before, behind, middle = tokenizer.convert_tokens_to_ids(list(FIM[family]))
    marks = [token for token in encoded.ids if token in (before, behind, middle)]
    assert marks == [before, behind, middle]
    read = tokenizer.decode(encoded.ids[encoded.ids.index(middle) + 1 : -1], clean_up_tokenization_spaces=False)
    faulty = f"{HUNK.before}# bug start: \n{HUNK.buggy}# bug end \n"
    assert read == f"{faulty}{fixed}" and encoded.ids[-1] == tokenizer.eos_token_id


def test_what_fills_a_hole_ends_at_codellamas_own_end(tokenizers):
    for family in FIM:
        template = PromptTemplate("zero_shot_infill", tokenizer=tokenizers[family])
        assert request_of(HUNK, "#", template).stop == (("▁<EOT>",) if family == "codellama" else ())
    tokenizer = tokenizers["codellama"]
    reader = Tokens(tokenizer, None, 64)
    row = reader.row(request_of(HUNK, "#", PromptTemplate("zero_shot_infill", tokenizer=tokenizer)))
    fill, end = "        return a\n", tokenizer.convert_tokens_to_ids("▁<EOT>")
    row.written.extend([*tokens_of("codellama", fill, tokenizer), end])
    assert row.ends[end] == "▁<EOT>" and reader.completion(row).text == fill


def test_a_tokenizer_without_such_tokens_is_told_what_to_take(tokenizers):
    for family in ("codegen", "bloom"):
        with pytest.raises(Exception, match=r"no tokens for filling in the middle.*take repair_buggy_line"):
            request_of(HUNK, "#", PromptTemplate("repair_infill", tokenizer=tokenizers[family]))
