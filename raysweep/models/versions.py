"""Keeps one model in memory that becomes one version of its base after another, without loading the base again.

Versions are the base itself, adapters, deltas and models with the same architecture. After an adapter or a delta was
taken off, the base is bit for bit what it was. A full model replaces the base's tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from raysweep.models.adapters import put_adapter_on, telling_tokens
from raysweep.models.deltas import apply_delta
from raysweep.models.effects import ShortTexts, has_weak_effect, merged
from raysweep.models.files.tensors import shapes_of
from raysweep.models.hub import quantization
from raysweep.models.identity import LOCATION_FIELDS, weight_files
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.models.quantizing import is_quantized, moved
from raysweep.records import ModelKind, ModelRef

UNLIKE_FIELDS = (*LOCATION_FIELDS, "dtype", "torch_dtype", "transformers_version", "architectures", "use_cache")
"""Fields of a model's config that don't say which tensors it has or how they are used."""


class ModelVersions:
    """A network on a device, and its tokenizer, that become any version of a model.

    Attributes:
        network: the current version, in evaluation mode; another object after each change.
        tokenizer: the current version's.
        loads: how often a whole model was built and loaded.
        merge: whether adapters are merged into their base, given the base's dtype.
        is_merged: whether the current version is such an adapter.
        remark: what a reader of the current version's results should know; empty if there is nothing.
    """

    def __init__(self, device: Any, merge: Callable[[str], bool]) -> None:
        self.network: Any = None
        self.tokenizer: Any = None
        self.loads = 0
        self.merge, self.is_merged, self.remark = merge, False, ""
        self._device = device
        self._base: ModelRef | None = None  # whose tensors the network has, once everything is taken off
        self._base_shape: dict[str, Any] | None = None  # its folder may be gone when the next model comes
        self._bare: Any = None  # the network without an adapter
        self._current: ModelRef | None = None
        self._put_on = ExitStack()  # takes the current version off its base

    def become(self, ref: ModelRef) -> None:
        """Turn into another version. After an error, the next version is loaded anew.

        Raises:
            RaysweepError: the model can't be loaded, or an adapter or delta doesn't fit its base.
            UnfitModel: an adapter has no effect, or another one once it is merged.
        """
        if ref == self._current:
            return
        self._current = None
        self._put_on.close()
        base = ref if ref.base is None else ref.base
        try:
            if base != self._base:
                self._take_base(base)
            self.network, self.tokenizer = self._bare, load_tokenizer(ref)
            if ref.kind is ModelKind.DELTA:
                self._put_on.enter_context(self._with_delta(ref))
            elif ref.kind is ModelKind.ADAPTER:
                self._put_on.enter_context(self._with_adapter(ref))
        except BaseException:
            self._put_on = ExitStack()
            self.network = self._bare = self._base = None
            raise
        self._current = ref

    def _take_base(self, base: ModelRef) -> None:
        known, self._base = self._base, None
        is_alike = known is not None and self._base_shape is not None and shape_of(base) == self._base_shape
        if is_alike and _filled(self._bare, Path(base.location)):
            self._base = base
            return
        self.network = self._bare = None  # frees memory for the next one
        network, _ = load_model(base)
        self.loads += 1
        self._bare, self._base, self._base_shape = moved(network, self._device).eval(), base, shape_of(base)

    @contextmanager
    def _with_delta(self, ref: ModelRef) -> Iterator[None]:
        texts = ShortTexts(self._bare, self.tokenizer)
        before = texts.logits(self._bare)
        take_off = apply_delta(self._bare, Path(ref.location))
        with self._remarked(ref, texts.are_equal(before, texts.logits(self._bare))):
            yield
        take_off()

    @contextmanager
    def _with_adapter(self, ref: ModelRef) -> Iterator[None]:
        """Put an adapter on the base for the block. Afterwards all modules and tensors are the very objects of before.

        PEFT's own `unload` and `delete_adapter` keep embeddings that an adapter trained, and don't tie them again.
        """
        with unchanged_modules(self._bare):
            own = list(self._bare.parameters())
            texts = ShortTexts(self._bare, self.tokenizer, telling_tokens(ref))
            before = texts.logits(self._bare)
            adapted = moved(put_adapter_on(self._bare, ref), self._device).eval()
            is_weak = has_weak_effect(adapted, own, texts, before, ref.location)
            is_prompt = adapted.active_peft_config.is_prompt_learning  # it has nothing to merge
            is_whole = not (is_prompt or is_quantized(self._bare))  # what is merged into 4 bits is rounded to these
            self.is_merged = is_whole and self.merge(self._base.dtype if self._base else ref.dtype)
            if self.is_merged:
                adapted = merged(adapted, texts, ref.location).to(self._device).eval()
            self.network = adapted
            with self._remarked(ref, is_weak):
                yield

    @contextmanager
    def _remarked(self, ref: ModelRef, is_weak: bool) -> Iterator[None]:
        if is_weak:
            self.remark = (
                f"the {ref.kind} {ref.location} gives two short prompts the very logits of its base: what it changes "
                "is smaller than rounding, or in what these don't have"
            )
        try:
            yield
        finally:
            self.is_merged, self.remark = False, ""


@contextmanager
def unchanged_modules(network: Any) -> Iterator[None]:
    """Restore modules, tensors, names and config after the block; numbers that changed in place stay changed."""
    before = [
        (module, {name: value.copy() if isinstance(value, dict) else value for name, value in vars(module).items()})
        for module in network.modules()
    ]
    tensors = [(parameter, parameter.data) for parameter in network.parameters()]
    tied = network.config.tie_word_embeddings
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
        for parameter, tensor in tensors:
            parameter.data = tensor
        network.config.tie_word_embeddings = tied


def shape_of(ref: ModelRef) -> dict[str, Any] | None:
    """Return what two full models must have in common to have the same tensors, in use and dtype.

    None: a model that isn't in a folder, brings code of its own or is quantized has its tensors in common with none.
    """
    if ref.trust_remote_code or ref.quantize or not Path(ref.location).is_dir():
        return None
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(ref.location).to_dict()
    if quantization(config):
        return None
    loaded = {"loaded in": ref.dtype, "attends by": ref.attention}
    return {**loaded, **{name: value for name, value in config.items() if name not in UNLIKE_FIELDS}}


def _filled(network: Any, folder: Path) -> bool:
    """Copy a folder's tensors into a network, one at a time; return False, and copy none, unless they are all of its.

    A tensor that shares its memory with another one may be missing, such as tied output embeddings.
    """
    import torch
    from safetensors import safe_open

    state = network.state_dict()
    files = weight_files(folder)
    shapes = {name: shape for file in files for name, shape in shapes_of(file).items()}
    filled = {state[name].data_ptr() for name in shapes if name in state}
    fit = all(name in state and tuple(state[name].shape) == shape for name, shape in shapes.items())
    is_one_to_one = len(filled) == len(shapes)  # else tensors that may differ would share their memory
    if not fit or not is_one_to_one or not all(tensor.data_ptr() in filled for tensor in state.values()):
        return False
    with torch.no_grad():
        for file in files:
            with safe_open(file, "pt") as tensors:
                names = tensors.keys()
                for name in names:
                    state[name].copy_(tensors.get_tensor(name))
    return True
