"""Puts the weights of any version of a base into a running vLLM engine, and proves that the engine computes with them.

The host keeps the base in its own memory as transformers' model, merges adapters into it there, and hands all tensors
to vLLM's `reload_weights`, which has left old ones in place (https://github.com/vllm-project/vllm/issues/32718). So
after each change, also back to the base, the engine must give the logits for two short texts that transformers gives on
the CPU with these weights. Where vLLM keeps numbers as they are in files, as on GPUs, sums over all of their bits must
be equal too, since in 16 bits a slight change of a model lies within rounding.
Not covered: mixtures of experts, whose tensors transformers 5 calls otherwise than vLLM reads them, which ends in an
error; several GPUs for one engine, whose weights don't change.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError, UnfitModel
from raysweep.generators.base import TRANSFORMERS
from raysweep.models.adapters import telling_tokens
from raysweep.models.effects import ShortTexts
from raysweep.models.rounding import distance
from raysweep.models.versions import ModelVersions, shape_of
from raysweep.records import ModelKind, ModelRef

if TYPE_CHECKING:
    import torch

OTHER = f"take generator {TRANSFORMERS} for it: models[].generator"
"""The way out of what vLLM can't do with a model."""


class EngineWeights:
    """Whose weights an engine has, and how they change.

    Attributes:
        current: the version whose weights the engine has; None while they change, and after a change that failed.
        remark: what a reader of the current version's results should know; empty if there is nothing.
    """

    def __init__(
        self,
        engine: Any,
        lock: contextlib.AbstractContextManager[Any],
        loaded: ModelRef,
        logits: Callable[[Sequence[int]], torch.Tensor],
    ) -> None:
        """`engine`: vLLM's, which calls from several threads need `lock` for. `loaded`: the full model in it.

        `logits`: has the engine read tokens, and returns the logits of the next one, (vocabulary,); needs no lock.
        """
        self.current: ModelRef | None = loaded
        self.remark = ""
        self._engine, self._lock, self._base, self._logits = engine, lock, loaded, logits
        self._versions: ModelVersions | None = None  # on the CPU, from the first change on
        self._keeps_bits = False  # whether the engine's parameters have the very numbers of transformers' ones

    @property
    def loads(self) -> int:
        """How often a whole model was loaded into this process's own memory."""
        return self._versions.loads if self._versions else 0

    def take(self, full: ModelRef) -> bool:
        """Return whether the engine can have the weights of a full model, which needs the architecture of its own."""
        return full == self._base or ((shape := shape_of(full)) is not None and shape == shape_of(self._base))

    def become(self, ref: ModelRef) -> None:
        """Give the engine, which has nothing else to do meanwhile, the weights of another version.

        Raises:
            UnfitModel: there is no such version, or none that fits vLLM. The engine keeps its weights.
            RaysweepError: the engine has other weights than it should have, and must not be used.
        """
        network, tokenizer = self._made(ref)
        config = self._engine.vllm_config
        texts = ShortTexts(network, tokenizer, telling_tokens(ref) if ref.kind is ModelKind.ADAPTER else ())
        expected, limit = texts.logits_and_limit(network, config.device_config.device_type)
        self.current = None
        try:
            with self._lock:
                weights = iter(_tensors(network, has_head=not _are_tied_in(config)).items())
                self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
                if _are_tied_in(config):
                    self._engine.apply_model(lambda model: _set_head(model, network))
                if not self._engine.reset_prefix_cache():
                    raise RuntimeError("it still works on prompts that it has read with other weights")
            found = {number: self._logits(ids)[None] for number, ids in enumerate(texts.ids)}
            furthest = max(distance(found[number], expected[number][-1:]) for number in found)
            has_bits = not self._keeps_bits or self._bits() == _bits(network.parameters())
        except RaysweepError:
            raise
        except Exception as error:  # whatever vLLM's own code raises
            raise RaysweepError(f"vLLM's engine can't take the weights of {ref.location}: {error}; {OTHER}") from error
        if not furthest <= limit:
            raise RaysweepError(
                f"vLLM's engine gives other logits than transformers for the weights of {ref.location}, which were put "
                f"into it: they differ by {100 * furthest:.2g} % of their spread, and rounding explains "
                f"{100 * limit:.2g} %; {OTHER}"
            )
        if not has_bits:
            raise RaysweepError(
                f"vLLM's engine has other numbers than the weights of {ref.location}, which were put into it; {OTHER}"
            )
        self.current = ref

    def _made(self, ref: ModelRef) -> tuple[Any, Any]:
        """Return transformers' model of a version, with its adapter merged, and its tokenizer."""
        import torch

        with _usual_classes(self._engine.vllm_config):
            if self._versions is None:
                versions = ModelVersions(torch.device("cpu"), merge=lambda dtype: True)
                versions.become(self._base)
                self._versions, self._keeps_bits = versions, self._bits() == _bits(versions.network.parameters())
            self._versions.become(ref)
        network = self._versions.network
        if ref.kind is ModelKind.ADAPTER and not self._versions.is_merged:
            raise UnfitModel(f"the adapter {ref.location} can't be merged into its base for vLLM; {OTHER}")
        if _are_tied_in(self._engine.vllm_config) and not _is_tied(network):
            with self._lock:
                (has_ends,) = self._engine.apply_model(lambda model: _ends(model) is not None)
            if not has_ends:
                raise UnfitModel(f"vLLM's engine has no place for the output embeddings of {ref.location}; {OTHER}")
        self.remark = self._versions.remark
        return network, self._versions.tokenizer

    def _bits(self) -> int:
        with self._lock:
            return int(self._engine.apply_model(lambda model: _bits(model.parameters()))[0])


@contextlib.contextmanager
def _usual_classes(config: Any) -> Iterator[None]:
    """Have transformers' classes make usual models in the block, also those that vLLM has changed to run them itself.

    vLLM has those compiled that are made while its config says so, and allows no other ones.
    """
    from vllm.config import CompilationMode, set_current_vllm_config

    usual = copy.copy(config)
    usual.compilation_config = copy.copy(config.compilation_config)
    usual.compilation_config.mode = CompilationMode.NONE
    with set_current_vllm_config(usual):
        yield


def _bits(parameters: Iterable[torch.Tensor]) -> int:
    """Return the sum over the bits of all numbers, modulo 2 ** 64, whatever tensors they are put together in.

    What lies at the same place in memory counts once.
    """
    import torch

    numbers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    different = {parameter.data_ptr(): parameter.detach() for parameter in parameters}
    parts = (one.contiguous().view(numbers[one.element_size()]) for one in different.values())
    return sum(int(part.sum(dtype=torch.int64)) for part in parts) % 2**64


def _tensors(network: Any, has_head: bool) -> dict[str, torch.Tensor]:
    """Return the tensors of transformers' model by name. `has_head`: with the output embeddings."""
    head = network.get_output_embeddings()
    at = next(name for name, module in network.named_modules() if module is head)
    return {name: tensor for name, tensor in network.state_dict().items() if has_head or name != f"{at}.weight"}


def _are_tied_in(config: Any) -> bool:
    """Return whether vLLM has the output embeddings share the input ones' tensor, which theirs would replace."""
    return bool(getattr(config.model_config.hf_config.get_text_config(), "tie_word_embeddings", False))


def _is_tied(network: Any) -> bool:
    ends = network.get_input_embeddings(), network.get_output_embeddings()
    return bool(ends[0].weight.data_ptr() == ends[1].weight.data_ptr())


def _ends(model: Any) -> tuple[Any, Any] | None:
    """Return the modules of vLLM's model for input and output embeddings; None if it hasn't one of each."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding

    embeddings = [module for module in model.modules() if isinstance(module, VocabParallelEmbedding)]
    heads = [module for module in embeddings if isinstance(module, ParallelLMHead)]
    return (embeddings[0], embeddings[1]) if len(heads) == 1 and embeddings[1:] == heads else None


def _set_head(model: Any, network: Any) -> None:
    """Give vLLM's tied model output embeddings of their own where transformers' model has them; else tie them again."""
    import torch

    ends = _ends(model)
    if ends is None:
        return
    embeddings, head = ends
    head.weight = embeddings.weight
    if not _is_tied(network):
        own, given = torch.zeros_like(embeddings.weight), network.get_output_embeddings().weight.detach()
        own[: len(given)] = given.to(own)
        head.weight = torch.nn.Parameter(own, requires_grad=False)
    head.quant_method.process_weights_after_loading(head)  # CPUs have a copy of their own
