"""Tagger `spacy`: spaCy's model `en_core_web_sm`, which ReCode uses; both must be installed.

``pip install spacy`` and ``python -m spacy download en_core_web_sm`` install them; nothing is downloaded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.language.tagging.base import TAGGERS, Tagger
from raysweep.machine import versions

_MODEL = "en_core_web_sm"


@TAGGERS.register("spacy")
class SpacyTagger(Tagger):
    """spaCy's small English model.

    Raises:
        UsageError: spaCy or the model isn't installed.
    """

    def __init__(self) -> None:
        if find_spec("spacy") is None or find_spec(_MODEL) is None:
            raise UsageError(
                f"tagger spacy: spaCy and its model {_MODEL} aren't both installed; pip install spacy and run `python "
                f"-m spacy download {_MODEL}`, or take the one that is always there (tagger: hanta)"
            )

    @override
    def tag(self, words: Sequence[str]) -> list[str]:
        pipeline, doc_of = _pipeline()
        return [token.tag_ for token in pipeline(doc_of(words))]

    @override
    def fingerprint(self) -> Mapping[str, str]:
        installed = versions(("spacy", _MODEL))
        return {"tagger": f"spacy {installed['spacy']}, {_MODEL} {installed[_MODEL]}"}


@cache
def _pipeline() -> tuple[Any, Any]:
    import spacy
    from spacy.tokens import Doc

    loaded = spacy.load(_MODEL, disable=["parser", "ner", "lemmatizer"])
    return loaded, lambda words: Doc(loaded.vocab, words=list(words))
