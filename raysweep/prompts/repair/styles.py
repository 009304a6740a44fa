"""The texts that models are shown of code with a marked hunk: templates for repair.

Sources: the repair study's code (https://github.com/User3574/codeRepair) for the forms of fine-tuned models, and clm's
(https://github.com/lin-tan/clm) for the alternatives whose names hold ``clm`` and for models that aren't fine-tuned.
Training and evaluation use the same text; the two codes differ by a line end or a colon between them. Without
the faulty lines the marks stay and the lines between them go.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raysweep.errors import UsageError
from raysweep.hashing import text_sha
from raysweep.prompts.repair.hunks import END, START, Hunk, hunk_in, lines_of

EXAMPLE = f"// {START}wrong();\n// {END}"
"""The shortest code with a marked hunk, to try a template on."""
MASK, MASK_END = "<extra_id_0>", "<extra_id_1>"
"""CodeT5's tokens for a masked span, and for the one behind it, which ends what fills the first."""


class RepairAnswer(StrEnum):
    """What a model answers."""

    HUNK = "hunk"  # the text in the hunk's place
    REST = "rest"  # the rest of the function, from the hunk on
    SPAN = "span"  # CodeT5's masked span


@dataclass(frozen=True, slots=True)
class RepairStyle:
    """How code with a marked hunk becomes the text that a model reads."""

    answer: RepairAnswer = RepairAnswer.HUNK
    shows_hunk: bool = True  # the model sees the faulty lines
    architecture: str = "causal"  # or seq2seq
    clm: bool = False  # clm's words in place of the study's
    infill: bool = False  # in the order of the tokenizer's tokens for filling in the middle
    untuned: str = ""  # the style of a model that isn't fine-tuned; empty: this is one


STYLES: Mapping[str, RepairStyle] = {
    "repair_plain": RepairStyle(shows_hunk=False, untuned="zero_shot_plain"),
    "repair_buggy_line": RepairStyle(untuned="zero_shot_buggy_line"),
    "repair_infill": RepairStyle(infill=True, untuned="zero_shot_infill"),
    "repair_infill_plain": RepairStyle(infill=True, shows_hunk=False, untuned="zero_shot_infill"),
    "repair_seq2seq_plain": RepairStyle(shows_hunk=False, architecture="seq2seq", untuned="zero_shot_mask_plain"),
    "repair_seq2seq_buggy_line": RepairStyle(architecture="seq2seq", untuned="zero_shot_mask_buggy_line"),
    "repair_clm_plain": RepairStyle(shows_hunk=False, clm=True, untuned="zero_shot_plain"),
    "repair_clm_buggy_line": RepairStyle(clm=True, untuned="zero_shot_buggy_line"),
    "repair_clm_seq2seq_plain": RepairStyle(
        shows_hunk=False, architecture="seq2seq", clm=True, untuned="zero_shot_mask_plain"
    ),
    "repair_clm_seq2seq_buggy_line": RepairStyle(architecture="seq2seq", clm=True, untuned="zero_shot_mask_buggy_line"),
    "zero_shot_plain": RepairStyle(RepairAnswer.REST, shows_hunk=False),
    "zero_shot_buggy_line": RepairStyle(RepairAnswer.REST),
    "zero_shot_infill": RepairStyle(infill=True, shows_hunk=False),
    "zero_shot_mask_plain": RepairStyle(RepairAnswer.SPAN, shows_hunk=False, architecture="seq2seq"),
    "zero_shot_mask_buggy_line": RepairStyle(RepairAnswer.SPAN, architecture="seq2seq"),
}
"""The templates for repair by name."""

INFILL = (
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder, whose last token stands before the middle
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma
)
"""Tokens before what stands before the hole, before what stands behind it, and before what fills it, by family."""

INFILL_ENDS = (
    "▁<EOT>",  # CodeLlama
    "<|file_separator|>",  # CodeGemma
    "<file_sep>",  # StarCoder2
    *("<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),  # Qwen2.5-Coder, instruction-tuned models, too
)
"""The tokens with which families end what fills a hole, beside their tokenizers' end of text."""


def infill_tokens(tokenizer: Any) -> tuple[str, str, str]:
    """Return the tokens for filling in the middle, see `INFILL`; raise UsageError if the tokenizer has none of them."""
    words = tokenizer.get_vocab()
    found = next((tokens for tokens in INFILL if all(token in words for token in tokens)), None)
    if found is None:
        raise UsageError(
            "the tokenizer has no tokens for filling in the middle, such as <fim_prefix>, which the infill templates "
            "for repair need; take repair_buggy_line or repair_plain"
        )
    return found


def required_tokens(name: str) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Return what a template takes tokens of its own for, and groups of them of which a tokenizer must have one."""
    style = STYLES.get(name)
    if style is not None and style.infill:
        return "filling in the middle", INFILL
    if style is not None and style.answer is RepairAnswer.SPAN:
        return "a mask", ((MASK, MASK_END),)
    return "", ()


def infill_ends(tokenizer: Any) -> tuple[str, ...]:
    """Return those of `INFILL_ENDS` that a tokenizer has, without its end of text, which ends all answers."""
    words, end = tokenizer.get_vocab(), tokenizer.eos_token
    return tuple(token for token in INFILL_ENDS if token in words and token != end)


def shown(name: str, text: str, tokenizer: Any = None, *, suffix_first: bool = False) -> str:
    """Return what a model reads of code with a marked hunk.

    `text`: the code with its marks, see hunks.py. `tokenizer`: the model's, for styles with tokens of its own.
    `suffix_first`: what stands behind the hole comes first, for styles that fill it.

    Raises:
        UsageError: the text marks no hunk, or the tokenizer has no tokens for filling in the middle.
    """
    hunk, comment = hunk_in(text)
    style = STYLES[name]
    if style.answer is not RepairAnswer.HUNK:
        lines = [line for line in lines_of(hunk.buggy) if style.shows_hunk and line.strip()]  # clm shows no blank ones
        before = f"{hunk.before}{''.join(f'{comment} buggy line:{line}' for line in lines)}"
        return before if style.answer is RepairAnswer.REST else f"{before}{hunk.indent}{MASK}\n{hunk.after}"
    if style.infill:
        before = hunk.before if not style.untuned else _with_marks(hunk, comment, style)
        return _infilling(before, hunk.after, tokenizer, suffix_first=suffix_first)
    if style.clm and style.architecture == "seq2seq":
        return "</s>".join([hunk.before, hunk.buggy if style.shows_hunk else "", hunk.after])
    text = f"{_with_marks(hunk, comment, style)}{hunk.after}"
    if style.architecture == "seq2seq":
        return text
    return f"{text}{comment} fixed lines:\n" if style.clm else f"{text}{comment} fix: \n"


def prompt_ids(texts: Sequence[str], tokenizer: Any, *, special: bool) -> list[list[int]]:
    """Return the tokens of prompts, in training and generation, with what the tokenizer puts around a text.

    CodeLlama's tokenizer puts a blank behind each of its special tokens. The model was trained without one before the
    code behind a hole (https://github.com/meta-llama/codellama, `encode_infilling`), which is encoded apart here.

    `texts`: filled templates. `special`: the tokenizer puts its special tokens around a text.
    """
    ids: list[list[int]] = list(tokenizer(list(texts), add_special_tokens=special)["input_ids"])
    token, lead = "▁<SUF>", line_lead(tokenizer)
    if not lead:
        return ids
    skipped = len(tokens_of(tokenizer, lead))
    for number, text in enumerate(texts):
        _, found, behind = text.partition(token)
        if found and (hole := tokenizer.convert_tokens_to_ids(token)) in ids[number]:
            start = ids[number].index(hole) + 1
            end = start + len(tokens_of(tokenizer, f"{token}{behind}")) - 1
            ids[number][start:end] = tokens_of(tokenizer, f"{lead}{behind}")[skipped:]
    return ids


@functools.lru_cache(maxsize=4)
def line_lead(tokenizer: Any) -> str:
    """Return a line's end for tokenizers that put a blank before a text, as SentencePiece does; empty for others.

    Behind a line's end there is no such blank, so what is encoded behind one is read back as it was.
    """
    alone = tokenizer.decode([*tokens_of(tokenizer, "\n"), *tokens_of(tokenizer, "a")])
    return "" if alone.endswith("\na") else "\n"


def tokens_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def trains_suffix_first(row_id: str) -> bool:
    """Return whether a training row that fills a hole shows what stands behind it first, as half of them do."""
    return int(text_sha(f"suffix first {row_id}")[:8], 16) % 2 == 0


def answers_in(name: str) -> RepairAnswer | None:
    """Return what a model answers to a template; None for one that is not for repair."""
    return STYLES[name].answer if name in STYLES else None


def _with_marks(hunk: Hunk, comment: str, style: RepairStyle) -> str:
    start, end = ("buggy lines start:\n", "buggy lines end:\n") if style.clm else (START, END)
    return f"{hunk.before}{comment} {start}{hunk.buggy if style.shows_hunk else ''}{comment} {end}"


def _infilling(before: str, after: str, tokenizer: Any, *, suffix_first: bool) -> str:
    """Return code around a hole, in one of the two orders that models are trained on.

    With the suffix first the code before the hole follows the token for the middle, and so does what fills the hole, as
    in the study (benchmarks/fim.py, `permute`), in StarCoder's training and with CodeLlama's own tokenizer.
    """
    prefix, suffix, middle = infill_tokens(tokenizer)
    if suffix_first:
        return f"{prefix}{suffix}{after}{middle}{before}"
    return f"{prefix}{before}{suffix}{after}{middle}"
