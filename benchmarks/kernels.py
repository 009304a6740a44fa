"""Counts the kernels of a training's forward and backward pass on a GPU, by raysweep's own calls, without a GPU.

    python benchmarks/kernels.py [--arm NAME ...] [--operators 10] [--out FILE]

It needs no weights either, and takes ten seconds: tensors have a shape and no data (torch's FakeTensorMode). An arm is
a recipe for a model with the shapes of StarCoderBase-1B or CodeLlama-7B. raysweep's `TrainingLoop` adds up the
gradients of a step of two passes and of a step of one; the difference is a pass like most, whose gradients are added to
others. That is done with one block and with two: each further block costs what the second does.

A kernel is one of torch's operators (aten) that is no view and computes something; some launch several (`SEVERAL`).
Bytes are those of their inputs and outputs, the least that a GPU reads and writes. Operators are a CPU's, except for
dropout, attention and norms, which are as many as on a GPU (`as_on_a_gpu`). Batches are made on the host and not
counted; nor is the optimizer's step.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a loop would take it

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # raysweep may not be installed

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from raysweep.models.loading import auto_model
from raysweep.records import ModelRef
from raysweep.trainers.base import OBJECTIVES, Recipe, TrainJob
from raysweep.trainers.batching import compact
from raysweep.trainers.encoding import EncodedSet
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.lora import Lora
from raysweep.trainers.optimizer import torch_name
from raysweep.trainers.passes import attention
from raysweep.trainers.passes.attention import RowAttention
from tests.services import FolderServices

CONFIGS = Path(__file__).resolve().parents[1] / "raysweep" / "models" / "architectures"
MODELS = {"1B": "bigcode--starcoderbase-1b", "7B": "codellama--CodeLlama-7b-hf"}
ROWS, TOKENS = 8, 484
"""Of a pass with at most 4,096 tokens, of rows of 440 tokens on average."""
WEIGHTED = 0.75
"""Share of a row's tokens that are its response."""
VIEWS = (
    *("_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "diagonal", "expand", "lift_fresh"),
    *("narrow", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind"),
    *("unfold", "unsqueeze", "view", "view_as"),
)
ALLOCATIONS = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_", "set_")
CHOOSING = ("index", "index_put", "index_put_", "_index_put_impl_")
"""Operators with indices as their second argument."""
SEVERAL = {
    "_index_put_impl_": 3,
    "_scaled_dot_product_flash_attention_for_cpu_backward": 3,
    "cumsum": 2,
    "embedding_dense_backward": 4,
    "gemm_4bit": 4,
    "index": 2,
    "index_put": 3,
    "index_put_": 3,
    "sort": 4,
}
"""How many kernels CUDA launches for an operator, where that isn't one. bitsandbytes' product of 4 bits is one of whole
numbers from some thousand rows on: scales and their offset, the matrix, the product (`_dequant_linear_fallback`)."""
READ = ("_local_scalar_dense", "allclose", "equal")
"""Operators that tell the host what is in a tensor."""


@dataclass(frozen=True)
class Arm:
    """A training whose pass is counted. `model`: one of `MODELS`. `quantize`: what its base is held in."""

    model: str
    recipe: Recipe
    quantize: str | None = None


LORA = Recipe(precision="bf16", trainer="lora")
ARMS = {
    "train 1B, full, bf16": Arm("1B", Recipe(precision="bf16")),
    "train 7B, LoRA, bf16": Arm("7B", LORA),
    "train 7B, LoRA, bf16, fused": Arm("7B", dataclasses.replace(LORA, kernels="fused")),
    "train 7B, QLoRA, bf16": Arm("7B", LORA, "nf4"),
    "train 7B, QLoRA, bf16, fused": Arm("7B", dataclasses.replace(LORA, kernels="fused"), "nf4"),
    "train 1B, full, bf16, packed": Arm("1B", Recipe(precision="bf16", batching="packed")),
    "train 7B, LoRA, bf16, packed, fused": Arm("7B", dataclasses.replace(LORA, batching="packed", kernels="fused")),
}


@dataclass
class Counts:
    """Kernels and bytes by operator."""

    kernels: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def plus(self, other: Counts, times: int = 1) -> Counts:
        """Return the sum with some times other counts."""
        both = Counts(Counter(self.kernels), Counter(self.bytes))
        for name in other.kernels:
            both.kernels[name] += times * other.kernels[name]
            both.bytes[name] += times * other.bytes[name]
        return both


class Counting(TorchDispatchMode):
    """Counts what torch computes in a block, where tensors have no data.

    `told`: what the host reads from tensors. A mask is taken to choose a `WEIGHTED` share of the rows.
    """

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.counts, self._told = Counts(), told

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operator.overloadpacket.__name__
        if name in READ:
            return self._told
        if name in CHOOSING:
            args = (args[0], [each for index in args[1] for each in _positions(index)], *args[2:])
        out = operator(*args, **(kwargs or {}))
        if operator.namespace in ("aten", "bitsandbytes") and name not in VIEWS and name not in ALLOCATIONS:
            tensors = {id(leaf): leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)}
            self.counts.kernels[name] += SEVERAL.get(name, 1)
            self.counts.bytes[name] += sum(map(_bytes, tensors.values()))
            if name == "gemm_4bit":  # the matrix is written whole, and read
                self.counts.bytes[name] += 2 * math.prod(args[2]) * args[0].itemsize
        return out


def _positions(index: torch.Tensor | None) -> list[torch.Tensor | None]:
    """Return positions in place of a mask, as many as it is taken to choose; another index as it is."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return [torch.empty(round(WEIGHTED * index.numel()), dtype=torch.int64) for _ in index.shape]


def _bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor's numbers; those that an expanded one repeats count once."""
    numbers = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        numbers *= size if stride else 1
    return numbers


class OnGpu(TrainingLoop):
    """The training loop as it is on a GPU: by the attention that it takes there, batches made elsewhere."""

    def _attention(self) -> RowAttention:
        return RowAttention(self.model)

    def _batch(self, *args: Any) -> dict[str, torch.Tensor]:
        with torch.utils._python_dispatch._pop_mode_temporarily():  # the one that counts
            return super()._batch(*args)


@contextlib.contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Let a block compute without data, by operators as many as a GPU's kernels.

    There dropout, attention with dropout and torch's norms are one kernel, forward and backward, and autocast has
    LayerNorm in float32.
    """
    functional = torch.nn.functional
    layer_norm, sdpa = functional.layer_norm, functional.scaled_dot_product_attention

    def norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        is_cast = torch.is_autocast_enabled("cpu")
        given = [part.float() if is_cast and part is not None else part for part in (x, weight, bias)]
        with torch.autocast("cpu", enabled=False):
            return layer_norm(given[0], shape, *given[1:], eps)

    def rms_norm(x: Any, shape: Any, weight: Any = None, eps: float = 1e-5) -> Any:
        return layer_norm(x, shape, weight, None, eps)

    def dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return torch.ops.aten.native_dropout(x, p, True)[0] if training and p else x

    def attend(q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, **options: Any) -> Any:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
        heads = q.shape[1] if options.pop("enable_gqa", False) else -1
        k, v = (part.expand(-1, heads, -1, -1) for part in (k, v))
        mask = attn_mask.to(dtype) if attn_mask is not None else None
        return sdpa(*(part.to(dtype) for part in (q, k, v)), attn_mask=mask, **options)

    def each(q: Any, k: Any, v: Any, ends: Any, share: float, scale: Any, shares_heads: bool) -> Any:
        return attend(q, k, v, dropout_p=share, is_causal=True, enable_gqa=True).transpose(1, 2).contiguous()

    given = {"layer_norm": norm, "rms_norm": rms_norm, "dropout": dropout, "scaled_dot_product_attention": attend}
    with contextlib.ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(mock.patch.multiple(functional, **given))
        stack.enter_context(mock.patch.object(attention, "_each", each))
        stack.enter_context(mock.patch("raysweep.trainers.loop.check_packing"))
        stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", _converted))
        yield


def _converted(module: Any, convert: Any, recurse: bool = True) -> Any:
    """Convert a module's tensors; torch's own method can't do it without data."""
    for child in module.children():
        _converted(child, convert)
    for name, tensor in module._parameters.items():
        if tensor is not None:
            with torch.no_grad():
                module._parameters[name] = torch.nn.Parameter(convert(tensor), tensor.requires_grad)
                vars(module._parameters[name]).update(vars(tensor))
    for name, tensor in module._buffers.items():
        if tensor is not None:
            module._buffers[name] = convert(tensor)
    return module


def counted_step(arm: Arm, blocks: int, passes: int) -> Counts:
    """Count what adds up the gradients of one step of some passes, of a model with some blocks."""
    rows = list(range(ROWS * passes))
    with as_on_a_gpu():
        with Counting(told=True):  # norms are found to be torch's
            loop = _loop(arm, blocks, len(rows))
        with Counting(told=False) as counting:  # rows have padding
            loop.add_gradients(rows)
    return counting.counts


def _loop(arm: Arm, blocks: int, rows: int) -> OnGpu:
    config = _config(arm.model)
    config.num_hidden_layers = blocks
    limits = {"batch_size": rows, "micro_batch_size": ROWS, "micro_batch_tokens": 10**6, "steps": 1}
    recipe = dataclasses.replace(arm.recipe, **limits)
    job = TrainJob(ModelRef("base"), config.model_type, recipe, Path(), Path(), 0, "counted")
    precision = "float32" if recipe.trainer == "full" else recipe.precision
    model = auto_model().from_config(config, dtype=getattr(torch, torch_name(precision)))
    if arm.quantize:
        _quantize(model)
    if recipe.trainer == "lora":
        model = Lora().add_adapter(model, job)
    answer = round(WEIGHTED * TOKENS)
    row = compact({"input_ids": [1] * TOKENS, "weights": [0.0] * (TOKENS - answer) + [1 / answer] * answer})
    return OnGpu(model, EncodedSet(OBJECTIVES.get(recipe.objective)(), [row] * rows, {}, TOKENS), job, FolderServices())


def _quantize(model: Any) -> None:
    """Put 4-bit layers without data in the place of a model's linear layers, but for the output layer.

    They get weights of torch's own class: bitsandbytes' can't be without data.
    """
    from bitsandbytes.functional import quantize_4bit
    from bitsandbytes.nn.modules import Linear4bit

    for module in list(model.model.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, torch.nn.Linear):
                packed = Linear4bit.__new__(Linear4bit)
                torch.nn.Module.__init__(packed)
                packed.in_features, packed.out_features, packed.bias = layer.in_features, layer.out_features, None
                packed.compute_dtype, packed.compute_type_is_set = layer.weight.dtype, True
                packed.support_avx512bf16_for_cpu = False
                bits, state = quantize_4bit(layer.weight.detach(), quant_type="nf4", compress_statistics=True)
                packed.weight = torch.nn.Parameter(bits, requires_grad=False)
                vars(packed.weight).update(quant_state=state, quant_type="nf4", compress_statistics=True)
                setattr(module, name, packed)
    model.is_loaded_in_4bit = True  # as PEFT reads it


def _config(model: str) -> Any:
    from transformers import AutoConfig

    fields = json.loads((CONFIGS / f"{MODELS[model]}.json").read_text())
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def counted_pass(arm: Arm) -> tuple[Counts, Counts]:
    """Count one pass; return the counts of all of it, and of one block.

    The gradients of padded rows' pass are added to others', that of packed rows is all of a step.
    """
    if arm.recipe.batching == "packed":
        one, two = (counted_step(arm, blocks, 1) for blocks in (1, 2))
    else:
        one, two = (counted_step(arm, blocks, 2).plus(counted_step(arm, blocks, 1), -1) for blocks in (1, 2))
    block = two.plus(one, -1)
    return one.plus(block, _config(arm.model).num_hidden_layers - 1), block


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="arms:\n" + "".join(f"  {name}\n" for name in ARMS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--arm", action="append", choices=ARMS, metavar="NAME", help="only this; may be given again")
    parser.add_argument("--operators", type=int, default=0, metavar="N", help="name the N most frequent ones")
    parser.add_argument("--out", type=Path, help="write kernels and bytes by operator to this JSON file too")
    options = parser.parse_args()
    found = {}
    print("| arm | kernels | of a block | GB |\n|---|---|---|---|")
    for name in options.arm or ARMS:
        whole, block = counted_pass(ARMS[name])
        numbers = (whole.kernels.total(), block.kernels.total(), whole.bytes.total() / 1e9)
        print("| {} | {:,} | {:,} | {:,.0f} |".format(name, *numbers), flush=True)
        found[name] = whole
    for name, whole in found.items() if options.operators else ():
        frequent = ", ".join(
            f"{operator} {count:,}" for operator, count in whole.kernels.most_common(options.operators)
        )
        print(f"{name}: {frequent}")
    if options.out:
        options.out.write_text(json.dumps({name: vars(whole) for name, whole in found.items()}, indent=1))


if __name__ == "__main__":
    main()
