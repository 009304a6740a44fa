"""The caches of models with an encoder and a decoder: keys and values of what was written, and of what was read.

The encoder reads a prompt once. From its states each block of the decoder computes keys and values once, which stay as
they are, while those of the decoder's own tokens grow by one for each (transformers' EncoderDecoderCache has both).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.generators.caches.base import Cache, Latest, Read, Way, left_pad, stacked
from raysweep.generators.caches.kv_cache import KeysAndValues
from raysweep.generators.patches import Variants
from raysweep.models.whole_texts import bare, start_of

if TYPE_CHECKING:
    import torch


class BothCaches(Cache):
    """Keys and values of the decoder's tokens and of the encoder's.

    Args:
        written: of the decoder's tokens.
        prompts: of the encoder's, which all rows end at the same column with; empty until the decoder is called.
        mask: (rows, tokens of the encoder), 0 where a row has none.
    """

    forgets = True

    def __init__(self, written: KeysAndValues, prompts: KeysAndValues, mask: torch.Tensor) -> None:
        from transformers.cache_utils import EncoderDecoderCache

        self.written, self.prompts, self.mask = written, prompts, mask
        self.of_model: Any = EncoderDecoderCache(written.of_model, prompts.of_model)

    @override
    def chosen(self, rows: torch.Tensor, start: int = 0) -> BothCaches:
        """`start` counts the decoder's columns."""
        mask = self.mask[rows]
        first = int(mask.any(dim=0).int().argmax())
        return BothCaches(self.written.chosen(rows, start), self.prompts.chosen(rows, first), mask[:, first:])

    @override
    def joined(self, other: BothCaches) -> BothCaches:
        written, prompts = self.written.joined(other.written), self.prompts.joined(other.prompts)
        return BothCaches(written, prompts, stacked(self.mask, other.mask))

    @override
    def reordered(self, rows: torch.Tensor, newest: int) -> BothCaches:
        """Rows of a prompt have all of what the encoder read in common."""
        self.written.reordered(rows, newest)
        return self

    @override
    def forget(self) -> None:
        self.written.forget()


class WithEncoder(Way):
    """Calls the encoder once for each prompt, and the decoder for each token."""

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self._start = start_of(network)
        self._width = bare(network).config.hidden_size

    @override
    def read(self, prompts: Sequence[Sequence[int]], variants: Variants = None) -> Read:
        """The decoder has read its first token, with which all texts begin."""
        import torch

        with self.patched(variants, None, reads_prompts=True):
            states, mask = self._encoded(prompts)
            cache = BothCaches(KeysAndValues(), KeysAndValues(), mask)
            start = torch.full((len(prompts), 1), self._start, device=self.device)
            logits = self._decoded(cache, start, torch.ones_like(start), states)
        return Read(cache, torch.ones_like(start), logits)

    @override
    def step(self, cache: Any, latest: Latest) -> torch.Tensor:
        """Mask and positions are the decoder's."""
        shape = (*cache.mask.shape, self._width)  # nothing reads the states any more, but models look at their shape
        nothing = cache.mask.new_zeros((), dtype=self.network.dtype).expand(shape)
        with self.patched(latest.variants, latest.positions, reads_prompts=False):
            return self._decoded(cache, latest.tokens[:, None], latest.mask, nothing)

    @override
    def patched(self, variants: Variants, positions: Any, *, reads_prompts: bool) -> AbstractContextManager[None]:
        """Raise UsageError if there are variants, which name blocks and tokens of one stack."""
        if variants is not None:
            raise UsageError("a model with an encoder and a decoder can't be patched while it reads and writes")
        return super().patched(variants, positions, reads_prompts=reads_prompts)

    def _encoded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's states, (rows, tokens, width), and their mask; all rows end at the same column.

        The encoder gets rows that begin at the same column, since it may number tokens from there.
        """
        import torch

        ids, mask = (tensor.to(self.device) for tensor in left_pad(prompts))
        width, columns = mask.shape[1], torch.arange(mask.shape[1], device=self.device)
        padding = width - mask.sum(dim=-1, keepdim=True)
        from_start = ids.gather(1, (columns + padding).clamp(max=width - 1))
        states = bare(self.network).get_encoder()(
            input_ids=from_start, attention_mask=(columns < width - padding).to(mask.dtype)
        )[0]
        places = (columns - padding).clamp(min=0)
        return states.gather(1, places[:, :, None].expand_as(states)), mask

    def _decoded(self, cache: BothCaches, ids: torch.Tensor, mask: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        from transformers.modeling_outputs import BaseModelOutput

        encoded: Any = {"last_hidden_state": states}
        logits: torch.Tensor = self.network(
            encoder_outputs=BaseModelOutput(**encoded),
            attention_mask=cache.mask,
            decoder_input_ids=ids,
            decoder_attention_mask=mask,
            past_key_values=cache.of_model,
            use_cache=True,
        ).logits[:, -1]
        return logits


class WithEncoderTogether(WithEncoder):
    """The same for models whose decoder numbers tokens by their columns: rows begin together, so that none is padded.

    Such as BART's, which takes no positions.
    """

    joins = False
