"""Near misses of a reference: the same function with one operator, constant, method or filter changed.

They measure tests: good tests fail on every mutant that isn't equivalent to the reference. Mutants run in this
process, so the reference's loops must end whatever changes (`for` over finite things). Never use this on code that a
model wrote.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
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
    """Execute a definition and return the function it defines."""
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
    """Yield the changed values of a field of a node, one change each."""
    if not isinstance(value, list):
        yield from _variants(value)
        return
    for index, item in enumerate(value):
        yield from ([*value[:index], changed, *value[index + 1 :]] for changed in _variants(item))


def _variants(node: Any) -> Iterator[Any]:
    """Yield the replacements of a node."""
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
            yield from _slices(node)
        case ast.Call(func=ast.Name(id=name)) if name in _NAMES:
            yield from (ast.Call(ast.Name(new, ast.Load()), node.args, node.keywords) for new in _NAMES[name])
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _NAMES:
            functions = (ast.Attribute(owner, new, ast.Load()) for new in _NAMES[name])
            yield from (ast.Call(function, node.args, node.keywords) for function in functions)
        case ast.Call(func=ast.Name(id="sorted"), args=[first]):
            yield first


def _slices(node: ast.Slice) -> Iterator[ast.Slice]:
    """Yield the slice without each of its bounds, and with its bounds exchanged."""
    if node.lower:
        yield ast.Slice(None, node.upper, node.step)
    if node.upper:
        yield ast.Slice(node.lower, None, node.step)
    if node.step:
        yield ast.Slice(node.lower, node.upper, None)
    if node.lower or node.upper:
        yield ast.Slice(node.upper, node.lower, node.step)
