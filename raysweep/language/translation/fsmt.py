"""Translator `fsmt`: English to German and back with Facebook's WMT19 models, as ReCode does.

Source: Ng et al., Facebook FAIR's WMT19 News Translation Task Submission; https://huggingface.co/facebook/wmt19-en-de.
"""

from __future__ import annotations

from raysweep.language.translation.base import TRANSLATORS
from raysweep.language.translation.models import ModelTranslator


@TRANSLATORS.register("fsmt")
class Fsmt(ModelTranslator):
    """Neural models of WMT19, the study's: English, German, English."""

    package = "sacremoses"

    def __init__(
        self, there: str = "facebook/wmt19-en-de", back: str = "facebook/wmt19-de-en", revision: str | None = None
    ) -> None:
        super().__init__(there, back, revision)
