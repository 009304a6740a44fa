"""Recognises answers that are more than the lines in a hunk's place: the whole function around it, and diffs.

A chat that is asked for a fix often writes the function anew, or a diff. In the hunk's place either would be judged as
something else: a function within a function compiles, and never runs. Each is put where it belongs in the file.
Not covered: diffs of several files, of which the parts that fit this file count.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from raysweep.programs import JAVA, PYTHON
from raysweep.prompts.repair.code import MethodSpan, method_around, methods_of
from raysweep.prompts.repair.hunks import indent_of, lines_of

_DIFF = re.compile(r"^(?:@@ |@@$|--- |<{5,} ?SEARCH)", re.MULTILINE)
_HEADER = re.compile(r"(?:diff |index |--- |\+\+\+ |\\ No newline)")
_OPENS, _TURNS, _ENDS = re.compile(r"<{5,} ?SEARCH"), re.compile(r"={5,}"), re.compile(r">{5,} ?REPLACE")
_TYPE = re.compile(r"^[^\n\"*/]*?\b(?:class|interface|enum|record)\s+(\w+)", re.MULTILINE)
_IMPORT = re.compile(r"\s*(?:package|import)\b")
_NAME = re.compile(r"([A-Za-z_~]\w*)\s*\(")
_ANNOTATION = re.compile(r"@\w+(?:\([^()]*\))?|template\s*<[^{};]*?>(?=\s)")


@dataclass(frozen=True, slots=True)
class HunkPlace:
    """Where a hunk stands in its file: characters from `start` up to `end`."""

    file: str
    start: int
    end: int
    language: str


def is_diff(answer: str, place: HunkPlace) -> bool:
    """Return True if an answer is a diff: with its headers, or lines that are removed, kept and added."""
    if _DIFF.search(answer):
        return True
    lines = [line for line in answer.split("\n") if line.strip()]
    removed = {line[1:].strip() for line in lines if line[0] == "-"}
    own = {line.strip() for line in place.file[place.start : place.end].split("\n")}
    return bool(removed & own) and all(line[0] in "+- " for line in lines)


def with_diff(answer: str, place: HunkPlace) -> str | None:
    """Return the file after an answer's diff; None if it doesn't fit."""
    file, has_changed = place.file, False
    for old, new in [*_searches(answer), *_sections(answer)]:
        changed = _replaced(lines_of(file), old, new, place.file.count("\n", 0, place.start))
        if changed is not None:
            file, has_changed = changed, True
    return file if has_changed else None


def with_indent(answer: str, place: HunkPlace, indent: str) -> str:
    """Return an answer in Python with the hunk's indent, if all its lines or the first one lost it; else as it is."""
    if place.language != PYTHON or len(indent_of(answer)) >= len(indent) or not answer.strip():
        return answer
    ways = (textwrap.indent(textwrap.dedent(answer.strip("\n")), indent), f"{indent}{answer.lstrip()}")
    for way in ways:
        end = "" if way.endswith("\n") else "\n"
        if _body_of(f"{place.file[: place.start]}{way}{end}{place.file[place.end :]}") is not None:
            return way
    return answer


def with_function(answer: str, place: HunkPlace) -> str | None:
    """Return the file with an answer in the place of the function around the hunk; None if it isn't that function.

    A class in Java that has the name of the file's takes the file's place, behind its package and imports.
    """
    of_file = _TYPE.search(place.file) if place.language == JAVA else None
    if of_file is not None and of_file[1] in _TYPE.findall(answer)[:1]:
        above = lines_of(place.file[: of_file.start()])
        heading = [line for line in above if _IMPORT.match(line) and line not in answer]
        return f"{''.join(heading)}{answer}"
    around = _function_around(place)
    if around is None:
        return None
    name, span = around
    if not re.search(rf"\b{re.escape(name)}\s*\(", answer) or name not in _functions_in(answer, place.language):
        return None
    code = textwrap.dedent(answer).strip("\n") + "\n"
    if place.language == PYTHON:
        code = textwrap.indent(code, indent_of(place.file[span.begin :]))
        if code.lstrip().startswith("@"):  # with its decorators
            span = MethodSpan(_with_decorators(place.file, span.begin), span.opens, span.end)
    return f"{place.file[: span.begin]}{code}{place.file[span.end :]}"


@lru_cache(maxsize=64)
def _function_around(place: HunkPlace) -> tuple[str, MethodSpan] | None:
    """Return name and place of the innermost function whose heading stands before the hunk."""
    if place.language != PYTHON:
        span = method_around(place.file, place.start, place.start, place.language)
        if span is None or span.opens >= place.start:
            return None
        return (name, span) if (name := _name_of(place.file[span.begin : span.opens])) else None
    lines, first = lines_of(place.file), place.file.count("\n", 0, place.start)
    limit = len(indent_of(place.file[place.start :]))
    for number in range(first - 1, -1, -1):
        heading = re.match(r"([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)", lines[number])
        if heading is None or (lines[first:] and len(heading[1]) >= limit):
            continue
        end = next((at for at in range(number + 1, len(lines)) if _leaves(lines[at], len(heading[1]))), len(lines))
        if end >= first:
            ends = (number, first, end)
            begin, opens, behind = (sum(map(len, lines[:at])) for at in ends)
            return heading[2], MethodSpan(begin, opens, behind)
    return None


def _leaves(line: str, indent: int) -> bool:
    """Tell if a line no longer belongs to a function that is indented so; its heading may end with a bracket."""
    return bool(line.strip()) and len(indent_of(line)) <= indent and line.lstrip()[0] not in ")]}#"


def _with_decorators(file: str, begin: int) -> int:
    while before := file[:begin].rstrip("\n").rpartition("\n")[2]:
        if not before.lstrip().startswith("@"):
            break
        begin = file.rfind(before, 0, begin)
    return begin


def _functions_in(answer: str, language: str) -> set[str]:
    if language == PYTHON:
        body = _body_of(textwrap.dedent(answer)) or []
        return {one.name for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    code = f"class A {{\n{answer}\n}}\n" if language == JAVA else answer
    return {_name_of(code[span.begin : span.opens]) for span in methods_of(code, language)}


def _body_of(code: str) -> list[ast.stmt] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _name_of(heading: str) -> str:
    found = _NAME.search(_ANNOTATION.sub("", heading))
    return found[1] if found else ""


def _searches(answer: str) -> Iterator[tuple[list[str], list[str]]]:
    parts: list[list[str]] = []
    for line in lines_of(answer):
        if not parts and _OPENS.match(line):
            parts = [[]]
        elif len(parts) == 1 and _TURNS.match(line):
            parts.append([])
        elif len(parts) == 2 and _ENDS.match(line):
            yield parts[0], parts[1]
            parts = []
        elif parts:
            parts[-1].append(line)


def _sections(answer: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the lines that each section of a diff takes out and puts in, with those that it keeps in both."""
    if next(_searches(answer), None) is not None:
        return
    old, new = list[str](), list[str]()
    for line in [*lines_of(answer if answer.endswith("\n") else f"{answer}\n"), "@@\n"]:
        if line.startswith("@@"):
            if old != new:
                yield old, new
            old, new = [], []
        elif not _HEADER.match(line):
            kept = line[1:] if line[0] in "+- " else line
            old += [kept] if line[0] != "+" else []
            new += [kept] if line[0] != "-" else []


def _replaced(file: Sequence[str], old: Sequence[str], new: Sequence[str], hunk: int) -> str | None:
    """Return a file with other lines in the place of some, nearest to the hunk's line; None if they aren't there.

    Lines that are there with another indent get that indent.
    """
    while old and new and not old[0].strip() and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and not old[-1].strip() and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    if not old:
        return None
    bare, wanted = [line.strip() for line in file], [line.strip() for line in old]
    places = [at for at in range(len(file) - len(old) + 1) if bare[at : at + len(old)] == wanted]
    if not places:
        return None
    at = min(places, key=lambda place: abs(place - hunk))
    code = "".join(new)
    theirs, ours = indent_of("".join(old)), indent_of("".join(file[at : at + len(old)]))
    if theirs != ours and ours.startswith(theirs):
        code = textwrap.indent(code, ours.removeprefix(theirs))
    if code and not code.endswith("\n"):
        code += "\n"
    return "".join([*file[:at], code, *file[at + len(old) :]])
