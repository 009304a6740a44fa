"""The losses that editors share: of a text that is to be written, and of distributions that are to stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.trainers.editors.states import logits_of

if TYPE_CHECKING:
    import torch


def target_loss(network: Any, prompt: Sequence[int], target: Sequence[int]) -> torch.Tensor:
    """Return the cross-entropy of a target's tokens after a prompt, their mean."""
    import torch
    import torch.nn.functional as F

    logits = logits_of(network, [*prompt, *target], last=len(target) + 1)[:-1]
    return F.cross_entropy(logits, torch.tensor(list(target), device=logits.device))


def divergence(network: Any, ids: Sequence[int]) -> Callable[[], torch.Tensor]:
    """Return a function that gives KL(p || p'), the mean over a text's tokens.

    p: the distributions that the network gives now; p': those that it gives when the function is called.
    """
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        expected = logits_of(network, ids).log_softmax(dim=-1)

    def now() -> torch.Tensor:
        found = logits_of(network, ids).log_softmax(dim=-1)
        return F.kl_div(found, expected, reduction="batchmean", log_target=True)

    return now
