"""Reads what a problem in Java declares: its imports, its class with helper methods, the method to complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.execution.compiled.syntax import UnreadableError, closed, parts_of, text_of, tree_of

if TYPE_CHECKING:
    from tree_sitter import Node

_PLAIN = frozenset(
    {"Boolean", "Byte", "Short", "Character", "Integer", "Long", "Float", "Double", "Number", "String", "Object"}
)
_TEMPLATES = dict.fromkeys(("List", "ArrayList", "LinkedList", "Collection", "Set", "HashSet", "TreeSet"), 1)
_TEMPLATES |= {"Optional": 1} | dict.fromkeys(("Map", "HashMap", "LinkedHashMap", "TreeMap"), 2)
_PRIMITIVES = ("boolean_type", "integral_type", "floating_point_type")
_HEADS = ("package_declaration", "import_declaration")


@dataclass(frozen=True, slots=True)
class Method:
    """The method that the candidate has to define."""

    name: str
    is_static: bool
    result: str  # types as the problem writes them
    parameters: tuple[str, ...]
    throws: str  # "throws ..." or ""


@dataclass(frozen=True, slots=True)
class TestedClass:
    """A class in a file of its own, of which tests call static methods."""

    package: str
    imports: str
    name: str
    methods: tuple[Method, ...]  # the public ones, all of them static


@dataclass(frozen=True, slots=True)
class JavaDeclaration:
    """What a problem declares."""

    imports: str
    types: str  # other types, before the class
    class_name: str
    class_heading: str  # the class's declaration without the brace
    members: str  # everything else of the class that stands before the method, such as helper methods
    method: Method


def read_declaration(text: str) -> JavaDeclaration:
    """Return all up to the last method, whose body has no end; raise UnreadableError without one of plain data."""
    whole = closed(text, "java", 2)
    if whole is None:
        raise UnreadableError("opens no class with a method that a candidate could complete")
    *before, owner = parts_of(tree_of(whole, "java"))
    if any(node.type == "package_declaration" or node.is_error for node in before):
        raise UnreadableError("names a package, or can't be read")
    if owner.type != "class_declaration" or owner.child_by_field_name("type_parameters") or owner.has_error:
        raise UnreadableError("opens something that is no class, or a generic one, or can't be read")
    _, *members, method, _ = parts_of(parts_of(owner)[-1])
    return JavaDeclaration(
        "\n".join(text_of(node) for node in before if node.type == "import_declaration"),
        "\n".join(text_of(node) for node in before if node.type != "import_declaration"),
        _name(owner),
        " ".join(map(text_of, parts_of(owner)[:-1])),
        "\n".join(map(text_of, members)),
        _method(method),
    )


def read_tested_class(text: str) -> TestedClass:
    """Return what a file declares: a package and a public class, whose public members are static methods.

    Raises:
        UnreadableError: it declares something else, or the types of a method are no plain data.
    """
    parts = parts_of(tree_of(text, "java"))
    packages = [text_of(one).removeprefix("package").strip(" ;") for one in parts if one.type == _HEADS[0]]
    imports = [text_of(one) for one in parts if one.type == _HEADS[1]]
    others = [one for one in parts if one.type not in _HEADS]
    if len(others) != 1 or others[0].type != "class_declaration" or others[0].has_error:
        raise UnreadableError("holds something else than one class, or can't be read")
    shape = [one.type for one in parts_of(others[0])]
    if shape != ["modifiers", "class", "identifier", "class_body"] or "public" not in _modifiers(others[0]):
        raise UnreadableError("holds something else than one public class, which extends nothing")
    if len(packages) != 1:
        raise UnreadableError("names no package")
    public = [one for one in parts_of(parts_of(others[0])[-1]) if "public" in _modifiers(one)]
    methods = tuple(map(_method, public))
    for method in methods:
        if not method.is_static:
            raise UnreadableError(f"has a method {method.name} that isn't static")
    return TestedClass(packages[0], "\n".join(imports), _name(others[0]), methods)


def _name(node: Node) -> str:
    named = node.child_by_field_name("name")
    return text_of(named) if named else ""


def _modifiers(node: Node) -> list[str]:
    first = parts_of(node)[:1]
    return [text_of(one) for one in parts_of(first[0])] if first and first[0].type == "modifiers" else []


def _method(node: Node) -> Method:
    modifiers = _modifiers(node)
    parts = parts_of(node)[bool(modifiers) :]
    if node.type != "method_declaration" or parts[-1].type != "block":
        raise UnreadableError("opens something that is no method")
    if parts[0].type == "type_parameters" or any(one.startswith("@") for one in modifiers):
        raise UnreadableError("has a generic or annotated method")
    stated, name, listed, *rest = parts[:-1]
    if [one.type for one in rest] not in ([], ["throws"]):
        raise UnreadableError(f"has something between the parameters of {text_of(name)} and its body")
    if stated.type != "void_type" and not _is_plain(stated):
        raise UnreadableError(f"has {text_of(stated)} as the result of {text_of(name)}, which is no plain data")
    parameters = []
    for number, one in enumerate(parts_of(listed)[1:-1:2], 1):
        kept = parts_of(one)[bool(_modifiers(one)) :]
        is_usual = one.type == "formal_parameter" and len(kept) == 2 and _modifiers(one) in ([], ["final"])
        if not is_usual or not _is_plain(kept[0]):
            place = f"parameter {number} of {text_of(name)}"
            raise UnreadableError(f"has {text_of(one)} as {place}, which is no plain data")
        parameters.append(text_of(kept[0]))
    return Method(text_of(name), "static" in modifiers, text_of(stated), tuple(parameters), "".join(map(text_of, rest)))


def _is_plain(node: Node) -> bool:
    parts = parts_of(node)
    if node.type == "array_type":
        return _is_plain(parts[0])
    if node.type == "wildcard":
        return len(parts) == 1 or (len(parts) == 3 and _is_plain(parts[2]))
    name, arguments = (parts[0], parts_of(parts[1])[1:-1:2]) if node.type == "generic_type" else (node, [])
    text = "".join(text_of(name).split()).removeprefix("java.util.").removeprefix("java.lang.")
    if node.type in _PRIMITIVES or (text in _PLAIN and not arguments):
        return True
    return len(arguments) in (0, _TEMPLATES.get(text)) and text in _TEMPLATES and all(map(_is_plain, arguments))
