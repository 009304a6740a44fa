"""Reads what a problem in Java declares: its imports, its class with helper methods, the method to complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.execution.compiled.tokens import CodeToken, UnreadableError, closing, tokens_of

_PRIMITIVES = frozenset({"boolean", "byte", "short", "char", "int", "long", "float", "double"})
_PLAIN = frozenset(
    {"Boolean", "Byte", "Short", "Character", "Integer", "Long", "Float", "Double", "Number", "String", "Object"}
)
_TEMPLATES = {"List": 1, "ArrayList": 1, "LinkedList": 1, "Collection": 1, "Set": 1, "HashSet": 1, "TreeSet": 1} | {
    "Map": 2,
    "HashMap": 2,
    "LinkedHashMap": 2,
    "TreeMap": 2,
    "Optional": 1,
}
_MODIFIERS = frozenset({"public", "protected", "private", "static", "final", "synchronized", "strictfp"})
_PACKAGES = (["java", "util"], ["java", "lang"])


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
    tokens = tokens_of(text, directives=False)
    imports: list[str] = []
    types: list[str] = []
    start = 0
    while start < len(tokens):
        if tokens[start].text == "package":
            raise UnreadableError("names a package")
        end = _end(tokens, start)
        if end is None:
            break
        piece = text[tokens[start].start : tokens[end].end]
        (imports if tokens[start].text == "import" else types).append(piece)
        start = end + 1
    brace = next((index for index in range(start, len(tokens)) if tokens[index].text == "{"), None)
    if brace is None:
        raise UnreadableError("opens no class")
    heading = tokens[start:brace]
    words = [token.text for token in heading]
    if "class" not in words or words.index("class") + 1 >= len(words) or "<" in words:
        raise UnreadableError("opens something that is no class, or a generic one")
    start = brace + 1
    members: list[str] = []
    while start < len(tokens) and (end := _end(tokens, start)) is not None:
        members.append(text[tokens[start].start : tokens[end].end])
        start = end + 1
    return JavaDeclaration(
        "\n".join(imports),
        "\n".join(types),
        words[words.index("class") + 1],
        " ".join(words),
        "\n".join(members),
        _method(tokens[start:]),
    )


def read_tested_class(text: str) -> TestedClass:
    """Return what a file declares: a package and a public class, whose public members are static methods.

    Raises:
        UnreadableError: it declares something else, or the types of a method are no plain data.
    """
    tokens = tokens_of(text, directives=False)
    pieces: dict[str, list[str]] = {"package": [], "import": []}
    start = 0
    while start < len(tokens) and tokens[start].text in pieces and (end := _end(tokens, start)) is not None:
        pieces[tokens[start].text].append(text[tokens[start].start : tokens[end].end])
        start = end + 1
    brace = next((index for index in range(start, len(tokens)) if tokens[index].text == "{"), len(tokens))
    words = [token.text for token in tokens[start:brace]]
    last = closing(tokens, brace) if brace < len(tokens) else None
    if last is None or len(words) < 2 or words[-2] != "class" or "public" not in words:
        raise UnreadableError("holds something else than one public class, which extends nothing")
    if last + 1 < len(tokens):
        raise UnreadableError("holds more than one class")
    if len(pieces["package"]) != 1:
        raise UnreadableError("names no package")
    package = pieces["package"][0].removeprefix("package").rstrip(";").strip()
    members = list(_members(tokens[brace + 1 : last]))
    return TestedClass(package, "\n".join(pieces["import"]), words[-1], tuple(map(_static_method, members)))


def _members(tokens: Sequence[CodeToken]) -> Iterator[Sequence[CodeToken]]:
    start = 0
    while start < len(tokens):
        end = _end(tokens, start)
        if end is None:
            raise UnreadableError("holds a member without an end")
        member = tokens[start : end + 1]
        modifiers = [token.text for token in member[: next((i for i, t in enumerate(member) if t.text in "({=;"), 0)]]
        if "public" in modifiers:
            yield member
        start = end + 1


def _static_method(tokens: Sequence[CodeToken]) -> Method:
    method = _method(tokens)
    if not method.is_static:
        raise UnreadableError(f"has a method {method.name} that isn't static")
    return method


def _end(tokens: Sequence[CodeToken], start: int) -> int | None:
    index = start
    is_value = False  # behind a =, braces hold an array's items
    while index < len(tokens):
        sign = tokens[index].text if tokens[index].kind == "sign" else ""
        if sign == ";":
            return index
        is_value = is_value or sign == "="
        if sign in ("(", "[", "{"):
            end = closing(tokens, index)
            if end is None or (sign == "{" and not is_value):
                return end
            index = end
        index += 1
    return None


def _method(tokens: Sequence[CodeToken]) -> Method:
    brace = next((index for index, token in enumerate(tokens) if token.text == "{"), None)
    if brace is None:
        raise UnreadableError("opens no method that a candidate could complete")
    heading = list(tokens[:brace])
    modifiers = set()
    while heading and heading[0].text in _MODIFIERS:
        modifiers.add(heading.pop(0).text)
    if not heading or heading[0].text in ("<", "@"):
        raise UnreadableError("has a generic or annotated method")
    first = next((index for index, token in enumerate(heading) if token.text == "("), None)
    last = closing(heading, first) if first is not None else None
    if first is None or last is None or first < 2 or heading[first - 1].kind != "word":
        raise UnreadableError("opens something that is no method")
    name = heading[first - 1].text
    throws = " ".join(token.text for token in heading[last + 1 :])
    if throws and not throws.startswith("throws "):
        raise UnreadableError(f"has something between the parameters of {name} and its body")
    result = heading[: first - 1]
    if [token.text for token in result] != ["void"]:
        _check(result, f"the result of {name}")
    parameters = []
    for number, part in enumerate(_divided(heading[first + 1 : last]), 1):
        kept = part[1:] if part[0].text == "final" else part
        if len(kept) < 2 or kept[-1].kind != "word":
            raise UnreadableError(f"has a parameter {number} of {name} without a type and a name")
        _check(kept[:-1], f"parameter {number} of {name}")
        parameters.append(_text(kept[:-1]))
    return Method(name, "static" in modifiers, _text(result), tuple(parameters), throws)


def _text(tokens: Sequence[CodeToken]) -> str:
    return " ".join(token.text for token in tokens).replace(" . ", ".")


def _divided(tokens: Sequence[CodeToken]) -> list[list[CodeToken]]:
    parts: list[list[CodeToken]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in ("<", "(", "[")) - (token.text in (">", ")", "]"))
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _check(tokens: Sequence[CodeToken], place: str) -> None:
    words = [token.text for token in tokens]
    if words[-2:] == ["[", "]"]:
        return _check(tokens[:-2], place)
    if words[:1] == ["?"]:
        if words[1:2] not in ([], ["extends"], ["super"]):
            raise UnreadableError(f"has {' '.join(words)!r} as {place}")
        return _check(tokens[2:], place) if words[1:] else None
    at = words.index("<") if "<" in words else len(words)
    names = [word for word in words[:at] if word != "."]
    if not names:
        raise UnreadableError(f"has no type as {place}")
    name, arguments = names[-1], tokens[at:]
    is_known = name in _PLAIN or name in _TEMPLATES or (name in _PRIMITIVES and len(names) == 1)
    if not is_known or at != 2 * len(names) - 1 or (names[:-1] and names[:-1] not in _PACKAGES):
        raise UnreadableError(f"has {''.join(words)} as {place}, which is no plain data")
    if not arguments:
        return None
    inner = _divided(arguments[1:-1])
    if arguments[-1].text != ">" or len(inner) != _TEMPLATES.get(name):
        raise UnreadableError(f"has {''.join(words)} as {place}, which is no plain data")
    for part in inner:
        _check(part, place)
    return None
