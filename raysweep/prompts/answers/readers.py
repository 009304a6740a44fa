"""What reads the pieces of an answer in one language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from raysweep.programs import CPP, JAVA, PYTHON
from raysweep.prompts.answers.compiled import CompiledReader
from raysweep.prompts.answers.python import PythonReader


class CodePiece(Protocol):
    """Code of one language that defines the entry point."""

    @property
    def text(self) -> str: ...


P = TypeVar("P", bound=CodePiece)


class Reader(Protocol[P]):
    """Reads the pieces of one answer in one language.

    `prompt` is what the answer may continue, "" where it is a program of its own; a program defines `entry_point`.
    """

    prompt: str
    entry_point: str

    def is_body(self, text: str) -> bool:
        """Return True if a text surely is the body that continues the prompt, without reading it as code."""

    def begins_as_body(self, text: str) -> bool:
        """Return True if the first line of a text is indented."""

    def whole(self, text: str) -> P | None:
        """Return a text as a piece that defines the entry point; None if it is none."""

    def is_code(self, text: str) -> bool:
        """Return True if a text is code, in which no mark such as ``[BEGIN]`` stands as a statement."""

    def in_text(self, text: str) -> P | None:
        """Return the first piece of a text, also of prose, that defines the entry point."""

    def without_examples(self, piece: P) -> P:
        """Return a piece without the examples at its end, which may read input or fail."""

    def program(self, piece: P, others: Iterable[str] = ()) -> str:
        """Return a piece's program, with what the prompt has before its function and what it lacks of `others`."""

    def continued(self, text: str, stops: Sequence[str]) -> str | None:
        """Return the program of the prompt and a text that is the body of its function; None if it is none."""


READERS: Mapping[str, Callable[[str, str], Reader[Any]]] = {
    PYTHON: PythonReader,
    JAVA: partial(CompiledReader, is_cpp=False),
    CPP: partial(CompiledReader, is_cpp=True),
}
"""Makes the reader of a language's pieces, given prompt and entry point."""
