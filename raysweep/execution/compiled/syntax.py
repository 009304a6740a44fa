"""Syntax trees of texts in Java and C++, which tree-sitter reads: also of unfinished ones, with errors in their places.

Only raysweep's own process reads texts. A slot's processes get the sources that come of it, and import no tree-sitter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node

ENCODING = "utf-8", "surrogatepass"
_LITERALS = frozenset({"string_literal", "raw_string_literal", "char_literal"})
COMMENTS = frozenset({"comment", "line_comment", "block_comment"})


class UnreadableError(ValueError):
    """A text that can't be read; the message says why, as the end of "its declaration ...".

    It is the reason for which tests run inside.
    """


@cache
def _language(name: str) -> Language:
    import tree_sitter_cpp
    import tree_sitter_java
    from tree_sitter import Language

    return Language({"cpp": tree_sitter_cpp, "java": tree_sitter_java}[name].language())


def tree_of(text: str, language: str) -> Node:
    """`language`: java or cpp."""
    from tree_sitter import Parser

    return Parser(_language(language)).parse(text.encode(*ENCODING)).root_node


def text_of(node: Node) -> str:
    return (node.text or b"").decode(*ENCODING)


def before(text: str, byte: int) -> str:
    """Return what stands before a place in a text, which nodes of its tree count in bytes."""
    return text.encode(*ENCODING)[:byte].decode(*ENCODING)


def between(within: Node, first: Node, behind: Node) -> str:
    """Return the text from one node up to another, both in a third."""
    text = within.text or b""
    return text[first.start_byte - within.start_byte : behind.start_byte - within.start_byte].decode(*ENCODING)


def parts_of(node: Node) -> list[Node]:
    """Return what a node consists of, without comments."""
    return [child for child in node.children if child.type not in COMMENTS]


def leaves_of(root: Node) -> Iterator[Node]:
    """Yield the smallest nodes in their order, without comments."""
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if node.child_count and node.type not in _LITERALS:
            nodes.extend(reversed(parts_of(node)))
        elif not node.is_missing and node.type not in COMMENTS:
            yield node


def closed(text: str, language: str, level: int) -> str | None:
    """Return a text up to the brace that opens its function, closed behind it; None if it opens none at that level.

    `level`: how many braces are open behind it, which nothing closes: 1 in C++, 2 within a class.
    """
    open_braces: list[Node] = []
    for leaf in leaves_of(tree_of(text, language)):
        if leaf.type in ("(", "[", "{"):
            open_braces.append(leaf)
        elif leaf.type in (")", "]", "}") and open_braces:
            open_braces.pop()
    if len(open_braces) < level or any(brace.type != "{" for brace in open_braces[:level]):
        return None
    end = open_braces[level - 1].end_byte
    return before(text, end) + "}" * level
