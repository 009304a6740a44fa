"""Samples texts of a base from its own distribution, from a seed."""

from __future__ import annotations

from collections.abc import Callable

from raysweep.errors import UsageError
from raysweep.generators.base import LiveModel
from raysweep.models.whole_texts import whole_pass
from raysweep.seeding import torch_rng
from raysweep.trainers.editors.states import device_of

ROWS = 32
"""Texts that are sampled together."""


def sampled(
    base: LiveModel, count: int, length: int, seed: int, purpose: str, alive: Callable[[], None]
) -> list[list[int]]:
    """Return the tokens of texts that a base begins and goes on with by itself, at temperature 1.

    `length`: tokens of each, without the first one, which stands for a text's beginning and is left out. `seed`: from
    which, with the purpose, they are drawn. `alive`: called after each token.
    """
    import torch

    rng, texts = torch_rng(seed, purpose), list[list[int]]()
    begin = base.tokenizer.bos_token_id if base.tokenizer.bos_token_id is not None else base.tokenizer.eos_token_id
    if begin is None:
        raise UsageError("the tokenizer has no token for a text's beginning or end, so no text can be sampled")
    with torch.no_grad():
        for start in range(0, count, ROWS):
            ids = torch.full((min(ROWS, count - start), 1), begin, device=device_of(base.network))
            for _ in range(length):
                logits = whole_pass(base.network, input_ids=ids).logits[:, -1].float().cpu()
                drawn = torch.multinomial(logits.softmax(dim=-1), 1, generator=rng)
                ids = torch.cat([ids, drawn.to(ids.device)], dim=1)
                alive()
            texts += ids[:, 1:].tolist()
    return texts
