"""Finds code blocks in an answer, whatever language the code is in.

Blocks are CommonMark's (https://spec.commonmark.org/0.31.2/#fenced-code-blocks), and what models write beside these:
fences that open at the end of a line of prose or close at the end of a line of code, blocks in blocks whose fences are
equally long, and a last block that is never closed. Where a block may end is not decided here: it has several readings,
and the first one that is a program counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_BLOCKS = 64
"""Blocks of an answer that are read; the others are left out."""
MOST_CLOSINGS = 6
"""Places where one block may end, counted from its beginning."""
DEEPEST = 3
"""How deep blocks are looked for in blocks."""

_FENCE = re.compile(r"```|~~~")
_OPENING = re.compile(
    r"^(?P<before>[^`\n]*?)(?<!~)(?P<fence>`{3,}+(?=[^`\n]*$)|~{3,}+)(?P<info>[^\n]*+)$", re.MULTILINE
)
_MARGIN = re.compile(r"(?:[ \t>]|[-*+] |\d+[.)] )*")
_QUOTE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)([^`\n]+)\1(?!`)")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A code block. `readings`: the texts that it may hold, the likeliest first."""

    readings: tuple[str, ...]


def has_fences(text: str) -> bool:
    """Return True if a text has fences of code blocks; most completions have none."""
    return "```" in text or "~~~" in text


def before_fences(text: str) -> str:
    """Return a text up to its first fence, which closes a block where the prompt opened it."""
    fence = _FENCE.search(text)
    return text[: fence.start()] if fence else text


def after_fences(text: str) -> str:
    """Return a text from its last fence on; empty if it has none."""
    return text[max(text.rfind("```"), text.rfind("~~~")) + len("```") :] if has_fences(text) else ""


def code_blocks(text: str) -> list[CodeBlock]:
    """Return the blocks of a text in its order, each followed by those that are in it."""
    return list(_blocks(text, 0))[:MOST_BLOCKS]


def block_spans(text: str) -> list[tuple[int, int]]:
    """Return where the outer blocks of a text stand: the first character of each one's code, and that after its last.

    Each ends at the first fence that may close it, or with the text.
    """
    text = text.replace("\r", " ")  # at the end of a line, where a fence may have blanks
    spans: list[tuple[int, int]] = []
    position = 0
    while len(spans) < MOST_BLOCKS and (opening := _opening(text, position)) is not None:
        start = min(opening.end() + 1, len(text))
        bodies, position = _bodies(text, start, opening["fence"])
        spans.append((start, start + len(bodies[0])))
    return spans


def block_margin(text: str, span: tuple[int, int]) -> str:
    """Return what lines of a block (of `block_spans`) begin with: blanks of a list, or marks of a quote."""
    start, end = span
    opening = text[:start].rstrip("\r\n").rpartition("\n")[2]
    found = _MARGIN.match(opening)
    margin = re.sub(r"[^ \t>]", " ", found[0] if found else "")
    lines = [line for line in text[start:end].splitlines() if line.strip(" \t>")]
    return margin if lines and all(line.startswith(margin) for line in lines) else ""


def code_spans(text: str) -> list[str]:
    return [span[2].strip() for span in _SPAN.finditer(text)][:MOST_BLOCKS]


def _blocks(text: str, depth: int) -> Iterator[CodeBlock]:
    position = 0
    for _ in range(MOST_BLOCKS):
        opening = _opening(text, position)
        if opening is None:
            return
        start = min(opening.end() + 1, len(text))
        bodies, position = _bodies(text, start, opening["fence"])
        bodies = [_without_margin(body, opening["before"]) for body in bodies]
        info = opening["info"].strip()  # a language and more, which may be code
        bodies += [f"{line}\n{bodies[0]}" for line in (info.partition(" ")[2], info) if " " in line]
        yield CodeBlock(tuple(dict.fromkeys(bodies)))
        if depth < DEEPEST and _FENCE.search(bodies[0]):
            yield from _blocks(bodies[0], depth + 1)


def _opening(text: str, position: int) -> re.Match[str] | None:
    """Return the next opening fence; backticks may follow prose in their line, tildes begin it."""
    while (opening := _OPENING.search(text, position)) is not None:
        if opening["fence"][0] == "`" or _MARGIN.fullmatch(opening["before"]):
            return opening
        position = opening.end()
    return None


def _bodies(text: str, start: int, fence: str) -> tuple[list[str], int]:
    """Return what a block from `start` may hold, the shortest first, and where the text goes on after the shortest."""
    code = r"[^`\n]*?" if fence[0] == "`" else r"[ \t>]*"
    closing = re.compile(rf"^(?P<code>{code}){re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
    bodies: list[str] = []
    after = len(text)
    for match in closing.finditer(text, start):
        last = match["code"] if match["code"].strip(" \t>") else ""
        bodies.append(text[start : match.start()] + last)
        after = min(after, match.end())
        if len(bodies) == MOST_CLOSINGS:
            break
    return [*bodies, text[start:]] if len(bodies) < MOST_CLOSINGS else bodies, after


def _without_margin(body: str, before: str) -> str:
    """Drop a fence's indentation and marks of quotes, which stand before it in its line (`before`)."""
    if ">" in before and _MARGIN.fullmatch(before):
        body = _QUOTE.sub("", body)
    indent = len(before) - len(before.lstrip(" "))
    return re.sub(rf"^ {{1,{indent}}}", "", body, flags=re.MULTILINE) if indent and not before.strip() else body
