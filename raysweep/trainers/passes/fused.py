"""`kernels: fused`: LoRA layers and frozen norms in fewer kernels, which changes rounding and nothing else.

PEFT computes a LoRA layer in 16 bits with its input, the dropout and the update's sum in kernels of their own, partly
in float32. Here a layer is one function of eight matrix products, whose backward pass is written out; the dropout is
PEFT's, with the same masks on CPUs. A matrix in 4 bits (`quantize: nf4`) is made whole in either pass. Norms run in the
format of the computations, where autocast and raysweep's other trainings have them in float32, through torch's fused
kernels. Adapters stay float32, and their gradients too.

Not fused: updates of embeddings, trained norms, norms of another formula (Gemma's), and whatever PEFT does beside the
plain update of one adapter (DoRA, several active adapters, merged or disabled ones): these keep their own forward pass.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from raysweep.errors import Finding, UsageError
from raysweep.trainers.base import FUSED, Recipe
from raysweep.trainers.optimizer import is_norm, torch_name

if TYPE_CHECKING:
    import torch

    Formula = Callable[..., torch.Tensor]
    """A norm in torch.nn.functional: (input, shape, weight=, eps=)."""


def check_kernels(recipe: Recipe, parallel: str) -> Iterator[Finding]:
    """Yield why a recipe can't have `kernels: fused`, as `Trainer.check` does. `parallel`: what its workers share."""
    if recipe.kernels != FUSED:
        return
    if recipe.trainer in ("full", "ia3"):
        yield "kernels", f"`fused` computes LoRA's layers, and the trainer {recipe.trainer!r} has none; remove it"
    elif recipe.compat == "safecoder":
        yield "kernels", "`fused` rounds otherwise than SafeCoder's loop, which `compat` repeats; remove one of them"
    elif parallel != "ddp":
        yield "kernels", f"`fused` reads whole weights past `parallel: {parallel}`; use `parallel: ddp`"
    elif recipe.compile:
        yield "kernels", "`compile: true` lets torch choose the kernels; remove one of them"


def fuse(model: Any, precision: str) -> None:
    """Replace the forward passes of a PEFT model's LoRA layers and frozen norms, in place.

    `model`: its frozen weights are in the format that `precision` names, but for norms, which are float32.

    Raises:
        UsageError: no layer of the model can be fused.
    """
    import torch
    from peft.tuners.lora.layer import Linear
    from transformers.pytorch_utils import Conv1D

    dtype = getattr(torch, torch_name(precision))
    layers = [(Linear, torch.nn.Linear), (Linear, Conv1D), *_four_bit_layers()]
    is_fused, held = False, set()
    for module in list(model.modules()):
        base: Any = getattr(module, "base_layer", None)
        if (type(module), type(base)) in layers and not _is_trained(base):
            held.add(_format(base.weight))
            module.forward = functools.partial(_lora_forward, module, module.forward, dtype)
            is_fused |= _format(base.weight) == dtype and not module.lora_variant and not any(module.lora_bias.values())
        elif is_norm(module) and (formula := _formula(module)) is not None:
            module.to(dtype)
            plain = torch.autocast(module.weight.device.type, enabled=False)  # which would compute it in float32
            module.forward = functools.partial(_norm_forward, module, formula, plain)
    if not is_fused:
        formats = " and ".join(sorted(str(of).removeprefix("torch.") for of in held))
        why = f"its layers with LoRA are held in {formats}, and only plain LoRA on {precision} is fused" if held else ""
        why = why or "the model has no linear layer with LoRA"
        raise UsageError(f"`kernels: fused` would fuse nothing: {why}; use `kernels: plain`")


def _four_bit_layers() -> list[tuple[Any, Any]]:
    """Return PEFT's class of LoRA on a 4-bit layer with the layer's, where bitsandbytes is installed."""
    from peft.import_utils import is_bnb_4bit_available

    if not is_bnb_4bit_available():
        return []
    from bitsandbytes.nn import modules
    from peft.tuners.lora.bnb import Linear4bit

    return [(Linear4bit, modules.Linear4bit)]


def _is_trained(module: Any) -> bool:
    return any(weights.requires_grad for weights in module.parameters())


def _format(weight: Any) -> torch.dtype:
    """Return the format of a layer's weights, or, if they are packed into 4 bits, that in which they are unpacked."""
    state = getattr(weight, "quant_state", None)
    held_in: torch.dtype = (weight if state is None else state).dtype
    return held_in


def _lora_forward(
    layer: Any, plain: Callable[..., Any], dtype: torch.dtype, x: torch.Tensor, *args: Any, **options: Any
) -> Any:
    """Compute PEFT's layer for x (..., inputs) in `dtype`.

    `plain`: its own forward pass, for all but the usual case.
    """
    import torch

    names = [name for name in layer.active_adapters if name in layer.lora_A]
    if args or options or layer.disable_adapters or layer.merged or layer.lora_variant or len(names) != 1:
        return plain(x, *args, **options)
    (name,) = names
    base, dropout = layer.base_layer, layer.lora_dropout[name]
    share = dropout.p if isinstance(dropout, torch.nn.Dropout) and dropout.training else 0.0
    state = getattr(base.weight, "quant_state", None)
    if _format(base.weight) != dtype or layer.lora_bias[name] or share == 1:
        return plain(x, *args, **options)
    weight = base.weight if isinstance(base, torch.nn.Linear) else base.weight.t()  # Conv1D's is (inputs, outputs)
    adapter = (layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name])
    return _lora_function().apply(x.to(dtype), weight, state, base.bias, *adapter, share)


@functools.cache
def _lora_function() -> Any:
    import torch
    from torch.autograd.function import once_differentiable

    class LoraLinear(torch.autograd.Function):
        """x W^T + bias + scale dropout(x) A^T B^T, where only x, A and B get gradients.

        x: (..., inputs). weight: (outputs, inputs), of x's dtype, like the bias, or packed into 4 bits, with
        bitsandbytes' state of these. a: (rank, inputs). b: (outputs, rank). share: of x's numbers that dropout sets to
        0; it draws from torch's generator, as `torch.nn.Dropout` does.
        """

        @staticmethod
        def forward(
            ctx: Any,
            x: torch.Tensor,
            weight: torch.Tensor,
            state: Any,
            bias: torch.Tensor | None,
            a: torch.Tensor,
            b: torch.Tensor,
            scale: float,
            share: float,
        ) -> torch.Tensor:
            rows, ctx.dtype, ctx.scale, ctx.share = x.reshape(-1, x.shape[-1]), a.dtype, scale, share
            ctx.packed, weight = (weight, state), _whole(weight, state)
            a, b = a.to(x.dtype), b.to(x.dtype)
            kept, mask = torch.ops.aten.native_dropout(rows, share, True) if share else (rows, None)
            low = kept @ a.t()
            out = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
            out.addmm_(low, b.t(), alpha=scale)
            ctx.save_for_backward(kept, mask, weight if state is None else None, a, b, low)
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            kept, mask, weight, a, b, low = ctx.saved_tensors
            rows = grad.reshape(-1, grad.shape[-1])
            of_low = torch.addmm(low, rows, b, beta=0, alpha=ctx.scale)  # the scaled product alone
            of_a, of_b = of_low.t() @ kept, torch.addmm(b, rows.t(), low, beta=0, alpha=ctx.scale)
            of_x = None
            if ctx.needs_input_grad[0]:
                of_x = rows @ (_whole(*ctx.packed) if weight is None else weight)
                if mask is None:
                    of_x.addmm_(of_low, a)
                else:
                    of_x.addcmul_(of_low @ a, mask, value=1 / (1 - ctx.share))
                of_x = of_x.view(*grad.shape[:-1], -1)
            return of_x, None, None, None, of_a.to(ctx.dtype), of_b.to(ctx.dtype), None, None

    return LoraLinear


def _whole(weight: torch.Tensor, state: Any) -> torch.Tensor:
    if state is None:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    whole: torch.Tensor = dequantize_4bit(weight, state)
    return whole


def _formula(norm: Any) -> Formula | None:
    """Return torch's function that computes a frozen float32 norm, found by its outputs; None if there is none."""
    import torch

    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    if weight is None or eps is None or _is_trained(norm):
        return None
    if weight.dim() != 1 or len(inspect.signature(norm.forward).parameters) != 1:
        return None
    given = torch.randn(2, len(weight), generator=torch.Generator().manual_seed(0))
    given[1] *= eps**0.5  # where eps counts
    given = given.to(weight.device)
    candidates: list[Formula] = [functools.partial(torch.nn.functional.layer_norm, bias=bias)]
    candidates += [torch.nn.functional.rms_norm] if bias is None else []
    with torch.no_grad():
        expected = norm(given)
        for formula in candidates:
            if torch.allclose(formula(given, weight.shape, weight=weight, eps=eps), expected, rtol=1e-5, atol=1e-6):
                return functools.partial(formula, eps=eps)
    return None


def _norm_forward(norm: Any, formula: Formula, without_autocast: Any, x: torch.Tensor) -> torch.Tensor:
    """Compute a norm of x (..., width) in its weight's format."""
    with without_autocast:
        return formula(x.to(norm.weight.dtype), norm.weight.shape, weight=norm.weight)
