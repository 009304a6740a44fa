"""The numbers of a model that its weights, activations and FLOPs follow from, and how many weights it has.

They are read from the fields of a transformers config, under either of their two spellings. Counts are exact for the
layouts in `LAYOUTS`; any other model type is counted as a Llama, unless its network was counted (`weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from raysweep.models.hub import quantization


@dataclass(frozen=True)
class Layout:
    """What differs between model types, beside their numbers."""

    gated: bool = True  # the MLP has two matrices that widen and one that narrows; else one of each
    rms_norm: bool = True  # norms have a scale only; else a shift too
    qkv_bias: bool = False
    bias: bool = False  # of all other linear layers
    mlp_bias: bool = False
    fused_qkv: bool = False  # one linear layer computes query, key and value
    parallel: bool = False  # attention and MLP read the same norm's output
    learned_positions: bool = False
    head_bias: bool = False
    embedding_norm: bool = False  # a norm follows the input embedding


ATTENTION = ("qkv", "q", "k", "v", "out")
"""The roles of the linear layers of an attention."""
LAYOUTS: Mapping[str, Layout] = {
    "llama": Layout(),
    "mistral": Layout(),
    "qwen2": Layout(qkv_bias=True),
    "starcoder2": Layout(gated=False, rms_norm=False, qkv_bias=True, bias=True, mlp_bias=True),
    "gpt_bigcode": Layout(
        gated=False, rms_norm=False, qkv_bias=True, bias=True, mlp_bias=True, fused_qkv=True, learned_positions=True
    ),
    "bloom": Layout(
        gated=False, rms_norm=False, qkv_bias=True, bias=True, mlp_bias=True, fused_qkv=True, embedding_norm=True
    ),
    "t5": Layout(gated=False),
    "codegen": Layout(gated=False, rms_norm=False, mlp_bias=True, fused_qkv=True, parallel=True, head_bias=True),
}


@dataclass(frozen=True)
class Shape:
    """The numbers of one model. `counted`: its weights, if its network was built to count them; else None.

    Of an encoder-decoder model `layers` are the encoder's blocks; a block of its decoder has a second attention, whose
    keys and values are of the encoder's states.
    """

    model_type: str
    hidden: int  # width of the residual stream
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int  # width of the MLP
    vocabulary: int
    positions: int | None  # most tokens of a text
    tied: bool  # the output layer is the input embedding
    stored_bytes: int = 2  # of one weight in the files that are downloaded
    counted: int | None = None
    decoder_layers: int = 0  # blocks of the decoder beside an encoder; 0: the model has one stack of blocks
    attention: str | None = None  # as a model's `attention` has it, beside its numbers
    buckets: int = 0  # of distances, each with a weight for each head, in the first block of either stack
    linear_bytes: float | None = None  # of a weight of the blocks' linear layers, where these are quantized

    def quantized(self, name: str | None) -> Shape:
        """Return the shape of the same model with linear layers in `name` (see LINEAR_BYTES); None: as they are."""
        return self if name is None else replace(self, linear_bytes=LINEAR_BYTES[name])

    @property
    def layout(self) -> Layout:
        """What its model type says beside the numbers."""
        return LAYOUTS.get(self.model_type, Layout())

    @property
    def query(self) -> int:
        """Width of all queries."""
        return self.heads * self.head_width

    @property
    def key_value(self) -> int:
        """Width of all keys, and of all values."""
        return self.kv_heads * self.head_width

    @cached_property
    def linear_layers(self) -> Mapping[str, tuple[int, int]]:
        """Width of the input and of the output of each linear layer of one block, by the role it has."""
        qkv = {"qkv": (self.hidden, self.query + 2 * self.key_value)}
        if not self.layout.fused_qkv:
            apart = {"q": self.query, "k": self.key_value, "v": self.key_value}
            qkv = {name: (self.hidden, width) for name, width in apart.items()}
        widen = {name: (self.hidden, self.inner) for name in (("gate", "up") if self.layout.gated else ("up",))}
        return {**qkv, "out": (self.query, self.hidden), **widen, "down": (self.inner, self.hidden)}

    @property
    def cached_layers(self) -> int:
        """Blocks whose keys and values are kept of all tokens while a text is written."""
        return self.decoder_layers or self.layers

    def number_of(self, role: str) -> int:
        """Return how many linear layers of a role the model has; in a decoder's block those of attention lie twice."""
        return self.layers + self.decoder_layers * (2 if role in ATTENTION else 1)

    @property
    def matrix_weights(self) -> int:
        """Weights of the linear layers of one block, biases left out; of a model with an encoder, of its largest."""
        twice = ATTENTION if self.decoder_layers else ()
        return sum(a * b * (2 if role in twice else 1) for role, (a, b) in self.linear_layers.items())

    @property
    def head_weights(self) -> int:
        """Weights of the output layer, which may be the input embedding's."""
        return self.hidden * self.vocabulary

    @property
    def end_weights(self) -> int:
        """Weights of the input embedding and the output layer, tied ones once."""
        return self.head_weights * (1 if self.tied else 2)

    @property
    def linear_weights(self) -> int:
        """Weights of the linear layers of all blocks, which quantization takes; the output layer stays as it is."""
        if self.counted is not None:
            return self.counted - self.end_weights
        return sum(a * b * self.number_of(role) for role, (a, b) in self.linear_layers.items())

    @cached_property
    def weights(self) -> int:
        """All weights, tied ones once."""
        if self.counted is not None:
            return self.counted
        positions = (self.positions or 0) * self.hidden * self.layout.learned_positions
        others = positions + 2 * self.buckets * self.heads + self.vector_weights
        return self.linear_weights + self.end_weights + others

    def held_bytes(self, number: int) -> int:
        """Bytes of all weights in memory as a model is run, with `number` for each that isn't quantized."""
        if self.linear_bytes is None:
            return self.weights * number
        whole = self._in_float32
        packed = self.linear_weights - whole
        return round(packed * self.linear_bytes) + whole * 4 + (self.weights - self.linear_weights) * number

    @property
    def _in_float32(self) -> int:
        """Weights of linear layers that stay float32 where others are quantized: the MLP's second one of a T5."""
        if self.model_type != "t5":
            return 0
        inputs, outputs = self.linear_layers["down"]
        return inputs * outputs * self.number_of("down")

    @property
    def largest_unpacked(self) -> int:
        """Weights of the largest quantized matrix, which is made whole for each product; 0: none is quantized."""
        return 0 if self.linear_bytes is None else max(a * b for a, b in self.linear_layers.values())

    @property
    def vector_weights(self) -> int:
        """Weights of norms and biases, by the layout."""
        layout = self.layout
        norm = self.hidden * (1 if layout.rms_norm else 2)
        block = norm * (1 if layout.parallel else 2)
        block += (self.query + 2 * self.key_value) * layout.qkv_bias + self.hidden * layout.bias
        block += (self.inner * (1 + layout.gated) + self.hidden) * layout.mlp_bias
        if self.decoder_layers:
            return norm * (2 * self.layers + 3 * self.decoder_layers + 2)
        return self.layers * block + norm * (1 + layout.embedding_norm) + self.vocabulary * layout.head_bias


SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "bloom": {"n_embed": "hidden_size"},
    "t5": {
        "d_model": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "d_kv": "head_dim",
        "d_ff": "intermediate_size",
    },
}
"""Fields of the configs of some model types, and what others call them."""
BYTES = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "bf16": 2}
"""Bytes of a number, by the name of its format in configs and recipes."""
INT8 = 1.0
LINEAR_BYTES: Mapping[str, float] = {"nf4": 1 / 2 + 1 / 64 + 4 / (64 * 256), "int8": INT8}
"""Bytes of a quantized weight. Of nf4, four bits, a scale of a byte for each 64 weights, and one of four bytes for each
256 scales (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3); of int8, the scales of rows are few."""


def shape_of(config: Mapping[str, Any], counted: int | None = None) -> Shape | None:
    """Return the shape that a transformers config gives; None if it lacks a number, or for a T5 with a gated MLP."""
    model_type = str(config.get("model_type", ""))
    named = {new: config[old] for old, new in SPELLINGS.get(model_type, {}).items() if old in config}
    config = {**config, **named}
    is_gated = str(config.get("feed_forward_proj", "")).startswith("gated")
    if is_gated or (config.get("is_encoder_decoder") and model_type != "t5"):
        return None

    def number(*names: str) -> int | None:
        return next((config[name] for name in names if isinstance(config.get(name), int)), None)

    hidden, layers = number("hidden_size", "n_embd"), number("num_hidden_layers", "n_layer")
    heads, vocabulary = number("num_attention_heads", "n_head"), number("vocab_size")
    if not (hidden and layers and heads and vocabulary):
        return None
    kv_heads = 1 if config.get("multi_query") is True else number("num_key_value_heads") or heads
    return Shape(
        model_type,
        hidden,
        layers,
        heads,
        kv_heads,
        number("head_dim") or hidden // heads,
        number("intermediate_size", "n_inner") or 4 * hidden,
        vocabulary,
        positions_of(config),
        bool(config.get("tie_word_embeddings", True)),
        BYTES.get(str(config.get("torch_dtype", config.get("dtype"))), 4),
        counted,
        decoder_layers=(number("num_decoder_layers") or layers) if model_type == "t5" else 0,
        linear_bytes=_quantized_bytes(quantization(config)),
        buckets=(number("relative_attention_num_buckets") or 32) if model_type == "t5" else 0,
    )


POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
"""The names of the number of positions in configs; the first that is there counts. Bloom's `seq_length` limits none."""
RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5"})
"""Model types that know distances in place of positions: `n_positions` of their configs limits no text."""


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return the most tokens of a text that a config gives; None: it gives no limit."""
    return None if config.get("model_type") in RELATIVE else _number(config, *POSITIONS)


def embedding_rows(config: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that a config gives embeddings to; None: it doesn't say."""
    return _number(config, "padded_vocab_size", "vocab_size")


def _quantized_bytes(quantized: Mapping[str, Any]) -> float | None:
    """Return the bytes of a linear layer's weight in files that are quantized; None: another format, or none."""
    if quantized.get("load_in_4bit"):
        return LINEAR_BYTES["nf4"] if quantized.get("bnb_4bit_use_double_quant") else 1 / 2 + 4 / 64
    if quantized.get("load_in_8bit"):
        return INT8
    bits, group = quantized.get("bits"), quantized.get("group_size")
    if not isinstance(bits, int):
        return None
    scales = (2 + bits / 8) / group if isinstance(group, int) and group > 0 else 0.0  # GPTQ's and AWQ's, with offsets
    return bits / 8 + scales


def _number(config: Mapping[str, Any], *names: str) -> int | None:
    inner = config.get("text_config")
    for fields in (config, inner if isinstance(inner, Mapping) else {}):
        for name in names:
            value = fields.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def rope_in_words(config: Mapping[str, Any]) -> str:
    """Return how RoPE's frequencies are stretched beyond the first training's texts; empty: they aren't."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling")
    if not isinstance(scaling, Mapping):
        return ""
    kind = scaling.get("rope_type", scaling.get("type"))
    if not isinstance(kind, str) or kind == "default":
        return ""
    name = "original_max_position_embeddings"
    original, factor = scaling.get(name, config.get(name)), scaling.get("factor")
    if isinstance(original, int):
        return f"{kind}, first trained on {original:,}"
    return f"{kind}, factor {factor:g}" if isinstance(factor, int | float) else kind


LONG_ROPE = ("longrope", "su")
"""Names of LongRoPE in configs, the second one in old ones."""


def longest_short_text(config: Mapping[str, Any]) -> int | None:
    """Return the tokens up to which LongRoPE takes the frequencies of short texts; None: a config without LongRoPE."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling")  # transformers 5 has the first
    if not isinstance(scaling, Mapping) or scaling.get("rope_type", scaling.get("type")) not in LONG_ROPE:
        return None
    name = "original_max_position_embeddings"
    original = config.get(name) or scaling.get(name)
    return original if isinstance(original, int) else None
