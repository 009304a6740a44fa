"""Translator `marian`: English to German and back with the small OPUS-MT models.

Source: Tiedemann and Thottingal, OPUS-MT, EAMT 2020; https://huggingface.co/Helsinki-NLP/opus-mt-en-de.
"""

from __future__ import annotations

from raysweep.language.translation.base import TRANSLATORS
from raysweep.language.translation.models import ModelTranslator


@TRANSLATORS.register("marian")
class Marian(ModelTranslator):
    """Neural models of OPUS-MT, small and fast: English, German, English."""

    package = "sentencepiece"

    def __init__(
        self,
        there: str = "Helsinki-NLP/opus-mt-en-de",
        back: str = "Helsinki-NLP/opus-mt-de-en",
        revision: str | None = None,
    ) -> None:
        super().__init__(there, back, revision)
