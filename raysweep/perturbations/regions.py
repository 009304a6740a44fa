"""Finds what of a text is natural language, which perturbations may change, and what is code, which they may not.

`split_prompt` reads signature + docstring (study.md section 3), `split_instruction` free text with code in it (section
2). Both are lossless: the segments joined give the text back. Verbatim inside natural language: fenced and indented
code, lines of code, doctests with their output, inline back-ticks, URLs, escape sequences, calls, dotted and
identifier-shaped words (`snake_case`, `camelCase`), and the identifiers of the text's own code.

Comments as prompts (Java, C++) are in `raysweep.perturbations.comments`.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable

from raysweep.records import Segment

ALWAYS_PROTECTED = frozenset(
    ["float", "list", "List", "int", "bool", "tuple", "str", "dict", "True", "False", "self", "return", "$", "in"]
)
"""ReCode's TYPE_VARS: protected in every prompt (study.md section 3)."""

_DOCSTRING = re.compile(r"(\"\"\"|''')((?:[^\\]|\\.)*?)(?:\1|\\?\Z)", re.DOTALL)
_END = re.compile(  # of the description; group 1 is a called name, which counts when it is the entry point's
    r">>>|\bExamples?\b|(?i:\bfor\s+examples?\b|^[ \t]*examples?\b)|\bTest examples:|(?:\bassert\s+)?\b(\w+)\s*\(",
    re.MULTILINE,
)
_DEFINITION = re.compile(r"\b(?:def|class)\s+(\w+)")
_TOKEN = re.compile(  # of code: strings and comments are passed over, names are group 1
    r"(?i:\b[rbuf]{1,2})?(?:\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)"
    r"|\"(?:[^\\\"\n]|\\.)*\"?|'(?:[^\\'\n]|\\.)*'?)|#[^\n]*|\b([^\W\d]\w*)",
    re.DOTALL,
)
_VERBATIM = (
    r"(`+)(?!`)[^\n]*?[^`\n]\1(?!`)"  # inline back-ticks
    r"|\b(?:https?|ftp|file)://\S+|\bwww\.\S+"
    r"|\\N\{[^{}\n]*\}|\\\S*"  # an escape sequence, which a changed letter would break
    r"|\b[^\W\d]\w*(?:\.[^\W\d]\w*)*\([^()\n]*\)"  # a call
    r"|\b[^\W\d]\w*(?:\.[^\W\d]\w*)+"  # a dotted name
    r"|\b\w*_\w*|\b[a-z]+[A-Z]\w*"  # an identifier by its shape
)
_INLINE = re.compile(_VERBATIM)
_INLINE_OR_WORD = re.compile(f"{_VERBATIM}|\\b(?P<word>[^\\W\\d]\\w*)")
_FENCE = re.compile(r"\s*(```|~~~)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•]|\(?\w{1,3}[.)])\s")
_PROSE = re.compile(r"(?:\b[A-Za-z][a-z]* ){4}")
_CODE_LINE = re.compile(
    r"(?:async\s+def|def|class)\s+\w+.*[:({]$|import\s+[\w.*{}, ]+$|from\s+[\w.]+\s+import\b|#\s*include\b|@\w+"
    r"|</?[A-Za-z!][^>]*>|//|/\*|\*/|[)\]}]+[;,]?$|[\w.]+\(.*\);?$|\[.*\],?$"
    r"|SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|CREATE\s+(?:TABLE|VIEW|INDEX)\s|FROM\s|WHERE\s"
    r"|(?:(?:let|const|var|int|float|double|char|bool|boolean|string|String|final|static|auto)\s+)*"
    r"[\w.\[\]'\"$]+\s*[-+*/]?=(?![=>])\s*\S"
    r"|(?:for\s+\w+(?:,\s*\w+)*\s+in\s+\S+|(?:if|elif|while)\b[^a-z]*\w+\s*[<>=!(%].*|else|try|except\b.*)\s*:$"
)
_NOT_NAMES = frozenset([*keyword.kwlist, "a", "an", "and", "as", "be", "by", "I", "it", "of", "on", "the", "to"])
"""Words of code that are English: excluded when code is found by its looks and not by a parser."""


def split_prompt(prompt: str, entry_point: str) -> list[Segment]:
    """Split a signature + docstring prompt: the description inside the entry point's docstring is natural.

    The region runs from the first non-blank after the opening quotes to the last non-blank before the first ``>>>``,
    "Example(s)", "For example", "Test examples:" or call of the entry point, or else before the closing quotes.
    A prompt without a docstring is split as an instruction.
    """
    found = _docstring(prompt, entry_point)
    if found is None:
        return split_instruction(prompt)
    start, stop = description(prompt, *found.span(2), entry_point)
    pieces = [Segment(prompt[:start], False), *split_prose(prompt[start:stop], prompt)]
    if found[1] == "'''":
        pieces = [piece for part in pieces for piece in _keep_apostrophes(part)]
        pieces = _keep_last_word(pieces) if stop == found.end(2) else pieces
    return merge([*pieces, Segment(prompt[stop:], False)])


def description(prompt: str, start: int, stop: int, entry_point: str) -> tuple[int, int]:
    """Return where the description in ``prompt[start:stop]``, the inside of a docstring or comment, begins and ends."""
    ends = (cut.start() for cut in _END.finditer(prompt, start, stop) if cut[1] in (None, entry_point))
    stop = start + len(prompt[start : next(ends, stop)].rstrip())
    return start + len(prompt[start:stop]) - len(prompt[start:stop].lstrip()), stop


def split_prose(text: str, code: str) -> list[Segment]:
    """Split a description into natural language and what is verbatim in it, the identifiers of `code` included."""
    return _split(text, _names(code), prose=True)


def split_instruction(text: str) -> list[Segment]:
    """Split an instruction, or its input: all is natural but the code in it."""
    code = "".join(line for line, is_code in _lines(text) if is_code)
    return merge(_split(text, _names(code) - _NOT_NAMES))


def protected_words(prompt: str) -> frozenset[str]:
    """Return the identifiers of a prompt's code, Python keywords excluded, and `ALWAYS_PROTECTED` (study.md section 3).

    Equal to the NAME tokens of `tokenize` where the prompt is Python; of other text, the names in its lines of code.
    """
    if _is_python(prompt):
        return _names(prompt) | ALWAYS_PROTECTED
    code = "".join(line for line, is_code in _lines(_DOCSTRING.sub(" ", prompt)) if is_code)
    return (_names(code) - _NOT_NAMES) | ALWAYS_PROTECTED


def is_prose(segments: Iterable[Segment]) -> bool:
    """Tell whether segments read as a sentence (four plain words in a row) and not as data or code."""
    return any(segment.natural and _PROSE.search(segment.text + " ") for segment in segments)


def _docstring(prompt: str, entry_point: str) -> re.Match[str] | None:
    """Return the match (quotes, content) of the first triple-quoted string after the entry point's last definition."""
    definitions = [found.end() for found in _DEFINITION.finditer(prompt) if found[1] == entry_point]
    return _DOCSTRING.search(prompt, definitions[-1] if definitions else 0)


def _is_python(text: str) -> bool:
    if not re.search(r"\b(?:def|class)\s", text):
        return False
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _names(code: str) -> frozenset[str]:
    """Return the identifiers of code outside strings and comments, Python keywords excluded."""
    return frozenset(name for name in _TOKEN.findall(code) if name) - frozenset(keyword.kwlist)


def _lines(text: str, prose: bool = False) -> list[tuple[str, bool]]:
    """Return (line with its end, is code).

    `prose`: the text is a docstring's description, where the margin is no code and a deeper line only after a blank or
    code one, since authors hang paragraphs too.
    """
    lines = text.splitlines(keepends=True)
    margin = _margin(lines[1:]) if prose else 0
    flags: list[tuple[str, bool]] = []
    fence, doctest, paragraph = "", False, prose
    for line in lines:
        bare = line.strip()
        mark = _FENCE.match(line)
        doctest = bool(bare) and (doctest or bare.startswith(">>>"))
        indented = _indent(line) >= margin + 4 and not paragraph and not _LIST_ITEM.match(line)
        code = bool(fence or mark or doctest or (bare and (indented or _looks_like_code(bare))))
        flags.append((line, code))
        paragraph = prose and bool(bare) and not code
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1] == fence and bare.strip("`~") == "":
            fence = ""
    return flags


def _looks_like_code(bare: str) -> bool:
    if _CODE_LINE.match(bare):
        return True
    return bare.endswith(("{", "}", ";", "},", "],")) and not _LIST_ITEM.match(bare) and not _PROSE.search(bare)


def _indent(line: str) -> int:
    return len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())


def _margin(lines: list[str]) -> int:
    return min((_indent(line) for line in lines if line.strip()), default=0)


def _split(text: str, names: frozenset[str], prose: bool = False) -> list[Segment]:
    """Split into code lines, verbatim spans and `names` against the rest."""
    segments: list[Segment] = []
    for segment in merge(Segment(line, not is_code) for line, is_code in _lines(text, prose)):
        segments += _split_inline(segment.text, names) if segment.natural else [segment]
    return segments


def _split_inline(text: str, names: frozenset[str]) -> list[Segment]:
    segments: list[Segment] = []
    at = 0
    for found in (_INLINE_OR_WORD if names else _INLINE).finditer(text):
        if names and (word := found["word"]) is not None and word not in names:
            continue
        segments += [Segment(text[at : found.start()], True), Segment(found[0], False)]
        at = found.end()
    return [*segments, Segment(text[at:], True)]


def _keep_apostrophes(segment: Segment) -> list[Segment]:
    """Keep words with an apostrophe or three p's, which C1 can turn into apostrophes, from closing a ''' docstring."""
    if not segment.natural:
        return [segment]
    pieces: list[Segment] = []
    at = 0
    for found in re.finditer(r"[\w']+", segment.text):
        if not re.search(r"'|[pP]{3}", found[0]):
            continue
        pieces += [Segment(segment.text[at : found.start()], True), Segment(found[0], False)]
        at = found.end()
    return [*pieces, Segment(segment.text[at:], True)]


def _keep_last_word(pieces: list[Segment]) -> list[Segment]:
    """Keep the word before the closing ''' verbatim: an apostrophe at its end would close the docstring early."""
    last = pieces[-1]
    at = max(last.text.rfind(" "), last.text.rfind("\n")) + 1
    return [*pieces[:-1], Segment(last.text[:at], last.natural), Segment(last.text[at:], False)]


def merge(segments: Iterable[Segment]) -> list[Segment]:
    """Join neighbours of one kind and drop empty segments."""
    merged: list[Segment] = []
    for segment in segments:
        if not segment.text:
            continue
        if merged and merged[-1].natural == segment.natural:
            merged[-1] = Segment(merged[-1].text + segment.text, segment.natural)
        else:
            merged.append(segment)
    return merged
