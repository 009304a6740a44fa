"""What the neural translators share: two models from the hub or a folder, one for each direction, in batches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from raysweep.language.translation.base import Sentence, Translator, is_believable
from raysweep.models.loading import fingerprint
from raysweep.programs import text_sha
from raysweep.provenance import versions
from raysweep.records import ModelRef, canonical_json

BATCH = 64
"""Sentences that a model gets at once, those of like lengths."""
MOST_TOKENS = 512
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")
BACK_BEAMS = 2
"""Of the way back; the way there decodes as the model's own settings say (study.md section 4)."""


class ModelTranslator(Translator):
    """Two sequence-to-sequence models.

    Args:
        there: hub id, or folder, of the model from English.
        back: of the model to English.
        revision: commit or tag of both hub ids.
    """

    neural = True
    package: ClassVar[str]  # that its tokenizer needs

    def __init__(self, there: str, back: str, revision: str | None = None) -> None:
        self._ids, self._revision = (there, back), revision

    def lacks(self) -> str:
        """Say what to install or download; hub models may also be downloaded at first use, where that is allowed."""
        if find_spec(self.package) is None:
            return f"its tokenizer needs {self.package}; pip install {self.package}"
        away = [name for name in self._ids if not _is_here(name, self._revision)]
        if away and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            commands = " and ".join(f"`hf download {name}`" for name in away)
            return f"{' and '.join(away)} can't be found here, and HF_HUB_OFFLINE is set; {commands}, or take apertium"
        return ""

    @property
    def is_ready(self) -> bool:
        """Whether both models are on this machine."""
        return not self.lacks() and all(_is_here(name, self._revision) for name in self._ids)

    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        """Translate in batches, on an accelerator where there is one."""
        texts = ["".join(piece.text for piece in sentence) for sentence in sentences]
        for name, beams in zip(self._ids, (None, BACK_BEAMS), strict=True):
            texts = _translate(texts, name, self._revision, beams)
        return [text if is_believable(one, text) else None for one, text in zip(sentences, texts, strict=True)]

    def fingerprint(self) -> Mapping[str, str]:
        """Return the models with their commits or contents, and the library's versions.

        Raises:
            UsageError: a hub model that neither the hub nor the cache knows.
        """
        models = " and ".join(_identity(name, self._revision) for name in self._ids)
        used = ", ".join(f"{name} {version}" for name, version in versions(("transformers", "torch")).items())
        return {"translator": f"{self.name}: {models}; {used}"}


def _translate(texts: Sequence[str], name: str, revision: str | None, beams: int | None) -> list[str]:
    import torch

    model, tokenizer, device = _loaded(name, revision)
    order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), texts[at]))
    made = [""] * len(texts)
    options: dict[str, Any] = {"num_beams": beams} if beams else {}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = tokenizer(
            [texts[at] for at in places], return_tensors="pt", padding=True, truncation=True, max_length=MOST_TOKENS
        ).to(device)
        with torch.inference_mode():
            tokens = model.generate(**batch, max_length=None, max_new_tokens=MOST_TOKENS, do_sample=False, **options)
        for at, text in zip(places, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
            made[at] = " ".join(text.split())
    return made


@cache
def _loaded(name: str, revision: str | None) -> tuple[Any, Any, Any]:
    """Return (model, tokenizer, device), in single precision everywhere, so that machines agree but for rounding."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = AutoModelForSeq2SeqLM.from_pretrained(name, revision=revision, dtype=torch.float32).to(device).eval()
    return model, AutoTokenizer.from_pretrained(name, revision=revision), device


def _is_here(name: str, revision: str | None) -> bool:
    """Tell whether a model is a folder, or lies whole in the hub's cache."""
    return Path(name).is_dir() or (
        _is_cached(name, "config.json", revision) and any(_is_cached(name, file, revision) for file in _WEIGHTS)
    )


def _is_cached(name: str, file: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, file, revision=revision), str)
    except HFValidationError:  # a path
        return False


@cache
def _identity(name: str, revision: str | None) -> str:
    """Return a model's name with the commit of a hub id, also of one to be downloaded, or the content of a folder."""
    found = fingerprint(ModelRef(name, revision=revision, architecture="seq2seq"))
    content = found["commit"] if "commit" in found else text_sha(canonical_json(found))[:12]
    return f"{Path(name).name}@{content}"
