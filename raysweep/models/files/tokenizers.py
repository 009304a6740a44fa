"""Finds what a tokenizer's files say and another version of transformers than theirs doesn't read as it was meant.

transformers 5 takes nearly all of a tokenizer from tokenizer.json. transformers 4 ends with an error at some of its
settings, and with others goes on: its classes of Llama, Gemma, Cohere and GPT-NeoX put other tokens around a text than
tokenizer.json says. transformers 5 makes some classes anew, so one that was named carelessly splits texts otherwise.
https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from raysweep.models.files.keys import editing, is_newer, place_of
from raysweep.models.hub import model_config, model_file
from raysweep.records import ModelRef

NAME = "tokenizer_config.json"
PLAIN = "PreTrainedTokenizerFast"
"""The class that takes tokenizer.json as it is."""
SAMPLE = "def add(a, b):\n    return a + b\n"


def unread(ref: ModelRef, tokenizer: Any = None) -> str:
    """Return what of a tokenizer's files isn't read as it is meant, with the way out; empty: all is.

    `tokenizer`: what transformers has loaded; None: it couldn't.
    """
    from transformers import __version__

    settings = model_config(ref, NAME) or {}
    kind, extra = settings.get("tokenizer_class"), settings.get("extra_special_tokens")
    is_old = is_newer("5", __version__)
    is_of_5 = "backend" in settings or kind == "TokenizersBackend" or isinstance(extra, list)
    if not settings or "auto_map" in settings or is_of_5 != is_old:
        return ""
    said, ways = [], []
    if kind != PLAIN and ((is_old and tokenizer is None) or not _is_plain(ref, tokenizer, is_of_5)):
        said.append(f"`tokenizer_class: {kind}`")
        ways.append(f'write `"tokenizer_class": "{PLAIN}"` into the file')
    if is_old and isinstance(extra, list):
        said.append("the list `extra_special_tokens`")
        filled, empty = "rename `{}` to `additional_special_tokens`", "delete the empty `{}` from the file"
        ways.append((filled if extra else empty).format("extra_special_tokens"))
    if not said:
        return ""
    wrote = (model_config(ref) or {}).get("transformers_version")
    version = (wrote if is_newer(wrote, __version__) else "5") if is_of_5 else "4"
    if is_of_5:
        ways[0] = f'install that version (`pip install "transformers>={version}"`), or {ways[0]}'
    return (
        f"{place_of(ref.location, NAME)} is of transformers {version}, and transformers {__version__} doesn't read "
        f"{' and '.join(said)} as {'they are' if len(said) > 1 else 'it is'} meant: texts would become other tokens "
        f"than tokenizer.json says; {editing(ref.location, ' and '.join(ways))}"
    )


def written_by(ref: ModelRef) -> str:
    """Return which newer transformers wrote a model's folder, in words; empty if none did."""
    from transformers import __version__

    wrote = (model_config(ref) or {}).get("transformers_version")
    if not is_newer(wrote, __version__):
        return ""
    return f'; transformers {wrote} wrote it and {__version__} reads it: `pip install "transformers>={wrote}"`'


def _is_plain(ref: ModelRef, tokenizer: Any, around: bool) -> bool:
    """Return whether a tokenizer makes of a text what its tokenizer.json does; `around`: also in what it adds to it."""
    file = model_file(ref, "tokenizer.json")
    if tokenizer is None or file is None or getattr(tokenizer, "add_prefix_space", None):
        return True
    with contextlib.suppress(Exception):  # tokens that it lacks: whoever uses the tokenizer is told
        ids = tokenizer(SAMPLE, add_special_tokens=around)["input_ids"]
        return bool(ids == list(_ids_in_file(file, file.stat().st_mtime_ns, around)))
    return True


@lru_cache(maxsize=8)
def _ids_in_file(file: Path, changed: int, around: bool) -> tuple[int, ...]:
    """Return the sample's tokens; `changed`: when the file was."""
    from tokenizers import Tokenizer

    return tuple(Tokenizer.from_file(str(file)).encode(SAMPLE, add_special_tokens=around).ids)
