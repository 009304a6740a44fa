"""Makes programs of pieces of Python: whole functions, bodies that continue a prompt, and code within prose.

Nothing is run. Parsing is limited in characters and in depth, since an answer may be built, or be broken, so that a
parser takes for ever.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from raysweep.prompts.answers.evalplus import EXHAUSTED

MOST_PARSED = 1_000_000
"""Characters that are parsed for one answer, in all attempts together; parsing takes about a second for them."""
ATTEMPT = 500
"""Characters that an attempt counts for beside its own, so that there are not too many of them."""
DEEPEST = 60
"""Brackets within each other; Python itself takes 200, and looks long for what is wrong below many."""
MOST_STARTS = 40
"""Lines of a text at which a program may begin that are tried."""
INDENT = "    "
"""Of a body whose prompt doesn't show it."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LEAVES = (ast.Return, ast.Yield, ast.YieldFrom, ast.Await)
_CALLABLE = (ast.Lambda, ast.Name, ast.Attribute, ast.Call)
_BUILTINS = frozenset(dir(builtins))
_BRACKETS = re.compile(r"[()\[\]{}]")
_BODY = re.compile(r"(?:[ \t\r]*\n)*([ \t]+)\S[^\n]*(?:\n(?:[ \t][^\n]*|\r)?)*")
_FIRST_LINE = re.compile(r"(?:[ \t]*\n)*[ \t]+\S")
_INDENTED = re.compile(r"(?:[ \t]*\n|[ \t]+\S[^\n]*(?:\n|\Z))*")
_START = re.compile(
    r"[ \t]*(?:(?:async[ \t]+def|def|class|import|from)\b|[@#]|[\"']{3}|[A-Za-z_]\w*[ \t]*(?::[^=]+)?=)"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Code that parses."""

    text: str
    tree: ast.Module

    @property
    def only_defines(self) -> bool:
        """Whether it runs nothing of its own but assignments."""
        return all(_defines(statement) for statement in self.tree.body)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a prompt has begun."""

    before: str  # the prompt without the function that it ends in, such as imports and helpers
    indent: str  # of that function's body
    names: frozenset[str]  # that `before` binds


class PythonReader:
    """Reads the pieces of one answer.

    `prompt`: what the answer may continue; empty where it is a program of its own.
    """

    def __init__(self, prompt: str, entry_point: str) -> None:
        self.prompt, self.entry_point = prompt, entry_point
        self._left = MOST_PARSED

    def is_body(self, text: str) -> bool:
        """Return True if every line of a text belongs to the function that the prompt began. It parses no answer."""
        match = _BODY.fullmatch(text)
        if match is None or not self.prompt or f"def {self.entry_point}" in text:
            return False
        return match[1] == _opened(self.prompt, self.entry_point).indent

    def begins_as_body(self, text: str) -> bool:
        return _FIRST_LINE.match(text) is not None

    def whole(self, text: str) -> Piece | None:
        """Return a text as a piece that defines the entry point, without an indentation of all its lines."""
        if self.entry_point not in text:
            return None
        text = text.strip("\n")
        for code in dict.fromkeys([text, textwrap.dedent(text)]):
            tree = self.parsed(code)
            if isinstance(tree, ast.Module):
                is_prose = any(map(_is_mark, tree.body)) or any(map(_is_word, tree.body[:1]))
                return Piece(code, tree) if not is_prose and self._is_program(tree) else None
        return None

    def is_code(self, text: str) -> bool:
        text = text.strip("\n")
        trees = (self.parsed(code) for code in dict.fromkeys([text, textwrap.dedent(text)]))
        return any(isinstance(tree, ast.Module) and not any(map(_is_mark, tree.body)) for tree in trees)

    def in_text(self, text: str) -> Piece | None:
        name = re.escape(self.entry_point)
        if not re.search(rf"\b(?:def|class)\s+{name}\b|\b{name}\s*(?::[^=\n]{{1,200}})?=(?!=)", text):
            return None
        lines = text.split("\n")
        starts = [number for number, line in enumerate(lines) if _START.match(line)]
        for start in starts[:MOST_STARTS]:
            piece = self._longest(_block_from(lines, start)) if self._left > 0 else None
            if piece is not None and self._is_program(piece.tree):
                return piece
        return None

    def program(self, piece: Piece, others: Iterable[str] = ()) -> str:
        """Put what the prompt has before its function first, and those other pieces that define what it lacks."""
        opened = _opened(self.prompt, self.entry_point)
        return _joined(opened.before, [*self._lacking(piece, others, opened.names), piece.text])

    def without_examples(self, piece: Piece) -> Piece:
        """Return a piece up to the last statement that defines something which its functions or the tests use.

        What follows are examples, which may read input or fail: EvalPlus and others leave them out, too.
        """
        body = list(piece.tree.body)
        scopes = [node for node in _scope(body) if isinstance(node, _SCOPES)]
        used = {self.entry_point}.union(*map(_missing, scopes))
        while body and not (
            isinstance(body[-1], _DEFINITIONS)
            or _bound(_scope(body[-1:])) & used
            or _prepares(body[-1], used - {self.entry_point})
        ):
            body.pop()
        text = "\n".join(piece.text.split("\n")[: body[-1].end_lineno]) if body else piece.text
        return Piece(text, ast.Module(body, []))

    def continued(self, text: str, stops: Sequence[str]) -> str | None:
        """The body may have lost the indentation of all its lines, or of the first. What follows it is left out."""
        if not self.prompt:
            return None
        cut = text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
        bodies = dict.fromkeys([cut, *(match[0] for part in (cut, text) if (match := _INDENTED.match(part)))])
        for body in bodies:
            if body.strip() and self._is_completed(program := f"{self.prompt}{body}", mended=False):
                return program
        indent = _opened(self.prompt, self.entry_point).indent
        prompt = self.prompt if self.prompt.endswith("\n") else f"{self.prompt}\n"
        for part in dict.fromkeys([text, cut]):
            bare = part.strip("\n")
            for body in (f"{indent}{bare.lstrip()}", textwrap.indent(textwrap.dedent(bare), indent)):
                if bare.strip() and self._is_completed(program := f"{prompt}{body}\n", mended=True):
                    return program
        return None

    def _is_completed(self, program: str, *, mended: bool) -> bool:
        """Tell if the entry point has a body. `mended`: if indented here, one that returns nothing is rather prose."""
        tree = self.parsed(program)
        if not isinstance(tree, ast.Module) or not self._is_program(tree):
            return False
        functions = [
            statement
            for statement in tree.body
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == self.entry_point
        ]
        if not functions:
            return not mended
        body = functions[-1].body
        if any(isinstance(node, (*_LEAVES, ast.Raise)) for node in _scope(body)):
            return True
        is_repeated = any(self.entry_point in _defined(statement) for statement in body)
        return not (mended or is_repeated or all(map(_is_empty, body)))

    def _is_program(self, tree: ast.Module) -> bool:
        nodes = list(_scope(tree.body))
        makers = [node for node in nodes if self.entry_point in _defined(node)]
        return any(map(_does_something, makers)) and not any(isinstance(node, _LEAVES) for node in nodes)

    def _longest(self, lines: Sequence[str]) -> Piece | None:
        count = len(lines)
        while count:
            tree = self.parsed("\n".join(lines[:count]))
            if isinstance(tree, ast.Module):
                return _without_prose(lines, tree)
            last = min(tree, count) - 1
            count = next((at for at in range(last, 0, -1) if lines[at][:1].strip()), 0)
        return None

    def _lacking(self, chosen: Piece, others: Iterable[str], known: frozenset[str]) -> list[str]:
        missing = _missing(chosen.tree) - known
        found: list[str] = []
        for other in others:
            if not missing:
                break
            tree = self.parsed(other) if other.strip("\n") != chosen.text else None
            if isinstance(tree, ast.Module) and Piece(other, tree).only_defines:
                bound = _bound(_scope(tree.body))
                if bound & missing:
                    found.append(other.strip("\n"))
                    missing = (missing | _missing(tree)) - bound - known
        return found

    def parsed(self, text: str) -> ast.Module | int:
        """Return a text's tree; of one that doesn't parse the line of its error, 0 if it has none, or `EXHAUSTED`."""
        self._left -= len(text) + ATTEMPT
        if self._left < 0:
            return EXHAUSTED
        return 0 if _is_too_deep(text) else _tree_of(text)


def _tree_of(text: str) -> ast.Module | int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape sequence gives a SyntaxWarning and parses
            return ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, OverflowError, RecursionError, MemoryError):
        return 0


def _is_too_deep(text: str) -> bool:
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = depth + 1 if bracket in "([{" else max(0, depth - 1)
        if depth > DEEPEST:
            return True
    return False


@lru_cache(maxsize=2048)
def _opened(prompt: str, entry_point: str) -> _Opened:
    for text in (prompt, f"{prompt.rstrip()}\n    pass", f"{prompt.rstrip()}\n\tpass"):
        tree = 0 if _is_too_deep(text) else _tree_of(text)
        if not isinstance(tree, ast.Module):
            continue
        function = tree.body[-1] if tree.body else None
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return _Opened(text, INDENT, frozenset(_bound(_scope(tree.body))))
        lines = text.split("\n")
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        body = lines[function.body[0].lineno - 1]
        indent = body[: len(body) - len(body.lstrip())] or INDENT
        return _Opened("\n".join(lines[: first - 1]), indent, frozenset(_bound(_scope(tree.body[:-1]))))
    start = re.search(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return _Opened(prompt[: start.start()] if start else "", INDENT, frozenset())


def _joined(before: str, code: Sequence[str]) -> str:
    """Join parsed pieces behind what the prompt has before its function; ``__future__`` imports come first."""
    text = "\n\n\n".join([*([before.rstrip()] if before.strip() else []), *code])
    if (len(code) == 1 and not before.strip()) or "__future__" not in text:
        return f"{text}\n"
    lines, tree = text.split("\n"), _tree_of(text)
    futures: dict[str, None] = {}
    for statement in tree.body if isinstance(tree, ast.Module) else ():
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            futures[ast.unparse(statement)] = None
            first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
            before_it = lines[first].encode()[: statement.col_offset]  # offsets count bytes
            after_it = lines[last].encode()[statement.end_col_offset :]
            lines[first : last + 1] = [""] * (last + 1 - first)
            if (before_it + after_it).strip():  # other statements of the line, or a remark
                lines[first] = (before_it + b"pass" + after_it).decode()
    return "\n".join([*futures, *lines, ""])


def _scope(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of statements without those in functions and classes, whose own nodes are yielded."""
    waiting = list(statements)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _prepares(statement: ast.stmt, names: set[str]) -> bool:
    """Tell if a statement changes an object that functions use (`names`), such as a table, or Python's settings."""
    if isinstance(statement, ast.If) and any(
        getattr(node, "id", "") == "__name__" for node in ast.walk(statement.test)
    ):
        return False
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            changed = node.value.func
            if isinstance(changed, ast.Attribute) and changed.attr == "setrecursionlimit":
                return True
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            changed = node
        else:
            continue
        if isinstance(changed, ast.Subscript | ast.Attribute) and _root(changed) in names:
            return True
    return False


def _root(node: ast.expr) -> str:
    """Return the name with which an expression such as ``table[1].rows`` begins; empty if it begins with no name."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _defined(node: ast.AST) -> list[str]:
    """Return the names to which a node may give a function or a class; an import is rather that of a usage block."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, _CALLABLE):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _does_something(node: ast.AST) -> bool:
    """Return False for a function that only names what is above, such as one whose body is ``...``."""
    return not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not all(map(_is_empty, node.body))


def _missing(root: ast.AST) -> set[str]:
    nodes = list(ast.walk(root))
    loads = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    return loads - _bound(nodes) - arguments - caught - _BUILTINS


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, (*_DEFINITIONS, ast.Assign, ast.AnnAssign))


def _is_empty(statement: ast.stmt) -> bool:
    return isinstance(statement, (*_DEFINITIONS, ast.Pass)) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _is_mark(statement: ast.stmt) -> bool:
    """Tell if a statement is rather a line such as ``[BEGIN]``, which does nothing as code."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.List) and [getattr(one, "id", "").isupper() for one in value.elts] == [True]


def _is_word(statement: ast.stmt) -> bool:
    """Tell if a statement is a word alone, such as "Sure", which fails as code where nothing stands before it."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name)


def _block_from(lines: Sequence[str], start: int) -> list[str]:
    first = lines[start]
    indent = first[: len(first) - len(first.lstrip())]
    block = []
    for line in lines[start:]:
        if line.strip() and not line.startswith(indent):
            break
        block.append(line.removeprefix(indent))
    return block


def _without_prose(lines: Sequence[str], tree: ast.Module) -> Piece | None:
    """Return a piece without the statements at its end that are rather prose, such as ``Done`` or ``Note: this``."""
    body = tree.body
    while body and (
        body[-1].value is None
        if isinstance(body[-1], ast.AnnAssign)
        else isinstance(body[-1], ast.Expr) and not isinstance(body[-1].value, ast.Call | ast.Await)
    ):
        body.pop()
    return Piece("\n".join(lines[: body[-1].end_lineno]), tree) if body else None
