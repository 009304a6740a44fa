"""A byte-level BPE tokenizer trained on a corpus, for models trained from scratch.

A line break always ends its token, and digits stand alone. So no token spans the end of a prompt that ends with a line
break: a training row's tokens begin with exactly the tokens that generation sees. (GPT-2's pattern glues the break to
the indentation after it; there a prompt ends in a token that training never showed.) Prompts that end with punctuation
have no such guarantee here, since the break may be glued to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EOS = "<|endoftext|>"
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+\n?|\n| +(?!\S)| +|\s"
"""Words and punctuation with the blank before them, single digits, line breaks (glued to punctuation only), blanks."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer of at most `vocab_size` tokens; the same texts give the same tokenizer.

    eos is also bos, which is never added by itself, and there is no pad token: batches are masked by length.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOS], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, bos_token=EOS, clean_up_tokenization_spaces=False
    )
