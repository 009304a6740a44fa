"""Reads what a problem in C++ declares: its includes and types, its helper functions, the function to complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.execution.compiled.syntax import UnreadableError, between, closed, parts_of, text_of, tree_of

if TYPE_CHECKING:
    from tree_sitter import Node

_NUMBERS = frozenset({"bool", "char", "short", "int", "long", "signed", "unsigned", "float", "double"})
_TEMPLATES = {"vector": 1, "list": 1, "deque": 1, "set": 1, "map": 2, "pair": 2}
_IGNORED = frozenset({"static", "inline", "extern", "constexpr"})
_TYPES = {"using_declaration": 0, "type_definition": 4, "alias_declaration": 5}
"""Statements that give types their names, with the number of parts of those that give one type one other name."""
_ALIASES_AT_MOST = 20  # of one another


@dataclass(frozen=True, slots=True)
class Type:
    """A type of a parameter or result, which is plain data."""

    text: str  # without const and &, with full names: a program need not use namespace std, or a typedef
    is_const: bool = False
    is_reference: bool = False

    @property
    def has_any(self) -> bool:
        return "boost::any" in self.text

    @property
    def is_changed(self) -> bool:
        return self.is_reference and not self.is_const

    @property
    def full(self) -> str:
        return f"{'const ' if self.is_const else ''}{self.text}{' &' if self.is_reference else ''}"


@dataclass(frozen=True, slots=True)
class CppFunction:
    """The function that the candidate has to define."""

    name: str
    result: Type
    parameters: tuple[Type, ...]
    heading: str  # its declaration, without the brace


@dataclass(frozen=True, slots=True)
class CppDeclaration:
    """What a problem declares."""

    function: CppFunction
    before: str  # all that stands before the function: includes, types, helper functions


def read_declaration(text: str) -> CppDeclaration:
    """Return all up to the last function, whose body is left out; raise UnreadableError without one of plain data."""
    whole = closed(text, "cpp", 1)
    if whole is None:
        raise UnreadableError("opens no function that a candidate could complete")
    root = tree_of(whole, "cpp")
    *before, function = parts_of(root)
    if function.type != "function_definition" or function.has_error:
        raise UnreadableError("opens something that is no function, or one that can't be read")
    if any(node.is_error or node.type in ("preproc_if", "preproc_ifdef") for node in before):
        raise UnreadableError("can't be read, or has directives that depend on a condition")
    aliases = {}
    for node in before:
        if len(parts := parts_of(node)) == _TYPES.get(node.type):
            name, meaning = (parts[1], parts[3]) if node.type == "alias_declaration" else (parts[2], parts[1])
            aliases[text_of(name)] = meaning
    return CppDeclaration(_function(function, aliases), between(root, root, function))


def _function(node: Node, aliases: Mapping[str, Node]) -> CppFunction:
    parts = [one for one in parts_of(node) if text_of(one) not in {"const", *_IGNORED}]
    if len(parts) != 3 or parts[1].type != "function_declarator":
        raise UnreadableError("has more before the body of its function than a type, a name and parameters")
    stated, declarator, _ = parts
    name, listed, *rest = parts_of(declarator)
    if name.type != "identifier" or [one.type for one in rest] not in ([], ["noexcept"]):
        raise UnreadableError(f"has more in {text_of(declarator)} than a name and parameters")
    void = text_of(stated) == "void"
    result = "void" if void else _plain(stated, aliases)
    if not result:
        raise UnreadableError(f"has {text_of(stated)} as the result of {text_of(name)}, which is no plain data")
    given = [one for one in parts_of(listed)[1:-1] if one.type != ","]
    if len(given) == 1 and text_of(given[0]) == "void":
        given = []
    parameters = []
    for number, one in enumerate(given, 1):
        if (parameter := _parameter(one, aliases)) is None:
            place = f"parameter {number} of {text_of(name)}"
            raise UnreadableError(f"has {text_of(one)} as {place}, which is no plain data")
        parameters.append(parameter)
    first = next(one for one in parts_of(node) if text_of(one) not in _IGNORED)
    is_const = any(text_of(one) == "const" for one in parts_of(node))
    heading = between(node, first, declarator) + text_of(declarator)
    return CppFunction(text_of(name), Type(result, is_const), tuple(parameters), heading)


def _parameter(node: Node, aliases: Mapping[str, Node]) -> Type | None:
    """Return the type of a parameter; None if it is no plain data."""
    parts = [one for one in parts_of(node) if text_of(one) != "const"]
    is_const = len(parts) < len(parts_of(node))
    default = next((at for at, one in enumerate(parts) if one.type == "="), len(parts))
    stated, *declarators = parts[:default] or [node]
    shapes = [(one.type.removeprefix("abstract_"), one.children[0].type if one.children else "") for one in declarators]
    text = _plain(stated, aliases)
    if not text or shapes not in ([], [("identifier", "")], [("reference_declarator", "&")]):
        return None
    is_whole = all(one.type == "identifier" for declarator in declarators for one in parts_of(declarator)[1:])
    return Type(text, is_const, shapes[:1] == [("reference_declarator", "&")]) if is_whole else None


def _plain(node: Node, aliases: Mapping[str, Node], level: int = 0) -> str:
    """Return the full name of a type; "" if it is no plain data."""
    text, parts = text_of(node), parts_of(node)
    if node.type == "type_descriptor" and len(parts) == 1:
        return _plain(parts[0], aliases, level)
    if node.type in ("primitive_type", "sized_type_specifier"):
        words = text.split()
        return " ".join(words) if _NUMBERS.issuperset(words) and not {"long", "double"}.issubset(words) else ""
    if node.type == "type_identifier" and text != "string":
        return _plain(aliases[text], aliases, level + 1) if text in aliases and level < _ALIASES_AT_MOST else ""
    if node.type == "template_type":
        name = text_of(parts[0])
        types = [_plain(one, aliases, level) for one in parts_of(parts[1])[1:-1:2]]
        is_known = len(types) == _TEMPLATES.get(name) and all(types)
        return f"std::{name}<{', '.join(types)} >" if is_known else ""
    if node.type == "qualified_identifier" and text_of(parts[0]) in ("::", "std"):
        is_other = text_of(parts[0]) == "std" and parts[-1].type == "type_identifier" and text_of(parts[-1]) != "string"
        return "" if is_other else _plain(parts[-1], aliases, level)
    known = {"string": "std::string", "boost::any": "boost::any"}
    return known.get("".join(text.split()), "")
