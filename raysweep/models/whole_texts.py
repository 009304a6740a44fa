"""Calls models with whole texts: without a cache, or with an empty one where a model is right only then.

Nearly all models compute the same either way. The last layers of Gemma 3n take the keys and values of earlier layers,
and find them in the cache: without one, transformers (4.57) computes others from weights that nobody trained. Its
authors call that a fault (https://github.com/huggingface/transformers/pull/45312 mends it for Gemma 4). So each base
shows once what it needs: where a pass with the cache that it makes itself gives other logits than one without, those
of the cache count, which `generate` has.

Training computes logits at chosen positions only: the output layer is the costliest one, and most tokens carry no loss.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from raysweep.errors import UnfitModel
from raysweep.machine import is_out_of_memory
from raysweep.models.rounding import distance, evaluating, with_limit

if TYPE_CHECKING:
    import torch

INPUTS = ("input_ids", "attention_mask", "position_ids")
"""The parts of a batch that a model reads as they are."""
LABELS = "labels"
"""The part of a batch with what a decoder beside an encoder writes, (rows, tokens); only there such models have one."""
LENGTH, FIRST = 9, 5
"""Tokens of the text that a model is tried with, and the first of them."""
_needing: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""Which models need a cache, by transformers' model."""


def whole_pass(network: Any, **inputs: Any) -> Any:
    """Return what a network gives for whole texts; gradients flow as without a cache.

    `network`: a causal model, maybe in the wrappers of an adapter or of sharding. Its kind was tried, or can be tried
    now: before its weights are shared out.
    """
    if needs_cache(network):
        return network(**inputs, past_key_values=_passing_cache()(), use_cache=True)
    return network(**inputs, use_cache=False)


def needs_cache(network: Any) -> bool:
    """Return whether a model gives right logits with a cache only; found out by some short passes, once a model.

    Raises:
        UnfitModel: with its own cache, it gives neither the logits of a pass without one, nor those with an empty one.
    """
    model = bare(network)
    if has_encoder(model):
        return False
    if model not in _needing:
        needs = _needs_cache(model)
        if needs is None:
            return False
        _needing[model] = needs
    return _needing[model]


def has_encoder(network: Any) -> bool:
    return bool(getattr(bare(network).config, "is_encoder_decoder", False))


def plain_logits(
    network: Any, ids: Sequence[Sequence[int]], decoded: Sequence[Sequence[int]] | None = None
) -> torch.Tensor:
    """Return the logits of texts of equal lengths, (texts, tokens, vocabulary), in one pass each, in 32 bits.

    Of a model with an encoder and a decoder, the former reads the texts, and the latter `decoded`, whose logits are
    returned; None: the texts, too.
    """
    import torch

    forget(network)
    device = network.get_input_embeddings().weight.device
    given = torch.tensor([list(text) for text in ids]).to(device)
    both = {}
    if has_encoder(network):
        both["decoder_input_ids"] = given if decoded is None else torch.tensor([*map(list, decoded)]).to(device)
    logits: torch.Tensor = whole_pass(network, input_ids=given, **both).logits.float()
    forget(network)
    return logits


def forget(network: Any) -> None:
    """Take from a model's modules what they keep of an earlier text themselves, as those of recurrent_gemma do."""
    for module in network.modules():
        if getattr(module, "recurrent_states", None) is not None:
            module.recurrent_states = None


def bare(network: Any) -> Any:
    """Return transformers' model without the wrappers of sharding, compiling and adapters."""
    for name in ("module", "_orig_mod"):
        network = getattr(network, name, network)
    return network.get_base_model() if hasattr(network, "get_base_model") else network


def has_own_cache(network: Any) -> bool:
    """Return True if transformers calls a model with a cache of its own, and not with keys and values only."""
    model = bare(network)
    has_usual_one = getattr(model, "_supports_default_dynamic_cache", lambda: True)
    return bool(getattr(model, "_is_stateful", False)) or not has_usual_one()


def inputs_of(model: Any, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the arguments with which a model is called for a batch; a decoder reads its labels one token later.

    Raises:
        UnfitModel: the config of an encoder-decoder model doesn't say with which token a decoder begins.
    """
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    if LABELS in batch:
        start, labels = start_of(model), batch[LABELS]
        inputs["decoder_input_ids"] = labels.roll(1, dims=1).index_fill(1, labels.new_zeros(1), start)
    return inputs


def start_of(model: Any) -> int:
    """Return the token with which a decoder beside an encoder begins, found as transformers' `generate` finds it.

    Raises:
        UnfitModel: neither generation_config nor config says which.
    """
    model = bare(model)
    own = getattr(model, "generation_config", None)
    asked = [(own, "decoder_start_token_id"), (model.config, "decoder_start_token_id"), (own, "bos_token_id")]
    start = next((token for config, name in asked if (token := getattr(config, name, None)) is not None), None)
    if start is None:
        raise UnfitModel(
            "the model's config has no `decoder_start_token_id`, the token with which its decoder begins; add it"
        )
    return int(start)


def logits_at(model: Any, batch: Mapping[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
    """Run a model and return the logits at the positions that `chosen` marks, those of a decoder beside an encoder.

    A hook drops the other hidden states before the output layer. It works for every architecture and under PEFT,
    DistributedDataParallel and DeepSpeed. The gradient equals that of the full logits indexed by `chosen`.

    Args:
        model: a causal language model, or one with an encoder and a decoder.
        batch: `input_ids` (rows, tokens), with `attention_mask` (rows, tokens), 0 at padding, or with `position_ids`
            (1, tokens) of rows that lie one after the other. With `labels` (rows, tokens) the model has a decoder, and
            its encoder reads `input_ids`.
        chosen: (rows, tokens), boolean; the tokens are the labels where there are some.

    Returns:
        (chosen positions, vocabulary), row by row.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][chosen], *args[1:])) if head is not None else None
    inputs = inputs_of(model, batch)
    try:
        logits: torch.Tensor = whole_pass(model, **inputs).logits
    finally:
        if handle is not None:
            handle.remove()
    return logits if logits.dim() == 2 else logits[chosen]


def _needs_cache(model: Any) -> bool | None:
    """Return what `needs_cache` does; None: the model can't be called now, as whoever calls it next will tell."""
    import torch

    if has_own_cache(model) or "past_key_values" not in inspect.signature(model.forward).parameters:
        return False
    embeddings = model.get_input_embeddings().weight
    positions = getattr(model.config, "max_position_embeddings", None) or LENGTH
    ids = torch.arange(FIRST, FIRST + min(LENGTH, positions), device=embeddings.device)[None] % embeddings.shape[0]

    def logits(**cache: Any) -> dict[int, torch.Tensor]:
        forget(model)
        of_text = model(input_ids=ids, **cache).logits[0].float()
        forget(model)
        return {0: of_text}

    without = None
    try:
        with evaluating(model), torch.no_grad():  # what a model keeps of it, such as frequencies, is trained with later
            without = logits(use_cache=False)
            own = logits(use_cache=True)
            if torch.equal(without[0], own[0]):
                return False
            expected, limit = with_limit(model, lambda: logits(use_cache=True))
            if distance(without[0], expected[0]) <= limit:
                return False
            empty = logits(past_key_values=_passing_cache()(), use_cache=True)
    except Exception as error:  # whatever a model's own code raises
        if is_out_of_memory(error):
            raise
        return None if without is None else False
    if not distance(empty[0], expected[0]) <= limit:
        raise UnfitModel(
            f"the logits of a {model.config.model_type} model depend on its cache, and an empty one of keys and values "
            "doesn't give those of its own; run it with `generator: vllm`"
        )
    return True


@functools.cache
def _passing_cache() -> Any:
    from transformers import DynamicCache

    class PassingCache(DynamicCache):
        """Stays empty: a whole text's keys and values are all there are, also where a block is computed again."""

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
            return key_states, value_states

    return PassingCache
