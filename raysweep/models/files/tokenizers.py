"""Loads a tokenizer as the version of transformers that wrote its files would.

transformers 5 takes nearly all of a tokenizer from tokenizer.json. transformers 4 fails at its `TokenizersBackend` and
at a list of `extra_special_tokens`, and some classes put other tokens around a text there. transformers 5 in turn makes
some classes anew, though tokenizer.json may split texts otherwise, and drops the settings `add_bos_token` and
`add_eos_token`, which some classes of transformers 4 follow.
https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.models.files.keys import is_newer
from raysweep.models.hub import model_config, model_file, read_json
from raysweep.records import ModelRef

NAME = "tokenizer_config.json"
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The control tokens that have a name in transformers."""
ADDING = {
    "LlamaTokenizer": True,
    "CodeLlamaTokenizer": True,
    "GemmaTokenizer": True,
    "CohereTokenizer": True,
    "GPTNeoXTokenizer": False,
}
"""Classes of transformers 4 that put `bos_token` and `eos_token` around a text as their settings say, whatever
tokenizer.json says, and whether they put `bos_token` where nothing is said."""
SENTENCEPIECE = "tokenizer.model"
SAMPLES = ("def add(a, b):\n    return a + b\n", "  two  2024", "\tÄ </s>a <unk>")


def as_meant(ref: ModelRef, **where: Any) -> Any:
    """Return a model's tokenizer, loaded by transformers.

    `where`: further arguments of `from_pretrained`. Raises what transformers raises.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast, __version__

    settings, file = model_config(ref, NAME) or {}, model_file(ref, "tokenizer.json")
    is_old = is_newer("5", __version__)
    if file is None or not settings or "auto_map" in settings or is_of_5(settings) != is_old:
        tokenizer = AutoTokenizer.from_pretrained(ref.location, **where)
        if file is None and not is_old:
            _require_as_trained(ref, tokenizer)
        return tokenizer
    if is_old:
        return PreTrainedTokenizerFast.from_pretrained(ref.location, **_settings_of_4(settings, file), **where)
    settings.setdefault("tokenizer_class", (model_config(ref) or {}).get("tokenizer_class"))
    tokenizer = AutoTokenizer.from_pretrained(ref.location, **where)
    known, ids = _in_file(file, file.stat().st_mtime_ns)
    own = [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in SAMPLES]
    is_same = ids == own and tokenizer.get_vocab().items() <= known.items()
    if not settings.get("add_prefix_space") and not is_same:
        names = {name: token for name in NAMED if (token := getattr(tokenizer, name, None)) in known}
        names["padding_side"] = tokenizer.padding_side
        tokenizer = PreTrainedTokenizerFast.from_pretrained(ref.location, **names, **where)
    if tokenizer.is_fast and hasattr(split := tokenizer.backend_tokenizer.pre_tokenizer, "add_prefix_space"):
        split.add_prefix_space = bool(settings.get("add_prefix_space"))
    wanted = added_around(settings, tokenizer.bos_token, tokenizer.eos_token)
    whole = tokenizer("a")["input_ids"]
    added = tokenizer.bos_token_id in whole[:1], tokenizer.eos_token_id in whole[-1:]
    if wanted is not None and wanted != added:
        tokenizer.add_bos_token, tokenizer.add_eos_token = wanted
    return tokenizer


def _require_as_trained(ref: ModelRef, tokenizer: Any) -> None:
    """Raise RaysweepError if transformers 5 splits texts otherwise than the sentencepiece model that it read."""
    from transformers import __version__

    if (file := model_file(ref, SENTENCEPIECE)) is None or "auto_map" in (model_config(ref, NAME) or {}):
        return
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(file))
    for text in SAMPLES[:2]:
        if list(tokenizer(text, add_special_tokens=False)["input_ids"]) != processor.encode(text):
            raise RaysweepError(
                f"transformers {__version__} makes other tokens of {text!r} than {SENTENCEPIECE} says, and there is no "
                f'tokenizer.json; have transformers 4 write one (`pip install "transformers<5"`, then '
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))"
            )


def is_of_5(settings: Mapping[str, Any]) -> bool:
    """Return whether transformers 5 wrote a tokenizer_config.json."""
    is_list = isinstance(settings.get("extra_special_tokens"), list)
    return "backend" in settings or settings.get("tokenizer_class") == "TokenizersBackend" or is_list


def added_around(settings: Mapping[str, Any], bos: Any, eos: Any) -> tuple[bool, bool] | None:
    """Return whether a tokenizer's `bos_token` and `eos_token` are put around a text; None: tokenizer.json says so."""
    usual = ADDING.get(str(settings.get("tokenizer_class")).removesuffix("Fast"))
    if usual is None or is_of_5(settings):
        return None
    return bool(bos and settings.get("add_bos_token", usual)), bool(eos and settings.get("add_eos_token"))


def named_tokens(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the control tokens with a name of the model's own, such as `image_token`, and their names."""
    extra = settings.get("extra_special_tokens")
    if isinstance(extra, Mapping):
        yield from extra.items()
    if is_of_5(settings):
        yield from (
            (name, token)
            for name, token in settings.items()
            if name.endswith("_token") and name not in NAMED and isinstance(token, str)
        )


def listed_tokens(settings: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the control tokens without a name."""
    for name in ("additional_special_tokens", "extra_special_tokens"):
        if isinstance(tokens := settings.get(name), list):
            yield from tokens


def written_by(ref: ModelRef) -> str:
    """Return which newer transformers wrote a model's folder, in words; empty if none did."""
    from transformers import __version__

    wrote = (model_config(ref) or {}).get("transformers_version")
    if not is_newer(wrote, __version__):
        return ""
    return f'; transformers {wrote} wrote it and {__version__} reads it: `pip install "transformers>={wrote}"`'


def _settings_of_4(settings: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return what `PreTrainedTokenizerFast` must be told beside a file of 5 to take tokenizer.json as it is."""
    import transformers

    own = getattr(transformers, f"{settings.get('tokenizer_class')}Fast", None)
    return {
        "extra_special_tokens": dict(named_tokens(settings)),
        "additional_special_tokens": [*listed_tokens(settings)],
        "model_input_names": getattr(own, "model_input_names", ["input_ids", "attention_mask"]),
        "padding_side": getattr(own, "padding_side", "right"),
        "add_prefix_space": (read_json(file).get("pre_tokenizer") or {}).get("add_prefix_space", False),
        **{name: settings[name] for name in ("model_input_names", "padding_side") if name in settings},
    }


@lru_cache(maxsize=2)
def _in_file(file: Path, changed: int) -> tuple[dict[str, int], list[list[int]]]:
    """Return a tokenizer's tokens with their numbers, and those of the samples; `changed`: when the file was."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    ids = [list(tokenizer.encode(text, add_special_tokens=False).ids) for text in SAMPLES]
    return tokenizer.get_vocab(), ids
