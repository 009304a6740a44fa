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
FEW = 256
"""So many tokens of a row are looked at first, as most nuclei are smaller: to sort a whole vocabulary would take most
of a draw's time. It changes no token, save where sums of other lengths are rounded otherwise at a nucleus's edge."""
MARGIN = 1e-5
"""Added to `top_p` where the question is whether a nucleus may be larger: sums of float32 are rounded."""


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
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    if probabilities.shape[-1] <= 4 * FEW:
        return _race(*_sorted(probabilities), top_p, seeds)
    few, tokens = probabilities.topk(FEW, dim=-1)
    tokens, by_token = tokens.sort(dim=-1)
    few, order = _sorted(few.gather(-1, by_token))
    tokens = tokens.gather(-1, order)
    reaches = few.cumsum(dim=-1) - few < top_p + MARGIN
    is_wide = (reaches & (few == few[:, -1:])).any(dim=-1)  # its nucleus may have a token that isn't among the few
    chosen = _race(few, tokens, top_p, seeds)
    if is_wide.any():
        chosen[is_wide] = _race(*_sorted(probabilities[is_wide]), top_p, seeds[is_wide])
    return chosen


def _sorted(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row from its most to its least likely place, and the places; equal ones keep their order."""
    values, places = probabilities.sort(dim=-1, descending=True, stable=True)
    return values, places


def _race(probabilities: torch.Tensor, tokens: torch.Tensor, top_p: float, seeds: torch.Tensor) -> torch.Tensor:
    """Return the token of each row's nucleus that arrives first, (rows,).

    Args:
        probabilities: (rows, tokens), the most likely first, with all tokens of the nucleus at least.
        tokens: their ids.
        top_p: what the nucleus's probability reaches.
        seeds: (rows,).
    """
    nucleus = (probabilities.cumsum(dim=-1) - probabilities) < top_p
    nucleus[:, 0] = True
    if probabilities.device.type != "cuda" or probabilities.shape[-1] > FEW:  # to wait for a GPU's count takes longer
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
