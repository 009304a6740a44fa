"""Translators `fsmt` and `marian`: two neural models, one for each direction, from the hub or from folders.

Sources: `fsmt`, Facebook's WMT19 models, which ReCode uses: Ng et al., Facebook FAIR's WMT19 News Translation Task
Submission; https://huggingface.co/facebook/wmt19-en-de. `marian`, the small OPUS-MT models: Tiedemann and Thottingal,
OPUS-MT, EAMT 2020; https://huggingface.co/Helsinki-NLP/opus-mt-en-de.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.hashing import canonical_json, text_sha
from raysweep.language.translation.base import TRANSLATORS, Sentence, Translator, is_believable
from raysweep.machine import versions
from raysweep.models.identity import fingerprint
from raysweep.models.loading import auto_model
from raysweep.records import ModelRef
from raysweep.rows.hub import cache_alone

BATCH = 64
"""Sentences in one batch; a batch has sentences of similar lengths."""
MAX_TOKENS = 512
"""Of a sentence, and of its translation; longer ones are cut."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")
BACK_BEAMS = 2
"""Beams of the translation back to English; the other direction uses the model's own settings."""


class NeuralTranslator(Translator):
    """Two sequence-to-sequence models.

    Args:
        there: hub id or folder of the model that translates from English.
        back: hub id or folder of the model that translates to English.
        revision: commit or tag of both hub ids.
    """

    neural = True
    package: ClassVar[str]  # needed by the models' tokenizers

    def __init__(self, there: str, back: str, revision: str | None = None) -> None:
        self._ids, self._revision = (there, back), revision

    @override
    def lacks(self) -> str:
        """Hub models count as present if they can be downloaded at first use."""
        if find_spec(self.package) is None:
            return f"its tokenizer needs {self.package}; pip install {self.package}"
        missing = [name for name in self._ids if not _is_here(name, self._revision)]
        if missing and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            commands = " and ".join(f"`hf download {name}`" for name in missing)
            return (
                f"{' and '.join(missing)} can't be found here, and HF_HUB_OFFLINE is set; {commands}, or take apertium"
            )
        return ""

    @property
    @override
    def is_ready(self) -> bool:
        return not self.lacks() and all(_is_here(name, self._revision) for name in self._ids)

    @override
    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        texts = ["".join(piece.text for piece in sentence) for sentence in sentences]
        for name, beams in zip(self._ids, (None, BACK_BEAMS), strict=True):
            texts = _translate(texts, name, self._revision, beams)
        return [
            text if is_believable(sentence, text) else None for sentence, text in zip(sentences, texts, strict=True)
        ]

    @override
    def fingerprint(self) -> Mapping[str, str]:
        """Raise UsageError if neither the hub nor its cache has one of the models."""
        models = " and ".join(_identity(name, self._revision) for name in self._ids)
        used = ", ".join(f"{name} {version}" for name, version in versions(("transformers", "torch")).items())
        return {"translator": f"{self.name}: {models}; {used}"}


@TRANSLATORS.register("fsmt")
class Fsmt(NeuralTranslator):
    """Neural models of WMT19, which the study uses: English, German, English."""

    package = "sacremoses"

    def __init__(
        self, there: str = "facebook/wmt19-en-de", back: str = "facebook/wmt19-de-en", revision: str | None = None
    ) -> None:
        super().__init__(there, back, revision)


@TRANSLATORS.register("marian")
class Marian(NeuralTranslator):
    """Neural models of OPUS-MT, small and fast: English, German, English."""

    package = "sentencepiece"

    def __init__(
        self,
        there: str = "Helsinki-NLP/opus-mt-en-de",
        back: str = "Helsinki-NLP/opus-mt-de-en",
        revision: str | None = None,
    ) -> None:
        super().__init__(there, back, revision)


def _translate(texts: Sequence[str], name: str, revision: str | None, beams: int | None) -> list[str]:
    """Return the translations of texts, which are sorted by length for the model's batches."""
    import torch

    model, tokenizer, device = _loaded(name, revision)
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index]))
    translations = [""] * len(texts)
    options: dict[str, Any] = {"num_beams": beams} if beams else {}
    for start in range(0, len(order), BATCH):
        indices = order[start : start + BATCH]
        batch = tokenizer(
            [texts[index] for index in indices],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
        ).to(device)
        with torch.inference_mode():
            tokens = model.generate(**batch, max_length=None, max_new_tokens=MAX_TOKENS, do_sample=False, **options)
        for index, text in zip(indices, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
            translations[index] = " ".join(text.split())
    return translations


@cache
def _loaded(name: str, revision: str | None) -> tuple[Any, Any, Any]:
    """Return (model, tokenizer, device); single precision everywhere, so that machines differ by rounding only."""
    import torch
    from transformers import AutoTokenizer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"revision": revision, **cache_alone(name)}
    model = auto_model("seq2seq").from_pretrained(name, dtype=torch.float32, **options).to(device).eval()
    return model, AutoTokenizer.from_pretrained(name, **options), device


def _is_here(name: str, revision: str | None) -> bool:
    return Path(name).is_dir() or (
        _is_cached(name, "config.json", revision) and any(_is_cached(name, file, revision) for file in _WEIGHTS)
    )


def _is_cached(name: str, file: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, file, revision=revision), str)
    except HFValidationError:  # the name is a path
        return False


@cache
def _identity(name: str, revision: str | None) -> str:
    identity = fingerprint(ModelRef(name, revision=revision, architecture="seq2seq"))
    content = identity["commit"] if "commit" in identity else text_sha(canonical_json(identity))[:12]
    return f"{Path(name).name}@{content}"
