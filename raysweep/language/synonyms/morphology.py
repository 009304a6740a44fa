"""Reduces inflected words to the forms that WordNet lists, as WordNet's lemmatiser Morphy does.

Source: https://wordnet.princeton.edu/documentation/morphy7wn; the order of forms is that of nltk's WordNet reader.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

_DETACH: Mapping[str, Sequence[tuple[str, str]]] = {
    "NOUN": [
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ],
    "VERB": [("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")],
    "ADJ": [("er", ""), ("est", ""), ("er", "e"), ("est", "e")],
}


def base_forms(word: str, upos: str, known: Container[str], exceptions: Mapping[str, Sequence[str]]) -> list[str]:
    """Return known forms of a lower-case word: irregular ones, else the word with endings detached."""
    if word in exceptions:
        return _known([word, *exceptions[word]], known)
    forms = _detached([word], upos)
    entries = _known([word, *forms], known)
    while forms and not entries:
        forms = _detached(forms, upos)
        entries = _known(forms, known)
    return entries


def _detached(forms: Sequence[str], upos: str) -> list[str]:
    endings = _DETACH.get(upos, ())
    return [form[: -len(old)] + new for form in forms for old, new in endings if form.endswith(old)]


def _known(forms: Sequence[str], known: Container[str]) -> list[str]:
    return [form for form in dict.fromkeys(forms) if form in known]
