"""S2 TenseTransformationPast: puts finite verbs into the past tense.

Source: ReCode's `TenseTransformationPast`.
"""

from __future__ import annotations

from raysweep.language.finite_verbs import FiniteVerb, Kind
from raysweep.language.inflections import inflection, lemma
from raysweep.language.tokens import Sentence
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.sentences.tense import TensePerturbation

_BE = {"am": "was", "is": "was", "are": "were", "'m": " was", "'s": " was", "'re": " were"}
_MODALS = {"can": "could", "ca": "could", "cannot": "could not", "may": "might", "shall": "should"}
_MODALS |= {"will": "would", "wo": "would"}


@PERTURBATIONS.register("S2")
class TensePast(TensePerturbation):
    """Sentences are put into the past tense."""

    title = "TenseTransformationPast"
    words = "past tense"
    level = "sentence"

    def conjugate(self, sentence: Sentence, verb: FiniteVerb) -> dict[int, str]:
        """Return past forms: "returned", "was", "did not", "could". A perfect loses its "have" ("found")."""
        index = verb.index
        word = sentence[index].text.lower().replace("’", "'")
        if verb.kind is Kind.BE:
            return {index: _BE[word]} if word in _BE else {}
        if verb.kind is Kind.DO:
            return {index: "did"}
        if verb.kind is Kind.MODAL:
            if word == "must" and verb.negation < 0 and verb.subject_end < 0:
                return {index: "had to"}
            return {index: _MODALS[word]} if word in _MODALS else {}
        if verb.kind is Kind.PERFECT:
            return _without_have(sentence, verb)
        return {index: inflection(lemma(word, "VERB"), "VBD")} if sentence[index].tag != "VBD" else {}


def _without_have(sentence: Sentence, verb: FiniteVerb) -> dict[int, str]:
    """Return "found" for "has found", "was found" for "has been found", "did not find" and "did it find"."""
    have, participle = sentence[verb.index].text.lower(), sentence[verb.participle].text.lower()
    if have == "had":
        return {}
    stays = verb.negation > 0 or verb.subject_end > 0
    if participle == "been":
        be = "was" if have == "has" else "were"
        return {verb.index: be, verb.participle: ""} if stays else {verb.index: "", verb.participle: be}
    base = lemma(participle, "VERB")
    return (
        {verb.index: "did", verb.participle: base}
        if stays
        else {verb.index: "", verb.participle: inflection(base, "VBD")}
    )
