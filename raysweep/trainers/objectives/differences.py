"""Marks the tokens in which a response and a rejected one differ, by line and by character.

Source: FAIT (arXiv 2503.16913, section 3.2). Lines are compared with difflib, from the rejected response to the
response; characters by Levenshtein's operations. The rules for what the paper leaves open are said at each function.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

NEWLINES = "\r\n"
NEEDS_RAPIDFUZZ = "needs the package rapidfuzz: pip install 'rapidfuzz>=3.9'"


@dataclass(frozen=True)
class Marks:
    """What differs in one of two texts: for each of its characters, whether its line does, and whether itself does."""

    text: str
    lines: np.ndarray  # (characters,), bool
    characters: np.ndarray  # (characters,), bool; only within `lines`

    def of_tokens(self, spans: Sequence[tuple[int, int]] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which tokens are marked by their line, and which by their characters, each (tokens,), bool.

        A token is marked by its line if its first character that is no line break lies in a marked line, or its first
        character where it has line breaks only. By its characters it is marked if one of them is, and its line too. The
        second condition counts for a token of line breaks that begins in an unmarked line and ends in an inserted blank
        one.

        Args:
            spans: the characters (first, last + 1) of each token; empty spans are never marked.
        """
        import numpy as np

        first, last = np.asarray(spans, dtype=np.int64).reshape(-1, 2).T
        size = len(self.text)
        characters = characters_of(self.text)
        breaks = (characters == ord(NEWLINES[0])) | (characters == ord(NEWLINES[1]))
        places = np.where(breaks, size, np.arange(size))
        following = np.append(np.minimum.accumulate(places[::-1])[::-1], size)  # the next character that is no break
        begins = np.where(following[first] < last, following[first], first)
        lines, counted = np.append(self.lines, False), np.append(0, np.cumsum(self.characters))
        by_line = lines[begins] & (last > first)
        return by_line, by_line & (counted[last] > counted[first])


def characters_of(text: str) -> np.ndarray:
    """Return the code points of a text, (characters,), uint32."""
    import numpy as np

    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def marks(response: str, rejected: str) -> tuple[Marks, Marks]:
    """Return what differs in a response and in a rejected one.

    Lines that were added or removed as a whole count with all their characters. Within each block of replaced lines
    characters are compared; so no alignment crosses unchanged lines, as one of the whole texts may.

    Swapping the two swaps the marks within each block. Which lines make up the blocks may depend on the order, since
    difflib's search does.
    """
    import numpy as np

    before, after = rejected.splitlines(keepends=True), response.splitlines(keepends=True)
    starts = [np.append(0, np.cumsum([len(line) for line in lines], dtype=np.int64)) for lines in (before, after)]
    old_lines, old_characters = np.zeros((2, len(rejected)), dtype=bool)
    new_lines, new_characters = np.zeros((2, len(response)), dtype=bool)
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        (a, b), (c, d) = starts[0][[a, b]], starts[1][[c, d]]
        old_lines[a:b] = new_lines[c:d] = True
        if tag == "replace":
            for (e, f), (g, h) in _changed(rejected[a:b], response[c:d]):
                old_characters[a + e : a + f] = new_characters[c + g : c + h] = True
        else:
            old_characters[a:b] = new_characters[c:d] = True
    return Marks(response, new_lines, new_characters), Marks(rejected, old_lines, old_characters)


def _changed(one: str, other: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the characters of two texts that Levenshtein's operations insert, delete or replace, as (first, last + 1).

    Of several shortest ways the same one is taken whichever text comes first.

    Raises:
        UsageError: rapidfuzz isn't installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ModuleNotFoundError:
        raise UsageError(f"comparing responses {NEEDS_RAPIDFUZZ}") from None
    first, second = sorted((one, other))
    for change in Levenshtein.opcodes(first, second):
        if change.tag != "equal":
            spans = (change.src_start, change.src_end), (change.dest_start, change.dest_end)
            yield spans if first == one else (spans[1], spans[0])
