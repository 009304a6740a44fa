"""Finds the finite verbs of a tagged sentence: what carries its tense.

Imperatives are finite verbs here: instructions and docstrings consist of them ("Return a list", "Given a string, sort
it"). Participles ("a given list", "numbers sorted by size"), infinitives and gerunds are not. Rules over tags and some
seventy verbs of docstrings; no parser, so a noun that was tagged as a verb comes along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from raysweep.language.inflections import lemma
from raysweep.language.tokens import Sentence

_VERBS = """
add append apply assume build calculate change check choose compare complete compute concatenate consider construct
convert count create decode define delete design determine develop display divide encode ensure evaluate explain
extract filter find fix generate get identify ignore implement initialize insert iterate join keep make merge modify
multiply optimize output parse perform print provide read remove replace return reverse rewrite rotate round select
shift show simplify solve sort split store subtract sum swap take test transform update use validate verify write
"""
_IMPERATIVES = frozenset(_VERBS.split())
"""Verbs that begin instructions, tagged as such or not."""
_OPENING = "also finally first firstly here next now please second secondly so then third"
_OPENERS = frozenset(_OPENING.split())
_FRONTING = "as assuming at based by for from given if in on once using when with"
_FRONTED = frozenset(_FRONTING.split())
"""Words that begin a sentence whose imperative comes after a comma: Given a list, return ..."""
_BEFORE_NOUNS = "about as at between by for from in into of on over per than through to under with without"
_PREPOSITIONS = frozenset(_BEFORE_NOUNS.split())
_SUBJECTS = ("PRP", "NN", "NNS", "NNP", "WDT", "WP", "EX", "CD", "DT")
_PRESENT_BE = frozenset(["am", "is", "are", "'m", "'re", "’m", "’re"])
_BE = _PRESENT_BE | {"was", "were"}
_HAVE, _DO = frozenset(["have", "has", "had", "'ve", "’ve"]), frozenset(["do", "does", "did"])
_MODALS = frozenset(["can", "could", "ca", "cannot", "may", "might", "must", "shall", "should", "will", "wo", "would"])
_NEGATIONS = ("not", "n't", "n’t")
_NOUNS = ("NN", "NNS", "NNP")


class Kind(Enum):
    """What a finite verb is."""

    MAIN = auto()
    IMPERATIVE = auto()
    JOINED = auto()  # an imperative after "and": it shares what stands before the first one
    PARTICIPLE = auto()  # not finite; only where participles are asked for
    BE = auto()
    DO = auto()  # with a base form somewhere after it
    PERFECT = auto()  # have + participle
    MODAL = auto()


@dataclass(frozen=True, slots=True)
class FiniteVerb:
    """A finite verb of a sentence, by the positions of its tokens; -1 stands for none.

    `negation`: of "not" or "n't". `participle`: of what a perfect goes with. `subject_end`: in a question, of the last
    token of the subject, which follows the verb.
    """

    kind: Kind
    at: int
    negation: int = -1
    participle: int = -1
    subject_end: int = -1


def finite_verbs(sentence: Sentence, participles: bool = False) -> list[FiniteVerb]:
    """Return the finite verbs in order, verbatim pieces excluded; with `participles` the lone ones too."""
    return [verb for verb in _Reader(sentence, participles).verbs() if sentence[verb.at].natural]


class _Reader:
    def __init__(self, sentence: Sentence, participles: bool) -> None:
        self._participles = participles
        self._sentence = sentence
        self._words = [token.text.lower() for token in sentence]
        self._tags = [token.tag for token in sentence]
        self._first = next((at for at in range(len(sentence)) if self._is_word(at) and not self._opens(at)), -1)
        self._commanded = False  # an imperative has been seen
        self._asserted = False  # another verb with a subject
        self._taken: set[int] = set()

    def verbs(self) -> Iterator[FiniteVerb]:
        for at in range(len(self._sentence)):
            verb = None if at in self._taken else self._verb(at)
            if verb is not None:
                self._taken |= {verb.at, verb.participle}
                self._commanded |= verb.kind in (Kind.IMPERATIVE, Kind.JOINED)
                self._asserted |= verb.kind is Kind.MAIN
                yield verb

    def _verb(self, at: int) -> FiniteVerb | None:
        word, tag = self._words[at], self._tags[at]
        negation = at + 1 if self._word(at + 1) in _NEGATIONS else -1
        if word in _MODALS and (tag in ("MD", "VB", "VBP") or negation > 0 or word == "cannot"):
            return FiniteVerb(Kind.MODAL, at, negation, subject_end=self._subject_end(at))
        if word in _BE or (word in ("'s", "’s") and self._is_short_for_is(at)):
            return FiniteVerb(Kind.BE, at, negation, subject_end=self._subject_end(at))
        if word in _HAVE and (participle := self._verb_after(at, ("VBN", "VBD"))) > 0:
            return FiniteVerb(Kind.PERFECT, at, negation, participle, self._subject_end(at))
        if (
            word in _DO
            and self._sentence[at].pos == ""
            and tag.startswith("VB")
            and self._verb_after(at, ("VB", "VBP")) > 0
        ):
            return FiniteVerb(Kind.DO, at, negation)
        return self._imperative(at) or self._main(at)

    def _imperative(self, at: int) -> FiniteVerb | None:
        word, tag, before = self._words[at], self._tags[at], self._word(at - 1)
        is_base = tag in ("VB", "VBP")
        if not word.isalpha() or not (is_base or word in _IMPERATIVES) or self._word(at + 1) in (":", "="):
            return None
        if at == self._first:
            named = not is_base and self._tag(at + 1) in ("VBZ", "MD", "IN", "NN", "NNS") and word != "return"
            return None if named and self._word(at + 1) not in ("if", "whether") else FiniteVerb(Kind.IMPERATIVE, at)
        if before == "," and self._words[self._first] in _FRONTED and not self._commanded:
            return FiniteVerb(Kind.IMPERATIVE, at)
        if before in ("and", "then", "or") and self._commanded and not self._in_infinitive(at):
            return FiniteVerb(Kind.JOINED, at)
        return None

    def _main(self, at: int) -> FiniteVerb | None:
        token, tag = self._sentence[at], self._tags[at]
        if at == self._first and tag == "NNS" and lemma(self._words[at], "VERB") in _IMPERATIVES:
            return FiniteVerb(Kind.MAIN, at) if self._tag(at + 1) not in ("VBZ", "VBP", "MD") else None
        if token.pos != "VERB" or not token.text.isalpha() or self._word(at - 1) in _PREPOSITIONS:
            return None
        before = at - 1
        while self._tag(before) == "RB" and self._word(before) not in _NEGATIONS:
            before -= 1
        if before in self._taken:
            return None
        subject = self._tag(before) in _SUBJECTS or self._word(before) in ("that", "which", "who")
        if tag == "VBZ":
            return FiniteVerb(Kind.MAIN, at) if self._tag(at - 1) not in ("DT", "JJ", "PRP$") else None
        if tag in ("VB", "VBP"):
            plural = subject and self._tag(before) not in ("NN", "NNP", "DT", "CD")
            plural |= self._asserted and self._word(before) in ("and", "or")
            return FiniteVerb(Kind.MAIN, at) if plural and not self._in_infinitive(at) else None
        if tag == "VBD" and subject and self._tag(at + 1) not in ("IN", "TO", "RP") and self._tag(before) != "DT":
            return FiniteVerb(Kind.MAIN, at)
        if self._participles and tag in ("VBN", "VBD") and not self._after_auxiliary(at):
            return FiniteVerb(Kind.PARTICIPLE, at)
        return None

    def _after_auxiliary(self, at: int) -> bool:
        return any(self._word(before) in _BE | _HAVE | {"be", "been", "being"} for before in range(at - 3, at))

    def _is_word(self, at: int) -> bool:
        return any(char.isalpha() for char in self._words[at]) and self._word(at + 1) not in (")", ".")

    def _opens(self, at: int) -> bool:
        return self._words[at] in _OPENERS or (self._words[at] == "," and at > 0)

    def _word(self, at: int) -> str:
        return self._words[at] if 0 <= at < len(self._words) else ""

    def _tag(self, at: int) -> str:
        return self._tags[at] if 0 <= at < len(self._tags) else ""

    def _is_short_for_is(self, at: int) -> bool:
        return self._tag(at - 1) in ("PRP", "EX", "WP", "WDT") or self._word(at - 1) in (
            "it",
            "he",
            "she",
            "that",
            "there",
            "here",
            "what",
            "who",
            "how",
            "where",
        )

    def _verb_after(self, at: int, tags: Sequence[str]) -> int:
        """Return the position of the next verb, if it comes soon and is tagged so, else -1; "been" always counts."""
        at = max(at, self._subject_end(at))
        for place in range(at + 1, min(at + 5, len(self._tags))):
            if self._tags[place] in tags or (self._words[place] == "been" and "VBN" in tags):
                return place
            if self._tags[place].startswith("VB") or self._tags[place] in ("IN", "TO", "CC", "."):
                return -1
            if "VBN" in tags and self._tags[place] in ("DT", "CD", *_NOUNS):
                return -1  # has a given length: no perfect
        return -1

    def _in_infinitive(self, at: int) -> bool:
        """Tell whether the nearest verb before is one that "to", a modal or "do" governs: to sort and return."""
        for place in range(at - 1, -1, -1):
            if self._words[place] in (*_MODALS, *_DO, "to") or self._tags[place] == "TO":
                return self._word(at - 1) != "," and self._word(at - 2) != ","
            if self._tags[place] in ("VBZ", "VBD", "WDT") or place in (self._first,):
                return False
        return False

    def _subject_end(self, at: int) -> int:
        """Return the last token of the subject in a question that begins with its verb, else -1."""
        if at != self._first or self._word(len(self._words) - 1) != "?":
            return -1
        place, end = at + 1, -1
        while place < len(self._tags):
            if self._tags[place] in (*_NOUNS, "PRP", "EX") or not self._sentence[place].natural:
                end = place
            elif end < 0 and self._tags[place] in ("DT", "PRP$", "CD", "JJ", "JJR", "JJS"):
                pass
            elif end == place - 1 and self._words[place] == "of":
                end_of = self._noun_phrase_end(place + 1)
                return end_of if end_of > 0 else end
            else:
                return end
            place += 1
        return end

    def _noun_phrase_end(self, place: int) -> int:
        end = -1
        while place < len(self._tags) and (
            self._tags[place] in (*_NOUNS, "DT", "PRP$", "CD", "JJ") or not self._sentence[place].natural
        ):
            end = place if self._tags[place] in _NOUNS or not self._sentence[place].natural else end
            place += 1
        return end
