"""Everything a model trained from scratch needs before its first step: a config and a tokenizer, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.models.base import FAMILIES
from raysweep.models.tokenizers import train_tokenizer
from raysweep.records import Spec


def prepare_scratch(family: str, texts: Iterable[str], vocab_size: int, size: Mapping[str, Any], out: Path) -> None:
    """Train a tokenizer on `texts` and write it with a small config of the family into `out`.

    Args:
        family: a registered model family.
        texts: the corpus, as training will show it.
        vocab_size: at most so many tokens; the config takes the number reached.
        size: fields of the family's config that override `tiny_config`'s.
        out: a folder, made if it isn't there. Trained with ``scratch=True``, it is the job's base model.

    Raises:
        UsageError: `size` names a field that the family's config doesn't have.
    """
    tokenizer = train_tokenizer(texts, vocab_size)
    config = FAMILIES.create(Spec(family)).tiny_config(len(tokenizer), tokenizer.eos_token_id)
    known = set(config.to_dict()) | set(config.attribute_map)
    if unknown := sorted(set(size) - known):
        raise UsageError(f"`size` of model family {family!r} has no field {unknown[0]!r}")
    config.update(dict(size))
    out.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(out)
    tokenizer.save_pretrained(out)
