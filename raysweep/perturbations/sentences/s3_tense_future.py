"""S3 TenseTransformationFuture: puts finite verbs into the future tense, "will" with an infinitive.

Source: ReCode's `TenseTransformationFuture`.
"""

from __future__ import annotations

from raysweep.language.finite_verbs import FiniteVerb, Kind
from raysweep.language.inflections import lemma
from raysweep.language.tokens import Sentence
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.sentences.tense import TensePerturbation

_ABLE = ("can", "could", "ca", "cannot")
_DUTY = ("must", "should")


@PERTURBATIONS.register("S3")
class TenseFuture(TensePerturbation):
    """Sentences are put into the future tense."""

    title = "TenseTransformationFuture"
    words = "future tense"
    level = "sentence"

    def conjugate(self, sentence: Sentence, verb: FiniteVerb) -> dict[int, str]:
        """Return future forms: "will return", "will be", "will not contain", "will be able to"."""
        word = sentence[verb.index].text.lower()
        if verb.kind is Kind.JOINED:
            return {}  # "will sort the list and return it": one will is enough
        if verb.kind is Kind.DO:
            return _will(sentence, verb, "")
        if verb.kind is Kind.BE:
            return _will(sentence, verb, "be")
        if verb.kind is Kind.MODAL:
            if word in _ABLE:
                return _will(sentence, verb, "be able to")
            if word in _DUTY:
                return _will(sentence, verb, "have to" if verb.negation < 0 else "")
            return _will(sentence, verb, "") if word in ("would", "shall") else {}
        if verb.kind is Kind.PERFECT:
            participle = sentence[verb.participle].text.lower()
            return _will(sentence, verb, "") | {verb.participle: lemma(participle, "VERB")}
        return {verb.index: f"will {lemma(word, 'VERB')}"}


def _will(sentence: Sentence, verb: FiniteVerb, infinitive: str) -> dict[int, str]:
    text = sentence[verb.index].text
    after = f" {infinitive}" if infinitive else ""
    short = " " if text[0] in "'’" else ""  # it's becomes it will be
    if text.lower() == "cannot":
        return {verb.index: f"will not{after}"}
    if verb.negation > 0:
        negation = sentence[verb.negation].text
        if negation.lower() == "not":
            return {verb.index: f"{short}will", verb.negation: f"{negation}{after}"}
        return {verb.index: "wo", verb.negation: f"{negation}{after}"}
    if verb.subject_end > 0 and after:
        subject = sentence[verb.subject_end].text
        return {verb.index: "will", verb.subject_end: f"{subject}{after}"}
    return {verb.index: f"{short}will{after}"}
