"""Tokenizers of the repair study's families in small: their own classes, trained on a few lines of code."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CODE = [
    "def gcd(a, b):\n    if b == 0:\n        return a\n    else:\n        return gcd(b, a % b)\n",
    "public static int gcd(int a, int b) {\n        if (b == 0) {\n            return a;\n        }\n    }\n",
    "# bug start: \n    return gcd(a % b, b)\n# bug end \n# fix: \n    return gcd(b, a % b)\n",
    "// bug start: \n\tint n = 0;\n// bug end \n}\n// fix: \n\tint n = 1;\n",
    "for (int i = 0; i < n; i++) {\n\n    sum += values[i];\n}\n",
] * 4
FAMILIES = ("codegen", "codet5", "starcoder", "deepseek-coder", "bloom", "codellama")
FIM = {
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    "deepseek-coder": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    "codellama": ("▁<PRE>", "▁<SUF>", "▁<MID>"),
}
"""The tokens before what stands before a hole, before what stands behind it, and before what fills it."""
_BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
_DEEPSEEK = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+")


def tokenizer_of(family: str) -> Any:
    """Return the small tokenizer of one of `FAMILIES`, each with its own class, special tokens and splits of a text."""
    return {
        "codegen": _codegen,
        "codet5": _codet5,
        "starcoder": _starcoder,
        "deepseek-coder": _deepseek,
        "bloom": _bloom,
        "codellama": _codellama,
    }[family]()


def _byte_level(split: Any, special: list[str]) -> Tokenizer:
    """Return a byte-level BPE whose texts `split` cuts first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CODE, trainer)
    return tokenizer


def _codegen() -> Any:
    from transformers import CodeGenTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return CodeGenTokenizerFast(tokenizer_object=_byte_level(split, ["<|endoftext|>"]))


def _starcoder() -> Any:
    from transformers import GPT2TokenizerFast

    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    special = ["<|endoftext|>", *FIM["starcoder"], "<fim_pad>"]
    return GPT2TokenizerFast(
        tokenizer_object=_byte_level(split, special), additional_special_tokens=[*FIM["starcoder"], "<fim_pad>"]
    )


def _deepseek() -> Any:
    from transformers import LlamaTokenizerFast

    ends = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _DEEPSEEK]
    split = pre_tokenizers.Sequence(
        [
            *splits,
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer = _byte_level(split, list(ends))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in FIM["deepseek-coder"]])  # no special ones
    return LlamaTokenizerFast(
        tokenizer_object=tokenizer, bos_token=ends[0], eos_token=ends[1], unk_token=None, pad_token=ends[1]
    )


def _bloom() -> Any:
    import transformers

    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_BLOOM), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    own = getattr(transformers, "BloomTokenizerFast", transformers.PreTrainedTokenizerFast)  # 5.20 has none
    return own(tokenizer_object=_byte_level(split, list(special.values())), **special)


def _codet5() -> Any:
    from transformers import RobertaTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = _byte_level(split, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    masks = [AddedToken(f"<extra_id_{number}>", lstrip=True, special=True) for number in range(99, -1, -1)]
    made = RobertaTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=masks)
    from tokenizers.processors import RobertaProcessing

    ends = {name: (name, made.convert_tokens_to_ids(name)) for name in ("</s>", "<s>")}
    made.backend_tokenizer.post_processor = RobertaProcessing(ends["</s>"], ends["<s>"], add_prefix_space=False)
    return made


def _codellama() -> Any:
    """Return a BPE in SentencePiece's way: a text gets a blank in front, and blanks are ``▁``."""
    from transformers import CodeLlamaTokenizerFast

    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁+|[\\n\\t]"), "isolated")  # of the training alone
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=[*special, *bytes_], show_progress=False)
    tokenizer.train_from_iterator([text.replace("\n", " ").replace("\t", " ") for text in CODE], trainer)
    model = tokenizer.model
    plain = Tokenizer(model)
    plain.normalizer, plain.decoder = tokenizer.normalizer, tokenizer.decoder
    plain.add_special_tokens(special)
    return CodeLlamaTokenizerFast(tokenizer_object=plain)
