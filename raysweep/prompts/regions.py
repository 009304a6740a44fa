"""Splits a text into natural language, which perturbations may change, and code, which they may not.

`split_prompt` splits a prompt of signature and docstring, `split_instruction` free text with code
in it (section 2). Both are lossless: the segments joined give the text back. Verbatim pieces inside natural language
are fenced and indented code, lines of code, doctests with their output, inline back-ticks, URLs, escape sequences,
calls, dotted words, words shaped like identifiers (`snake_case`, `camelCase`), and the identifiers of the text's code.

Prompts with a comment in place of a docstring (Java, C++) are split in `raysweep.prompts.comments`.
"""

from __future__ import annotations

import ast
import keyword
import re
import tokenize
from collections.abc import Iterable
from itertools import pairwise

from raysweep.programs import PYTHON
from raysweep.prompts.python_tokens import python_tokens
from raysweep.records import Segment

ALWAYS_PROTECTED = frozenset(
    ["float", "list", "List", "int", "bool", "tuple", "str", "dict", "True", "False", "self", "return", "$", "in"]
)
"""Words that are protected in every prompt: ReCode's TYPE_VARS."""

_TRIPLE_QUOTED = re.compile(r"(\"\"\"|''')((?:[^\\]|\\.)*?)(?:\1|\\?\Z)", re.DOTALL)
_DOCSTRING = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')((?:[^\\]|\\.)*?)\1", re.DOTALL)
_END = re.compile(  # the description's end; group 1 is a called name, an end only if it is the entry point
    r">>>|\bExamples?\b|(?i:\bfor\s+examples?\b|^[ \t]*examples?\b)|\bTest examples:|^[ \t]*assert\b"
    r"|(?:\bassert\s+)?\b(\w+)\s*\(",
    re.MULTILINE,
)
_TESTS = re.compile(r"\s*^[ \t]*(?:Test examples:|assert\b)", re.MULTILINE)
_DEFINITION = re.compile(r"\b(?:def|class)\s+(\w+)")
_TOKEN = re.compile(  # matches strings, comments and names of code; only names are in group 1
    r"(?i:\b[rbuf]{1,2})?(?:\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)"
    r"|\"(?:[^\\\"\n]|\\.)*\"?|'(?:[^\\'\n]|\\.)*'?)|#[^\n]*|\b([^\W\d]\w*)",
    re.DOTALL,
)
_VERBATIM = (
    r"(`{1,99}+)(?!`)[^\n]*?[^`\n]\1(?!`)"  # inline back-ticks
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
"""English words that occur as names in code; identifiers only where a parser has recognised the code."""


def split_prompt(prompt: str, entry_point: str) -> list[Segment]:
    """Split a prompt of signature and docstring: the description in the entry point's docstring is natural.

    The description runs from the first non-blank after the opening quotes to the last non-blank before the first
    ``>>>``, "Example(s)", "For example", "Test examples:", line with ``assert`` or call of the entry point, else before
    the closing quotes. A prompt without a docstring is split as an instruction, up to its first test.
    """
    docstring = find_docstring(prompt, entry_point)
    if docstring is None:
        tests = _TESTS.search(prompt)
        end = tests.start() if tests else len(prompt)
        return merge([*split_instruction(prompt[:end]), Segment(prompt[end:], False)])
    start, stop = description(prompt, *docstring.span(2), entry_point)
    pieces = split_docstring(prompt[start:stop], prompt, docstring[1], ends=stop == docstring.end(2))
    return merge([Segment(prompt[:start], False), *pieces, Segment(prompt[stop:], False)])


def split_docstring(text: str, code: str, quotes: str, *, ends: bool) -> list[Segment]:
    """Split so that no changed word closes the docstring early. `ends`: the closing quotes follow at once.

    Between ''' words stay that have an apostrophe or three p's, which C1 can turn into apostrophes, and so does the
    word before the closing quotes. Between ' it is one p.
    """
    pieces = split_prose(text, code)
    if not quotes.startswith("'"):
        return pieces
    closing, kept = re.compile(f"'|[pP]{{{len(quotes)}}}"), list[Segment]()
    for piece in pieces:
        words = (word for word in re.finditer(r"[\w']+", piece.text) if closing.search(word[0]))
        kept += _around(piece.text, words) if piece.natural else [piece]
    if kept and ends:
        last = kept.pop()
        start = max(last.text.rfind(" "), last.text.rfind("\n")) + 1
        kept += [Segment(last.text[:start], last.natural), Segment(last.text[start:], False)]
    return kept


def description(prompt: str, start: int, stop: int, entry_point: str) -> tuple[int, int]:
    """Return the (start, end) of the description in ``prompt[start:stop]``, the inside of a docstring or comment."""
    ends = (cut.start() for cut in _END.finditer(prompt, start, stop) if cut[1] in (None, entry_point))
    stop = start + len(prompt[start : next(ends, stop)].rstrip())
    return start + len(prompt[start:stop]) - len(prompt[start:stop].lstrip()), stop


def split_prose(text: str, code: str) -> list[Segment]:
    """Split a description into natural language and verbatim text; the identifiers of `code` are verbatim."""
    return _split(text, _names(code), prose=True)


def split_instruction(text: str) -> list[Segment]:
    """Split an instruction or its input: everything is natural except the code in it."""
    code = "".join(line for line, is_code in _lines(text) if is_code)
    return merge(_split(text, _names(code) - _NOT_NAMES))


def protected_words(prompt: str) -> frozenset[str]:
    """Return the identifiers of a prompt's code, Python keywords excluded, and `ALWAYS_PROTECTED`.

    For a prompt in Python these are the NAME tokens of `tokenize`; for other text, the names in its lines of code.
    """
    if _is_python(prompt):
        return _names(prompt) | ALWAYS_PROTECTED
    code = "".join(line for line, is_code in _lines(_TRIPLE_QUOTED.sub(" ", prompt)) if is_code)
    return (_names(code) - _NOT_NAMES) | ALWAYS_PROTECTED


def protected_names(code: str, language: str) -> frozenset[str]:
    """Return the identifiers of code and `ALWAYS_PROTECTED`; `code` in Java or C++ without its comments and strings."""
    return (_names(code) - (frozenset() if language == PYTHON else _NOT_NAMES)) | ALWAYS_PROTECTED


def is_prose(segments: Iterable[Segment]) -> bool:
    """Return True if segments read as prose, with four plain words in a row, and not as data or code."""
    return any(segment.natural and _PROSE.search(segment.text + " ") for segment in segments)


def find_docstring(prompt: str, entry_point: str) -> re.Match[str] | None:
    """Return the match (quotes, text) of the first string that stands alone as a statement in the entry point.

    The last definition of that name counts; without one, the whole prompt. Code that Python's tokenizer can't read to
    its end is searched for triple quotes from there on.
    """
    tokens, are_all = python_tokens(prompt)
    names = ("def", "class")
    starts = [at for at, (of, name) in enumerate(pairwise(tokens)) if of.text in names and name.text == entry_point]
    start, depth, brackets = starts[-1] if starts else -1, 0, 0
    for at in range(start + 1, len(tokens) - 1):
        token, is_header = tokens[at], bool(starts) and depth == 0
        depth += {tokenize.INDENT: 1, tokenize.DEDENT: -1}.get(token.kind, 0)
        brackets += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        begins = token.is_first or (is_header and not brackets and tokens[at - 1].text == ":")
        docstring = _DOCSTRING.fullmatch(prompt, token.start, token.end)
        if docstring and begins and tokens[at + 1].kind in (tokenize.NEWLINE, tokenize.COMMENT):
            return docstring
        if starts and token.is_first and depth <= 0:
            return None  # behind the function, whose docstring may lack its indent
    if are_all:
        return None
    definitions = [match.end() for match in _DEFINITION.finditer(prompt) if match[1] == entry_point]
    return _TRIPLE_QUOTED.search(prompt, max([*definitions[-1:], *(token.end for token in tokens[-1:])], default=0))


def _is_python(text: str) -> bool:
    if not re.search(r"\b(?:def|class)\s", text):
        return False
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _names(code: str) -> frozenset[str]:
    return frozenset(name for name in _TOKEN.findall(code) if name) - frozenset(keyword.kwlist)


def _lines(text: str, prose: bool = False) -> list[tuple[str, bool]]:
    """Return (line with its end, is code) for each line.

    `prose`: the text is a docstring's description. Its indentation counts from its own margin, and an indented line is
    code only after a blank line or code, since authors indent paragraphs too.
    """
    lines = text.splitlines(keepends=True)
    margin = min((_indent(line) for line in lines[1:] if line.strip()), default=0) if prose else 0
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


def _split(text: str, names: frozenset[str], prose: bool = False) -> list[Segment]:
    segments: list[Segment] = []
    for segment in merge(Segment(line, not is_code) for line, is_code in _lines(text, prose)):
        if segment.natural:
            found = (_INLINE_OR_WORD if names else _INLINE).finditer(segment.text)
            kept = (match for match in found if not names or match["word"] is None or match["word"] in names)
            segments += _around(segment.text, kept)
        else:
            segments.append(segment)
    return segments


def _around(text: str, verbatim: Iterable[re.Match[str]]) -> list[Segment]:
    """Return matches in a text as verbatim, and what lies between them as natural."""
    segments: list[Segment] = []
    end = 0
    for match in verbatim:
        segments += [Segment(text[end : match.start()], True), Segment(match[0], False)]
        end = match.end()
    return [*segments, Segment(text[end:], True)]


def merge(segments: Iterable[Segment]) -> list[Segment]:
    merged: list[Segment] = []
    for segment in segments:
        if not segment.text:
            continue
        if merged and merged[-1].natural == segment.natural:
            merged[-1] = Segment(merged[-1].text + segment.text, segment.natural)
        else:
            merged.append(segment)
    return merged
