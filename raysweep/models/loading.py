"""Loads models of any kind (full weights, adapter, delta) and their tokenizers."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError, UnfitModel, UsageError, did_you_mean, first_line
from raysweep.machine import is_out_of_memory, keep_imports
from raysweep.models.adapters import misfit, put_adapter_on
from raysweep.models.deltas import apply_delta
from raysweep.models.files.configs import require_read
from raysweep.models.files.keys import editing
from raysweep.models.files.tensors import emptied, of_an_adapter, overwritten, shapes_in
from raysweep.models.files.tokenizers import as_meant, written_by
from raysweep.models.hub import model_file
from raysweep.models.quantizing import loading_options, settle
from raysweep.records import ModelKind, ModelRef
from raysweep.rows.hub import cache_alone

if TYPE_CHECKING:
    import torch

FLASH = "flash_attention_2"
"""The value of `attention` that needs the package flash_attn."""
_SUPPORT = {"sdpa": ("_supports_sdpa",), FLASH: ("_supports_flash_attn", "_supports_flash_attn_2")}
"""How transformers' classes say that they can compute attention so; all can do it plainly."""
DTYPES = ("float32", "tf32", "bfloat16", "float16")
_IMPORTING = threading.Lock()
"""Held while transformers' classes are imported, which must not happen twice at a time."""


def load_model(ref: ModelRef) -> tuple[Any, Any]:
    """Load a model in `ref.dtype`, in evaluation mode, and its tokenizer: on the CPU, or if quantized where it runs.

    Raises:
        RaysweepError: transformers can't load the model, bitsandbytes can't quantize it, or an adapter or delta has no
            base.
    """
    tokenizer = load_tokenizer(ref)
    if ref.kind is ModelKind.FULL:
        return _load_full(ref).eval(), tokenizer
    if ref.base is None:
        raise RaysweepError(f"{ref.location} is an {ref.kind} without a base model to apply it to")
    model, _ = load_model(ref.base)
    if ref.kind is ModelKind.DELTA:
        apply_delta(model, Path(ref.location))
        return model, tokenizer
    return put_adapter_on(model, ref).eval(), tokenizer


def silence_deepspeed() -> None:
    """Keep DeepSpeed from writing to stdout that it looked for a GPU in vain.

    Where it is installed, transformers and accelerate import it to save models and to unwrap them.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def disable_cudnn_attention(device: torch.device) -> None:
    """Have torch compute attention without cuDNN in this process, on an accelerator.

    cuDNN plans each shape anew, which takes tens of milliseconds, and torch prefers it on Hopper. Here nearly every
    forward pass has another shape: the cache grows by each token, and batches are as wide as their longest row
    (benchmarks/history/2026-11.md, "On a GPU"). torch's other kernels take any shape.
    """
    if device.type == "cuda":
        import torch

        torch.backends.cuda.enable_cudnn_sdp(False)


def auto_model(architecture: str = "causal") -> Any:
    """Return transformers' class that loads and builds models, `causal` or `seq2seq` ones.

    Where they are installed, transformers imports scikit-learn for assisted generation and scipy for the losses of
    models of images, which nothing here uses: a third of the time that a process needs before its first model. Python's
    garbage collection, which finds nothing in modules that are just being made, would take a fifth of the rest.
    """
    with _IMPORTING:
        return _auto_models()[architecture]


def architecture_of(config: Any) -> str:
    return "seq2seq" if getattr(config, "is_encoder_decoder", False) else "causal"


@cache
def _auto_models() -> dict[str, Any]:
    collects = gc.isenabled()
    gc.disable()
    try:
        silence_deepspeed()
        with _as_if_not_installed("scipy", "sklearn"):
            from transformers import (
                AutoModelForCausalLM,
                AutoModelForSeq2SeqLM,
                PreTrainedModel,  # noqa: F401 loads the modules behind it
            )
        _hide_bars()
        keep_imports()
    finally:
        if collects:
            gc.enable()
    return {"causal": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}


def _hide_bars() -> None:
    """Keep transformers 5 from showing a bar for each model that it loads or saves; those of downloads stay."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    hides_downloads = are_progress_bars_disabled()
    logging.disable_progress_bar()  # of downloads too
    if not hides_downloads:
        enable_progress_bars()


@contextlib.contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    from transformers import utils
    from transformers.utils import import_utils

    names = [f"is_{package}_available" for package in packages]
    places = [(module, name) for module in (utils, import_utils) for name in names if hasattr(module, name)]
    real = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, lambda: False)
        yield
    finally:
        for (module, name), function in zip(places, real, strict=True):
            setattr(module, name, function)


def empty_network(ref: ModelRef) -> Any:
    """Return the network of a full model without data: shapes only (torch's device meta)."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        ref.location, revision=ref.revision, trust_remote_code=ref.trust_remote_code, **cache_alone(ref.location)
    )
    with torch.device("meta"):
        return auto_model(architecture_of(config)).from_config(config, trust_remote_code=ref.trust_remote_code)


def attending(ref: ModelRef) -> dict[str, str]:
    """Return what transformers is told of a model's attention; nothing leaves it the choice."""
    return {"attn_implementation": ref.attention} if ref.attention else {}


def attention_misfit(network: Any, attention: str) -> str:
    """Return why a network can't compute attention as asked; empty if it can."""
    known = [name for name, flags in _SUPPORT.items() if any(getattr(network, flag, False) for flag in flags)]
    if attention not in _SUPPORT or attention in known:
        return ""
    kind = network.config.model_type
    return f"transformers has no {attention} for {kind} models; write {' or '.join(['eager', *known])}, or leave it out"


def adapter_misfit(ref: ModelRef) -> str:
    """Return why an adapter can't be put on its base, a full model, or changes nothing there; empty if neither is so.

    Of the base only the config is read, of the adapter the names and shapes of its tensors, and some of these.
    """
    from safetensors import SafetensorError

    if ref.base is None or ref.base.kind is not ModelKind.FULL:
        return ""
    silence_deepspeed()
    try:
        return misfit(empty_network(ref.base), ref)
    except UnfitModel as error:
        return str(error)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, UnpicklingError, SafetensorError) as error:
        return f"{first_line(error)}; name its own base"  # such as modules that the base doesn't have
    except RuntimeError:
        return ""  # some kinds of adapters can't be made without data; loading them tells


def tokenizer_place(ref: ModelRef) -> ModelRef:
    """Return the model whose tokenizer a model uses: its own, or its base's for an adapter or delta without one."""
    if ref.base is not None and not (Path(ref.location) / "tokenizer_config.json").is_file():
        return tokenizer_place(ref.base)
    return ref


def load_tokenizer(ref: ModelRef) -> Any:
    """Load a model's fast tokenizer; an adapter or delta that has none uses its base's.

    Raises:
        RaysweepError: the tokenizer can't be loaded, isn't a fast one (with offsets), or has no end-of-text token.
    """
    auto_model()  # before anything else imports a part of transformers
    ref = tokenizer_place(ref)
    where = {"revision": ref.revision, "trust_remote_code": ref.trust_remote_code, **cache_alone(ref.location)}
    try:
        tokenizer = as_meant(ref, **where)
    except Exception as error:  # a damaged file raises whatever its parser raises
        said = f"the tokenizer of {ref.location} can't be loaded: {first_line(error)}{written_by(ref)}"
        raise RaysweepError(said) from error
    if not tokenizer.is_fast:
        raise RaysweepError(f"the model {ref.location} lacks a fast tokenizer (tokenizer.json), which raysweep needs")
    if ref.eos_token is not None:
        if ref.eos_token not in tokenizer.get_vocab():
            raise RaysweepError(f"the tokenizer of {ref.location} has no token {ref.eos_token!r} (`eos_token`)")
        tokenizer.eos_token = ref.eos_token
    if tokenizer.eos_token_id is None:
        raise RaysweepError(
            f"the tokenizer of {ref.location} has no end-of-text token, at which completions end; name one of its "
            "tokens with the model's key `eos_token`"
        )
    return tokenizer


def torch_dtype(name: str) -> Any:
    """Return the torch dtype called `name`; raise UsageError unless it is one of `DTYPES`."""
    import torch

    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}{did_you_mean(name, DTYPES)}; known: {', '.join(DTYPES)}")
    return torch.float32 if name == "tf32" else getattr(torch, name)


def _load_full(ref: ModelRef) -> Any:
    """Raise UnfitModel if its files are damaged or lack weights, which transformers would make up at random."""
    from safetensors import SafetensorError

    require_read(ref)
    require_numbers(ref)
    dtype = torch_dtype(ref.dtype)
    quantized = loading_options(ref.quantize, dtype)
    try:
        model, found = auto_model(ref.architecture).from_pretrained(
            ref.location,
            revision=ref.revision,
            dtype=dtype,
            trust_remote_code=ref.trust_remote_code,
            output_loading_info=True,
            **quantized,
            **attending(ref),
            **cache_alone(ref.location),
        )
    except SafetensorError as error:
        said = f"the model {ref.location} can't be loaded: its weights are damaged ({first_line(error)})"
        raise UnfitModel(f"{said}; copy or download it again") from error
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        way = "take another version of it, or run it with `generator: vllm` and without recipes"
        raise RaysweepError(f"the model {ref.location} can't be loaded: {first_line(error)}; {way}") from error
    refuse_other_weights(ref, model, found)
    settle(model)
    if getattr(model.config, "rescale_every", 0) and ref.dtype != "float16":
        # in evaluation rwkv would divide its weights by powers of 2, for float16's range: weights of other versions,
        # which are copied in, would be taken for divided ones, and saved ones would be divided
        model.config.rescale_every = 0
    return model


def require_numbers(ref: ModelRef) -> None:
    """Raise UnfitModel if the files of a full model's folder are damaged, or hold tensors without numbers."""
    if why := emptied(f"the model {ref.location}", shapes_in(Path(ref.location))):
        raise UnfitModel(why)


def refuse_other_weights(ref: ModelRef, model: Any, found: Mapping[str, Collection[str]]) -> None:
    """Raise UnfitModel if a full model has other weights than its files say.

    They lack some, hold an adapter beside the model's own, or different ones where the model has one.

    `found`: what transformers returns after loading it: `missing_keys` and `unexpected_keys`.
    """
    from transformers import __version__

    location = ref.location
    missing, unknown = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    if why := of_an_adapter(location, unknown):
        raise UnfitModel(why)
    config = model_file(ref, "config.json")
    if config is not None and (names := overwritten(config.parent, model)):
        own = editing(location, 'write `"tie_word_embeddings": false` into its config.json if each is meant')
        raise UnfitModel(
            f"the files of model {location} hold different tensors {' and '.join(names)}, and by its config "
            f"(`tie_word_embeddings`) they are one, of which transformers {__version__} takes the input embeddings, "
            f"and transformers 5 both; {own}, or else remove the others from its files"
        )
    if not missing:
        return
    among = f"{len(missing)} of {len(model.state_dict())}"
    others = f"; its files have others, such as {unknown[0]}: rename these" if unknown else ""
    raise UnfitModel(
        f"the model {location} lacks {among} weights, such as {missing[0]}, which would be random{others}; save it "
        "whole with save_pretrained, from the class that its config names"
    )
