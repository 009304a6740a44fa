"""Reads what a problem in C++ declares: its includes and types, its helper functions, the function to complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.execution.compiled.tokens import CodeToken, UnreadableError, closing, tokens_of

_NUMBERS = frozenset({"bool", "char", "short", "int", "long", "signed", "unsigned", "float", "double"})
_TEMPLATES = {"vector": 1, "list": 1, "deque": 1, "set": 1, "map": 2, "pair": 2}
_IGNORED = frozenset({"static", "inline", "extern", "constexpr"})
_ALIASES_AT_MOST = 20  # of one another


@dataclass(frozen=True, slots=True)
class Type:
    """A type of a parameter or result, which is plain data."""

    text: str  # without const and &, with full names: a program need not use namespace std, or a typedef
    is_const: bool = False
    is_reference: bool = False
    has_any: bool = False  # whether a boost::any is in it

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
    types: str  # directives, using and typedef
    before: str  # these and everything else that stands before the function, such as helper functions


def read_declaration(text: str) -> CppDeclaration:
    """Return all up to the last function, whose body is left out; raise UnreadableError without one of plain data."""
    tokens = tokens_of(text, directives=True)
    types: list[str] = []
    aliases: dict[str, list[CodeToken]] = {}
    start = 0
    while start < len(tokens):
        if tokens[start].kind == "directive":
            types.append(tokens[start].text)
            start += 1
            continue
        end = _end(tokens, start)
        if end is None:
            return _with_function(text, tokens[start:], types, aliases)
        statement = tokens[start : end + 1]
        if statement[0].text in ("using", "typedef"):
            types.append(text[statement[0].start : statement[-1].end])
            aliases |= _alias(statement)
        start = end + 1
    raise UnreadableError("opens no function that a candidate could complete")


def _end(tokens: Sequence[CodeToken], start: int) -> int | None:
    index = start
    while index < len(tokens):
        sign = tokens[index].text if tokens[index].kind == "sign" else ""
        if sign == ";":
            return index
        if sign in ("(", "[", "{"):
            end = closing(tokens, index)
            if end is None:
                return None
            is_body = sign == "{" and any(token.text == ")" for token in tokens[start:index])
            is_body = is_body and not any(token.text == "=" for token in _outer(tokens[start:index]))
            if is_body or (sign == "{" and tokens[start].text in ("namespace", "extern")):
                return end
            index = end
        index += 1
    return None


def _outer(tokens: Sequence[CodeToken]) -> list[CodeToken]:
    depth, found = 0, []
    for token in tokens:
        if token.kind == "sign" and token.text in "([{":
            depth += 1
        elif token.kind == "sign" and token.text in ")]}":
            depth -= 1
        elif depth == 0:
            found.append(token)
    return found


def _alias(statement: Sequence[CodeToken]) -> dict[str, list[CodeToken]]:
    if statement[0].text == "typedef" and len(statement) >= 4 and statement[-2].kind == "word":
        return {statement[-2].text: list(statement[1:-2])}
    if statement[0].text == "using" and len(statement) >= 5 and statement[2].text == "=":
        return {statement[1].text: list(statement[3:-1])}
    return {}


def _with_function(
    text: str, tokens: Sequence[CodeToken], types: Sequence[str], aliases: Mapping[str, Sequence[CodeToken]]
) -> CppDeclaration:
    brace = next((index for index, token in enumerate(tokens) if token.kind == "sign" and token.text == "{"), None)
    if brace is None:
        raise UnreadableError("ends before the body of its function")
    heading = list(tokens[:brace])
    if heading[0].text == "template":
        raise UnreadableError("has a function template, whose types are not known")
    while heading and heading[0].text in _IGNORED:
        heading.pop(0)
    first = next((index for index, token in enumerate(heading) if token.text == "("), None)
    if first is None or first < 2 or heading[first - 1].kind != "word" or closing(heading, first) is None:
        raise UnreadableError("opens something that is no function")
    last = closing(heading, first)
    assert last is not None
    name = heading[first - 1].text
    if [token.text for token in heading[last + 1 :]] not in ([], ["noexcept"]):
        raise UnreadableError(f"has something between the parameters of {name} and its body")
    result = _type(heading[: first - 1], aliases, f"the result of {name}", is_result=True)
    parameters = tuple(
        _type(part, aliases, f"parameter {number} of {name}")
        for number, part in enumerate(_parameters(heading[first + 1 : last]), 1)
    )
    function = CppFunction(name, result, parameters, text[heading[0].start : heading[-1].end])
    return CppDeclaration(function, "\n".join(types), text[: tokens[0].start])


def _parameters(tokens: Sequence[CodeToken]) -> list[list[CodeToken]]:
    parts: list[list[CodeToken]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "sign" and token.text in "<([{":
            depth += 1
        elif token.kind == "sign" and token.text in ">)]}":
            depth -= 1
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    given = [_until_default(part) for part in parts if part]
    return [] if len(given) == 1 and [token.text for token in given[0]] == ["void"] else given


def _until_default(tokens: list[CodeToken]) -> list[CodeToken]:
    at = next((index for index, token in enumerate(tokens) if token.text == "="), len(tokens))
    return tokens[:at]


def _type(
    tokens: Sequence[CodeToken], aliases: Mapping[str, Sequence[CodeToken]], place: str, *, is_result: bool = False
) -> Type:
    reader = _TypeReader(list(tokens), aliases, place)
    found = reader.read()
    if is_result and found.is_reference:
        raise UnreadableError(f"has a reference as {place}")
    rest = reader.rest()
    if not is_result and rest and rest[0].kind == "word":
        rest = rest[1:]  # the parameter's name
    if rest:
        raise UnreadableError(f"has {' '.join(token.text for token in rest)!r} behind the type of {place}")
    if found.text == "void" and not is_result:
        raise UnreadableError(f"has void as {place}")
    return found


@dataclass
class _TypeReader:
    """Reads one type by recursive descent."""

    tokens: list[CodeToken]
    aliases: Mapping[str, Sequence[CodeToken]]
    place: str  # names the type in errors
    level: int = 0
    at: int = 0
    has_any: bool = field(default=False)

    def rest(self) -> list[CodeToken]:
        return self.tokens[self.at :]

    def read(self) -> Type:
        is_const = self._took("const")
        text = self._value()
        is_const = self._took("const") or is_const
        is_reference = self._took("&")
        if self._next() in ("&", "*"):
            raise UnreadableError(f"has a pointer or an && as {self.place}")
        return Type(text, is_const, is_reference, self.has_any)

    def _next(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def _took(self, text: str) -> bool:
        took = self._next() == text
        self.at += took
        return took

    def _value(self) -> str:
        if self.level > _ALIASES_AT_MOST:
            raise UnreadableError(f"has a type that is defined by itself as {self.place}")
        if self._next() in _NUMBERS:
            words = []
            while self._next() in _NUMBERS:
                words.append(self._next())
                self.at += 1
            if words.count("long") and "double" in words:
                raise UnreadableError(f"has a long double as {self.place}")
            return " ".join(words)
        names = self._qualified()
        if names == ["boost", "any"]:
            self.has_any = True
            return "boost::any"
        if names[-1] in _TEMPLATES and names[:-1] in ([], ["std"]):
            return f"std::{names[-1]}<{', '.join(self._arguments(names[-1]))} >"
        if names in (["string"], ["std", "string"]):
            return "std::string"
        if names == ["void"] and self.level == 0:
            return "void"
        return self._named(names)

    def _qualified(self) -> list[str]:
        names = []
        self._took("::")
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "word":
            names.append(self._next())
            self.at += 1
            if not self._took("::"):
                break
        if not names:
            raise UnreadableError(f"has {self._next() or 'nothing'!r} for a type as {self.place}")
        return names

    def _arguments(self, template: str) -> list[str]:
        if not self._took("<"):
            raise UnreadableError(f"has a {template} of nothing as {self.place}")
        found = []
        for number in range(_TEMPLATES[template]):
            if number and not self._took(","):
                raise UnreadableError(f"has a {template} of too few types as {self.place}")
            self.level += 1
            found.append(self._value())
            self.level -= 1
        if not self._took(">"):
            raise UnreadableError(f"has a {template} of other than plain data as {self.place}")
        return found

    def _named(self, names: Sequence[str]) -> str:
        known = self.aliases.get(names[0]) if len(names) == 1 else None
        if known is None:
            raise UnreadableError(f"has {'::'.join(names)} as {self.place}, which is no plain data")
        inner = _TypeReader(list(known), self.aliases, self.place, self.level + 1)
        text = inner._value()
        if inner.rest():
            raise UnreadableError(f"has {names[0]} as {self.place}, which is no plain data")
        self.has_any = self.has_any or inner.has_any
        return text
