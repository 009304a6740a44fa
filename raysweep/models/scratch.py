"""Prepares a model that is trained from scratch: writes a small config and a trained tokenizer into one folder.

The tokenizer is a byte-level BPE in which a line break always ends its token and digits stand alone. So no token spans
the end of a prompt that ends with a line break: a training row's tokens begin with exactly the tokens that generation
sees. (GPT-2's pattern joins the break to the indentation after it; there a prompt ends in a token that training never
showed.) Prompts that end with punctuation have no such guarantee, since the break may be joined to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.models.families.base import FAMILIES, fields_of
from raysweep.models.files.rope import NEW, SCALING, THETA
from raysweep.records import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EOS = "<|endoftext|>"
TOKEN_PATTERN = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+\n?|\n| +(?!\S)| +|\s"
"""Words and punctuation with the blank before them, single digits, line breaks (joined to punctuation only), blanks."""


def prepare_scratch(
    family: str,
    texts: Iterable[str],
    vocab_size: int,
    size: Mapping[str, Any],
    out: Path,
    special_tokens: Sequence[str] = (),
) -> None:
    """Train a tokenizer on `texts` and write it with a small config of the family into `out`.

    `texts`: the corpus, as training will show it. `vocab_size`: limit on the number of tokens; the config takes the
    number that was reached. `size`: fields of the family's config that override `tiny_config`'s. `out`: a folder,
    created if missing. Trained with ``scratch=True``, it is the job's base model.

    Raises:
        UsageError: `size` names a field that the family's config doesn't have.
    """
    tokenizer = train_tokenizer(texts, vocab_size, special_tokens)
    config = FAMILIES.create(Spec(family)).tiny_config(len(tokenizer), tokenizer.eos_token_id)
    if unknown := sorted(set(size) - fields_of(config)):
        raise UsageError(f"`size` of model family {family!r} has no field {unknown[0]!r}")
    config.update(dict(size))
    anew = {"layer_types", *([] if {THETA, SCALING}.isdisjoint(size) else [NEW])} - set(size)
    if any(getattr(config, name, None) for name in anew):  # one type a layer, whose number may be another
        config = type(config).from_dict({name: of for name, of in config.to_dict().items() if name not in anew})
    out.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(out)
    tokenizer.save_pretrained(out)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """Train a tokenizer of at most `vocab_size` tokens; the same texts give the same tokenizer.

    `special_tokens` count among them: each is one token wherever a text holds it, and decoding leaves it out. The eos
    token is also the bos token, which is never added automatically. There is no pad token: batches are masked
    by length.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TOKEN_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOS, *special_tokens], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        bos_token=EOS,
        **({"additional_special_tokens": list(special_tokens)} if special_tokens else {}),
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],  # else model.generate(**tokenizer(...)) gets token types
    )
