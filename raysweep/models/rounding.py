"""Compares the logits of two ways of calling a model, within what the rounding of its number format explains.

Number formats are float32, bfloat16 and float16, and `tf32`: tensors in float32 whose matrix products an accelerator
computes from numbers of 10 bits after the point (https://docs.nvidia.com/cuda/cublas/#tensor-core-usage).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from raysweep.errors import UsageError
from raysweep.machine import accelerator_in_use
from raysweep.models.hub import quantization

if TYPE_CHECKING:
    import torch

Name = TypeVar("Name")

TEXT = 'def add(a, b):\n    """Return the sum of a and b."""\n    return a + b\n'
"""A text whose first tokens are what models are tried with."""
ROUNDING = 8
"""How much larger a difference may be than the one that a rounding error in each embedding makes: a pass rounds in
every layer, and the order of its sums depends on the shapes of a batch."""
STEPS = 16
"""A difference of so many steps of the number format is never held against a model."""
TF32 = 2.0**-11
"""The rounding error of numbers of 32 bits in GPUs' matrix products and convolutions, where these may take TF32."""
EIGHT_BITS = 1 / 254
"""The rounding error of what goes into a layer of LLM.int8(), of the largest number of its row. Which numbers are left
as they are depends on the other rows of a batch: those of inputs that are large in any of them."""
SMALLEST = 1e-4
"""A difference of this share of the logits' spread is never held against a model."""


AMPERE = ("bf16", "tf32")
"""Precisions of trainings that NVIDIA's GPUs have from the Ampere generation on."""
_products = threading.Lock()
_wanted: dict[object, bool] = {}
"""Whether each block of `products_in` that is running takes TF32, in the order in which they began; torch's flags are
the process's, and the latest block decides."""
_before = (False, True)
"""Torch's flags, of matrix products and of convolutions, before the first of them."""


@contextlib.contextmanager
def products_in(number: str | None) -> Iterator[None]:
    """Have products of a block's float32 tensors take TF32 if `number` is tf32, and float32 if it is that.

    These are products of matrices, and convolutions, for which torch takes TF32 unless it is told otherwise. With other
    formats torch's flags stay.

    Raises:
        UsageError: this process's accelerator has no TF32, or there is none.
    """
    import torch

    global _before
    if number not in ("float32", "tf32"):
        yield
        return
    takes_tf32, block = number == "tf32", object()
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    if takes_tf32:
        require_tf32()
    with _products:
        if not _wanted:
            _before = products.allow_tf32, convolutions.allow_tf32
        _wanted[block] = takes_tf32
        products.allow_tf32 = convolutions.allow_tf32 = takes_tf32
    try:
        yield
    finally:
        with _products:
            del _wanted[block]
            latest = next(reversed(_wanted.values()), None)
            products.allow_tf32, convolutions.allow_tf32 = _before if latest is None else (latest, latest)


def require_tf32() -> None:
    """Raise UsageError if this process's accelerator has no TF32, or there is none."""
    import torch

    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0):
        raise UsageError(
            f"tf32 needs a GPU of the Ampere generation or later, and this is a {accelerator_in_use()}; use float32"
        )


def with_limit(
    network: Any, logits: Callable[[], Mapping[Name, torch.Tensor]], device: str | None = None
) -> tuple[Mapping[Name, torch.Tensor], float]:
    """Return logits, (tokens, vocabulary), that a network computes, and how far off these may be (see `distance`).

    `device`: the kind of device (torch's name) whose logits they are compared with; None: the network's own.
    """
    import torch

    step = _rounding(network, device)
    with evaluating(network), torch.inference_mode():
        expected = logits()
        with _jittered(network, step):
            moved = logits()
    noise = max(distance(moved[text], of_text) for text, of_text in expected.items())
    return expected, max(SMALLEST, STEPS * step, ROUNDING * noise)


def distance(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far logits, (tokens, vocabulary), are off: the root mean square, in standard deviations of theirs.

    Of several tokens, it is the largest. Where a model expects no number, none is compared.
    """
    import torch

    known = torch.isfinite(expected)
    if not bool(torch.isfinite(logits[known]).all()):
        return float("inf")
    count = known.sum(dim=-1).clamp(min=1)
    plain = expected.masked_fill(~known, 0)
    mean = plain.sum(dim=-1) / count
    spread = ((plain - mean[:, None]).masked_fill(~known, 0).square().sum(dim=-1) / count).sqrt()
    off = ((logits - expected).masked_fill(~known, 0).square().sum(dim=-1) / count).sqrt()
    return float((off / spread.clamp(min=1e-6)).max())


@contextlib.contextmanager
def evaluating(network: Any) -> Iterator[None]:
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _rounding(network: Any, device: str | None) -> float:
    import torch

    weight = network.get_input_embeddings().weight
    step = float(torch.finfo(weight.dtype).eps)
    if quantization(network.config.to_dict()).get("load_in_8bit"):
        step = max(step, EIGHT_BITS)
    return max(step, TF32) if (device or weight.device.type) == "cuda" else step


@contextlib.contextmanager
def _jittered(network: Any, step: float) -> Iterator[None]:
    """Move each number of the embeddings by a rounding error, `step` of it, up or down, for the block."""
    import torch

    random = torch.Generator().manual_seed(0)

    def moved(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        signs = torch.randint(2, output.shape, generator=random) * 2 - 1
        return output * (1 + step * signs).to(output)

    hooks = [module.register_forward_hook(moved) for module in embedding_modules(network)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def embedding_modules(network: Any) -> set[Any]:
    """Return the modules that texts are read with: in transformers 5 an encoder and a decoder have one each."""
    has_encoder = getattr(network.config, "is_encoder_decoder", False)
    parts = [network.get_encoder(), network.get_decoder()] if has_encoder else [network]
    return {part.get_input_embeddings() for part in parts}
