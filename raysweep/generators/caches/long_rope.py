"""Has LongRoPE choose the frequencies of each row by that row alone (Ding et al. 2024, arXiv:2402.13753; Phi-3).

LongRoPE has one set of frequencies for texts up to the length that a model was first trained for, and another one for
longer texts. transformers takes the set that the longest row of a batch needs, for all of its rows.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from raysweep.models.architectures.shape import longest_short_text, positions_of
from raysweep.models.config_files import virtual_tokens

if TYPE_CHECKING:
    import torch


def longest_text(network: Any) -> int | None:
    """Return the most tokens of a prompt and its completion that a model has right positions for; None: no limit."""
    config, adapter = network.config, getattr(network, "active_peft_config", None)
    prompt = virtual_tokens(vars(adapter)) if adapter is not None and adapter.is_prompt_learning else 0
    has_no_window = config.model_type == "recurrent_gemma"  # in transformers, beyond the length of it
    limits = [
        positions_of(config.to_dict()),
        config.attention_window_size if has_no_window else None,
        None if _chooses_by_row(network) and not prompt else longest_short_text(config.to_dict()),
        _even_scale(network),
    ]
    return min((limit - prompt for limit in limits if isinstance(limit, int)), default=None)


def switches_after(network: Any) -> int | None:
    """Return the tokens up to which a text gets the frequencies of short ones; None: all texts get the same."""
    return longest_short_text(network.config.to_dict()) if _chooses_by_row(network) else None


@contextlib.contextmanager
def frequencies_by_row(network: Any, longest: int | None) -> Iterator[None]:
    """Choose frequencies by row for the block; `longest`: see `switches_after`; None: nothing is done."""
    if longest is None:
        yield
        return
    modules = _modules(network)
    own = [vars(module).get("forward") for module in modules]  # such as one that hooks wrap
    for module in modules:
        module.forward = functools.partial(_by_row, module.forward, longest)
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward


def _by_row(
    forward: Callable[..., tuple[torch.Tensor, ...]], longest: int, x: torch.Tensor, position_ids: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the cosines and the sines of some positions, (rows, tokens), as `forward` gives them to each row alone."""
    is_long = position_ids.amax(dim=-1) >= longest
    if bool(is_long.all()) or not bool(is_long.any()):
        return forward(x, position_ids)
    long, short = forward(x, position_ids[is_long]), forward(x, position_ids[~is_long])
    whole = tuple(part.new_empty(len(is_long), *part.shape[1:]) for part in long)
    for part, ours, theirs in zip(whole, long, short, strict=True):
        part[is_long], part[~is_long] = ours, theirs
    return whole


def _chooses_by_row(network: Any) -> bool:
    """Return True if each row can have frequencies of its own, since modules with LongRoPE get all rows' positions."""
    return all("position_ids" in inspect.signature(module.forward).parameters for module in _modules(network))


def _even_scale(network: Any) -> int | None:
    """Return the tokens up to which texts are safe from an attention whose scale grows with the columns; None: without.

    Llama 4 scales queries by the column of a token (`floor_scale`), so that padding counts. Rows that are written
    together have up to twice as many columns as the longest one has tokens, since a row may begin as another one ends.
    """
    scales = [module.floor_scale for module in network.modules() if getattr(module, "attn_temperature_tuning", False)]
    return int(min(scales)) // 2 if scales else None


def _modules(network: Any) -> list[Any]:
    return [module for module in network.modules() if getattr(module, "rope_type", None) == "longrope"]
