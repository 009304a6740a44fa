"""Finds before work why transformers can't load a model here, from its config and the names in its files.

No weights are read. Not covered: models of the hub whose files aren't here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysweep.errors import first_line
from raysweep.models.config_files import has_folder
from raysweep.models.files.tensors import without_place
from raysweep.models.hub import quantization
from raysweep.models.loading import auto_model, refuse_other_weights, require_numbers
from raysweep.models.quantizing import method_of
from raysweep.records import ModelRef

INSTEAD = "run it with `generator: vllm` and without recipes"
"""The way out for models that transformers can't load."""
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the names of classes of causal language models end."""


def unloadable(location: str, config: Mapping[str, Any], on_gpu: bool, architecture: str = "causal") -> str:
    """Return why transformers can't load such a model here, or "". `on_gpu`: a GPU loads it, maybe elsewhere."""
    without = _without_pair if architecture == "seq2seq" else _without_class
    return without(location, config) or _quantized_for_others(location, config, on_gpu)


def require_whole(ref: ModelRef) -> str:
    """Return which tensors of a model's files it leaves out, in words; empty: none, or they aren't here.

    Data is read only of tensors that are several in the files and one in the model.

    Raises:
        UnfitModel: the files lack weights, or have empty or other ones; see `refuse_other_weights`.
    """
    require_numbers(ref)
    if ref.architecture != "causal":
        return ""
    try:
        model, found = auto_model().from_pretrained(
            ref.location,
            revision=ref.revision,
            local_files_only=True,
            device_map="meta",
            trust_remote_code=ref.trust_remote_code,
            output_loading_info=True,
        )
    except Exception:  # such as a method of quantization that needs a GPU; loading it where it runs tells
        return ""
    refuse_other_weights(ref, model, found)
    return without_place(model, found["unexpected_keys"])


def _without_class(location: str, config: Mapping[str, Any]) -> str:
    classes, kind = [str(name) for name in config.get("architectures") or ()], str(config.get("model_type", ""))
    if "AutoModelForCausalLM" in (config.get("auto_map") or {}):
        return ""
    if any(name.endswith(CAUSAL) for name in classes) and "text_config" not in config and has_folder(kind):
        return ""  # without importing torch
    from transformers import CONFIG_MAPPING, __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return ""
    what = f"{location} is a {classes[0]}" if classes else location
    if kind not in CONFIG_MAPPING:
        return f"{what} of the type {kind!r}, which transformers {__version__} doesn't know; {INSTEAD}"
    way = f"{INSTEAD}, which has some of these"
    if "text_config" in config:
        way += ", or save the text model within it as a model of its own"
    return f"{what} of the type {kind!r}, of which transformers {__version__} has no causal language model; {way}"


def _without_pair(location: str, config: Mapping[str, Any]) -> str:
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

    kind, own = str(config.get("model_type", "")), config.get("auto_map") or {}
    if kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES or "AutoModelForSeq2SeqLM" in own:
        return ""
    return (
        f"{location} is an encoder-decoder model of the type {kind!r}, of which transformers {__version__} has none "
        "that writes text; take another model"
    )


def _quantized_for_others(location: str, config: Mapping[str, Any], on_gpu: bool) -> str:
    quantized = quantization(config)
    if not quantized:
        return ""
    import torch
    from transformers import __version__
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING, AutoHfQuantizer

    method = method_of(quantized)
    what, way = f"{location} is quantized ({method})", f"take its unquantized version, or {INSTEAD}"
    if method != "bitsandbytes" and method not in AUTO_QUANTIZER_MAPPING:  # which has its two formats by other names
        return f"{what}, which transformers {__version__} can't read; {way}"
    try:
        quantizer = AutoHfQuantizer.from_config(dict(quantized), pre_quantized=True)
        quantizer.validate_environment(device_map=None, weights_only=True)
    except Exception as error:  # of classes that differ by method
        said = first_line(error).rstrip(".")
        if isinstance(error, ImportError) or "install" in said:
            return f"{what}, and a package is missing: {said}; install it, {way}"
        if on_gpu and not torch.cuda.is_available():
            return ""  # it runs on another machine, whose GPU may do
        return f"{what}, which doesn't run here: {said}; give it a GPU (`resources.gpus`), {way}"
    return ""
