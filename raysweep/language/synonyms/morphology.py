"""From an inflected word to the forms that WordNet lists: Morphy, WordNet's own lemmatiser.

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
    """Return the known forms of a word: irregular ones, else those that detaching endings gives.

    Args:
        word: in lower case.
        upos: NOUN, VERB, ADJ or ADV.
        known: WordNet's entries of that part of speech.
        exceptions: irregular forms of that part of speech and what they come from.
    """
    if word in exceptions:
        return _known([word, *exceptions[word]], known)
    forms = _detached([word], upos)
    found = _known([word, *forms], known)
    while forms and not found:
        forms = _detached(forms, upos)
        found = _known(forms, known)
    return found


def _detached(forms: Sequence[str], upos: str) -> list[str]:
    endings = _DETACH.get(upos, ())
    return [form[: -len(old)] + new for form in forms for old, new in endings if form.endswith(old)]


def _known(forms: Sequence[str], known: Container[str]) -> list[str]:
    return [form for form in dict.fromkeys(forms) if form in known]
