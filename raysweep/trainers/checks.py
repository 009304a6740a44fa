"""Checks that stop a training that can't be right before it costs GPU-hours, and refuse a broken model after it.

Each check prevents a silent failure that users of similar tools reported: adapters that were never applied, saved
weights that were empty, end-of-text tokens without loss.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError, UsageError, first_line
from raysweep.machine import accelerator_in_use, is_out_of_memory
from raysweep.models.loading import FLASH, architecture_of
from raysweep.models.rounding import evaluating, require_tf32
from raysweep.models.whole_texts import LABELS, inputs_of, needs_cache, whole_pass
from raysweep.trainers.batching import collate, collate_packed

if TYPE_CHECKING:
    import torch

    from raysweep.trainers.base import Objective, Row
    from raysweep.trainers.passes.attention import RowAttention


def check_trainable(model: Any) -> int:
    """Return the number of trainable weights; raise HopelessError when there is none."""
    count = sum(int(parameter.numel()) for parameter in model.parameters() if parameter.requires_grad)
    if not count:
        raise HopelessError("no tensor of the model is trainable; check the recipe's `targets`")
    return count


def freeze_uncalled(model: Any, row: Row) -> frozenset[str]:
    """Freeze the weights that a model with a cache never uses, and return their names without those of adapters.

    Gemma 3n has keys and values of its own in layers that take those of others. Whether a model needs a cache is found
    out here, while its weights are whole.
    """
    import torch

    device = model.get_input_embeddings().weight.device
    with _in_its_precision(model):
        if not needs_cache(model):
            return frozenset()
        called: set[int] = set()
        hooks = [part.register_forward_pre_hook(lambda module, _: called.add(id(module))) for part in model.modules()]
        try:
            with evaluating(model), torch.no_grad():
                batch = collate([row], len(row["input_ids"]))
                _logits(model, {name: tensor.to(device) for name, tensor in batch.items()})
        finally:
            for hook in hooks:
                hook.remove()
    frozen = set()
    for at, module in model.named_modules():
        for name, weights in module.named_parameters(recurse=False):
            if id(module) not in called and weights.requires_grad and isinstance(module, torch.nn.Linear):
                weights.requires_grad = False
                frozen.add(f"{at}.{name}".replace(".default", ""))
    return frozenset(frozen)


def check_eos(rows: Sequence[Row], ends: Collection[int]) -> None:
    """Raise HopelessError unless every encoded row ends with one of `ends`, and with loss, which teaches to stop."""
    for number, row in enumerate(rows):
        if row[LABELS if LABELS in row else "input_ids"][-1] not in ends or not row["weights"][-1] > 0:
            raise HopelessError(f"the objective gives no loss to the end-of-text token of row {number}")


def check_precision(precision: str) -> None:
    """Raise UsageError if this process's device can't compute in a recipe's precision."""
    if precision == "tf32":
        require_tf32()
    if precision != "bf16":
        return
    import torch

    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(
            "`precision: bf16` needs a GPU of the Ampere generation or later, and this is a "
            f"{accelerator_in_use()}; "
            "use `precision: float16`, or pin the model to another type of GPU"
        )


def check_packing(model: Any, objective: Objective, rows: Sequence[Row], attention: RowAttention | None = None) -> None:
    """Raise UsageError unless model and objective can take rows one after the other in a single sequence.

    Two rows are run packed and alone: an architecture that ignores `position_ids` lets the second row see the first.
    `attention`: the model's, if it tells the rows apart.
    """
    import torch

    way_out = "use `batching: padded`"
    if not objective.packs:
        why = ", since two texts of each row go through the model" if objective.prefers else ""
        raise UsageError(f"`batching: packed`: the objective {objective.name!r} takes no packed rows{why}; {way_out}")
    if architecture_of(model.config) != "causal":
        raise UsageError(f"`batching: packed`: an encoder-decoder model takes no packed rows; {way_out}")
    two = sorted(rows, key=lambda row: len(row["input_ids"]))[:2]
    device, kind = next(model.parameters()).device, model.config.model_type
    with _refused_rows(kind, way_out), evaluating(model), torch.no_grad(), _in_its_precision(model):
        packed = {name: tensor.to(device) for name, tensor in collate_packed(two).items()}
        if attention is not None:
            attention.know(packed, two)
        together = whole_pass(model, input_ids=packed["input_ids"], position_ids=packed["position_ids"]).logits[0]
        ids = [torch.tensor(row["input_ids"], device=device).long()[None] for row in two]
        alone = [whole_pass(model, input_ids=one).logits[0] for one in ids]
    expected = torch.cat(alone)
    tolerance = 1e-3 if expected.dtype == torch.float32 else 0.02
    mixes = (together - expected).abs().max() > tolerance * expected.abs().max()
    if mixes or needs_cache(model):  # with which transformers makes masks that don't tell packed rows apart
        raise UsageError(f"`batching: packed`: this {kind} model mixes packed rows; {way_out}")


@contextlib.contextmanager
def _refused_rows(kind: str, way_out: str) -> Iterator[None]:
    """Raise UsageError for whatever a model's own code raises when it is shown packed rows."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        why = f"this {kind} model can't be called with packed rows: {first_line(error)}"
        raise UsageError(f"`batching: packed`: {why}; {way_out}") from error


def check_adapter_acts(model: Any, row: Row, neutral: str) -> None:
    """Raise HopelessError unless the adapter changes the logits once its neutral tensors are changed.

    `model`: a PEFT model; its weights are restored afterwards, and it is left in evaluation mode. `neutral`: pattern in
    the names of the tensors that make a new adapter change nothing.
    """
    import torch

    batch = collate([row], len(row["input_ids"]))
    halves = [parameter for name, parameter in model.named_parameters() if re.search(neutral, name)]
    model.eval()
    with torch.no_grad(), _in_its_precision(model):
        before = [half.clone() for half in halves]
        for half in halves:
            half.add_(0.1)
        with_adapter = _logits(model, batch)
        with model.disable_adapter():
            without_adapter = _logits(model, batch)
        for half, value in zip(halves, before, strict=True):
            half.copy_(value)
    if torch.equal(with_adapter, without_adapter):
        raise HopelessError("the adapter doesn't change the model's logits; check the recipe's `targets`")


def check_saved(
    out: Path, expected: Iterable[Collection[str]], values: int | None = None, untrained: Collection[str] = ()
) -> None:
    """Raise HopelessError unless the saved tensors are complete, finite and not empty, and no matrix is all zero.

    `expected`: the names of each tensor; a tied tensor has several names and may be saved under any of them. `values`:
    numbers in all tensors; if as many were saved, transformers gave the missing ones other names in the files than in
    memory, as its version 5 does with the experts of a mixture. None: names must agree. `untrained`: names of tensors
    that no training changes, such as buffers, which may be zero.
    """
    from safetensors import safe_open

    saved: set[str] = set()
    saved_values = 0
    for path in sorted(out.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in list(file.keys()):
                saved.add(name)
                tensor = file.get_tensor(name)
                saved_values += tensor.numel()
                if (defect := _defect(tensor)) and name not in untrained:
                    raise HopelessError(f"the trained tensor {name!r} in {path} {defect}")
    missing = sorted(min(names) for names in expected if not saved.intersection(names))
    if missing and saved_values != values:
        raise HopelessError(f"the saved model in {out} lacks {len(missing)} tensors, {missing[0]!r} among them")


@contextlib.contextmanager
def _in_its_precision(model: Any) -> Iterator[None]:
    """Have the block compute as a training does: where some weights are in 16 bits, others, such as norms, aren't.

    FlashAttention has 16 bits alone, so float32 weights are trained with it in autocast.
    """
    import torch

    kinds = {weight.dtype: weight.device.type for weight in model.parameters()}
    few = [dtype for dtype in (torch.bfloat16, torch.float16) if dtype in kinds]
    if not few and model.config._attn_implementation == FLASH:
        few, kinds = [torch.bfloat16], {torch.bfloat16: next(iter(kinds.values()))}
    with torch.autocast(kinds[few[0]], few[0]) if few else contextlib.nullcontext():
        yield


def _defect(tensor: torch.Tensor) -> str:
    if not tensor.numel():
        return "is empty"
    if not tensor.isfinite().all():
        return "has values that are not finite; a lower `lr` may help"
    return "is all zero, so it was not trained" if tensor.dim() > 1 and not tensor.any() else ""


def _logits(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = whole_pass(model, **inputs_of(model, batch)).logits
    return logits
