"""Predicts the memory of a training worker and of a generator, and a training's FLOPs, without torch.

The sum follows the operations: which tensors the optimizer keeps, which each operation of a block saves for its
backward pass, and which the loss holds at once. Nothing is fitted to measurements; tests/trainers/test_memory.py
compares the result with the bytes of live tensors. It is the peak of the tensors: not counted are the process itself
(about 0.5 GiB with torch, or 1 GiB with a CUDA context), an allocator's unused blocks, and kernels' workspaces.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.models.architectures.shape import BYTES, INT8, Shape
from raysweep.models.families.base import ia3_targets, lora_targets
from raysweep.trainers.base import BEST, FUSED, Ia3Settings, LoraSettings, Recipe, objective_of
from raysweep.trainers.batching import micro_batching
from raysweep.trainers.sharding.choice import sharding_name

LOSS_COPIES = 3
"""float32 tensors of (weighted positions, vocabulary) at the start of the backward pass: the logarithms of the
probabilities, the gradient of the picked ones, and the gradient of the logits."""
PREDICTED = ("full", "lora", "ia3")
"""The trainers whose operations are known here; others' costs are left out of plans."""
MARGIN = 1.15
"""Predictions are within 15 % of what is taken."""
UPDATE_COPIES = 2
"""float32 tensors as large as the one that it updates, which Adafactor holds at once."""
ROLES = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "out",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
    "c_attn": "qkv",
    "qkv_proj": "qkv",
    "out_proj": "out",
    "c_fc": "up",
    "fc_in": "up",
    "fc_out": "down",
    "query_key_value": "qkv",
    "dense_h_to_4h": "up",
    "dense_4h_to_h": "down",
    "q": "q",
    "k": "k",
    "v": "v",
    "o": "out",
    "wi": "up",
    "wo": "down",
}
"""The role in a block of the linear layers that recipes name; `c_proj` has two."""
EMBEDDINGS = {"embed_tokens", "wte", "word_embeddings", "shared", "lm_head"}
"""Names of the input and of the output embeddings."""


@dataclass(frozen=True)
class Batch:
    """One forward pass. `weighted`: share of the tokens whose prediction counts in the loss."""

    rows: int
    width: int  # tokens of a row, padding included
    weighted: float = 1.0

    @property
    def tokens(self) -> int:
        return self.rows * self.width


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of the tensors of one training worker. `peak`: the most that exist at once."""

    weights: int
    gradients: int
    optimizer: int
    activations: int  # kept by the blocks for the backward pass
    loss: int
    peak: int


def largest_batch(
    recipe: Recipe, longest: int, on_gpu: bool, weighted: float = 1.0, tokens: int | None = None
) -> Batch:
    """Return the largest forward pass of a recipe: as many rows of `longest` tokens as fit, at least one.

    `tokens`: most of a pass; None: as many as on an accelerator of unknown memory, or a CPU.
    """
    width = min(recipe.max_tokens, longest)
    cost = objective_of(recipe).tokens(width, width)
    tokens = tokens or micro_batching(recipe, "cuda" if on_gpu else "cpu").tokens
    rows = min(max(1, tokens // cost), recipe.micro_batch_size or recipe.batch_size)
    return Batch(min(rows * (cost // width), sequences_of_worker(recipe)), width, weighted)


def tokens_that_fit(shape: Shape, recipe: Recipe, longest: int, room: int) -> int:
    """Return the tokens of the largest forward pass whose tensors an accelerator has room for; at least one row's.

    It is as large as all rows of a step at most. `longest`: tokens of the longest row. `room`: bytes for tensors.
    """
    width, most = min(recipe.max_tokens, longest), sequences_of_worker(recipe)

    def lacks(rows: int) -> bool:
        return training_memory(shape, recipe, Batch(rows, width), on_gpu=True).peak * MARGIN > room

    return max(1, bisect_left(range(1, most + 1), True, key=lacks)) * width


def sequences_of_worker(recipe: Recipe) -> int:
    """Return how many sequences of a step one worker trains on, at most: two a row where both responses train."""
    width = recipe.max_tokens
    return -(-recipe.batch_size // recipe.workers) * (objective_of(recipe).tokens(width, width) // width)


def training_memory(shape: Shape, recipe: Recipe, batch: Batch, on_gpu: bool) -> TrainingMemory:
    """Return the memory of one worker that trains by a recipe, with `batch` as its largest forward pass."""
    stacks = _stacks(shape, recipe, batch, on_gpu)
    earliest, block = stacks[0][1], stacks[-1][1]
    total, trained = shape.weights, trained_weights(shape, recipe)
    parallel = sharding_name(recipe, recipe.workers)
    stage = int(parallel[-1]) if parallel != "ddp" else 0
    over = [recipe.workers if stage >= at else 1 for at in (1, 2, 3)]  # optimizer, gradients, weights
    frozen = shape.held_bytes(block.compute) * block.frozen
    in_float32 = 4 * trained if block.frozen else 4 * total
    if stage and BYTES[recipe.precision] == 2:
        in_float32 //= 2  # DeepSpeed computes with 16-bit copies
    weights = (frozen + in_float32) // over[2]
    if recipe.keep == BEST and not on_gpu and (recipe.steps is not None or recipe.epochs > 1):
        weights += 4 * trained  # the best epoch's, in the CPU's memory
    gradients = 4 * trained // over[1]
    if recipe.workers > 1 and stage == 0:
        gradients *= 2  # the buckets in which they are sent
    kept_states = 4 * (optimizer_states(shape, recipe) + trained * bool(stage))  # DeepSpeed copies its share, too
    optimizer = 0 if recipe.offload == "optimizer" else kept_states // over[0]
    gathered = 2 * shape.matrix_weights * block.compute if stage == 3 else 0

    kept = sum(layers * (of.inputs if recipe.gradient_checkpointing else of.kept) for layers, of in stacks)
    casts = sum(layers * of.casts for layers, of in stacks) + block.head_cast
    shared = sum(of.shared for _, of in stacks)
    head = 0 if recipe.gradient_checkpointing else block.inputs + block.norm_kept
    predicted = block.batch.tokens if shape.decoder_layers else round(batch.tokens * batch.weighted)
    loss = predicted * (4 * LOSS_COPIES * shape.vocabulary + block.compute * shape.hidden)
    several = sequences_of_worker(recipe) > batch.rows
    held = weights + optimizer + gathered + shared + (gradients if several else 0)
    forward = predicted * shape.vocabulary * (8 if block.compute == 4 else 10)
    ends_forward = held + kept + head + casts + forward
    recomputed = block.kept + block.casts if recipe.gradient_checkpointing else 0
    lasting = 0 if recipe.gradient_checkpointing else casts
    starts_backward = held + kept + head + (block.head_cast if recipe.gradient_checkpointing else casts) + loss
    starts_backward += predicted * shape.vocabulary * 2 if block.compute == 2 else 0
    unpacked = shape.largest_unpacked * block.unpacked
    first_block = held + kept + lasting + recomputed + block.passing + unpacked
    if not several:
        first_block += 4 * shape.head_weights * (not block.frozen)
    last_block = weights + optimizer + gathered + shared + gradients + earliest.passing + unpacked
    last_block += earliest.kept + earliest.casts
    update = weights + optimizer + gradients + UPDATE_COPIES * 4 * _largest_matrix(shape, recipe)
    peak = max(ends_forward, starts_backward, first_block, last_block, update)
    return TrainingMemory(weights, gradients, optimizer, kept, loss, peak)


def generation_memory(shape: Shape, dtype: str, rows: int, prompt: int, new: int) -> int:
    """Return the bytes of a generator's tensors: weights, keys and values of all tokens, the logits of one token.

    `rows`: prompts completed together. `prompt`: tokens of a prompt. `new`: most tokens of a completion.
    """
    number = BYTES[dtype]
    cache = 2 * shape.cached_layers * shape.key_value * rows * (prompt + new) * number
    logits = rows * shape.vocabulary * (number + 4 * 2)
    return shape.held_bytes(number) + cache + max(logits, shape.largest_unpacked * number)


def trained_weights(shape: Shape, recipe: Recipe) -> int:
    """Return how many weights a recipe trains of a model: all, or those of an adapter."""
    if recipe.trainer == "full":
        return shape.weights
    if recipe.trainer == "ia3":
        scaled = scaled_widths(shape, recipe)
        return sum(width * shape.number_of(role) for widths in scaled for role, width in widths.items())
    lora = LoraSettings(**recipe.lora)
    layers = shape.linear_layers
    adapted = sum(lora.r * sum(layers[role]) * shape.number_of(role) for role in adapted_roles(shape, recipe))
    of_head = lora.r * (shape.hidden + shape.vocabulary) if lora.preset == "study" else 0
    return adapted + of_head + shape.head_weights * _copied_ends(recipe)


def flops_per_token(shape: Shape, recipe: Recipe, width: float) -> float:
    """Return the FLOPs of the forward and backward pass of one token, attention included.

    As model FLOPs utilisation counts (PaLM, appendix B, https://arxiv.org/abs/2204.02311): what is computed twice to
    save memory counts once.

    6 for each weight; 4 for each of an adapter's frozen base, which gets no gradient. Of a model with an encoder and a
    decoder, each token is taken to go through one of them.

    `width`: tokens of a row.
    """
    frozen = recipe.trainer in ("lora", "ia3")
    trained = trained_weights(shape, recipe) if recipe.trainer == "lora" else 0  # IA3's vectors are too few to count
    dense = (4 if frozen else 6) * shape.weights + 6 * trained
    if shape.decoder_layers:
        return dense / 2 + 12 * (shape.layers + 2 * shape.decoder_layers) / 2 * shape.query * width / 2
    return dense + 12 * shape.layers * shape.query * width


def _copied_ends(recipe: Recipe) -> int:
    """Return of how many of the two embeddings LoRA trains whole copies."""
    lora = LoraSettings(**recipe.lora)
    copied = EMBEDDINGS & {name.rpartition(".")[2] for name in lora.modules_to_save or ()}
    return 2 if lora.train_embeddings else min(2, len(copied))


def adapted_roles(shape: Shape, recipe: Recipe) -> tuple[str, ...]:
    """Return the linear layers of a block that get an update, by their roles; all where the names are unknown."""
    lora = LoraSettings(**recipe.lora)
    targets = lora.targets
    if targets is None and lora.preset != "study":
        targets = lora_targets(shape.model_type, lora.preset)
    if targets is None or isinstance(targets, str):
        return tuple(shape.linear_layers)
    return _named_roles(shape, targets)


def scaled_widths(shape: Shape, recipe: Recipe) -> tuple[dict[str, int], dict[str, int]]:
    """Return the widths of IA3's vectors by the roles of the layers: of those that scale outputs, and inputs."""
    ia3 = Ia3Settings(**recipe.ia3)
    targets, feedforward = ia3_targets(shape.model_type)
    targets = list(ia3.targets) if ia3.targets is not None else targets
    feedforward = (
        list(ia3.feedforward) if ia3.feedforward is not None else [one for one in feedforward if one in targets]
    )
    layers, inputs = shape.linear_layers, _named_roles(shape, feedforward)
    outputs = [role for role in _named_roles(shape, targets) if role not in inputs]
    return {role: layers[role][1] for role in outputs}, {role: layers[role][0] for role in inputs}


def _named_roles(shape: Shape, targets: Iterable[str]) -> tuple[str, ...]:
    """Return the roles of the linear layers that a recipe names; `c_proj` alone stands for two."""
    named = {ROLES.get(target.rpartition(".")[2], "") for target in targets}
    named |= {"out", "down"} if "c_proj" in targets else {"down"} if "mlp.c_proj" in targets else set()
    return tuple(role for role in shape.linear_layers if role in named)


def optimizer_states(shape: Shape, recipe: Recipe) -> int:
    """Return how many numbers an optimizer keeps of a model: AdamW two of each trained weight.

    Adafactor keeps one of each row and column of a matrix, and one of each weight of a vector.
    """
    if recipe.optimizer == "adamw":
        return 2 * trained_weights(shape, recipe)
    end = shape.hidden + shape.vocabulary
    if recipe.trainer == "full":
        matrices = sum(sum(widths) * shape.number_of(role) for role, widths in shape.linear_layers.items())
        matrices += end * (1 if shape.tied else 2)
        positions = (shape.hidden + (shape.positions or 0)) * shape.layout.learned_positions
        positions += 2 * (shape.buckets + shape.heads) * bool(shape.buckets)
        return matrices + positions + shape.vector_weights
    if recipe.trainer == "ia3":
        vectors = sum(shape.number_of(role) for widths in scaled_widths(shape, recipe) for role in widths)
        return trained_weights(shape, recipe) + vectors  # each is a matrix of one row or column
    lora = LoraSettings(**recipe.lora)
    roles = adapted_roles(shape, recipe)
    adapted = sum((sum(shape.linear_layers[role]) + 2 * lora.r) * shape.number_of(role) for role in roles)
    of_head = (end + 2 * lora.r) * (lora.preset == "study")
    return adapted + of_head + end * _copied_ends(recipe)


def _largest_matrix(shape: Shape, recipe: Recipe) -> int:
    """Return the weights of the largest tensor that Adafactor updates; 0 for AdamW, which makes no copies."""
    if recipe.optimizer == "adamw":
        return 0
    if recipe.trainer == "ia3":
        return max((width for widths in scaled_widths(shape, recipe) for width in widths.values()), default=0)
    lora = LoraSettings(**recipe.lora)
    if recipe.trainer == "full" or _copied_ends(recipe):
        return max(shape.head_weights, *(i * o for i, o in shape.linear_layers.values()))
    return lora.r * max(shape.vocabulary * (lora.preset == "study"), *map(max, shape.linear_layers.values()))


class _Block:
    """Bytes that one block of a model keeps for its backward pass.

    Attributes:
        compute: bytes of a number of the computations.
        batch: what it computes at a time.
        stream: bytes of a number of the residual stream, which float32 embeddings keep in float32.
        inputs: its input.
        kept: activations.
        casts: the weights in the format of the computations, where they are stored in another.
        passing: gradients of activations that exist at once during the backward pass.
        shared: what all blocks have in common: masks and the angles of positions.
        unpacked: of a weight of a quantized matrix, while it is made whole for a product.
    """

    def __init__(self, shape: Shape, recipe: Recipe, batch: Batch, on_gpu: bool) -> None:
        self._shape, self._recipe, self.batch = shape, recipe, batch
        self.compute = BYTES[recipe.precision]
        self.frozen = recipe.trainer in ("lora", "ia3")
        self._scaled = scaled_widths(shape, recipe) if recipe.trainer == "ia3" else None
        self.stream = self.compute if self.frozen else 4
        self._on_gpu = on_gpu
        self._fused = recipe.kernels == FUSED
        self._dropout = recipe.trainer == "lora" and LoraSettings(**recipe.lora).dropout > 0
        usual = "eager" if self.compute == 2 and not on_gpu else "sdpa"  # on CPUs the loop takes plain one for bf16
        self._eager = (shape.attention or usual) == "eager"
        self._is_int8 = shape.linear_bytes == INT8
        self.unpacked = 4 + self.compute if self._is_int8 else 2 * self.compute
        self.norm_kept = batch.tokens * self._norm_per_token()
        self.inputs = self.stream * batch.tokens * shape.hidden
        self.kept = batch.tokens * (self._attention() + self._mlp() + self._norms()) + self._scores()
        blocks = shape.layers + shape.decoder_layers
        weights = trained_weights(shape, recipe) // blocks if self.frozen else shape.matrix_weights
        self.casts = weights * 2 * (self.compute == 2 and self._scaled is None)  # vectors multiply as they are
        self.head_cast = 0 if self.frozen else shape.head_weights * 2 * (self.compute == 2)
        widest = (3 if shape.layout.gated else 2) * shape.inner + 2 * shape.hidden
        self.passing = batch.tokens * (4 if self._is_int8 else self.compute) * widest
        mask = batch.rows * batch.width**2 * 4 * self._eager  # fused attention has none
        self.shared = mask + batch.width * shape.head_width * 2 * 4

    @property
    def _norms_write_float32(self) -> bool:
        return self._shape.layout.rms_norm or self._on_gpu  # autocast on CPUs leaves other norms in bf16

    def _norm_per_token(self) -> int:
        """Bytes of the tensors that one norm saves, beside its input in the residual stream."""
        shape = self._shape
        in_float32 = self._norms_write_float32
        if self._fused:
            in_float32 = shape.layout.rms_norm and not self._on_gpu  # as torch's function is there
        copy = (4 if in_float32 else 2) * shape.hidden if self.stream == 2 else 0
        scaled = 0 if self.frozen or not shape.layout.rms_norm else 4 * shape.hidden
        return copy + scaled

    def _norms(self) -> int:
        """Bytes a token of all norms with their inputs; a norm without a copy keeps the stream itself."""
        norms = 1 if self._shape.layout.parallel else 2
        inputs = self.stream * self._shape.hidden if self.stream == 4 else 0
        return norms * (inputs + self._norm_per_token())

    def _inputs(self, roles: tuple[str, ...], width: int, saved_anyway: bool = False) -> int:
        """Bytes a token of linear layers' common input. `saved_anyway`: another operation keeps the same tensor."""
        present = [role for role in roles if role in self._shape.linear_layers]
        if not self.frozen:
            if self.compute == 4 or saved_anyway:
                return 0 if saved_anyway else width * 4
            return width * 2 * len(present)  # autocast makes a copy for each
        if self._scaled is not None:
            outputs, inputs = self._scaled  # inputs are float32 then, as the vectors are
            kept = sum(outputs[role] * self.compute for role in present if role in outputs)
            is_kept = any(role in inputs for role in present) and not (saved_anyway and self.compute == 4)
            return kept + width * 4 * is_kept
        adapted = [role for role in present if role in adapted_roles(self._shape, self._recipe)]
        ranks = len(adapted) * LoraSettings(**self._recipe.lora).r * self.compute
        as_it_is = bool(adapted) and not self._dropout and self.compute == 4
        if self._is_int8 and not (saved_anyway or as_it_is):  # its products keep what they read, as norms write it
            ranks += width * (4 if self._norms_write_float32 else self.compute)
        if self._dropout:  # the mask, and what it left
            return ranks + len(adapted) * width * ((1 if self._on_gpu or self._fused else 4) + self.compute)
        if self.compute == 4 or self._fused:
            return ranks + (0 if saved_anyway or not adapted else width * self.compute)
        return ranks + len(adapted) * width * 2

    def _attention(self) -> int:
        """Bytes a token of the projections and of the attention itself, without scores."""
        shape, number = self._shape, self.compute
        inputs = self._inputs(("qkv", "q", "k", "v"), shape.hidden)
        if self._eager:
            queries = 3 * shape.query * number  # laid out anew for the products
        elif shape.layout.fused_qkv:
            queries = (shape.query + 2 * shape.key_value) * number  # one tensor, of which they are views
            queries += 2 * shape.query * number if 1 < shape.kv_heads < shape.heads else 0
            if not shape.layout.learned_positions:
                queries += 2 * shape.query * number  # turned by their positions
        else:
            repeated = shape.query if 1 < shape.kv_heads < shape.heads else shape.key_value
            queries = (shape.query + 2 * repeated) * number
        result = 0 if self._eager and not self._keeps_input("out") else shape.query * number
        statistics = 0 if self._eager else 4 * shape.heads
        return inputs + queries + result + statistics + self._inputs(("out",), shape.query, saved_anyway=True)

    def _scores(self) -> int:
        """Bytes of the scores that plain attention keeps, after softmax and cast; fused attention keeps none."""
        kept = 4 + 2 * (self.compute == 2)
        return self.batch.rows * self.batch.width**2 * self._shape.heads * kept * self._eager

    def _keeps_input(self, role: str) -> bool:
        if not self.frozen or self._is_int8:
            return True
        if self._scaled is not None:
            return self.compute == 4 and role in self._scaled[1]
        as_it_is = not self._dropout and (self.compute == 4 or self._fused)
        return as_it_is and role in adapted_roles(self._shape, self._recipe)

    def _mlp(self) -> int:
        shape, number = self._shape, self.compute
        inputs = self._inputs(("gate", "up"), shape.hidden)
        widths = 4 if shape.layout.gated else 5 if shape.model_type == "codegen" else 2
        widths -= not self._keeps_input("down")
        return inputs + widths * shape.inner * number + self._inputs(("down",), shape.inner, saved_anyway=True)


class _T5Block(_Block):
    """The same of a block of a T5, whose attention is plain, and keeps the weights of all pairs of tokens.

    Args:
        reads: tokens of a row that the encoder has read, in a block of a decoder; 0: it is the encoder's own.
    """

    def __init__(self, shape: Shape, recipe: Recipe, batch: Batch, on_gpu: bool, reads: int = 0) -> None:
        super().__init__(shape, recipe, batch, on_gpu)
        pairs = batch.rows * batch.width * max(batch.width, reads) * shape.heads
        self.passing = max(self.passing, 3 * 4 * pairs)  # gradients of weights, scores and distances
        self.shared = batch.rows * batch.width * (batch.width + reads) * shape.heads * 4  # distances with the mask
        if reads:
            self.kept += self._second_attention(reads)
        elif not self.frozen:
            one_of_each = sum(inputs * outputs for inputs, outputs in shape.linear_layers.values())
            self.casts -= 2 * (self.compute == 2) * (shape.matrix_weights - one_of_each)

    def _scores(self) -> int:
        return self._kept_pairs(self.batch.width)

    def _kept_pairs(self, read: int) -> int:
        """Bytes of the attention of all tokens to so many ones of a row, in float32 and cast."""
        return self.batch.rows * self.batch.width * read * self._shape.heads * (4 + 2 * (self.compute == 2))

    def _second_attention(self, reads: int) -> int:
        """Bytes of the attention to the encoder's states, with the norm before it."""
        shape, number = self._shape, self.compute
        norm = self._norms() // 2
        ours = norm + self._inputs(("q",), shape.hidden) + 2 * shape.query * number
        ours += self._inputs(("out",), shape.query, saved_anyway=True)
        is_shared = self.compute == 4 and self._scaled is None  # the states themselves are kept once
        theirs = 2 * shape.key_value * number + (0 if is_shared else self._inputs(("k", "v"), shape.hidden))
        return self.batch.tokens * ours + self.batch.rows * reads * theirs + self._kept_pairs(reads)

    def _mlp(self) -> int:
        shape = self._shape  # the activation is what the second layer reads
        inputs = self._inputs(("up",), shape.hidden)
        return inputs + shape.inner * self.compute + self._inputs(("down",), shape.inner, saved_anyway=True)


def _stacks(shape: Shape, recipe: Recipe, batch: Batch, on_gpu: bool) -> list[tuple[int, _Block]]:
    """Return a model's stacks of blocks in the order of their forward pass: how many blocks, and one of them.

    Of a row's tokens the decoder beside an encoder writes those with a loss.
    """
    if not shape.decoder_layers:
        return [(shape.layers, _Block(shape, recipe, batch, on_gpu))]
    written = min(batch.width - 1, max(1, round(batch.width * batch.weighted)))
    read = batch.width - written
    encoder = _T5Block(shape, recipe, Batch(batch.rows, read), on_gpu)
    decoder = _T5Block(shape, recipe, Batch(batch.rows, written), on_gpu, reads=read)
    return [(shape.layers, encoder), (shape.decoder_layers, decoder)]
