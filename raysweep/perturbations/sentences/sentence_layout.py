"""The layout of a sentence in its text: puts a translation in its place, around code words and line breaks."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.language.tokens import Token
from raysweep.language.translation.base import locate
from raysweep.perturbations.edits import Edit, Spans, is_within
from raysweep.records import Segment

_BREAK = re.compile(r"[^\S\n]*\n\s*")
_FIRST_MARK = 0xE000  # Unicode's private use area: one character for each verbatim segment of a sentence
_MARKS = re.compile(r"[\ue000-\uf8ff]")
_MIN_WORDS = 3
"""A sentence with fewer natural words of two letters or more is not translated."""


@dataclass(frozen=True)
class SentenceLayout:
    """The pieces of a sentence, and where they are in the text.

    Attributes:
        pieces: the sentence on one line, as a translator gets it: natural pieces and those to keep verbatim.
        are_segments: for each verbatim piece, True if it is a segment of the text, False if it is a protected word.
        parts: (segment, start, end, is natural) of the sentence's share of each segment, in order.
        lines: the sentence's lines and the line breaks between them in turn; a mark stands for each verbatim segment.
    """

    pieces: tuple[Segment, ...]
    are_segments: tuple[bool, ...]
    parts: tuple[tuple[int, int, int, bool], ...]
    lines: tuple[str, ...]

    def edits(self, translation: str) -> list[Edit]:
        marked = self._marked(translation)
        words = marked.split() if marked is not None else []
        breaks = self.lines[1::2]
        if len(words) <= len(breaks):
            return []
        texts = _MARKS.split(self._in_lines(words))
        slots: list[list[tuple[int, int, int]]] = [[]]  # the natural parts between two verbatim segments
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

    def _marked(self, translation: str) -> str | None:
        positions = locate(self.pieces, translation)
        if positions is None:
            return None
        verbatim = [piece.text for piece in self.pieces if not piece.natural]
        marked, end, mark = "", 0, _FIRST_MARK
        for position, text, is_segment in zip(positions, verbatim, self.are_segments, strict=True):
            marked += translation[end:position] + (chr(mark) if is_segment else f" {text} ")
            end = position + len(text)
            mark += is_segment
        return marked + translation[end:]

    def _in_lines(self, words: Sequence[str]) -> str:
        texts, left = self.lines[::2], deque(words)
        pieces: list[str] = []
        for number, line in enumerate(texts):
            lines_left = len(texts) - number - 1
            taken = [left.popleft()]
            length = len(taken[0])
            while len(left) > lines_left and (not lines_left or length + 1 + len(left[0]) <= len(line)):
                length += 1 + len(left[0])
                taken.append(left.popleft())
            pieces += [" ".join(taken), self.lines[2 * number + 1] if lines_left else ""]
        return "".join(pieces)


def layout_of(
    sentence: Sequence[Token], segments: Sequence[Segment], protected: Sequence[Spans]
) -> SentenceLayout | None:
    """Return the layout of a sentence, or None if it is not to be translated.

    That is a sentence with too few natural words, or with blanks that a translation would lose.

    `protected`: the spans of protected words in each segment.
    """
    words = [token for token in sentence if token.natural and token.text.isalpha() and len(token.text) > 1]
    parts = list(_parts(sentence, segments))
    texts = [segments[segment].text[start:end] for segment, start, end, _ in parts]
    whole = "".join(texts)
    if len(words) < _MIN_WORDS or _MARKS.search(whole) or re.search(r"[^\S ]", _BREAK.sub(" ", whole)):
        return None
    pieces: list[Segment] = []
    are_segments: list[bool] = []
    marked, mark = "", _FIRST_MARK
    for (segment, start, _, natural), text in zip(parts, texts, strict=True):
        if not natural and text != text.strip():
            return None
        part = list(_pieces(text, start, protected[segment])) if natural else [Segment(text, False)]
        are_segments += [not natural for piece in part if not piece.natural]
        pieces += part
        marked += text if natural else chr(mark)
        mark += not natural
    lines = re.split(f"({_BREAK.pattern})", marked)
    return SentenceLayout(tuple(pieces), tuple(are_segments), tuple(parts), tuple(lines))


def _parts(sentence: Sequence[Token], segments: Sequence[Segment]) -> Iterator[tuple[int, int, int, bool]]:
    """Yield (segment, start, end, is natural) of a sentence's share of each segment, blanks inside it included."""
    first, last = sentence[0], sentence[-1]
    for index in range(first.segment, last.segment + 1):
        start = first.start if index == first.segment else 0
        end = last.end if index == last.segment else len(segments[index].text)
        if start < end:
            yield index, start, end, segments[index].natural


def _pieces(text: str, offset: int, spans: Spans) -> Iterator[Segment]:
    natural = ""
    for match in re.finditer(r"\s+|\S+", text):
        if match[0].isspace() or not is_within(offset + match.start(), spans):
            natural += " " if match[0].isspace() else match[0]
            continue
        if natural:
            yield Segment(natural, True)
        yield Segment(match[0], False)
        natural = ""
    if natural:
        yield Segment(natural, True)
