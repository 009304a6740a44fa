"""Splits texts into sentences of tagged tokens, which the word and sentence methods share.

Tokens know their position in the text, so that changing some of them leaves every other character as it was. Verbatim
pieces inside a sentence are tokens too, so that words around them are tagged in context; a block of verbatim lines ends
a sentence. The tagged sentences of recent texts are cached.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from raysweep.errors import HopelessError
from raysweep.language.literals import compound_spans, literal_spans
from raysweep.language.tagging.base import TAGGERS, upos
from raysweep.language.verb_tags import corrected_tags, first_word
from raysweep.records import Segment, Spec

_TOKEN = re.compile(
    r"(?i:\b(?:e\.g|i\.e|etc|vs|cf|resp)\.)"
    r"|[^\W\d_]+?(?=n['’]t\b)|\bn['’]t\b|(?<=[^\W\d_])n['’]t\b"  # clitics are tokens of their own: is n't, that 's
    r"|(?<=[^\W_])['’](?i:s|re|m|ve|ll|d)\b"
    r"|[^\W_]+|\S"
)
_NAME = re.compile(r"[^\W\d_]+")
_BULLET = re.compile(r"[ \t]*(?:[-*+•]|\(?\w{1,3}[.)])[ \t]")
_BE = frozenset(["be", "am", "is", "are", "was", "were", "been", "being", "'s", "'re", "'m"])
_WITH = {
    **dict.fromkeys(["do", "does", "did"], ("VB", "VBP")),
    **dict.fromkeys(["have", "has", "had", "having", "'ve"], ("VBN",)),
}
"""Auxiliaries, and the tags of the verbs that can follow them."""
_OPAQUE = "x"
"""The tagger sees this letter, a noun to it, in place of a verbatim piece that is no word."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a punctuation mark or a verbatim piece: ``segments[segment].text[start:end]``.

    `tag`: the Penn Treebank tag. `pos`: NOUN, VERB, ADJ, ADV, or empty for every other part of speech.
    `natural`: it is part of a natural segment. `literal`: it is data or part of a hyphenated compound, and no English
    word of its own (`raysweep.language.literals`).
    """

    text: str
    tag: str
    pos: str
    segment: int
    start: int
    end: int
    natural: bool
    literal: bool = False

    @property
    def is_word(self) -> bool:
        """True for natural language that methods may change."""
        return self.natural and not self.literal


Sentence = tuple[Token, ...]


@lru_cache(maxsize=4096)
def tagged_sentences(segments: tuple[Segment, ...], tagger: str) -> tuple[Sentence, ...]:
    tag = TAGGERS.create(Spec(tagger)).tag
    tagged = []
    for sentence in sentences(segments):
        tags = tag([_shown(token) for token in sentence])
        if len(tags) != len(sentence):
            raise HopelessError(f"tagger {tagger!r} gave {len(tags)} tags for {len(sentence)} words")
        tags = corrected_tags([token.text for token in sentence], tags, [not token.natural for token in sentence])
        auxiliaries = _auxiliaries([token.text.lower() for token in sentence], tags)
        tagged.append(
            tuple(
                replace(token, tag=tag, pos="" if index in auxiliaries else upos(tag))
                for index, (token, tag) in enumerate(zip(sentence, tags, strict=True))
            )
        )
    return tuple(tagged)


def task_imperative(segments: tuple[Segment, ...], tagger: str) -> Token | None:
    """Return the verb in base form that begins a text's first natural sentence ("Write a function"); None: no such."""
    for sentence in tagged_sentences(segments, tagger):
        index = first_word([token.text.lower() for token in sentence])
        if any(token.natural for token in sentence) and index >= 0:
            return sentence[index] if sentence[index].tag in ("VB", "VBP") else None
    return None


def _auxiliaries(words: Sequence[str], tags: Sequence[str]) -> set[int]:
    auxiliaries = set()
    for index, word in enumerate(words):
        if word in _BE:
            auxiliaries.add(index)
        elif wanted := _WITH.get(word):
            verb = next((tag for tag in tags[index + 1 : index + 4] if tag.startswith("VB")), "")
            if verb in wanted:
                auxiliaries.add(index)
    return auxiliaries


def _shown(token: Token) -> str:
    """Return the token's text as the tagger sees it."""
    return token.text if token.natural or _NAME.fullmatch(token.text) else _OPAQUE


def sentences(segments: Sequence[Segment]) -> Iterator[list[Token]]:
    """Yield the tokens of each sentence, without tags."""
    sentence: list[Token] = []
    for gap, token in _tokens(segments):
        begins_item = "\n" in gap and _BULLET.match(segments[token.segment].text, token.start)
        if sentence and (begins_item or _ends(sentence[-1].text, gap)):
            yield sentence
            sentence = []
        sentence.append(token)
    if sentence:
        yield sentence


def _ends(last: str, gap: str) -> bool:
    return gap.count("\n") > 1 or (gap != "" and last in ".!?") or ("\n" in gap and last == ":")


def _tokens(segments: Sequence[Segment]) -> Iterator[tuple[str, Token]]:
    """Yield each token with the blanks before it; a block of verbatim lines counts as a blank line."""
    gap = ""
    literals = literal_spans(segments)
    for index, (text, natural) in enumerate((segment.text, segment.natural) for segment in segments):
        if natural:
            end = 0
            is_literal = _covers(literals[index]), _covers(compound_spans(text))
            for match in _TOKEN.finditer(text):
                literal = any([covers(match.start()) for covers in is_literal])
                token = Token(match[0], "", "", index, match.start(), match.end(), True, literal)
                yield gap + text[end : match.start()], token
                gap, end = "", match.end()
            gap += text[end:]
        elif "\n" in text or not text.strip():
            gap += "\n\n" if text.strip() else text
        else:
            start, end = len(text) - len(text.lstrip()), len(text.rstrip())
            yield gap + text[:start], Token(text[start:end], "", "", index, start, end, False)
            gap = text[end:]


def _covers(spans: Sequence[tuple[int, int]]) -> Callable[[int], bool]:
    starts = [start for start, _ in spans]

    def covers(position: int) -> bool:
        before = bisect_right(starts, position) - 1
        return before >= 0 and position < spans[before][1]

    return covers
