"""What models are shown of a fault, as the studies have it."""

from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.styles import STYLES, answers_in, infill_ends, shown, trains_suffix_first

HUNK = Hunk("f() {\n", "    a();\n", "}\n")
TEXT = marked(HUNK, "//")


class Words:
    """A tokenizer with some tokens."""

    eos_token = ""

    def __init__(self, *words: str) -> None:
        self.words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}


STARCODER: Any = Words("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
DEEPSEEK: Any = Words("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")


@pytest.mark.parametrize(
    "name, text",
    [
        ("repair_buggy_line", "f() {\n// bug start: \n    a();\n// bug end \n}\n// fix: \n"),
        ("repair_plain", "f() {\n// bug start: \n// bug end \n}\n// fix: \n"),
        ("repair_seq2seq_buggy_line", "f() {\n// bug start: \n    a();\n// bug end \n}\n"),
        ("repair_seq2seq_plain", "f() {\n// bug start: \n// bug end \n}\n"),
        ("repair_clm_buggy_line", "f() {\n// buggy lines start:\n    a();\n// buggy lines end:\n}\n// fixed lines:\n"),
        ("repair_clm_plain", "f() {\n// buggy lines start:\n// buggy lines end:\n}\n// fixed lines:\n"),
        ("repair_clm_seq2seq_buggy_line", "f() {\n</s>    a();\n</s>}\n"),
        ("repair_clm_seq2seq_plain", "f() {\n</s></s>}\n"),
        ("zero_shot_plain", "f() {\n"),
        ("zero_shot_buggy_line", "f() {\n// buggy line:    a();\n"),
        ("zero_shot_mask_plain", "f() {\n    <extra_id_0>\n}\n"),
        ("zero_shot_mask_buggy_line", "f() {\n// buggy line:    a();\n    <extra_id_0>\n}\n"),
        ("repair_infill", "<fim_prefix>f() {\n// bug start: \n    a();\n// bug end \n<fim_suffix>}\n<fim_middle>"),
        ("repair_infill_plain", "<fim_prefix>f() {\n// bug start: \n// bug end \n<fim_suffix>}\n<fim_middle>"),
        ("zero_shot_infill", "<fim_prefix>f() {\n<fim_suffix>}\n<fim_middle>"),
    ],
)
def test_each_style_is_the_studies_text(name: str, text: str) -> None:
    assert shown(name, TEXT, STARCODER) == text


def test_blank_lines_are_shown_as_no_comment_and_python_is_marked_with_its_own_comments() -> None:
    text = marked(Hunk("f() {\n", "\n    a();\n   \n", "}\n"), "//")
    assert shown("zero_shot_buggy_line", text) == "f() {\n// buggy line:    a();\n"
    text = shown("repair_buggy_line", marked(Hunk("def f():\n", "    return 1\n", ""), "#"))
    assert text == "def f():\n# bug start: \n    return 1\n# bug end \n# fix: \n"


def test_every_style_is_one_of_those_above_and_names_one_for_models_that_are_not_fine_tuned() -> None:
    assert len(STYLES) == 15
    for name, style in STYLES.items():
        other = STYLES[STYLES[name].untuned or name]
        assert (other.untuned, other.architecture) == ("", style.architecture)
        assert answers_in(name) is style.answer
    assert answers_in("instruct") is None


def test_infill_takes_the_familys_own_tokens_in_either_order_and_needs_them() -> None:
    assert shown("zero_shot_infill", TEXT, DEEPSEEK) == "<｜fim▁begin｜>f() {\n<｜fim▁hole｜>}\n<｜fim▁end｜>"
    text = shown("zero_shot_infill", TEXT, STARCODER, suffix_first=True)
    assert text == "<fim_prefix><fim_suffix>}\n<fim_middle>f() {\n"
    with pytest.raises(UsageError, match=r"no tokens for filling in the middle.*take repair_buggy_line"):
        shown("repair_infill", TEXT, Words("<fim_prefix>", "a"))


@pytest.mark.parametrize(
    "before, after, indent",
    [
        ("f() {\n    if (x) {\n", "        a();\n    }\n}\n", 8),
        ("f() {\n    while (x) {\n        a();\n    }\n\n", "    b();\n}\n", 4),
        ("f() {\n    if (x) {\n        a();\n", "    }\n}\n", 8),
        ("def f():\n    a()\n\n", "\ndef g():\n    pass\n", 4),
        ("def f():\n    a()\n", "", 4),
        ("a()\n", "b()\n", 0),
    ],
)
def test_a_hunk_without_lines_has_its_mask_at_the_indent_of_the_code_around(
    before: str, after: str, indent: int
) -> None:
    text = shown("zero_shot_mask_plain", marked(Hunk(before, "", after), "//"))
    assert text == f"{before}{' ' * indent}<extra_id_0>\n{after}"


@pytest.mark.parametrize(
    "eos, words, ends",
    [
        ("<|endoftext|>", ("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>"), ("<|fim_pad|>", "<|file_sep|>")),
        ("<|im_end|>", ("<|im_end|>", "<|endoftext|>", "<|fim_pad|>"), ("<|endoftext|>", "<|fim_pad|>")),
        ("<eos>", ("<eos>", "<|file_separator|>"), ("<|file_separator|>",)),
        ("</s>", ("</s>", "▁<EOT>"), ("▁<EOT>",)),
        ("<|endoftext|>", ("<|endoftext|>", "<fim_prefix>"), ()),
    ],
)
def test_what_fills_a_hole_ends_at_each_end_that_the_tokenizer_has_beside_its_own(
    eos: str, words: tuple[str, ...], ends: tuple[str, ...]
) -> None:
    tokenizer = Words(*words)
    tokenizer.eos_token = eos
    assert infill_ends(tokenizer) == ends


def test_half_of_the_rows_train_with_the_suffix_first() -> None:
    firsts = sum(trains_suffix_first(str(number)) for number in range(1000))
    assert 430 < firsts < 570
