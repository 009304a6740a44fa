"""Near misses of Python code: the same code with one operator, constant, name, argument or branch changed.

`mutations` changes the text of any code and runs nothing. `mutants_of` compiles the mutants of MiniCode's references,
with which its tests are chosen: good tests fail on every mutant that isn't equivalent to the reference. These run in
this process, so the reference's loops must end whatever changes (`for` over finite things). Never use `mutants_of` on
code that a model wrote. It has tables of its own: another mutant would choose other tests, and so make other problems.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Function = Callable[..., Any]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.NotEq),
    ast.Gt: (ast.GtE, ast.Lt, ast.NotEq),
    ast.Eq: (ast.NotEq, ast.LtE, ast.GtE),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Add, ast.Sub),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult, ast.Add),
}
_CHARACTER_TESTS = ("isupper", "islower", "isdigit", "isalpha", "isalnum", "isspace")
_NAMES = {test: tuple(other for other in _CHARACTER_TESTS if other != test) for test in _CHARACTER_TESTS} | {
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "any": ("all", "sum"),
    "all": ("any",),
    "sum": ("len", "any", "max"),
    "len": ("sum", "any"),
    "abs": ("int",),
    "upper": ("lower", "swapcase"),
    "lower": ("upper", "swapcase", "strip"),
    "swapcase": ("title", "upper"),
    "startswith": ("endswith", "count"),
    "endswith": ("startswith", "count"),
}


def compile_function(source: str | ast.Module) -> Function:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<minicode>", "exec"), namespace)  # only MiniCode's references, see the module's docstring
    function: Function = next(value for name, value in namespace.items() if name != "__builtins__")
    return function


def mutants_of(source: str) -> list[Function]:
    """Return the mutants of a function definition, compiled, in the order of its syntax tree."""
    tree = ast.parse(source)
    compiled = []
    for parent in list(ast.walk(tree)):
        for name, before in list(ast.iter_fields(parent)):
            for after in _changes(before):
                setattr(parent, name, after)
                compiled.append(compile_function(ast.fix_missing_locations(tree)))
            setattr(parent, name, before)
    return compiled


def _changes(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        yield from _variants(value)
        return
    for index, item in enumerate(value):
        yield from ([*value[:index], changed, *value[index + 1 :]] for changed in _variants(item))


def _variants(node: Any) -> Iterator[Any]:
    match node:
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int(number)):
            yield from (ast.Constant(number + step) for step in (1, -1, 2))
        case ast.Constant(value=str(text)):
            yield ast.Constant(text[:-1] if len(text) > 1 else "m" if text else " ")
        case ast.cmpop():
            yield from (kind() for kind in _COMPARISONS.get(type(node), ()))
        case ast.operator():
            yield from (kind() for kind in _OPERATORS.get(type(node), ()))
        case ast.And() | ast.Or():
            yield ast.Or() if isinstance(node, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.comprehension(target=target, iter=source, ifs=[_, *_]):
            yield ast.comprehension(target, source, [], node.is_async)
        case ast.Slice():
            yield from ([ast.Slice(None, node.upper, node.step)] if node.lower else [])
            yield from ([ast.Slice(node.lower, None, node.step)] if node.upper else [])
            yield from ([ast.Slice(node.lower, node.upper, None)] if node.step else [])
            yield from ([ast.Slice(node.upper, node.lower, node.step)] if node.lower or node.upper else [])
        case ast.Call(func=ast.Name(id=name)) if name in _NAMES:
            yield from (ast.Call(ast.Name(new, ast.Load()), node.args, node.keywords) for new in _NAMES[name])
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _NAMES:
            functions = (ast.Attribute(owner, new, ast.Load()) for new in _NAMES[name])
            yield from (ast.Call(function, node.args, node.keywords) for function in functions)
        case ast.Call(func=ast.Name(id="sorted"), args=[first]):
            yield first


# ---------------------------------------------------------------------------------------------- changes of texts

_SYMBOLS: dict[type[ast.AST], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=", "<=")),
    ast.NotEq: ("!=", ("==", "<")),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.Add: ("+", ("-", "*")),
    ast.Sub: ("-", ("+", "*")),
    ast.Mult: ("*", ("+", "//")),
    ast.Div: ("/", ("//", "*")),
    ast.FloorDiv: ("//", ("/", "%")),
    ast.Mod: ("%", ("//",)),
    ast.Pow: ("**", ("*",)),
    ast.And: ("and", ("or",)),
    ast.Or: ("or", ("and",)),
}
"""How operators are written, and those that replace them."""


@dataclass(frozen=True, order=True)
class Mutation:
    """One change of a text: what replaces its characters from `start` to before `end`. `operator`: what kind it is."""

    operator: str
    start: int
    end: int
    replacement: str

    def of(self, text: str) -> str:
        return text[: self.start] + self.replacement + text[self.end :]


OPERATORS = (
    "comparison swap",
    "operator swap",
    "and/or swap",
    "off by one",
    "constant change",
    "negated condition",
    "dropped return",
    "dropped branch",
    "swapped arguments",
    "wrong variable",
    "wrong function",
    "slice bound",
)


def mutations(code: str, start: int = 0) -> list[Mutation]:
    """Return all changes of some code after its first `start` characters, in the order of operators and places.

    Each changes as few characters as possible. Changes after which the code can't be parsed are left out, so are those
    of docstrings.

    Raises:
        SyntaxError: the code isn't Python.
    """
    tree = ast.parse(code)
    same = ast.dump(tree)
    return [change for change in _candidates(tree, code, start) if _differs(change.of(code), same)]


def drawn_mutations(code: str, start: int, random: Random) -> Iterator[Mutation]:
    """Yield the changes of `mutations` in random order: of all operators first one, then a second one, and so on.

    So a change that can be made in many places, such as another variable, comes no sooner than a rare one.

    Raises:
        SyntaxError: the code isn't Python.
    """
    tree = ast.parse(code)
    same = ast.dump(tree)
    by_operator: dict[str, list[Mutation]] = {}
    for change in _candidates(tree, code, start):
        by_operator.setdefault(change.operator, []).append(change)
    for changes in by_operator.values():
        random.shuffle(changes)
    while by_operator:
        operators = list(by_operator)
        random.shuffle(operators)
        for operator in operators:
            change = by_operator[operator].pop()
            if not by_operator[operator]:
                del by_operator[operator]
            if _differs(change.of(code), same):
                yield change


def _candidates(tree: ast.Module, code: str, start: int) -> list[Mutation]:
    """Return the changes of code after its first characters, whether it compiles after them or not."""
    text = _Characters(code)
    found = set[Mutation]()
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= set(_wrong_variables(scope, text))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in docstrings:
            found |= set(_changes_of(node, text))
    in_order = sorted(found, key=lambda one: (OPERATORS.index(one.operator), one.start, one.end, one.replacement))
    return [change for change in in_order if change.start >= start]


def _differs(code: str, same: str) -> bool:
    try:
        return ast.dump(ast.parse(code)) != same
    except (SyntaxError, ValueError):
        return False


class _Characters:
    """Finds the characters of nodes, whose columns count bytes."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", code)  # as Python does; str.splitlines splits at more
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: Any) -> tuple[int, int]:
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def of(self, node: Any) -> str:
        start, end = self.span(node)
        return self.code[start:end]

    def _at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def symbol(self, before: Any, after: Any, kind: type[ast.AST], end_with: str = "") -> tuple[int, int] | None:
        """Return an operator's place between two nodes, None if something else is there. `end_with`: such as ``=``."""
        start, end = self.span(before)[1], self.span(after)[0]
        words = r"\s+".join(map(re.escape, _SYMBOLS[kind][0].split()))
        found = re.fullmatch(rf"([\s)\\]*)({words}){end_with}[\s(\\]*", self.code[start:end])
        return (start + found.start(2), start + found.end(2)) if found else None


def _changes_of(node: ast.AST, text: _Characters) -> Iterator[Mutation]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for operator, one, other in zip(ops, [left, *comparators], comparators, strict=False):
                yield from _symbols("comparison swap", operator, one, other, text)
        case ast.BinOp(left=left, op=operator, right=right):
            yield from _symbols("operator swap", operator, left, right, text)
        case ast.AugAssign(target=target, op=operator, value=value):
            yield from _symbols("operator swap", operator, target, value, text, "=")
        case ast.BoolOp(op=operator, values=[one, other, *_]):
            yield from _symbols("and/or swap", operator, one, other, text)
        case ast.Constant(value=bool(value)):
            yield Mutation("constant change", *text.span(node), str(not value))
        case ast.Constant(value=int(value)):
            for step in (1, -1):
                yield Mutation("off by one", *text.span(node), str(value + step))
        case ast.Constant(value=float(value)):
            yield Mutation("constant change", *text.span(node), repr(value * 2))
        case ast.Constant(value=str(value)) if re.fullmatch(r"(['\"])[^\\'\"]+\1", text.of(node)):
            end = text.span(node)[1]
            yield Mutation("constant change", end - 2, end - 1, "")
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.comprehension(ifs=[test, *_]):
            yield Mutation("negated condition", *text.span(test), f"not ({text.of(test)})")
            if isinstance(node, ast.If):
                yield Mutation("dropped branch", *text.span(test), "False")
        case ast.Return(value=ast.expr()) | ast.Raise() | ast.Break() | ast.Continue():
            yield Mutation("dropped return", *text.span(node), "pass")
        case ast.Call(func=function, args=arguments):
            yield from _call(function, arguments, text)
        case ast.Subscript(slice=ast.Slice() as bounds):
            for bound in (bounds.lower, bounds.upper):
                if bound is not None and not text.of(bound).startswith("("):
                    yield Mutation("slice bound", *text.span(bound), "")


def _symbols(
    name: str, operator: ast.AST, before: Any, after: Any, text: _Characters, end_with: str = ""
) -> Iterator[Mutation]:
    place = text.symbol(before, after, type(operator), end_with) if type(operator) in _SYMBOLS else None
    if place is not None:
        yield from (Mutation(name, *place, other) for other in _SYMBOLS[type(operator)][1])


def _call(function: ast.expr, arguments: Sequence[ast.expr], text: _Characters) -> Iterator[Mutation]:
    plain = [argument for argument in arguments[:2] if not isinstance(argument, ast.Starred)]
    if len(plain) == 2 and text.of(plain[0]) != text.of(plain[1]):
        (start, first), (second, end) = text.span(plain[0]), text.span(plain[1])
        exchanged = text.code[second:end] + text.code[first:second] + text.code[start:first]
        yield Mutation("swapped arguments", start, end, exchanged)
    name = getattr(function, "id", "") or getattr(function, "attr", "")
    if name in _NAMES:
        end = text.span(function)[1]
        yield from (Mutation("wrong function", end - len(name), end, other) for other in _NAMES[name])


def _wrong_variables(function: ast.FunctionDef | ast.AsyncFunctionDef, text: _Characters) -> Iterator[Mutation]:
    arguments = function.args
    named = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    named += [node.id for node in names if isinstance(node.ctx, ast.Store)]
    for node in names:
        if isinstance(node.ctx, ast.Load) and node.id in named:
            others = (name for name in dict.fromkeys(named) if name != node.id)
            yield from (Mutation("wrong variable", *text.span(node), other) for other in others)
