"""Corrects the tags of verbs in docstrings and instructions, which taggers trained on other texts take for nouns.

The first word of an instruction is a verb if it is in base form ("Sort numbers"), and so are verbs joined to it ("Sort
the list and print it"). On the other hand a noun is no verb because a verb has its form: "Mean Absolute Deviation
is ...", "Input numbers are ...", "Sort coordinates by rows", "the nodes".

The rules look at the words before and behind; their time grows linearly with the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.language.inflections import is_known_verb, is_known_word, lemma

_ALWAYS_VERBS = """
accept add allow append apply arrange assume build calculate capitalize choose combine compute concatenate consider
construct convert create decode define delete detect determine develop divide encode ensure evaluate exclude expand
explain extract find flatten generate get give identify ignore implement include increment initialize insert iterate
join keep let make merge modify multiply normalize obtain parse perform pick print produce provide read rearrange
receive remove rename reorder replace retrieve return rewrite select simplify solve subtract take transform truncate
update use validate verify write
"""
_SOMETIMES_VERBS = """
change check compare complete copy count cube decrease design display double draw duplicate estimate fill filter fix
flip format group increase index input list look map match measure move order output partition process repeat
reverse rotate round sample scan search separate shift show sort split square store sum swap test trim
"""
IMPERATIVES = frozenset([*_ALWAYS_VERBS.split(), *_SOMETIMES_VERBS.split()])
"""Verbs that begin instructions, whether or not the tagger recognises them as verbs."""
_ALWAYS = frozenset(_ALWAYS_VERBS.split())
_OPENING = """
also else finally first firstly here instead next now otherwise please second secondly so then third
"""
OPENERS = frozenset(_OPENING.split())
"""Words before the verb of an instruction: Then sort it."""
_FRONTING = """
as assuming at based by for from given if in on once out using when with
"""
FRONTED = frozenset(_FRONTING.split())
"""Words that begin a sentence whose imperative comes after a comma: Given a list, return ..."""
JOINERS = frozenset(["and", "or", "then", "otherwise", "else", "but"])
_BETWEEN = frozenset(["also", "finally", "just", "only", "simply", "so", "then"])
"""Words between a joiner and its verb: and then print it."""
_BASE = ("VB", "VBP")
_RELATIVES = ("that", "which", "who")
_ARTICLES = ("a", "an", "the")
_OBJECTS = frozenset(["DT", "PDT", "PRP", "PRP$", "CD", "WDT", "WP", "WRB", "JJ", "JJR", "JJS", "NNS", "EX"])
_OBJECT_WORDS = frozenset(
    ["all", "both", "each", "every", "false", "if", "it", "none", "that", "them", "true", "whether"]
)
_AUXILIARY = """
are can could does has have is may must shall should was were will would
"""
_FINITE = frozenset(_AUXILIARY.split())
_NAMES_A_NOUN = frozenset([":", "=", "of", "to", "and", "or", ")", *_FINITE])
"""Words and marks after a noun that could be a verb: Input to this function, Output: ..."""


def corrected_tags(words: Sequence[str], tags: Sequence[str], verbatim: Sequence[bool]) -> list[str]:
    """Return the Penn tags of a sentence's words, with imperatives as ``VB`` and nouns that look like verbs as nouns.

    `verbatim`: True for each piece of code, which can be an object of a verb.
    """
    return _Tags(words, tags, verbatim).corrected()


def first_word(words: Sequence[str]) -> int:
    """Return the index of the first word that is no bullet and no opener, or -1. `words`: in lower case."""
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else ""
        is_word = any(char.isalpha() for char in word) and after not in (")", ".")
        if is_word and word not in OPENERS:
            return index
    return -1


class _Tags:
    """The tags of one sentence, corrected from left to right."""

    def __init__(self, words: Sequence[str], tags: Sequence[str], verbatim: Sequence[bool]) -> None:
        self._text = words
        self._words = [word.lower() for word in words]
        self._tags = list(tags)
        self._verbatim = verbatim
        self._first = first_word(self._words)

    def corrected(self) -> list[str]:
        commands = False  # True after an imperative or an infinitive: a verb that is joined to it is in base form
        third_person = False  # True after "returns": so is a verb that is joined to it
        for index, word in enumerate(self._words):
            if not word.isalpha() or self._verbatim[index]:
                continue
            if index == self._first:
                self._correct_first(index)
            elif self._is_joined(index) and not self._fronted(index):
                if commands and word in IMPERATIVES and self._takes_object(index):
                    self._tags[index] = "VB"
                elif third_person and self._is_third_person(index):
                    self._tags[index] = "VBZ"
            elif self._fronted(index) and word in IMPERATIVES and self._takes_more(index):
                self._tags[index] = "VB"
            elif self._tags[index] == "NNS" and self._word(index - 1) in _RELATIVES and self._is_third_person(index):
                self._tags[index] = "VBZ"
            self._correct_noun(index)
            commands |= self._tags[index] in _BASE
            third_person |= self._tags[index] == "VBZ"
        return self._tags

    def _correct_first(self, index: int) -> None:
        word, after = self._words[index], self._word(index + 1)
        if self._tags[index] == "NNS" and self._is_third_person(index):
            self._tags[index] = "VBZ"
        if self._tags[index] not in _BASE and word not in IMPERATIVES:
            return
        if word in _ALWAYS and after not in (":", "="):
            self._tags[index] = "VB"
        elif after in _NAMES_A_NOUN or self._is_name(index + 1) or self._is_subject(index):
            self._tags[index] = "NN"
        else:
            self._tags[index] = "VB"

    def _is_name(self, index: int) -> bool:
        """Return True for a capitalised word inside a sentence, which makes the word before it part of a name."""
        word = self._text[index] if index < len(self._text) else ""
        return word.istitle() and word.lower() not in _OBJECT_WORDS and self._text[index - 1].istitle()

    def _is_subject(self, index: int) -> bool:
        """Return True if only nouns and adjectives are between a word and a finite verb: Input numbers are ..."""
        if self._words[index] in _ALWAYS:
            return False
        for place in range(index + 1, len(self._words)):
            if self._words[place] in _FINITE:
                return True
            if self._verbatim[place] or self._tags[place] not in ("NN", "NNS", "NNP", "JJ"):
                return self._words[place] == ":" and place == index + 2
        return False

    def _is_joined(self, index: int) -> bool:
        before = self._before(index)
        return self._word(before) in JOINERS or self._word(before) == ","

    def _before(self, index: int) -> int:
        before = index - 1
        for _ in range(3):
            if self._word(before) not in _BETWEEN or self._word(before - 1) not in (*JOINERS, ",", *_BETWEEN):
                break
            before -= 1
        return before

    def _fronted(self, index: int) -> bool:
        """Return True after the comma of a sentence such as Given a list, return ..."""
        return self._word(index - 1) == "," and self._word(self._first) in FRONTED

    def _takes_object(self, index: int) -> bool:
        word, after, tag = self._words[index], self._word(index + 1), self._tag(index + 1)
        if word == "return" or self._word(index - 1) in ("then", "otherwise", "else"):
            return True
        if self._word(index - 1) == "," and self._tag(index - 2) == "VB":
            return True
        if after in (*_NAMES_A_NOUN, ",", ".", ""):
            return self._tags[index] in _BASE and after in (",", "and", "or")
        if word in _ALWAYS or self._tags[index] in _BASE:
            return True
        if self._verbatim[index + 1]:
            return self._word(index - 1) != ","
        return after in _OBJECT_WORDS or (tag in _OBJECTS and self._word(index - 1) != ",") or tag in ("DT", "PRP$")

    def _takes_more(self, index: int) -> bool:
        after, tag = self._word(index + 1), self._tag(index + 1)
        return self._takes_object(index) or (tag in ("IN", "VBN", "VBD", "RB") and after not in _NAMES_A_NOUN)

    def _is_third_person(self, index: int) -> bool:
        """Return True for a form such as "returns" with an object."""
        word, after = self._words[index], self._word(index + 1)
        if not word.endswith("s") or lemma(word, "VERB") not in IMPERATIVES:
            return False
        has_object = after in _OBJECT_WORDS or self._tag(index + 1) in ("DT", "PRP", "PRP$", "CD")
        return has_object or (index + 1 < len(self._words) and (self._verbatim[index + 1] or after in "'\"[({"))

    def _correct_noun(self, index: int) -> None:
        word, tag = self._words[index], self._tags[index]
        if tag not in ("VB", "VBP", "VBZ") or word in _FINITE or index == self._first:
            return
        before = self._word(index - 1)
        is_no_verb = is_known_word(word) and not is_known_verb(word)
        if tag == "VBZ":
            is_plural = lemma(word, "NOUN") != word
            is_no_verb |= is_plural and (self._tag(index - 1) == "VB" or before in _ARTICLES)
        if is_no_verb or (tag in _BASE and before in _ARTICLES):
            self._tags[index] = "NNS" if tag == "VBZ" else "NN"

    def _word(self, index: int) -> str:
        return self._words[index] if 0 <= index < len(self._words) else ""

    def _tag(self, index: int) -> str:
        return self._tags[index] if 0 <= index < len(self._tags) else ""
