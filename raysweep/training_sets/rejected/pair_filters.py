"""Leaves out rejected responses that are no near misses of the response: equal, unlike, too long, or without code.

Code is equal to other code whose syntax tree it has: comments, docstrings and formatting make no fault.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from raysweep.prompts.answers.markdown import code_blocks
from raysweep.records import SourceRow

TOKEN_CHARACTERS = 3.2
"""Characters of a token, about: code models' tokenizers have 2.8 to 3.6 on instructions and code."""
TokenCount = Callable[[str], float]
"""Returns how many tokens a text has."""
EQUAL: Final = "equal to the response"
SAME_CODE: Final = "equal but for comments or formatting"
_PYTHON = frozenset({"", "python", "python3", "py"})
_C_LIKE = frozenset({"java", "cpp", "c++", "c", "c#", "csharp", "javascript", "js", "typescript", "ts", "go", "kotlin"})
_C_TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\w+|[^\w\s])", re.DOTALL)
"""A comment, or in group 1 a token of C and languages like it."""


@dataclass(frozen=True)
class Variant:
    """A response that may become a row's rejected one.

    `operator`: how it came about, in words. `lacks_fence`: a teacher wrote no block of code where the response has one.
    `is_cut`: a teacher's answer ended at its most tokens. `sameness`: see `sameness`.
    """

    text: str
    operator: str
    lacks_fence: bool = False
    is_cut: bool = False
    sameness: str = ""

    @property
    def in_words(self) -> str:
        return f"{self.operator}, {self.sameness}" if self.sameness else self.operator


@dataclass(frozen=True)
class PairFilters:
    """Which rejected responses are left out. A text without any character but white space always is.

    `equal`: those that differ in white space alone, or in comments and formatting of their code. `similarity`: those
    that have a smaller share of their characters in common with the response, by rapidfuzz's
    `Indel.normalized_similarity`; 0: none. `tokens`: those that are longer together with their prompt, and answers that
    ended at their most tokens; 0: none. `fence`: those that lack one.
    """

    equal: bool = True
    similarity: float = 0.5
    tokens: int = 1024
    fence: bool = True

    def reason_against(self, row: SourceRow, variant: Variant, tokens_of: TokenCount) -> str:
        """Return in words why a variant of a row's response is left out; empty if it stays."""
        from rapidfuzz.distance import Indel

        if not variant.text.strip():
            return "no text"
        if self.fence and variant.lacks_fence:
            return "no code fence"
        if self.equal and (same := sameness(row, variant.text)):
            return same
        if self.tokens and variant.is_cut:
            return "cut at the answer's most tokens"
        prompt = "".join(row.prompt_texts)
        least = sum(len(text.encode(errors="replace")) for text in (prompt, variant.text))  # a token has a byte
        if least > self.tokens > 0 and tokens_of(prompt) + tokens_of(variant.text) > self.tokens:
            return f"longer than {self.tokens:,} tokens with its prompt"
        if self.similarity and Indel.normalized_similarity(variant.text, row.output) < self.similarity:
            return f"less similar than {self.similarity:g}"
        return ""


def sameness(row: SourceRow, text: str) -> str:
    """Return in words how a text is the same as a row's response: `EQUAL`, `SAME_CODE`, or empty if it isn't."""
    if text.split() == row.output.split():
        return EQUAL
    codes, own = ([block.readings[0] for block in code_blocks(each)] or [each] for each in (text, row.output))
    pairs = zip(codes, own, strict=True) if len(codes) == len(own) else ()
    return SAME_CODE if pairs and all(is_same_code(row, one, other) for one, other in pairs) else ""


def is_same_code(row: SourceRow, one: str, other: str) -> bool:
    """Return True if two codes of a row's response or of variants of it differ in comments or formatting alone.

    Comments are known in Python and in languages like C; in others only white space is ignored.
    """
    if one.split() == other.split():
        return True
    form = _tokens if row.language.lower() in _C_LIKE else _tree
    found = form(row, one)
    return found is not None and found == form(row, other)


def _tokens(row: SourceRow, code: str) -> tuple[str, ...] | None:
    return tuple(filter(None, _C_TOKEN.findall(code)))


def _tree(row: SourceRow, code: str) -> str | None:
    """Return the syntax tree of Python code without docstrings; of a row in HumanEval's form that of its function."""
    if row.language.lower() not in _PYTHON:
        return None
    try:
        tree: ast.AST = ast.parse(row.instruction + code if row.entry_point else textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if row.entry_point:  # the last one: behind the prompt's own, a whole function may stand
        functions = [node for node in ast.walk(tree) if getattr(node, "name", "") == row.entry_point]
        tree = functions[-1] if functions else tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)


def tokens_by(tokenizer: Any) -> TokenCount:
    """Return what counts tokens: a tokenizer's, without special tokens, or about those of any one if it is None."""
    if tokenizer is None:
        return lambda text: len(text) / TOKEN_CHARACTERS
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
