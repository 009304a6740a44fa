"""Makes programs of pieces of Java and C++: whole programs, functions or methods alone, and bodies.

Nothing is compiled. Text is code if its tokens can be read, its brackets close each other, and each statement outside
of braces ends with a semicolon or a brace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.execution.compiled.tokens import CodeToken, closing, each_token, tokens_of

MOST_READ = 1_000_000
"""Characters that are read for one answer, in all attempts together."""
MOST_PLACES = 40
"""Lines at which a program may begin, and at which it may end, that are tried."""

_TYPES = frozenset({"class", "interface", "enum", "record", "struct", "union"})
_MODIFIERS = frozenset(["public", "protected", "private", "static", "final", "abstract", "sealed", "non", "strictfp"])
_START = re.compile(
    r"[ \t]*(?:#|/[/*]|@\w|(?:import|package|using|namespace|template|class|struct|enum|public|private|static|final)\b"
    r"|[\w:<>,\[\]&* \t]+\()"
)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A definition, a declaration or a directive that stands in no braces, with its tokens."""

    tokens: Sequence[CodeToken]

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end

    @property
    def is_type(self) -> bool:
        return any(token.text in _TYPES for token in self._heading)

    @property
    def name(self) -> str:
        words = self._heading
        if self.is_type:
            at = next(index for index, token in enumerate(words) if token.text in _TYPES)
            return words[at + 1].text if at + 1 < len(words) else ""
        has_body = self.tokens[-1].text == "}" and not any(token.text == "=" for token in words)
        return words[-1].text if has_body and words and words[-1].kind == "word" else ""

    @property
    def _heading(self) -> Sequence[CodeToken]:
        ends = (index for index, token in enumerate(self.tokens) if token.text in ("(", "{", "=", ";"))
        return self.tokens[: next(ends, len(self.tokens))]


@dataclass(frozen=True, slots=True)
class CompiledPiece:
    """Code that defines the entry point."""

    text: str
    statements: Sequence[_Statement]


class CompiledReader:
    """Reads the pieces of one answer; the methods are those of `raysweep.prompts.answers.extraction.Reader`.

    `prompt`: what the answer may continue, which ends in an open function or method; empty where the answer is a
    program of its own.
    """

    def __init__(self, prompt: str, entry_point: str, *, is_cpp: bool) -> None:
        self.prompt, self.entry_point, self._is_cpp = prompt, entry_point, is_cpp
        self._left = MOST_READ

    def is_body(self, text: str) -> bool:
        """Return False: where a body ends is read from its brackets."""
        return False

    def begins_as_body(self, text: str) -> bool:
        return re.match(r"(?:[ \t]*\n)*[ \t]+\S", text) is not None

    def whole(self, text: str) -> CompiledPiece | None:
        if self.entry_point not in text:
            return None
        statements = self._statements(text)
        if statements is None:
            return None
        owners = [one for one in statements if self._defines(one)]
        if (
            any(map(_begins_with_mark, statements))
            or not owners
            or _begins_with_prose(text, owners[0], self.entry_point)
        ):
            return None
        return CompiledPiece(text, statements)

    def is_code(self, text: str) -> bool:
        statements = self._statements(text)
        return statements is not None and not any(map(_begins_with_mark, statements))

    def in_text(self, text: str) -> CompiledPiece | None:
        lines = text.split("\n")
        starts = [number for number, line in enumerate(lines) if _START.match(line)]
        ends = [number for number, line in enumerate(lines, 1) if line.rstrip().endswith(("}", "};"))]
        for start in starts[:MOST_PLACES]:
            for end in [number for number in reversed(ends) if number > start][:MOST_PLACES]:
                if piece := self.whole("\n".join(lines[start:end])):
                    return piece
        return None

    def without_examples(self, piece: CompiledPiece) -> CompiledPiece:
        """Return the piece: what only shows how it is called stands in a `main`, which `program` leaves out."""
        return piece

    def program(self, piece: CompiledPiece, others: Iterable[str] = ()) -> str:
        return self._cpp_program(piece, others) if self._is_cpp else self._java_program(piece)

    def continued(self, text: str, stops: Sequence[str]) -> str | None:
        """What follows the body is left out, and closing brackets that it lacks are added. `stops` aren't looked at."""
        texts = [token.text for token in self._prompt_tokens()]
        open_brackets = sum((one in ("(", "[", "{")) - (one in (")", "]", "}")) for one in texts)
        if self.entry_point not in texts or not open_brackets or len(text) > self._left:
            return None
        self._left -= len(text)
        end, depth, last = 0, open_brackets, ""
        try:
            for token in each_token(text, directives=self._is_cpp):
                if token.kind == "sign":
                    depth += (token.text in "([{") - (token.text in ")]}")
                last = token.text
                if token.text == "}" and depth < open_brackets:
                    end = token.end  # of the function, then of its class
                if depth <= 0:
                    break
        except UnreadableError:  # prose, behind the function or instead of it
            last = ""
        if end:
            missing = open_brackets - 1 if depth > 0 else 0
            return f"{self.prompt}{text[:end]}\n" + "}\n" * missing
        if last not in (";", "}") or not re.search(r"\breturn\b|[^=!<>]=[^=]", text):
            return None
        return f"{self.prompt}{text.rstrip()}\n" + "}\n" * depth

    def _prompt_tokens(self) -> Sequence[CodeToken]:
        try:
            return tokens_of(self.prompt, directives=self._is_cpp)
        except UnreadableError:
            return []

    def _statements(self, text: str) -> list[_Statement] | None:
        self._left -= len(text)
        if self._left < 0:
            return None
        try:
            return _statements(tokens_of(text, directives=self._is_cpp))
        except UnreadableError:
            return None

    def _defines(self, statement: _Statement) -> bool:
        """Return True if a statement is, or in Java has, the entry point with its body."""
        if statement.is_type and self._is_cpp:
            return False
        tokens = statement.tokens
        for index, token in enumerate(tokens[:-1]):
            if token.text == self.entry_point and tokens[index + 1].text == "(":
                end = closing(tokens, index + 1)
                after = tokens[end + 1].text if end is not None and end + 1 < len(tokens) else ""
                if after in ("{", "throws", "const", "noexcept", "->"):
                    return True
        return False

    def _before(self) -> tuple[str, list[_Statement]]:
        tokens = self._prompt_tokens()
        names = [index for index, token in enumerate(tokens) if token.text == self.entry_point]
        if not names:
            return "", []
        start = names[-1]
        while start and tokens[start - 1].kind != "directive" and tokens[start - 1].text not in (";", "{", "}"):
            start -= 1
        before = self.prompt[: tokens[start].start]
        return before.rstrip(), (self._statements(before) or []) if self._is_cpp else []

    def _cpp_program(self, piece: CompiledPiece, others: Iterable[str]) -> str:
        before, known = self._before()
        own = {one.name for one in piece.statements} - {""}
        if own & {one.name for one in known}:  # the prompt's helpers, written once more
            kept = [one for one in known if one.name not in own]
            before = "\n".join(self.prompt[one.start : one.end] for one in kept)
        code = _without(piece.text, [one for one in piece.statements if one.name == "main"])
        words = {token.text for one in piece.statements for token in one.tokens if token.kind == "word"}
        missing = words - own - {one.name for one in known} - {"main", self.entry_point}
        helpers: list[str] = []
        for other in others:
            for one in (self._statements(other) or []) if other != piece.text else []:
                if one.name in missing:
                    helpers.append(other[one.start : one.end])
                    missing.discard(one.name)
        return "\n".join(part for part in [before, *helpers, code.strip("\n")] if part) + "\n"

    def _java_program(self, piece: CompiledPiece) -> str:
        before, _ = self._before()
        imports = [one for one in piece.statements if one.tokens[0].text in ("import", "package")]
        owner = next(one for one in piece.statements if self._defines(one))
        others = [one for one in piece.statements if one.is_type and one is not owner and one.name == "Main"]
        code = _without(piece.text, [*imports, *others]).strip("\n")
        own = [piece.text[one.start : one.end] for one in imports if one.tokens[0].text == "import"]
        opening = re.search(r"\bclass\s+(\w+)[^;{}]*\{", before)
        if not owner.is_type:
            head = before if opening else "class Solution {"
            if opening and any(re.search(rf"\b{one.name}\s*\(", before) for one in piece.statements if one.name):
                head = before[: opening.end()]  # without the prompt's helpers, which are written once more
            return "\n".join([*own, head, code, "}", ""])
        name = opening[1] if opening else "Solution"
        if owner.name != name:
            code = _renamed(code, owner.name, name)
        known = re.findall(r"^import\b[^;\n]*;", before, re.MULTILINE)
        return "\n".join([*dict.fromkeys([*known, *own]), "", code, ""])


def _statements(tokens: Sequence[CodeToken]) -> list[_Statement]:
    """Split tokens into statements; raise UnreadableError if brackets don't match or the last statement has no end."""
    found: list[_Statement] = []
    start = index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "directive" and start == index:
            found.append(_Statement([token]))
            start = index = index + 1
            continue
        if token.kind == "sign" and token.text in "([{":
            end = closing(tokens, index)
            if end is None:
                raise UnreadableError("ends within brackets")
            index = end
        elif token.kind == "sign" and token.text in ")]}":
            raise UnreadableError(f"has a {token.text!r} that closes nothing")
        is_block = tokens[index].text == "}"
        if is_block and index + 1 < len(tokens) and tokens[index + 1].text == ";":
            index += 1
        if is_block or token.text == ";":
            found.append(_Statement(tokens[start : index + 1]))
            start = index + 1
        index += 1
    if start < len(tokens):
        raise UnreadableError("ends within a statement")
    return found


def _begins_with_prose(text: str, statement: _Statement, entry_point: str) -> bool:
    """Return True if words stand on lines of their own before a function, such as "Here it is"."""
    if statement.is_type:
        return statement.tokens[0].kind == "word" and statement.tokens[0].text not in _TYPES | _MODIFIERS
    if statement.tokens[0].text in ("template", "@"):
        return False
    name = next(token for token in statement.tokens if token.text == entry_point)
    return "\n" in text[statement.start : name.start]


def _begins_with_mark(statement: _Statement) -> bool:
    """Return True if a statement begins with what is no code, such as ``<code>`` or ``[BEGIN]``."""
    texts = [token.text for token in statement.tokens[:3]]
    return texts[:1] == ["<"] or (texts[:1] == ["["] and texts[1:2] != ["["])


def _renamed(text: str, name: str, wanted: str) -> str:
    """Return Java code in which a name, but no string that holds it, is replaced by another."""
    parts, position = [], 0
    for token in tokens_of(text, directives=False):
        if token.kind == "word" and token.text == name:
            parts += [text[position : token.start], wanted]
            position = token.end
    return "".join([*parts, text[position:]])


def _without(text: str, statements: Iterable[_Statement]) -> str:
    for one in sorted(statements, key=lambda one: one.start, reverse=True):
        text = text[: one.start] + text[one.end :]
    return text
