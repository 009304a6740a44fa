"""S1 BackTranslation: translates sentences to another language and back.

Source: ReCode's `BackTranslation` (facebook/wmt19 en-de and de-en). Differences from ReCode:
texts of any length are translated sentence by sentence; code, protected words, data, line breaks and indentation stay.
A sentence stays as it is if its translation lost one of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.language.literals import RULES, literal_spans, with_blanks_around
from raysweep.language.tokens import sentences
from raysweep.language.translation.base import AUTO, TRANSLATORS, resolve
from raysweep.perturbations.base import PERTURBATIONS, percentage
from raysweep.perturbations.batches import BatchPerturbation, Text
from raysweep.perturbations.edits import Edit, apply_edits
from raysweep.perturbations.sentences.sentence_layout import SentenceLayout, layout_of
from raysweep.prompts.protection import protected_spans
from raysweep.records import Segment, Spec

_TRANSLATIONS_KEPT = 20_000
_translations: dict[tuple[str, tuple[Segment, ...]], str | None] = {}
"""This process's translations by engine and sentence; None for a sentence that stays as it is."""


@PERTURBATIONS.register("S1")
class BackTranslation(BatchPerturbation):
    """Sentences are translated to another language and back, each with probability min(1, strength).

    Args:
        strength: 1 and more translates every sentence.
        translator: a registered engine, or ``auto``: `fsmt` if its models are on this machine, else `apertium`.
        models: hub ids or folders of a neural engine's two models, from English and back; by default the engine's.
        revision: commit or tag of both models.

    Raises:
        UsageError: the engine can't be used here; for ``auto``, none can.
    """

    title = "BackTranslation"
    words = "back-translation"
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
        self.pinned = {"translator": self.translator}
        self.neural = self._engine.neural
        self.caution = f"translated by {self.translator}, {self._engine.caution}" if self._engine.caution else ""

    @property
    def deterministic(self) -> bool:
        """True if every sentence is translated, or none: engines give one translation of a sentence."""
        return self.strength == 0 or self.strength >= 1

    @override
    def fingerprint(self) -> Mapping[str, str]:
        return {**self._engine.fingerprint(), **TRANSLATORS.plugin_spec(self.translator), "rules": RULES}

    @override
    def rate_text(self) -> str:
        return percentage(self.strength, "sentences")

    @override
    def perturb_all(self, texts: Sequence[Text]) -> list[list[Segment]]:
        """All sentences are translated at once, equal ones only once."""
        drawn = [[layout for layout in _layouts(text) if text.rng.random() < self.strength] for text in texts]
        engine = self.fingerprint()["translator"]
        if len(_translations) > _TRANSLATIONS_KEPT:
            _translations.clear()
        wanted = {layout.pieces for layouts in drawn for layout in layouts}
        missing = sorted((pieces for pieces in wanted if (engine, pieces) not in _translations), key=repr)
        if missing:
            for pieces, translation in zip(missing, self._engine.back_translate(missing), strict=True):
                _translations[engine, pieces] = translation
        changed = []
        for text, layouts in zip(texts, drawn, strict=True):
            edits: list[Edit] = []
            for layout in layouts:
                translation = _translations[engine, layout.pieces]
                edits += [] if translation is None else layout.edits(translation)
            changed.append(apply_edits(text.segments, edits))
        return changed


def _layouts(text: Text) -> list[SentenceLayout]:
    protected = [
        sorted({*protected_spans(s.text, text.protected), *with_blanks_around(s.text, literals)}) if s.natural else []
        for s, literals in zip(text.segments, literal_spans(text.segments), strict=True)
    ]
    layouts = (layout_of(sentence, text.segments, protected) for sentence in sentences(text.segments))
    return [layout for layout in layouts if layout is not None]
