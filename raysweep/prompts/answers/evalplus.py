"""Takes a program out of an answer as EvalPlus's ``sanitize`` does: its longest run of lines that parses.

Of that run it keeps the imports, and the functions that return something, classes and assignments that the entry point
needs, each name's first definition. Decorated functions are left out, as there.
Source: https://github.com/evalplus/evalplus/blob/master/evalplus/sanitize.py (release 0.3.1), which reads with
tree-sitter and tries every run of lines; here a run ends before the line at which the parser failed, which is what
makes the difference between seconds and milliseconds.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import accumulate

EXHAUSTED = -1
"""What a parser returns that has parsed enough for one answer."""
Parse = Callable[[str], ast.Module | int]
"""Returns a text's tree; of one that doesn't parse the line of its error, 0 if it has none, or `EXHAUSTED`."""


def sanitized(text: str, entry_point: str, parse: Parse) -> str:
    """Return what EvalPlus keeps of a text; empty if that defines nothing."""
    code, tree = _longest_run(text.split("\n"), parse)
    if tree is None:
        return ""
    imports: list[ast.stmt] = []
    definitions: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.append(statement)
        elif (name := _name_of(statement)) is not None:
            definitions.setdefault(name, statement)
    needed, waiting = {entry_point}, [entry_point]
    while waiting:
        used = definitions.get(waiting.pop())
        nodes = ast.walk(used) if used is not None else ()
        values = {getattr(node, field, None) for node in nodes for field in ("id", "attr", "arg", "name")}
        new = {name for name in values if isinstance(name, str)} - needed
        needed |= new
        waiting += new
    kept = [*imports, *(statement for name, statement in definitions.items() if name in needed)]
    lines = [line.encode() for line in code.split("\n")]  # columns of trees count bytes
    return "\n".join(_text_of(statement, lines) for statement in kept)


def _text_of(statement: ast.stmt, lines: Sequence[bytes]) -> str:
    """Return the text of a statement, as `ast.get_source_segment` does, which splits the whole text each time."""
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    parts = [*lines[first:last], lines[last][: statement.end_col_offset]]
    return b"\n".join([parts[0][statement.col_offset :], *parts[1:]]).decode()


def _longest_run(lines: Sequence[str], parse: Parse) -> tuple[str, ast.Module | None]:
    """Return the consecutive lines that parse and of which most hold something, at least two, and their tree."""
    most, code, tree = 0, "", None
    before = [0, *accumulate(bool(line.strip()) for line in lines)]  # lines that hold something, before each
    for start, line in enumerate(lines):
        if before[-1] - before[start] <= most:
            break
        if line[:1].isspace():  # unexpected indent
            continue
        end = len(lines)
        while end > start + 1:
            run = "\n".join(lines[start:end])
            parsed = parse(run)
            if isinstance(parsed, ast.Module):
                if before[end] - before[start] > most:
                    most, code, tree = before[end] - before[start], run, parsed
                break
            if parsed == EXHAUSTED:
                return code, tree
            end = start + min(parsed, end - start) - 1
    return code, tree


def _name_of(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and not statement.decorator_list:
        returns = any(isinstance(node, ast.Return) for node in ast.walk(statement))
        return statement.name if returns else None
    if isinstance(statement, ast.ClassDef) and not statement.decorator_list:
        return statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else None
