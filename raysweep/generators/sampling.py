"""Chooses the next token from a model's logits: the most likely one, or a draw from the nucleus.

A draw is a race of the nucleus's tokens: each arrives after an exponentially distributed time whose rate is its
probability, and the first one wins. A token's time comes from the row's seed and the token, not from its place among
the others. So two rows with equal seeds draw the same token about as often as their distributions allow (common random
numbers: the Gumbel-max coupling of Oberst and Sontag 2019, arXiv:1905.05824), and rounding changes a token only where
two of them arrive at the same time but for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

RULE = "exponential race"
"""Name of the rule by which tokens are drawn, for keys."""
SEEDS = 2**32
"""How many seeds there are: a draw's seed is a whole number below it."""


def choose_tokens(logits: torch.Tensor, temperature: float, top_p: float, seeds: torch.Tensor | None) -> torch.Tensor:
    """Return each row's next token: the most likely one, or a draw from the nucleus.

    Nucleus: the fewest tokens whose probability reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: (rows, vocabulary).
        temperature: 0 is greedy.
        top_p: used only above temperature 0.
        seeds: (rows,), whole numbers below `SEEDS`, of 64 bits; None if greedy.

    Returns:
        (rows,), token ids.
    """
    import torch

    if temperature == 0 or seeds is None:
        return logits.argmax(dim=-1)
    probabilities, tokens = torch.softmax(logits.float() / temperature, dim=-1).sort(
        dim=-1, descending=True, stable=True
    )
    nucleus = (probabilities.cumsum(dim=-1) - probabilities) < top_p
    nucleus[:, 0] = True
    widest = int(nucleus.sum(dim=-1).max())
    probabilities, tokens, nucleus = probabilities[:, :widest], tokens[:, :widest], nucleus[:, :widest]
    earliness = (probabilities / _exponential(seeds[:, None], tokens)).masked_fill(~nucleus, -1.0)
    return tokens.gather(-1, earliness.argmax(dim=-1, keepdim=True))[:, 0]


def _exponential(seeds: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return a number of the exponential distribution of rate 1 for each seed, (rows, 1), and token, (rows, tokens)."""
    import torch

    uniforms = (_scattered(_scattered(tokens) ^ seeds).float() + 0.5) / SEEDS  # most precise where tokens arrive early
    return -torch.log1p(-uniforms)


def _scattered(numbers: torch.Tensor) -> torch.Tensor:
    """Return numbers of 32 bits for others, one for one, in which near ones lie far apart (Wellons's lowbias32)."""
    numbers = (numbers ^ (numbers >> 16)) * 0x7FEB352D & 0xFFFFFFFF
    numbers = (numbers ^ (numbers >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return numbers ^ (numbers >> 16)
