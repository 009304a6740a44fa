"""Holds the linear layers of a base model's blocks in 4 or 8 bits, through bitsandbytes.

`nf4` is QLoRA's format, with its scales quantized too (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314); `int8`
is LLM.int8(), which rounds what goes into a layer as well (Dettmers et al. 2022, https://arxiv.org/abs/2208.07339).
Embeddings, output layer, norms and biases stay as they are, and so does whatever an adapter adds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError, first_line, install_extra
from raysweep.models.hub import model_file, quantization
from raysweep.records import ModelRef

NF4, INT8 = FORMATS = "nf4", "int8"
QUANTIZATION: Mapping[str, Mapping[str, Any]] = {
    NF4: {"load_in_4bit": True, "bnb_4bit_quant_type": NF4, "bnb_4bit_use_double_quant": True},
    INT8: {"load_in_8bit": True},
}
"""transformers' names for the formats."""
CARD = "README.md"
QUANTIZERS = ("bitsandbytes",)
"""The packages whose versions decide what quantized layers compute."""
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
"""Where it is installed, PEFT imports it, and it warns of kernels that it would fetch, and of casts in each product."""


def loading_options(quantize: str | None, dtype: Any) -> dict[str, Any]:
    """Return what transformers' `from_pretrained` is given so that it quantizes what it loads; nothing for None.

    `dtype`: torch's, in which layers compute.

    Raises:
        RaysweepError: bitsandbytes is missing, or can't quantize on this process's device.
    """
    if quantize is None:
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    on_gpu = torch.cuda.is_available()
    if why := missing_quantizer(quantize, on_gpu):
        raise RaysweepError(why)
    of_dtype = {"bnb_4bit_compute_dtype": dtype} if quantize == NF4 else {}
    return {
        "quantization_config": BitsAndBytesConfig(**QUANTIZATION[quantize], **of_dtype),
        "device_map": {"": torch.cuda.current_device() if on_gpu else "cpu"},
    }


@cache
def missing_quantizer(quantize: str, on_gpu: bool) -> str:
    """Return why bitsandbytes can't hold weights in `quantize` on a device of this machine, or "".

    Some numbers are quantized there: a wheel may have been built without the code of this kind of device.
    """
    what = f"`quantize: {quantize}` needs bitsandbytes"
    way = install_extra("quantize")
    try:
        import bitsandbytes
        import torch
        from bitsandbytes import functional
    except Exception as error:  # a wheel for another system raises whatever its loader raises
        return f"{what}: {first_line(error)}; {way}"
    weights = torch.ones(64, 64, device="cuda" if on_gpu else "cpu")
    try:
        if quantize == NF4:
            packed, state = functional.quantize_4bit(weights, quant_type=NF4, compress_statistics=True)
            functional.dequantize_4bit(packed, state)
        else:
            functional.int8_vectorwise_quant(weights.half())
    except Exception as error:  # as above
        device = "GPUs such as this machine's" if on_gpu else "CPUs"
        said = f"{bitsandbytes.__version__}, which is installed, has no code for {device}: {first_line(error)}"
        return f"{what}, and {said}; {way}"
    return ""


def is_quantized(network: Any) -> bool:
    """Return True for a model, or PEFT's wrapper of one, with layers that were quantized here or in its files."""
    return bool(quantization(network.config.to_dict()))


def moved(network: Any, device: Any) -> Any:
    """Return a network on a device; a quantized one lies there since it was loaded, and may refuse to be moved."""
    return network if is_quantized(network) else network.to(device)


def settle(network: Any) -> None:
    """Have quantized layers compute the same whenever they are called, in place.

    On CPUs with AVX-512 in bf16, bitsandbytes repacks the weights of 4-bit layers at the first call in evaluation mode,
    for a product in bf16 that has no gradient: a training after it would fail, or train nothing below the layer.
    """
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def number_of(weights: Any) -> int:
    """Return how many weights a parameter stands for: two in each byte of a 4-bit one."""
    state = getattr(weights, "quant_state", None)
    return int(weights.numel()) if state is None else int(state.shape.numel())


def note_on_card(adapter: Path, quantize: str) -> None:
    """Add to an adapter's README.md in which format its base was held, in the words that PEFT has for it.

    PEFT itself lost them: it asks a dict for the attribute `quantization_config` (0.21, `create_or_update_model_card`).
    """
    path, how = adapter / CARD, "\n".join(f"- {name}: {value}" for name, value in QUANTIZATION[quantize].items())
    said = f"The following `bitsandbytes` quantization config was used during training:\n{how}\n"
    path.write_text(f"{path.read_text() if path.is_file() else ''}\n\n## Training procedure\n\n{said}")


def trained_in(adapter: ModelRef) -> str:
    """Return in which format an adapter's base was held in training, as its card says: nf4, fp4 or int8; else "".

    raysweep's own cards say it, those of older releases of PEFT, and settings that tools such as axolotl write there.
    """
    path = model_file(adapter, CARD)
    card = path.read_text(errors="replace") if path else ""
    if re.search(r"load_in_4bit\W+true", card, re.IGNORECASE):
        kind = re.search(r"bnb_4bit_quant_type\W+(\w+)", card)
        return kind[1] if kind else NF4
    return INT8 if re.search(r"load_in_8bit\W+true", card, re.IGNORECASE) else ""


def unlike_trained(location: str, trained: str, quantize: str | None) -> str:
    """Return that an adapter was trained on a base with other numbers than it is put on; empty: it wasn't.

    `trained`: see `trained_in`; `quantize`: how the base is held that it is put on, whose files aren't quantized.
    """
    if not trained or trained == quantize:
        return ""
    held = f"in `quantize: {quantize}`" if quantize else "whole"
    said = f"was trained on a base in {trained}, as its README.md says, and is put on one that is {held}"
    return f"the adapter {location} {said}"


def method_of(quantized: Mapping[str, Any]) -> str:
    """Return how files were quantized, by what their config says of it (see `quantization`)."""
    is_bits = quantized.get("load_in_4bit") or quantized.get("load_in_8bit")
    return quantized.get("quant_method") or ("bitsandbytes" if is_bits else "by an unknown method")
