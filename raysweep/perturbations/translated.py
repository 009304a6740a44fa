"""Where a sentence stands in its text, so that a translation of it can take its place: code words, lines, blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.language.tokens import Token
from raysweep.language.translation.base import locate
from raysweep.perturbations.words import Edit, Spans, is_within
from raysweep.records import Segment

_BREAK = re.compile(r"[^\S\n]*\n\s*")
_FIRST_MARK = 0xE000  # of Unicode's private use area: a character for each piece that stays
_MARKS = re.compile(r"[\ue000-\uf8ff]")
_LEAST_WORDS = 3
"""Natural words of two letters and more without which there is nothing to translate."""


@dataclass(frozen=True)
class Layout:
    """A sentence of a text.

    Attributes:
        pieces: on one line, what is kept verbatim apart: what a translator gets.
        parts: (segment, start, end, is natural) of the text, in order.
        lines: the sentence's lines, a mark for each verbatim segment, and the breaks between them in turn.
        are_segments: for each verbatim piece, whether it is a segment of the text; else it is a protected word.
    """

    pieces: tuple[Segment, ...]
    are_segments: tuple[bool, ...]
    parts: tuple[tuple[int, int, int, bool], ...]
    lines: tuple[str, ...]

    def edits(self, translated: str) -> list[Edit]:
        """Return the edits that put a translation into the text; none where it doesn't fit."""
        marked = self._marked(translated)
        words = marked.split() if marked is not None else []
        breaks = self.lines[1::2]
        if len(words) <= len(breaks):
            return []
        texts = _MARKS.split(self._in_lines(words))
        slots: list[list[tuple[int, int, int]]] = [[]]
        for segment, start, end, natural in self.parts:
            if natural:
                slots[-1].append((segment, start, end))
            else:
                slots.append([])
        if len(texts) != len(slots) or any(text.strip() and not slot for text, slot in zip(texts, slots, strict=True)):
            return []
        return [
            Edit(segment, start, end, "" if number else text)
            for text, slot in zip(texts, slots, strict=True)
            for number, (segment, start, end) in enumerate(slot)
        ]

    def _marked(self, translated: str) -> str | None:
        """Return a translation with marks for verbatim segments and its protected words apart, or None."""
        places = locate(self.pieces, translated)
        if places is None:
            return None
        verbatim = [piece.text for piece in self.pieces if not piece.natural]
        made, at, mark = "", 0, _FIRST_MARK
        for place, text, is_segment in zip(places, verbatim, self.are_segments, strict=True):
            made += translated[at:place] + (chr(mark) if is_segment else f" {text} ")
            at = place + len(text)
            mark += is_segment
        return made + translated[at:]

    def _in_lines(self, words: Sequence[str]) -> str:
        """Return words on the sentence's lines, each about as long as it was and none empty."""
        made, left = "", list(words)
        for number, line in enumerate(self.lines[::2]):
            after = len(self.lines[::2]) - number - 1
            taken = [left.pop(0)]
            while len(left) > after and (not after or len(" ".join(taken)) + 1 + len(left[0]) <= len(line)):
                taken.append(left.pop(0))
            made += " ".join(taken) + (self.lines[2 * number + 1] if after else "")
        return made


def layout(sentence: Sequence[Token], segments: Sequence[Segment], protected: Sequence[Spans]) -> Layout | None:
    """Return where a sentence stands; None where it has nothing to translate, or blanks that would not survive.

    Args:
        sentence: its tokens, tagged or not.
        segments: the text.
        protected: for each segment, where its protected words are.
    """
    words = [token for token in sentence if token.natural and token.text.isalpha() and len(token.text) > 1]
    parts = list(_parts(sentence, segments))
    texts = [segments[segment].text[start:end] for segment, start, end, _ in parts]
    whole = "".join(texts)
    if len(words) < _LEAST_WORDS or _MARKS.search(whole) or re.search(r"[^\S ]", _BREAK.sub(" ", whole)):
        return None
    pieces: list[Segment] = []
    are_segments: list[bool] = []
    marked, mark = "", _FIRST_MARK
    for (segment, start, _, natural), text in zip(parts, texts, strict=True):
        if not natural and text != text.strip():
            return None
        found = list(_pieces(text, start, protected[segment])) if natural else [Segment(text, False)]
        are_segments += [not natural for piece in found if not piece.natural]
        pieces += found
        marked += text if natural else chr(mark)
        mark += not natural
    lines = re.split(f"({_BREAK.pattern})", marked)
    return Layout(tuple(pieces), tuple(are_segments), tuple(parts), tuple(lines))


def _parts(sentence: Sequence[Token], segments: Sequence[Segment]) -> Iterator[tuple[int, int, int, bool]]:
    """Yield (segment, start, end, is natural) of what a sentence takes of each segment, the blanks inside included."""
    first, last = sentence[0], sentence[-1]
    for index in range(first.segment, last.segment + 1):
        start = first.start if index == first.segment else 0
        end = last.end if index == last.segment else len(segments[index].text)
        if start < end:
            yield index, start, end, segments[index].natural


def _pieces(text: str, offset: int, spans: Spans) -> Iterator[Segment]:
    """Yield the pieces of natural text on one line, words in protected spans apart."""
    natural = ""
    for found in re.finditer(r"\s+|\S+", text):
        if found[0].isspace() or not is_within(offset + found.start(), spans):
            natural += " " if found[0].isspace() else found[0]
            continue
        if natural:
            yield Segment(natural, True)
        yield Segment(found[0], False)
        natural = ""
    if natural:
        yield Segment(natural, True)
