"""S1 BackTranslation: sentences are translated to another language and back.

Source: study.md section 4, after ReCode's `BackTranslation` (facebook/wmt19 en-de and de-en). Not as there: sentence by
sentence, long texts too, with code and protected words as they were, and with the text's lines and indentation. A
sentence whose translation lost some of that stays as it is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from raysweep.errors import UsageError
from raysweep.language.tokens import sentences
from raysweep.language.translation.base import AUTO, TRANSLATORS, resolve
from raysweep.perturbations.base import PERTURBATIONS, Perturbation, Text, share
from raysweep.perturbations.protection import protected_spans
from raysweep.perturbations.translated import Layout, layout
from raysweep.perturbations.words import Edit, replaced
from raysweep.records import Segment, Spec

_MOST_KNOWN = 20_000
_known: dict[tuple[str, tuple[Segment, ...]], str | None] = {}
"""Translations that this process has made, by engine and sentence."""


@PERTURBATIONS.register("S1")
class BackTranslation(Perturbation):
    """Sentences are translated to another language and back, each with probability min(1, strength).

    Args:
        strength: 1 and more treats every sentence.
        translator: a registered engine, or ``auto``: `fsmt` where its models are on this machine, else `apertium`.
        models: of a neural engine, where not its own: hub ids or folders, from English and back.
        revision: commit or tag of both.

    Raises:
        UsageError: the engine, or any, can't be used here.
    """

    title = "BackTranslation"
    level = "sentence"

    def __init__(
        self,
        strength: float = 1.0,
        translator: str = AUTO,
        models: list[str] | None = None,
        revision: str | None = None,
    ) -> None:
        super().__init__(strength)
        if models is not None and len(models) != 2:
            raise UsageError(f"perturbation S1: models are {models}; give two, from English and back")
        if translator == AUTO and (models or revision):
            raise UsageError("perturbation S1: models and revision need `translator: marian` or fsmt beside them")
        args = dict(zip(("there", "back"), models, strict=True)) if models else {}
        args |= {"revision": revision} if revision else {}
        self.translator = resolve(translator, **args)
        self._engine = TRANSLATORS.create(Spec(self.translator, args))

    @property
    def pinned(self) -> Mapping[str, str]:
        """The engine that ``auto`` was here."""
        return {"translator": self.translator}

    @property
    def neural(self) -> bool:
        """Whether the engine is a model."""
        return self._engine.neural

    def fingerprint(self) -> Mapping[str, str]:
        """Return the engine with its models or dictionaries."""
        return self._engine.fingerprint()

    def rate_text(self) -> str:
        """Return the share of sentences that are treated."""
        return share(self.strength, "sentences")

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return one natural-language text, changed."""
        return "".join(segment.text for segment in self.perturb([Segment(text, True)], rng, protected))

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, the natural ones translated; many texts are faster through `perturb_all`."""
        return self.perturb_all([Text(segments, rng, protected)])[0]

    def perturb_all(self, texts: Sequence[Text]) -> list[list[Segment]]:
        """Return the segments of many texts; all their sentences are translated in one go, equal ones once."""
        drawn = [[one for one in _layouts(text) if text.rng.random() < self.strength] for text in texts]
        self._translate({one.pieces for layouts in drawn for one in layouts})
        name = self.fingerprint()["translator"]
        made = []
        for text, layouts in zip(texts, drawn, strict=True):
            edits: list[Edit] = []
            for one in layouts:
                translated = _known[name, one.pieces]
                edits += [] if translated is None else one.edits(translated)
            made.append(replaced(text.segments, edits))
        return made

    def _translate(self, wanted: set[tuple[Segment, ...]]) -> None:
        name = self.fingerprint()["translator"]
        if len(_known) > _MOST_KNOWN:
            _known.clear()
        missing = sorted((one for one in wanted if (name, one) not in _known), key=repr)
        if missing:
            for pieces, text in zip(missing, self._engine.back_translate(missing), strict=True):
                _known[name, pieces] = text


def _layouts(text: Text) -> list[Layout]:
    """Return the sentences of a text that can be translated."""
    protected = [protected_spans(s.text, text.protected) if s.natural else [] for s in text.segments]
    found = (layout(sentence, text.segments, protected) for sentence in sentences(text.segments))
    return [one for one in found if one is not None]
