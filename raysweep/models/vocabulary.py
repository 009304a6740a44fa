"""What a tokenizer's tokens are: control tokens, the end of text, and what is put around a text.

Read from a tokenizer's files without loading it, since every command needs it for keys, or from a loaded tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from raysweep.models.files.tokenizers import NAMED, added_around, listed_tokens, named_tokens
from raysweep.models.hub import read_json
from raysweep.prompts.templates import special_tokens

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
"""The files of a tokenizer that are read."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer.

    Attributes:
        texts: the tokens' texts by their numbers.
        added: the texts that were added to the trained tokens.
        special: the numbers of the control tokens, which decoding leaves out, by their texts.
        eos: the end of text; None: the tokenizer has none.
        before, after: the control tokens that are put before and after a text.
        chat_template: its chat templates; empty: it has none.
    """

    texts: Mapping[int, str]
    added: frozenset[str]
    special: Mapping[str, int]
    eos: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    chat_template: str = ""

    @property
    def size(self) -> int:
        """One more than the highest token."""
        return max(self.texts, default=-1) + 1


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Return the tokens of a loaded tokenizer; what it puts around a text is tried out."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    extra = len(whole) - len(plain)
    start = next((at for at in range(extra + 1) if whole[at : at + len(plain)] == plain), 0)
    texts = {number: text for text, number in tokenizer.get_vocab().items()}
    return Vocabulary(
        texts,
        frozenset(tokenizer.get_added_vocab()),
        special_tokens(tokenizer),
        tokenizer.eos_token,
        tuple(tokenizer.convert_ids_to_tokens(whole[:start])),
        tuple(tokenizer.convert_ids_to_tokens(whole[start + len(plain) :])),
        _template(tokenizer.chat_template),
    )


def vocabulary_in_files(
    tokenizer: Path | None,
    config: Path | None,
    special_map: Path | None,
    chat_template: Path | None = None,
    eos: str | None = None,
) -> Vocabulary | None:
    """Return the tokens that a tokenizer's files tell of, as transformers reads them; a damaged one raises ValueError.

    None: they don't say all of it, such as those of a tokenizer without tokenizer.json; then it must be loaded. The
    files are those of `FILES`, None for one that isn't there. `eos`: the end of text, if another one than theirs.
    """
    if tokenizer is None:
        return None
    try:
        model_tokens, file_tokens, around = _parsed(tokenizer, tokenizer.stat().st_mtime_ns)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{tokenizer} holds no tokenizer") from error
    settings = read_json(config) if config else {}
    if "tokenizer_class" not in settings:
        return None
    decoder = sorted((settings.get("added_tokens_decoder") or {}).items(), key=lambda item: int(item[0]))
    names = settings if decoder or special_map is None else {**settings, **read_json(special_map)}
    added = {token["content"]: token for token in [*file_tokens.values(), *(token for _, token in decoder)]}
    named = list(_named(names))
    eos = eos or _content(names.get("eos_token"))
    known = {**model_tokens, **{token["content"]: number for number, token in file_tokens.items()}}
    for text in (*added, *named):
        if text not in known:  # transformers adds it
            known[text] = max(known.values(), default=-1) + 1
    wanted = added_around(settings, names.get("bos_token"), eos)
    if eos is None or eos not in known or (wanted and "bos_token" not in names):
        return None
    special = {text for text, token in added.items() if token.get("special")} | {*named, eos}
    before, after = around
    if wanted is not None:
        ends = str(_content(names.get("bos_token"))), eos
        before, after = ((end,) * is_added for end, is_added in zip(ends, wanted, strict=True))
    return Vocabulary(
        {number: text for text, number in known.items()},
        frozenset({*added, *named}),
        {text: known[text] for text in special},
        eos,
        before,
        after,
        _template(chat_template.read_text() if chat_template else settings.get("chat_template")),
    )


def _template(templates: Any) -> str:
    return templates if isinstance(templates, str) else json.dumps(templates) if templates else ""


Parsed = tuple[dict[str, int], dict[int, dict[str, Any]], tuple[tuple[str, ...], tuple[str, ...]]]


@lru_cache(maxsize=2)
def _parsed(path: Path, changed: int) -> Parsed:
    """Return the trained tokens, the added ones, and those around a text; `changed`: when the file was."""
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pieces with their scores
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    added = {token["id"]: token for token in content.get("added_tokens") or ()}
    return vocabulary, added, _around(content.get("post_processor"))


def _around(processor: Mapping[str, Any] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    kind = processor.get("type") if processor else None
    if processor is None:
        return before, after
    if kind == "Sequence":
        for part in processor["processors"]:
            first, last = _around(part)
            before, after = first + before, after + last
    elif kind in ("BertProcessing", "RobertaProcessing"):
        before, after = (processor["cls"][0],), (processor["sep"][0],)
    elif kind == "TemplateProcessing":
        pieces = processor["single"]
        at = next((at for at, piece in enumerate(pieces) if "Sequence" in piece), len(pieces))
        before, after = (
            tuple(piece["SpecialToken"]["id"] for piece in some if "SpecialToken" in piece)
            for some in (pieces[:at], pieces[at:])
        )
    return before, after


def _named(names: Mapping[str, Any]) -> Iterator[str]:
    own = (token for _, token in named_tokens(names))
    for token in (*(names.get(name) for name in NAMED), *listed_tokens(names), *own):
        if text := _content(token):
            yield text


def _content(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) and text else None
