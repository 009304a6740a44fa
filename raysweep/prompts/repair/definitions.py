"""Puts functions, classes and whole files that an answer gives in the place of those around a hunk.

A chat that is asked for a fix often writes the function anew, alone, in its class, or in the whole file. In the hunk's
place each would be something else: a function within a function compiles, and never runs.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from raysweep.execution.compiled.syntax import COMMENTS, before, text_of, tree_of
from raysweep.programs import JAVA, PYTHON
from raysweep.prompts.repair.hunks import HunkPlace, indent_of, lines_of

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = ("import_declaration", "preproc_include", "using_declaration")
_DEFINED = ("function", "type")
DEEPEST = 20
"""How deep classes are looked for in classes."""
_EXAMPLE = "main"
"""The name, in small letters, of what shows in Java and C++ how a function is called; tests have one of their own."""
_REST = re.compile(r"[ \t]*;?[ \t]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """A definition, an import or an assignment: whole lines of a code."""

    kind: str  # function, type, value or import
    name: str
    signature: str  # of a function: what tells it from others of its name
    start: int
    heading: int  # where its own line begins, behind its decorators
    end: int
    parts: tuple[Part, ...] = ()  # what it holds


@lru_cache(maxsize=16)  # a long answer that can't be read takes a second in Java
def text_lines(code: str, language: str) -> Set[int] | None:
    """Return the indexes of lines that begin within a string or a comment; None if the code can't be read."""
    if language == PYTHON:
        tree = _python_tree(code)
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)) if tree else ()
        spans = [(node.lineno, node.end_lineno or node.lineno) for node in texts]
        return {at for first, last in spans for at in range(first, last)} if tree else None
    root = tree_of(code, language)
    if root.has_error:
        return None
    nodes, lines = [root], set[int]()
    for node in nodes:  # which grows
        nodes.extend(node.children)
        if node.type in COMMENTS or not node.child_count:
            lines.update(range(node.start_point[0] + 1, node.end_point[0] + 1))
    return lines


def is_readable(code: str, language: str) -> bool:
    """Return True if a code can be read from its beginning to its end."""
    return text_lines(code, language) is not None


def names_around(place: HunkPlace) -> list[str]:
    """Return the names of what begins before the hunk and holds it, the outermost first."""
    return [part.name for part in _around(place)]


def with_definitions(answer: str, place: HunkPlace) -> str | None:
    """Return the file with definitions of an answer in the place of its own; None if none of them is around the hunk.

    Those that the file lacks are put before. Statements behind the last definition are examples, and are left out.
    """
    code = textwrap.dedent(answer).strip("\n") + "\n"
    theirs = _parts(code, place.language)
    level, types = _level(theirs, place), [one for one in theirs if one.kind == "type"]
    if level is None and len(types) == 1:  # in a class of a name of its own
        theirs = (*(one for one in theirs if one.kind == "import"), *types[0].parts)
        level = _level(theirs, place)
    if level is None:
        return None
    merged = _Merged(place, code)
    merged.merge(theirs, *level)
    return merged.text()


def _level(theirs: Sequence[Part], place: HunkPlace) -> tuple[Sequence[Part], Part] | None:
    """Return the parts among which an answer's belong, and the one of them that is around the hunk and written anew."""
    siblings: Sequence[Part] = _file_parts(place)
    for part in _around(place):
        if any((one.kind, one.name) == (part.kind, part.name) for one in theirs):
            return siblings, part
        siblings = part.parts
    return None


class _Merged:
    """A file into which parts of an answer are merged."""

    def __init__(self, place: HunkPlace, code: str) -> None:
        self._place, self._code = place, code
        self._changes: list[tuple[int, int, str]] = []

    def merge(self, theirs: Sequence[Part], ours: Sequence[Part], around: Part) -> None:
        known = [at for at, part in enumerate(theirs) if part.kind in _DEFINED or _counterpart(part, theirs, ours)]
        last = max(known)
        for part in theirs[: last + 1]:
            own = _counterpart(part, theirs, ours)
            if own is None and part.name.lower() != _EXAMPLE:
                self._add(part, around)
            elif own is None:
                continue
            elif part.kind == "type" and own.parts and not _holds_all(part, own):
                if part.parts:
                    inner = next((one for one in _around(self._place) if one in own.parts), own.parts[0])
                    self.merge(part.parts, own.parts, inner)
            elif part.kind != "import":
                start = own.start if part.heading > part.start else own.heading
                self._changes.append((start, own.end, self._shown(part, indent_of(self._place.file[own.heading :]))))

    def text(self) -> str:
        file = self._place.file
        for start, end, code in sorted(reversed(self._changes), key=lambda one: one[:2], reverse=True):
            file = f"{file[:start]}{code}{file[end:]}"
        return file

    def _add(self, part: Part, around: Part) -> None:
        if part.kind != "import":
            code = self._shown(part, indent_of(self._place.file[around.heading :]))
            self._changes.append((around.start, around.start, code))
            return
        top = 0
        if self._place.language == JAVA:  # behind the package
            top = next(one.start for one in _file_parts(self._place) if one.kind == "type")
        self._changes.append((top, top, self._shown(part, "")))

    def _shown(self, part: Part, indent: str) -> str:
        code = self._code[part.start : part.end]
        code = code if code.endswith("\n") else f"{code}\n"
        return textwrap.indent(textwrap.dedent(code), indent) if self._place.language == PYTHON else code


def _counterpart(part: Part, theirs: Sequence[Part], ours: Sequence[Part]) -> Part | None:
    """Return the part of a file with the name of an answer's; of several, as with overloads, that of its signature."""
    named = [one for one in ours if (one.kind, one.name) == (part.kind, part.name)]
    alike = [one for one in named if one.signature == part.signature]
    is_single = sum((one.kind, one.name) == (part.kind, part.name) for one in theirs) == len(named) == 1
    return alike[0] if alike else named[0] if is_single else None


def _holds_all(part: Part, own: Part) -> bool:
    return all(_counterpart(one, own.parts, part.parts) for one in own.parts)


def _around(place: HunkPlace) -> list[Part]:
    """Return the parts that begin before the hunk and hold its beginning, the outermost first."""
    found: list[Part] = []
    parts: Sequence[Part] = _file_parts(place)
    goes_on = place.language == PYTHON and place.start == place.stop  # a hunk without lines, at the end of a function
    while part := next((one for one in parts if one.heading < place.start < one.end + goes_on), None):
        found.append(part)
        parts = part.parts
    return found


@lru_cache(maxsize=64)
def _file_parts(place: HunkPlace) -> tuple[Part, ...]:
    if place.language != PYTHON:
        return tuple(_of_tree(tree_of(place.file, place.language), place.file))
    hunk = re.sub(r"\S(?:[^\n]*\S)?", lambda text: "pass"[: len(text[0])].ljust(len(text[0])), place.hunk)
    bare = f"{place.file[: place.start]}{hunk}{place.file[place.stop :]}"  # where the fault is one of syntax
    return _parts(place.file, PYTHON) or _parts(bare, PYTHON)


def _parts(code: str, language: str) -> tuple[Part, ...]:
    if language == PYTHON:
        tree = _python_tree(code)
        starts = [*accumulate(map(len, lines_of(code)), initial=0)]
        return tuple(_of_python(tree.body, code, starts)) if tree else ()
    root = tree_of(code, language)
    if not root.has_error:
        return tuple(_of_tree(root, code))
    heading = "class A {\n"  # constructors and fields stand in one
    root = tree_of(f"{heading}{code}}}\n", language)
    if language != JAVA or root.has_error:
        return ()
    inner = next(_of_tree(root, f"{heading}{code}}}\n")).parts
    return tuple(_moved(one, -len(heading)) for one in inner)


def _moved(part: Part, by: int) -> Part:
    places = (part.start + by, part.heading + by, part.end + by)
    return Part(part.kind, part.name, part.signature, *places, tuple(_moved(one, by) for one in part.parts))


def _python_tree(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _of_python(body: Sequence[ast.stmt], code: str, starts: Sequence[int]) -> Iterator[Part]:
    for node in body:
        heading, end = starts[node.lineno - 1], starts[node.end_lineno or node.lineno]
        start, signature, inner = heading, "", tuple[Part, ...]()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            start = min([heading, *(starts[one.lineno - 1] for one in node.decorator_list)])
            signature = code[start:heading]
            is_type = isinstance(node, ast.ClassDef)
            members = node.body if is_type else [one for one in node.body if isinstance(one, _FUNCTIONS)]
            inner = tuple(_of_python(members, code, starts))
            kind, name = ("type" if is_type else "function"), node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            kind, name = "import", " ".join(code[heading:end].split())
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            kind, name = "value", target.id if isinstance(target, ast.Name) else code[heading:end].strip()
        elif isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        else:
            kind, name = "statement", code[heading:end].strip()
        yield Part(kind, name, signature, start, heading, end, inner)


def _of_tree(root: Node, code: str, depth: int = 0) -> Iterator[Part]:
    """Yield the parts of a file, a class or a namespace in Java or C++."""
    for node in root.named_children:
        whole = node
        if node.type == "template_declaration":
            node = node.named_children[-1]
        if node.type in COMMENTS or node.type in ("access_specifier", "package_declaration", "ERROR"):
            continue
        start = code.rfind("\n", 0, _index(code, whole.start_byte)) + 1
        start = start if not code[start : _index(code, whole.start_byte)].strip() else _index(code, whole.start_byte)
        end = _index(code, whole.end_byte)
        rest = _REST.match(code, end)
        end = rest.end() if rest else end
        kind, name, signature, body = _named(node)
        bodies = [body] if kind == "type" and body is not None else _inner_bodies(body) if body is not None else []
        bodies = bodies if depth < DEEPEST else []
        inner = tuple(part for one in bodies for part in _of_tree(one, code, depth + 1))
        yield Part(kind, name, signature, start, start, end, inner)


def _inner_bodies(body: Node) -> list[Node]:
    """Return the bodies of classes within a function, of classes with and without a name."""
    found: list[Node] = []
    nodes = [body]
    for node in nodes:  # which grows
        if node.type in ("class_body", "field_declaration_list"):
            found.append(node)
        else:
            nodes.extend(node.named_children)
    return found


def _named(node: Node) -> tuple[str, str, str, Node | None]:
    """Return kind, name and signature of a declaration, and its body."""
    body, name = node.child_by_field_name("body"), node.child_by_field_name("name")
    if node.type in _IMPORTS:
        return "import", " ".join(text_of(node).split()), "", None
    if node.type.endswith(("class_declaration", "interface_declaration", "enum_declaration", "record_declaration")):
        return "type", text_of(name) if name else "", "", body
    if node.type in ("class_specifier", "struct_specifier", "namespace_definition"):
        return "type", text_of(name) if name else "", "", body
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type in ("pointer_declarator", "reference_declarator"):
        declarator = declarator.child_by_field_name("declarator") or declarator.named_children[-1]
    if body is not None and (name is not None or declarator is not None):
        parameters = (node if declarator is None else declarator).child_by_field_name("parameters")
        called = name if name is not None else declarator.child_by_field_name("declarator") if declarator else None
        listed = parameters.named_children if parameters is not None else ()
        types = " ".join(text_of(one.child_by_field_name("type") or one) for one in listed)
        return "function", text_of(called) if called else "", types, body
    named = (
        declarator.child_by_field_name("name") or declarator.child_by_field_name("declarator") if declarator else None
    )
    return "value", " ".join(text_of(named or declarator or node).split()), "", None


def _index(code: str, byte: int) -> int:
    return byte if code.isascii() else len(before(code, byte))
