"""Texts as tagged sentences: what the word and sentence methods share, made once a text.

Tokens know where they stand, so that changing some of them leaves every other character as it was. Verbatim pieces
inside a sentence are tokens too, so that words around them are tagged in context; blocks of them end a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from raysweep.language.tagging.base import TAGGERS, upos
from raysweep.records import Segment, Spec

_TOKEN = re.compile(
    r"(?i:\b(?:e\.g|i\.e|etc|vs|cf|resp)\.)"
    r"|[^\W\d_]+?(?=n['’]t\b)|\bn['’]t\b|(?<=[^\W\d_])n['’]t\b"  # clitics stand apart: is n't, that 's
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
"""Auxiliaries, and the tags of verbs that follow them."""
_OPAQUE = "x"
"""What the tagger sees in place of a verbatim piece that is no word: a letter, which is a noun."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a mark or a verbatim piece: ``segments[segment].text[start:end]``.

    `tag`: Penn Treebank. `pos`: NOUN, VERB, ADJ, ADV or, for every other part of speech, nothing.
    """

    text: str
    tag: str
    pos: str
    segment: int
    start: int
    end: int
    natural: bool


Sentence = tuple[Token, ...]


@lru_cache(maxsize=4096)
def tagged_sentences(segments: tuple[Segment, ...], tagger: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text, tagged.

    Args:
        segments: the text (`raysweep.perturbations.regions`).
        tagger: a registered name.
    """
    tag = TAGGERS.create(Spec(tagger)).tag
    found = []
    for sentence in sentences(segments):
        tags = tag([_shown(token) for token in sentence])
        places = _auxiliaries([token.text.lower() for token in sentence], tags)
        found.append(
            tuple(
                replace(token, tag=tag, pos="" if at in places else upos(tag))
                for at, (token, tag) in enumerate(zip(sentence, tags, strict=True))
            )
        )
    return tuple(found)


def _auxiliaries(words: Sequence[str], tags: Sequence[str]) -> set[int]:
    """Return where forms of be stand, and those of do and have that go with another verb: no verbs of their own."""
    found = set()
    for at, word in enumerate(words):
        if word in _BE:
            found.add(at)
        elif wanted := _WITH.get(word):
            verb = next((tag for tag in tags[at + 1 : at + 4] if tag.startswith("VB")), "")
            if verb in wanted:
                found.add(at)
    return found


def _shown(token: Token) -> str:
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
    """Tell whether a sentence is over, given its last token and the blanks after it."""
    return gap.count("\n") > 1 or (gap != "" and last in ".!?") or ("\n" in gap and last == ":")


def _tokens(segments: Sequence[Segment]) -> Iterator[tuple[str, Token]]:
    """Yield each token with the blanks before it; a block of verbatim lines counts as a blank line."""
    gap = ""
    for index, (text, natural) in enumerate((segment.text, segment.natural) for segment in segments):
        if natural:
            at = 0
            for found in _TOKEN.finditer(text):
                yield gap + text[at : found.start()], Token(found[0], "", "", index, found.start(), found.end(), True)
                gap, at = "", found.end()
            gap += text[at:]
        elif "\n" in text or not text.strip():
            gap += "\n\n" if text.strip() else text
        else:
            start, end = len(text) - len(text.lstrip()), len(text.rstrip())
            yield gap + text[:start], Token(text[start:end], "", "", index, start, end, False)
            gap = text[end:]
