"""Finds the finite verbs of a tagged sentence: the verbs that carry its tense.

Imperatives count as finite verbs: instructions and docstrings consist of them ("Return a list", "Given a string, sort
it"). Participles ("a given list", "numbers sorted by size"), infinitives and gerunds do not. The rules use tags, which
`raysweep.language.verb_tags` corrects, and no parser. Their time grows linearly with the sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from raysweep.language.inflections import lemma
from raysweep.language.tokens import Sentence
from raysweep.language.verb_tags import FRONTED, IMPERATIVES, JOINERS, first_word

_BEFORE_NOUNS = "about as at between by for from in into of on over per than through to under with without"
_PREPOSITIONS = frozenset(_BEFORE_NOUNS.split())
_SUBJECTS = ("PRP", "NN", "NNS", "NNP", "WDT", "WP", "EX", "CD", "DT")
_PRESENT_BE = frozenset(["am", "is", "are", "'m", "'re", "’m", "’re"])
_BE = _PRESENT_BE | {"was", "were"}
_HAVE, _DO = frozenset(["have", "has", "had", "'ve", "’ve"]), frozenset(["do", "does", "did"])
_MODALS = frozenset(["can", "could", "ca", "cannot", "may", "might", "must", "shall", "should", "will", "wo", "would"])
_NEGATIONS = ("not", "n't", "n’t")
_NOUNS = ("NN", "NNS", "NNP")

_BEFORE_IS = frozenset(["it", "he", "she", "that", "there", "here", "what", "who", "how", "where"])
"""Words behind which "'s" is short for is."""
_COMMAND = "command"


class Kind(Enum):
    """The kinds of finite verbs, which tenses treat differently."""

    MAIN = auto()
    IMPERATIVE = auto()
    JOINED = auto()  # an imperative after "and", which shares the auxiliary of the first one
    PARTICIPLE = auto()  # not finite; found only with `participles`
    BE = auto()
    DO = auto()  # followed by a base form
    PERFECT = auto()  # have + participle
    MODAL = auto()


@dataclass(frozen=True, slots=True)
class FiniteVerb:
    """A finite verb of a sentence, as indices of the sentence's tokens; -1 means there is no such token.

    Attributes:
        kind: of the verb.
        index: of the verb itself.
        negation: of "not" or "n't".
        participle: of the participle that belongs to a perfect.
        subject_end: of the subject's last token, in a question, where the subject follows the verb.
        chain: a number that verbs joined to each other share: "Find the largest and print it".
    """

    kind: Kind
    index: int
    negation: int = -1
    participle: int = -1
    subject_end: int = -1
    chain: int = -1


def finite_verbs(sentence: Sentence, participles: bool = False) -> list[FiniteVerb]:
    """Return the finite verbs in order, those in verbatim pieces too; with `participles` also lone participles."""
    return list(_Reader(sentence, participles).verbs())


class _Reader:
    """Reads one sentence from left to right and remembers which kinds of verbs it has seen."""

    def __init__(self, sentence: Sentence, participles: bool) -> None:
        self._participles = participles
        self._sentence = sentence
        self._words = [token.text.lower() for token in sentence]
        self._tags = [token.tag for token in sentence]
        self._first = first_word(self._words)
        self._commanded = False  # True after an imperative
        self._plural = False  # True if the last verb with a subject is in the plural, and so is one joined to it
        self._in_infinitive = False  # True if the last governor is "to", a modal or "do": to sort and return
        self._before = -1  # index of the last word that is no adverb
        self._number = 0  # of the last chain
        self._chains: dict[str, int] = {}  # the last chain of imperatives, and of verbs with a subject by their tags
        self._taken: set[int] = set()

    def verbs(self) -> Iterator[FiniteVerb]:
        for index in range(len(self._sentence)):
            verb = None if index in self._taken else self._verb(index)
            if verb is not None:
                self._taken |= {verb.index, verb.participle}
                yield replace(verb, chain=self._chain_of(verb))
            self._pass(index)

    def _chain_of(self, verb: FiniteVerb) -> int:
        if verb.kind is Kind.MAIN:
            form = self._tags[verb.index]
            self._plural = form in ("VB", "VBP")
            is_joined = self._is_joined(verb.index) and form in self._chains
        elif verb.kind in (Kind.IMPERATIVE, Kind.JOINED):
            form, self._commanded, self._plural = _COMMAND, True, False
            is_joined = verb.kind is Kind.JOINED
        else:
            return -1
        if not is_joined:
            self._number += 1
            self._chains[form] = self._number
        return self._chains[form]

    def _pass(self, index: int) -> None:
        word, tag = self._words[index], self._tags[index]
        if word == "to" or word in _MODALS or word in _DO or tag == "TO":
            self._in_infinitive = True
        elif tag in ("VBZ", "VBD", "WDT") or index == self._first:
            self._in_infinitive = False
        if tag != "RB" or word in _NEGATIONS:
            self._before = index

    def _verb(self, index: int) -> FiniteVerb | None:
        word, tag = self._words[index], self._tags[index]
        negation = index + 1 if self._word(index + 1) in _NEGATIONS else -1
        if word in _MODALS and (tag in ("MD", "VB", "VBP") or negation > 0 or word == "cannot"):
            return FiniteVerb(Kind.MODAL, index, negation, subject_end=self._subject_end(index))
        if word in _BE or (word in ("'s", "’s") and self._is_short_for_is(index)):
            return FiniteVerb(Kind.BE, index, negation, subject_end=self._subject_end(index))
        if word in _HAVE and (participle := self._verb_after(index, ("VBN", "VBD"))) > 0:
            return FiniteVerb(Kind.PERFECT, index, negation, participle, self._subject_end(index))
        if (
            word in _DO
            and self._sentence[index].pos == ""
            and tag.startswith("VB")
            and self._verb_after(index, ("VB", "VBP")) > 0
        ):
            return FiniteVerb(Kind.DO, index, negation)
        return self._imperative(index) or self._main(index)

    def _imperative(self, index: int) -> FiniteVerb | None:
        word, before = self._words[index], self._word(index - 1)
        if self._tags[index] not in ("VB", "VBP") or not word.isalpha() or self._word(index + 1) in (":", "="):
            return None
        if self._is_polite(index):
            return None
        if index == self._first:
            return FiniteVerb(Kind.IMPERATIVE, index)
        fronted = before == "," and self._words[self._first] in FRONTED
        if fronted and not self._commanded:
            return FiniteVerb(Kind.IMPERATIVE, index)
        goes_on = self._plural and word not in IMPERATIVES  # "numbers that start or end with 1"
        if self._commanded and self._is_joined(index) and not goes_on and not self._is_infinitive(index):
            return FiniteVerb(Kind.JOINED, index)
        return None

    def _is_polite(self, index: int) -> bool:
        """Return True after "please", "let" and "let's", where a verb has no past and no future."""
        before = index - 1 - (self._word(index - 1) in ("'s", "’s"))
        return self._word(before) in ("please", "let")

    def _is_joined(self, index: int) -> bool:
        before = index - 1
        while before > index - 4 and self._tag(before) == "RB" and self._word(before) not in JOINERS:
            before -= 1
        word = self._word(before)
        return word in JOINERS or (word == "," and self._words[index] in IMPERATIVES)

    def _main(self, index: int) -> FiniteVerb | None:
        token, tag = self._sentence[index], self._tags[index]
        if index == self._first and tag == "NNS" and lemma(self._words[index], "VERB") in IMPERATIVES:
            return FiniteVerb(Kind.MAIN, index) if self._tag(index + 1) not in ("VBZ", "VBP", "MD") else None
        if token.pos != "VERB" or not token.text.isalpha() or self._word(index - 1) in _PREPOSITIONS:
            return None
        before = self._before
        if before in self._taken or self._is_polite(index):
            return None
        subject = self._tag(before) in _SUBJECTS or self._word(before) in ("that", "which", "who")
        if tag == "VBZ":
            return FiniteVerb(Kind.MAIN, index) if self._tag(index - 1) not in ("DT", "JJ", "PRP$") else None
        if tag in ("VB", "VBP"):
            plural = subject and self._tag(before) not in ("NN", "NNP", "DT", "CD")
            plural |= self._plural and self._word(before) in ("and", "or")
            return FiniteVerb(Kind.MAIN, index) if plural and not self._is_infinitive(index) else None
        if tag == "VBD" and subject and self._tag(index + 1) not in ("IN", "TO", "RP") and self._tag(before) != "DT":
            return FiniteVerb(Kind.MAIN, index)
        if self._participles and tag in ("VBN", "VBD"):
            auxiliaries = _BE | _HAVE | {"be", "been", "being"}
            if not any(self._word(place) in auxiliaries for place in range(index - 3, index)):
                return FiniteVerb(Kind.PARTICIPLE, index)
        return None

    def _word(self, index: int) -> str:
        return self._words[index] if 0 <= index < len(self._words) else ""

    def _tag(self, index: int) -> str:
        return self._tags[index] if 0 <= index < len(self._tags) else ""

    def _is_short_for_is(self, index: int) -> bool:
        return self._tag(index - 1) in ("PRP", "EX", "WP", "WDT") or self._word(index - 1) in _BEFORE_IS

    def _verb_after(self, index: int, tags: Sequence[str]) -> int:
        """Return the index of the next verb if it comes soon and has one of the tags, else -1; "been" counts as VBN."""
        index = max(index, self._subject_end(index))
        for place in range(index + 1, min(index + 5, len(self._tags))):
            if self._tags[place] in tags or (self._words[place] == "been" and "VBN" in tags):
                return place
            if self._tags[place].startswith("VB") or self._tags[place] in ("IN", "TO", "CC", "."):
                return -1
            if "VBN" in tags and self._tags[place] in ("DT", "CD", *_NOUNS):
                return -1  # "has a given length" is no perfect
        return -1

    def _is_infinitive(self, index: int) -> bool:
        return self._in_infinitive and self._word(index - 1) != "," and self._word(index - 2) != ","

    def _subject_end(self, index: int) -> int:
        if index != self._first or self._word(len(self._words) - 1) != "?":
            return -1
        place, end = index + 1, -1
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
