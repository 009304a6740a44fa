"""Proves on a loaded adapter that it acts, and that merging it into its base changes nothing else.

Both are seen in the logits of two short texts, which take a few passes. Not covered: adapters that are prompts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.errors import UnfitModel
from raysweep.machine import is_out_of_memory
from raysweep.models.rounding import TEXT, distance, evaluating, with_limit
from raysweep.models.whole_texts import plain_logits

if TYPE_CHECKING:
    import torch

LENGTHS = (5, 9)
"""Tokens of the texts, without those that an adapter needs there."""
MOST_TELLING = 16
"""Most tokens in a text of those that an adapter needs there."""
LARGE = 0.1
"""What is added to every number of an adapter to see whether it acts at all."""

Logits = Mapping[int, "torch.Tensor"]
"""(tokens, vocabulary) by a text's number; empty if the model can't be called like this."""


class ShortTexts:
    """Two short texts in a model's tokens. `telling`: tokens that an adapter needs in a text to change it."""

    def __init__(self, network: Any, tokenizer: Any, telling: Sequence[int] = ()) -> None:
        rows = network.get_input_embeddings().weight.shape[0]
        ids = [token for token in tokenizer(TEXT)["input_ids"] if token < rows]
        ids += [token % rows for token in range(max(LENGTHS) - len(ids))]
        first = [token for token in telling if token < rows][:MOST_TELLING]
        positions = getattr(network.config, "max_position_embeddings", None) or len(first) + max(LENGTHS)
        self.ids = [[*first, *ids[:length]][:positions] for length in LENGTHS]

    def logits(self, network: Any) -> Logits:
        import torch

        try:
            with evaluating(network), torch.inference_mode():
                return self._logits(network)
        except Exception as error:  # whatever a model's own code raises; generators tell it when they try the model
            if is_out_of_memory(error):
                raise
            return {}

    def logits_and_limit(self, network: Any, device: str | None = None) -> tuple[Logits, float]:
        return with_limit(network, lambda: self._logits(network), device)

    def are_equal(self, one: Logits, other: Logits) -> bool:
        import torch

        return bool(one) and one.keys() == other.keys() and all(torch.equal(one[text], other[text]) for text in one)

    def _logits(self, network: Any) -> Logits:
        return {number: plain_logits(network, [ids])[0] for number, ids in enumerate(self.ids)}


def has_weak_effect(adapted: Any, own: Sequence[Any], texts: ShortTexts, before: Logits, name: str) -> bool:
    """Return whether an adapter leaves the logits of texts as they are, though it would change them if it were larger.

    `own`: the base's parameters; all others are the adapter's.

    Raises:
        UnfitModel: it changes no logits, however large it is.
    """
    if adapted.active_peft_config.is_prompt_learning or not texts.are_equal(before, texts.logits(adapted)):
        return False
    with _enlarged(adapted, own):
        if texts.are_equal(before, texts.logits(adapted)):
            raise UnfitModel(
                f"the adapter {name} changes nothing: its base's logits stay the same however large it is, so this "
                f"{adapted.config.model_type} model doesn't call the modules that it updates; train other "
                "`target_modules`, or merge it into its base and evaluate that"
            )
    return True


def merged(adapted: Any, texts: ShortTexts, name: str) -> Any:
    """Return the base with an adapter merged into copies of its tensors.

    `adapted`: PEFT's model, whose modules are changed in place. `texts`: by whose logits the merged adapter is compared
    with the one beside its base.

    Raises:
        UnfitModel: PEFT can't merge it, or the logits differ by more than rounding explains.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    way_out = "keep it beside its base with `generator: {name: transformers, merge: false}`"
    expected, limit = texts.logits_and_limit(adapted) if texts.logits(adapted) else ({}, 0.0)
    layers = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    for parameter in {parameter for layer in layers for parameter in layer.get_base_layer().parameters()}:
        parameter.data = parameter.data.clone()
    try:
        network = adapted.merge_and_unload()
    except (ValueError, NotImplementedError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise UnfitModel(f"PEFT can't merge the adapter {name} into its base ({error}); {way_out}") from error
    found = texts.logits(network)
    furthest = max((distance(found[text], logits) for text, logits in expected.items()), default=0.0)
    if not furthest <= limit:
        raise UnfitModel(
            f"the adapter {name} gives other logits once it is merged into its base: they differ by "
            f"{100 * furthest:.2g} % of their spread, and rounding explains {100 * limit:.2g} %; {way_out}"
        )
    return network


@contextlib.contextmanager
def _enlarged(adapted: Any, own: Sequence[Any]) -> Iterator[None]:
    import torch

    ids = {id(parameter) for parameter in own}
    before = [(parameter, parameter.data) for parameter in adapted.parameters() if id(parameter) not in ids]
    with torch.no_grad():
        for parameter, tensor in before:
            parameter.data = tensor + LARGE
    try:
        yield
    finally:
        for parameter, tensor in before:
            parameter.data = tensor
