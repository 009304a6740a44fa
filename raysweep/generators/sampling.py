"""Chooses the next token from a model's logits: the most likely one, or a draw from the nucleus."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose_tokens(
    logits: torch.Tensor, temperature: float, top_p: float, uniforms: torch.Tensor | None
) -> torch.Tensor:
    """Return each row's next token: the most likely one, or a draw from the nucleus.

    A draw inverts the cumulative probabilities of the nucleus, most likely token first. So rows with equal random
    numbers and similar distributions mostly draw the same token (common random numbers).
    Nucleus: the fewest tokens whose probability reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: (rows, vocabulary).
        temperature: 0 is greedy.
        top_p: used only above temperature 0.
        uniforms: (rows,), in [0, 1); None if greedy.

    Returns:
        (rows,), token ids.
    """
    import torch

    if temperature == 0 or uniforms is None:
        return logits.argmax(dim=-1)
    probabilities, tokens = torch.softmax(logits.float() / temperature, dim=-1).sort(
        dim=-1, descending=True, stable=True
    )
    cumulative = probabilities.cumsum(dim=-1)
    nucleus = (cumulative - probabilities) < top_p
    nucleus[:, 0] = True
    last = nucleus.sum(dim=-1, keepdim=True) - 1
    target = uniforms[:, None].to(cumulative) * cumulative.gather(-1, last)
    index = torch.minimum((cumulative <= target).sum(dim=-1, keepdim=True), last)
    return tokens.gather(-1, index)[:, 0]
