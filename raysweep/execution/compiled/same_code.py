"""Whether two texts are the same code for a compiler, whatever their comments say."""

from __future__ import annotations

import re

from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.execution.compiled.tokens import tokens_of

COMPILED = frozenset({"cpp", "java"})
"""Languages that `same_code` knows."""
_UNICODE = re.compile(r"(?<!\\)(?:\\\\)*\\u+(?![0-9a-fA-F]{4})")
"""What javac reads before anything else, in comments too, and refuses there as well."""


def same_code(text: str, other: str, language: str) -> bool:
    """Return True if another text has the same tokens as a text, so that both compile or neither does.

    `text`: if it can't be read, nothing is known of it, and the answer is True. `other`: may be broken, for instance by
    a change that ends a comment early. `language`: one of `COMPILED`.
    """
    has_directives = language == "cpp"
    try:
        expected = [token.text for token in tokens_of(text, directives=has_directives)]
    except UnreadableError:
        return True
    if language == "java" and _UNICODE.search(other) and not _UNICODE.search(text):
        return False
    try:
        return [token.text for token in tokens_of(other, directives=has_directives)] == expected
    except UnreadableError:
        return False
