"""One record of what a model is: the tokens at which its texts end, its limits, and the texts of its control tokens.

It is read from config, generation_config and tokenizer together, and everything that reads a model follows it: plans,
generators, training, adapters. Not covered: weights, of which only an adapter's embeddings are measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.models.architectures.shape import embedding_rows, positions_of, rope_in_words
from raysweep.models.config_files import settings_in, virtual_tokens, with_defaults
from raysweep.models.hub import model_config, model_file
from raysweep.models.loading import load_tokenizer, tokenizer_place
from raysweep.models.vocabulary import FILES, Vocabulary, vocabulary_in_files, vocabulary_of
from raysweep.prompts.answers.marks import has_meaning
from raysweep.records import ModelKind, ModelRef

ENDS_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end_of_turn|>", "<|eot|>")
"""Control tokens that end an answer in every model that has them: Llama 3, ChatML, Gemma, OpenChat, Llama 4. Others,
such as gpt-oss's <|end|>, end a part of an answer only."""
EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings")
"""Names of the modules of input embeddings."""


@dataclass(frozen=True)
class Traits:
    """What a model is.

    Attributes:
        ends: tokens that end a completion, with their texts: those at which `generate` ends (generation_config, or
            without one the config), the tokenizer's end of text, and ends of turns; an adapter has its base's too.
        eos: the tokenizer's end of text, one of them; None: not known.
        ordinary_ends: those of them that are part of usual texts, since they are no tokens that were added.
        special: the control tokens, by the texts that stand for them in prompts and rows.
        before, after: the control tokens that the tokenizer puts before and after a text.
        tokens: one more than the tokenizer's highest token; None: not known.
        beyond: tokens for which the model has no embeddings, though it needs them: all that plain texts may hold, the
            end of text, and control tokens that the tokenizer or its chat template writes.
        unreadable: other control tokens without embeddings, such as for padding; texts must not hold them.
        rows: of the input embeddings; None: not known.
        positions: the most tokens of a text, beside an adapter's trained prompt; None: no limit is known.
        rope: how the frequencies of positions are stretched, in words; empty: they aren't.
        settings: of generation_config, which change what `generate` writes and are not used here, by their names.
        chat_template: that of the tokenizer; empty: it brings none.
        has_encoder: whether an encoder reads its prompts, with all that the tokenizer puts around them. `positions` are
            then of the encoder, and again of the decoder.
    """

    ends: Mapping[int, str]
    eos: int | None
    ordinary_ends: tuple[str, ...]
    special: Mapping[str, int]
    before: tuple[str, ...]
    after: tuple[str, ...]
    tokens: int | None
    beyond: tuple[str, ...]
    unreadable: frozenset[str]
    rows: int | None
    positions: int | None
    rope: str
    settings: Mapping[str, Any]
    chat_template: str
    has_encoder: bool = False

    @property
    def misfit(self) -> str:
        """Why texts can't be read, since the tokenizer has tokens without embeddings; empty if they can."""
        if not self.beyond:
            return ""
        more = len(self.beyond) - 1
        which = f"{self.beyond[0]!r}{f' and {more} more' if more else ''} {'have' if more else 'has'} none"
        return (
            f"its tokenizer has {self.tokens:,} tokens, and it has embeddings for {self.rows:,}: {which}; enlarge "
            f"them (model.resize_token_embeddings({self.tokens})) and save the model, or save its own tokenizer with it"
        )

    @property
    def has_chat_template(self) -> bool:
        return bool(self.chat_template)

    @property
    def kept(self) -> list[str]:
        """The control tokens that completions keep, since they say what the text around them is."""
        return sorted(filter(has_meaning, self.special))

    @property
    def words(self) -> str:
        parts = [f"ends at {' or '.join(self.ends.values())}"] if self.ends else []
        if self.positions is not None:
            parts.append(f"{self.positions:,} positions{f' (RoPE: {self.rope})' * bool(self.rope)}")
        if self.before:
            parts.append(f"its tokenizer begins texts with {' '.join(self.before)}")
        if self.after and self.has_encoder:
            parts.append(f"its tokenizer ends prompts with {' '.join(self.after)}")
        elif self.after:
            parts.append(f"what its tokenizer appends ({' '.join(self.after)}) is left out of prompts")
        if self.kept:
            parts.append(f"its answers keep {' '.join(self.kept)}")
        return ", ".join(parts)


def read_traits(ref: ModelRef, tokenizer: Any = None) -> Traits:
    """Read what a model is from the files of its folder, or of the hub; no weights are loaded.

    `ref`: the model; an adapter or a delta has its base's traits, and its own tokenizer's if it has one.
    """
    base = read_traits(ref.base) if ref.base else None
    vocabulary = vocabulary_of(tokenizer) if tokenizer is not None else _vocabulary(ref)
    if base is None:
        config = model_config(ref, "config.json") or {}
        return _traits(with_defaults(config), model_config(ref, "generation_config.json"), vocabulary)
    own = _traits({}, model_config(ref, "generation_config.json"), vocabulary)
    rows = _adapter_rows(ref) or base.rows
    beyond, unreadable = _beyond(vocabulary, rows)
    prompt = virtual_tokens(model_config(ref, "adapter_config.json") or {}) if ref.kind is ModelKind.ADAPTER else 0
    return dataclasses.replace(
        own,
        ends={**own.ends, **base.ends},
        ordinary_ends=tuple(dict.fromkeys((*own.ordinary_ends, *base.ordinary_ends))),
        beyond=beyond,
        unreadable=unreadable,
        rows=rows,
        positions=base.positions - prompt if base.positions is not None else None,
        rope=base.rope,
        settings=base.settings,
        has_encoder=base.has_encoder,
    )


def traits_of(network: Any, tokenizer: Any) -> Traits:
    generation = getattr(network, "generation_config", None)
    fields = None if generation is None else generation.to_dict()
    return _traits(network.config.to_dict(), fields, vocabulary_of(tokenizer))


def _traits(config: Mapping[str, Any], generation: Mapping[str, Any] | None, vocabulary: Vocabulary | None) -> Traits:
    rows = embedding_rows(config)
    special = vocabulary.special if vocabulary else {}
    eos = special.get(vocabulary.eos) if vocabulary and vocabulary.eos else None
    ends = {} if eos is None or vocabulary is None else {eos: vocabulary.eos or ""}
    ordinary = []
    for number in _declared_ends(config, generation):
        if number in ends or (rows is not None and number >= rows):
            continue
        text = vocabulary.texts.get(number) if vocabulary else None
        ends[number] = text or f"token {number}"
        if text and vocabulary and text not in vocabulary.added:
            ordinary.append(text)
    ends |= {special[text]: text for text in ENDS_OF_TURN if text in special and (not rows or special[text] < rows)}
    return Traits(
        ends,
        eos,
        tuple(ordinary),
        special,
        vocabulary.before if vocabulary else (),
        vocabulary.after if vocabulary else (),
        vocabulary.size if vocabulary else None,
        *_beyond(vocabulary, rows),
        rows,
        positions_of(config),
        rope_in_words(config),
        settings_in(config, generation),
        vocabulary.chat_template if vocabulary else "",
        has_encoder=bool(config.get("is_encoder_decoder")),
    )


def _declared_ends(config: Mapping[str, Any], generation: Mapping[str, Any] | None) -> Iterator[int]:
    """Yield the tokens at which `generate` ends: those of generation_config, or of the config if there is none."""
    declared = generation.get("eos_token_id") if generation is not None else None
    if generation is None:
        inner = config.get("text_config")
        declared = config.get("eos_token_id", inner.get("eos_token_id") if isinstance(inner, Mapping) else None)
    for number in declared if isinstance(declared, list) else [declared]:
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            yield number


def _beyond(vocabulary: Vocabulary | None, rows: int | None) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the tokens that embeddings of so many rows lack: those that the model needs, and other control tokens."""
    if vocabulary is None or rows is None or vocabulary.size <= rows:
        return (), frozenset()
    lacking = [text for number, text in sorted(vocabulary.texts.items()) if number >= rows]
    written = {vocabulary.eos, *vocabulary.before}
    other = {t for t in vocabulary.special if t not in written and t not in vocabulary.chat_template}
    return tuple(text for text in lacking if text not in other), frozenset(other.intersection(lacking))


def _adapter_rows(ref: ModelRef) -> int | None:
    from safetensors import SafetensorError, safe_open

    file = Path(ref.location) / "adapter_model.safetensors"
    if ref.kind is not ModelKind.ADAPTER or not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # no mapping
                parts = name.split(".")
                if parts[-1] == "weight" and set(EMBEDDINGS) & set(parts) and "lora_" not in name:
                    return int(tensors.get_slice(name).get_shape()[0])
    except SafetensorError:  # a damaged file: loading it says so
        pass
    return None


def _vocabulary(ref: ModelRef) -> Vocabulary | None:
    ref = tokenizer_place(ref)
    tokenizer, config, special_map, template = (model_file(ref, name) for name in FILES)
    try:
        known = vocabulary_in_files(tokenizer, config, special_map, template, ref.eos_token)
        return vocabulary_of(load_tokenizer(ref)) if known is None else known
    except (RaysweepError, ValueError):  # whoever needs the tokenizer says why
        return None
