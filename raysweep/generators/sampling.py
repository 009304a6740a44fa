"""Choosing the next token of each row: the most likely one, or a nucleus draw from random numbers of the row's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose(logits: torch.Tensor, temperature: float, top_p: float, uniforms: torch.Tensor | None) -> torch.Tensor:
    """Return one token id a row.

    A draw inverts the cumulated probabilities of the nucleus, most likely token first, so rows with equal random
    numbers and like distributions mostly draw the same token (common random numbers).
    Nucleus: the fewest tokens whose probability reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: (rows, vocabulary).
        temperature: 0 is greedy.
        top_p: counts only above temperature 0.
        uniforms: (rows,), in [0, 1); None when greedy.

    Returns:
        (rows,), integers.
    """
    import torch

    if temperature == 0 or uniforms is None:
        return logits.argmax(dim=-1)
    likely, tokens = torch.softmax(logits.float() / temperature, dim=-1).sort(dim=-1, descending=True, stable=True)
    reached = likely.cumsum(dim=-1)
    nucleus = (reached - likely) < top_p
    nucleus[:, 0] = True
    last = nucleus.sum(dim=-1, keepdim=True) - 1
    target = uniforms[:, None].to(reached) * reached.gather(-1, last)
    place = torch.minimum((reached <= target).sum(dim=-1, keepdim=True), last)
    return tokens.gather(-1, place)[:, 0]
