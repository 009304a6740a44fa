"""Attention among the rows of a forward pass, without masks of all pairs of tokens.

Rows that lie one after the other in a sequence are told apart by where they begin (variable-length attention): by
FlashAttention 2 (Dao 2023, https://arxiv.org/abs/2307.08691) in 16 bits, and by memory-efficient attention (Rabe and
Staats 2021, https://arxiv.org/abs/2112.05682) in float32. Both are part of torch; its own
`torch.nn.attention.varlen.varlen_attn` calls the former without dropout, with which some models train. On a CPU each
row is a call of its own. Rows that are padded on the right need no mask: no token of a row comes after its padding.

With a mask transformers makes (rows, 1, tokens, tokens) numbers in each pass, waits for the accelerator to learn
whether they are needed, and takes a slower kernel: https://github.com/pytorch/pytorch/pull/164502.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from raysweep.models.loading import architecture_of
from raysweep.models.whole_texts import bare
from raysweep.trainers.batching import REJECTED, mask_of

if TYPE_CHECKING:
    import torch

    from raysweep.trainers.base import Row

NAME = "raysweep rows"
"""What transformers calls this attention, among its own (sdpa, eager ...)."""
FLASH_STEP, FLASH_WIDTH, FLASH_WIDEST = 8, 192, 256
"""FlashAttention takes heads of a multiple of so many numbers, and at most so many; the third on the GPUs of data
centers alone (`check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120` in torch's sdp_utils.cpp)."""
FLASH_FROM, OF_DATA_CENTERS = (8, 0), ((8, 0), (9, 0), (10, 0))
"""Compute capabilities: the oldest for which torch has FlashAttention; A100, H100 and H200, B200."""
CAUSAL = 1
"""Torch's number of the causal mask of memory-efficient attention, which begins at the first token of each row."""


@dataclass(frozen=True)
class _Rows:
    """Where the rows of a pass are. `lengths`: tokens of rows that lie one after the other; None: padded ones.

    `begins`: (rows + 1,), int32 on the device: where each row begins, and the last one ends. `are_full`: rows beside
    each other have no padding, on a CPU: `sdpa` has no mask for these either, and other bits than with one.
    """

    lengths: Sequence[int] | None = None
    begins: torch.Tensor | None = None
    are_full: bool = False


_latest: _Rows | None = None
"""Those of the pass of a model in training that is being computed; None: there is none, or it was called with something
else, such as a mask of its own."""


class RowAttention:
    """Has a model attend within rows by what is known of a batch, until `close`.

    Only causal models can, and only those that call transformers' attention by its name and have nothing of their own
    for `sdpa`, its usual one; other models stay as they are. The logits are those of `sdpa` but for rounding.

    `recomputes`: blocks are computed again in backward passes, which follow their forward pass. `wanted`: False: the
    model stays as it is.
    """

    def __init__(self, model: Any, recomputes: bool = False, wanted: bool = True) -> None:
        self._network, self._recomputes, self._hooks = bare(model), recomputes, list[Any]()
        self._known: list[tuple[torch.Tensor, int, _Rows]] = []
        if wanted and _takes_rows(self._network):
            _register()
            self._network.set_attn_implementation(NAME)
            backbone = self._network.base_model  # which an objective may call past the output layer
            self._hooks = [
                backbone.register_forward_pre_hook(self._begin, with_kwargs=True),
                backbone.register_forward_hook(self._end, always_call=True),
            ]

    def know(self, batch: Mapping[str, torch.Tensor], rows: Sequence[Row]) -> None:
        """Take note of the next batch, and of the encoded rows of which it was made."""
        import torch

        if "position_ids" in batch:
            place, lengths = batch["position_ids"], [len(row["input_ids"]) for row in rows]
            begins = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(place.device, non_blocking=True)
            known = [(place, _Rows(lengths, begins))]
        else:
            masks = {ids: batch[mask_of(ids)] for ids in ("input_ids", REJECTED) if mask_of(ids) in batch}
            known = [(mask, _Rows(are_full=_are_full(mask, ids, rows))) for ids, mask in masks.items()]
        self._known = [(tensor, tensor._version, rows) for tensor, rows in known]

    def close(self) -> None:
        """Give the model its own attention back."""
        global _latest

        for hook in self._hooks:
            hook.remove()
        if self._hooks:
            self._network.set_attn_implementation("sdpa")
        _latest, self._hooks, self._known = None, [], []

    def _begin(self, _: Any, __: Any, given: Mapping[str, Any]) -> None:
        """See whether a pass is called with what is known, and not with a mask that an objective made or changed."""
        global _latest

        told = given.get("attention_mask") if given.get("attention_mask") is not None else given.get("position_ids")
        found = (rows for tensor, version, rows in self._known if tensor is told and tensor._version == version)
        _latest = next(found, None)

    def _end(self, *_: Any) -> None:
        global _latest

        if not self._recomputes:
            _latest = None


def _are_full(mask: torch.Tensor, ids: str, rows: Sequence[Row]) -> bool:
    return mask.device.type == "cpu" and all(len(row[ids]) == mask.shape[1] for row in rows)


def _takes_rows(network: Any) -> bool:
    """Return whether a model calls attention by its name, and its code asks nowhere whether that is `sdpa`."""
    if architecture_of(network.config) != "causal" or not hasattr(network, "_can_set_attn_implementation"):
        return False
    if network.config._attn_implementation != "sdpa" or not network._can_set_attn_implementation():
        return False
    return not any("sdpa" in line for line in _source(type(network).__module__) if "_attn_implementation" in line)


@functools.cache
def _source(module: str) -> list[str]:
    return inspect.getsource(sys.modules[module]).splitlines()


@functools.cache
def _register() -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, functools.partial(_attend, sdpa_attention_forward))
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, functools.partial(_mask, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]))


def _mask(plain: Callable[..., Any], *args: Any, **given: Any) -> Any:
    """Return the mask that `sdpa` would get, or None where the rows say as much: that of a causal model without more.

    A window or a chunk (`local_size`) says more where it is shorter than a row.
    """
    if _latest is not None:
        longest = given["kv_length"] if _latest.lengths is None else max(_latest.lengths)
        is_plain = given.get("allow_is_causal_skip", True) or _latest.lengths is not None  # False for all packed rows
        if is_plain and (given.get("local_size") is None or given["local_size"] >= longest):
            return None
    return plain(*args, **given)


def _attend(
    sdpa: Callable[..., Any],
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention's output, (rows, tokens, heads, width), and no weights, as transformers' functions do.

    Args:
        sdpa: transformers' function of that name, for calls with a mask and those of which nothing is known.
        module: of the attention.
        query: (rows, heads, tokens, width); of rows that lie one after the other, (1, heads, tokens of all, width).
        key: the same with as many heads or fewer.
        value: the same, of a width of its own.
        attention_mask: None where `_mask` makes none.
        dropout: chance of a weight to become 0.
        scaling: of the scores; None: 1 / square root of the width.
        given: what else a model says; only `sdpa` reads it.
    """
    rows = _latest
    if rows is None or rows.are_full or attention_mask is not None:
        attended = sdpa(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **given)
        return attended[0], None
    dtype = _computed_in(query)
    kernel = _kernel(query, value, dtype) if rows.lengths is not None else None
    if kernel is None:
        ends = list(accumulate(rows.lengths)) if rows.lengths is not None else [query.shape[2]]
        shares_heads = _has_flash(query, value, dtype)  # torch's other kernels for that are slow
        return _each(query, key, value, ends, dropout, scaling, shares_heads), None
    by_token = [states.to(dtype).transpose(1, 2) for states in (query, key, value)]  # (1, tokens, heads, width)
    return kernel(*by_token, rows, dropout, scaling), None


def _computed_in(states: torch.Tensor) -> torch.dtype:
    import torch

    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


def _each(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: Sequence[int],
    dropout: float,
    scale: float | None,
    shares_heads: bool,
) -> torch.Tensor:
    """Return attention's output where each part of the tokens, by its end, attends to itself alone.

    `shares_heads`: several heads of queries read one of keys and values where it lies. Otherwise these are repeated, as
    `sdpa` does with a mask: so gradients are the same bits.
    """
    import torch

    if not shares_heads:
        key, value = (_repeated(states, query.shape[1], dim=1) for states in (key, value))
    outputs = []
    for begin, end in pairwise([0, *ends]):
        parts = [states[:, :, begin:end] for states in (query, key, value)]
        is_causal = end - begin > 1
        outputs.append(
            torch.nn.functional.scaled_dot_product_attention(
                parts[0],
                parts[1],
                parts[2],
                dropout_p=dropout,
                is_causal=is_causal,
                scale=scale,
                enable_gqa=shares_heads and key.shape[1] != query.shape[1],
            )
        )
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)).transpose(1, 2).contiguous()


def _repeated(states: torch.Tensor, heads: int, dim: int) -> torch.Tensor:
    groups = heads // states.shape[dim]
    return states.repeat_interleave(groups, dim=dim) if groups > 1 else states


def _kernel(query: torch.Tensor, value: torch.Tensor, dtype: torch.dtype) -> Callable[..., torch.Tensor] | None:
    """Return torch's kernel of packed rows for such states, computed in `dtype`; None: it has none."""
    if query.device.type != "cuda":
        return None
    if _has_flash(query, value, dtype):
        return _flash
    aligned = all(states.shape[-1] * dtype.itemsize % 16 == 0 for states in (query, value))
    return _memory_efficient if aligned else None


def _has_flash(query: torch.Tensor, value: torch.Tensor, dtype: torch.dtype) -> bool:
    """Return whether torch has FlashAttention for such states, forward and backward."""
    import torch

    if query.device.type != "cuda" or dtype.itemsize != 2 or query.shape[-1] != value.shape[-1]:
        return False
    capability = torch.cuda.get_device_capability(query.device)
    most = FLASH_WIDEST if capability in OF_DATA_CENTERS else FLASH_WIDTH
    return capability >= FLASH_FROM and query.shape[-1] % FLASH_STEP == 0 and query.shape[-1] <= most


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: _Rows, dropout: float, scaling: float | None
) -> torch.Tensor:
    import torch

    assert rows.lengths is not None
    begins, longest = rows.begins, max(rows.lengths)
    output: torch.Tensor = torch.ops.aten._flash_attention_forward(
        query[0], key[0], value[0], begins, begins, longest, longest, dropout, True, False, scale=scaling
    )[0]
    return output[None]


def _memory_efficient(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: _Rows, dropout: float, scaling: float | None
) -> torch.Tensor:
    import torch

    assert rows.lengths is not None
    key, value = (_repeated(states, query.shape[2], dim=2) for states in (key, value))
    begins, longest = rows.begins, max(rows.lengths)
    output: torch.Tensor = torch.ops.aten._efficient_attention_forward(
        query, key, value, None, begins, begins, longest, longest, dropout, CAUSAL, True, scale=scaling
    )[0]
    return output
