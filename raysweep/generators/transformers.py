"""Generates with transformers models, in a batched loop over a cache (loop.py).

It replaces `model.generate`, which keeps finished rows in the batch, draws from the global random generator, and can't
give the clean and the perturbed prompt of a problem the same random numbers. A prompt is read once for all its samples,
and a row that ends makes room for one that waits, of this batch or of the next one, which another thread brings. In
float32 a completion doesn't depend on what is written beside it, save where rounding decides between two tokens. What a
model remembers of a row is kept in one of several ways (caches/), which each loaded model proves first (proof.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from typing_extensions import override

from raysweep.errors import UnfitModel, UsageError
from raysweep.generators.base import (
    CPU_TOKENS,
    GENERATORS,
    MEMORY_SHARE,
    TRANSFORMERS,
    Generator,
    LiveModel,
    WantedModel,
)
from raysweep.generators.caches.base import Way
from raysweep.generators.caches.encoder_cache import WithEncoder, WithEncoderTogether
from raysweep.generators.caches.kv_cache import WithKeysAndValues
from raysweep.generators.caches.long_rope import longest_text
from raysweep.generators.caches.no_cache import NEEDED_BY, WithoutCache
from raysweep.generators.caches.own_cache import WithOwnCache
from raysweep.generators.patches import Variants
from raysweep.generators.proof import flaw_of, unlike_generate
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.generators.sampling import RULE, SEEDS, choose_tokens
from raysweep.generators.writing.beams import BeamLoop, Search
from raysweep.generators.writing.loop import Loop, TokenChoice
from raysweep.generators.writing.written import Endings
from raysweep.models.architectures.shape import BYTES, shape_of
from raysweep.models.loading import disable_cudnn_attention
from raysweep.models.rounding import TEXT, products_in, require_tf32
from raysweep.models.traits import Traits, read_traits, traits_of
from raysweep.models.versions import ModelVersions
from raysweep.models.whole_texts import has_encoder, has_own_cache
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.seeding import torch_rng

if TYPE_CHECKING:
    import torch

POLICY = 1
"""Version of the rules by which rows are put together and written, for the keys of completions."""
_proven: WeakKeyDictionary[Any, dict[tuple[Any, ...], type[Way]]] = WeakKeyDictionary()
"""What generators of live models have proven, by the network: one that is edited or trained is generated with often."""


@GENERATORS.register(TRANSFORMERS)
class Transformers(Generator):
    """Generates on this process's accelerator, or its CPU, with a causal model or one with an encoder and a decoder.

    Args:
        model: the model to load, or one in this process, which is used unchanged and where it is.
        decoding: how to draw; `samples` is ignored, since each request is one sample.
        merge: whether adapters are merged into their base, which is faster; null: in float32, since 16 bits would
            round.
        batch_tokens: most tokens, of prompts and completions, of the rows that are written together; None: by the
            device.
        cache: false: a model reads the whole text again for each token, which takes long; true: it keeps what it
            computed, and models whose logits would be wrong then are refused; null: it keeps that unless they would.
        longest_prompt: most tokens of a prompt; a longer one gets no answer, as in the repair study, and counts as too
            long; null: those that the model's positions hold.
    """

    needs_model = True
    searches = True
    reads_reference = False
    draws_when_greedy = False
    sampling = RULE
    at_once = 2
    packages = ("transformers", "torch")

    def __init__(
        self,
        model: ModelRef | LiveModel | None,
        decoding: Decoding,
        merge: bool | None = None,
        batch_tokens: int | None = None,
        cache: bool | None = None,
        longest_prompt: int | None = None,
    ) -> None:
        super().__init__(model, decoding)
        if model is None:
            raise UsageError("generator transformers needs a model: a local folder or a hub id")
        self.network: Any = None
        self.tokenizer: Any = None
        self.versions: ModelVersions | None = None
        self._dtype: str | None = None  # None: that of whoever made the model
        self._budget, self._cache, self._longest_prompt = batch_tokens, cache, longest_prompt
        self._loop: Loop | None = None
        self._proven: dict[tuple[Any, ...], type[Way]] = {}  # by kind of the model: the way that is right for it
        if isinstance(model, LiveModel):
            self._proven = _proven.setdefault(model.network, {})
            self._take(model.network, model.tokenizer, "in memory", traits_of(model.network, model.tokenizer))
        else:
            import torch

            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self.versions = ModelVersions(device, lambda dtype: BYTES[dtype] == 4 if merge is None else merge)
            self.use(model)

    @override
    def use(self, model: ModelRef) -> bool:
        """An adapter or delta of the loaded base, or a model like it, doesn't load it again.

        Raises:
            UnfitModel: it can't run this model rightly.
            RaysweepError: the model can't be loaded.
        """
        if self.versions is None:
            return False
        if self._loop:
            self._loop.way = None  # it holds the network
        self._dtype = (model.base or model).dtype
        if self._dtype == "tf32":
            require_tf32()
        self.network = self.tokenizer = None  # else two would be in memory while one replaces the other
        self.versions.become(model)
        self.loads = self.versions.loads
        tokenizer = self.versions.tokenizer
        with products_in(self._dtype):
            self._take(self.versions.network, tokenizer, model.location, read_traits(model, tokenizer))
        return True

    def _take(self, network: Any, tokenizer: Any, name: str, traits: Traits) -> None:
        """Raise UnfitModel if it lacks embeddings for some of the tokenizer's tokens, or its logits would be wrong."""
        if traits.misfit:
            raise UnfitModel(f"generator transformers can't run model {name}: {traits.misfit}")
        _require_ends(network, name)
        self.network, self.tokenizer = network, tokenizer
        self.device = network.get_output_embeddings().weight.device
        disable_cudnn_attention(self.device)
        new = self.decoding.max_new_tokens
        self._tokens = Tokens(tokenizer, longest_text(network), new, traits, self._longest_prompt)
        kind = (self.loads, self._cache, _kind(network))  # versions that are alike in that differ in weights alone
        if kind not in self._proven:
            for former in [known for known in self._proven if known[0] != self.loads]:
                del self._proven[former]
            self._proven[kind] = self._right_way(name)
        way = self._proven[kind](network)
        if self.decoding.beams > 1 and way.switches_after is not None:
            raise UnfitModel(
                f"generator transformers can't search with model {name}, which reads long texts otherwise than short "
                "ones (LongRoPE); leave `beams` out"
            )
        self._is_slow = not way.has_cache
        slow = f"model {name} reads the whole text again for each token, which takes long" * self._is_slow
        changed = self._tokens.change_of(TEXT)
        lossy = f"the tokenizer of model {name} changes texts: it reads {TEXT!r} as {changed!r}" * bool(changed)
        self._remarks = [remark for remark in (slow, lossy, self.versions.remark if self.versions else "") if remark]
        if self._loop is None:
            budget, stops = self._budget or self._tokens_that_fit(), self._tokens.stops
            if self.decoding.beams > 1:
                self._loop = BeamLoop(way, self.decoding.early_stopping, budget, stops)
            else:
                self._loop = Loop(way, Draws(self.decoding), budget, stops)
        self._loop.way, self._loop.endings = way, Endings(self._tokens.stops)

    def _right_way(self, name: str) -> type[Way]:
        """Raise UnfitModel if no way that may be taken gives the right logits."""
        ways: list[type[Way]] = []
        if has_encoder(self.network):
            ways = [WithEncoder, WithEncoderTogether]
        else:  # releases of transformers differ in which hybrid models have caches of their own
            if self._cache is not False:
                ways = [WithOwnCache] if has_own_cache(self.network) else [WithKeysAndValues, WithOwnCache]
            ways += [] if self._cache else [WithoutCache]
        kind, flaws = self.network.config.model_type, []
        if unlike := unlike_generate(self.network, self._tokens):
            raise UnfitModel(
                f"generator transformers can't run model {name}, whose type is {kind}: {unlike}; run it with "
                "`generator: vllm`"
            )
        for way in ways:
            flaws.append(flaw_of(way(self.network), self._tokens))
            if not flaws[-1]:
                return way
        slow = " or, slowly, `generator: {name: transformers, cache: false}`" * bool(self._cache)
        way_out = f"run it with `generator: vllm`{slow}"
        if has_encoder(self.network):  # vLLM has none of these
            way_out = "take a model of another type, or serve it and name `generator: openai`"
        raise UnfitModel(f"generator transformers can't run model {name}, whose type is {kind}: {flaws[0]}; {way_out}")

    @property
    @override
    def alive(self) -> Callable[[], None]:
        assert self._loop
        return self._loop.alive

    @alive.setter
    def alive(self, value: Callable[[], None]) -> None:
        assert self._loop
        self._loop.alive = value

    @classmethod
    @override
    def require_fit(cls, arguments: Mapping[str, Any], model: WantedModel) -> None:
        """What isn't known by a model's type is found when the model is loaded."""
        longest = arguments.get("longest_prompt")
        if longest is not None and longest < 1:
            raise UsageError(
                f"`longest_prompt: {longest}` of generator transformers must be at least 1: the most tokens of a prompt"
            )
        if arguments.get("merge") and (held := model.quantize or model.in_files):
            raise UsageError(
                f"generator transformers can't merge adapters of model {model.name} into its base (`merge: true`), "
                f"which is quantized ({held}); leave `merge` out"
            )
        if arguments.get("cache") and model.model_type in NEEDED_BY:
            raise UsageError(
                f"generator transformers can't run model {model.name}, whose type is {model.model_type}, with a cache "
                "(`cache: true`); leave `cache` out, and it reads the whole text again for each token, which takes long"
            )
        if arguments.get("cache") is False and model.architecture != "causal":
            raise UsageError(
                f"generator transformers can't run model {model.name} without a cache (`cache: false`), since it is an "
                "encoder-decoder model; leave `cache` out"
            )

    @classmethod
    @override
    def keyed(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A cache that a model is called with anyway changes nothing if it is asked for."""
        keyed = super().keyed(arguments)
        return keyed if keyed.get("cache") is False else {name: keyed[name] for name in keyed if name != "cache"}

    @classmethod
    @override
    def fingerprint(cls, dtype: str, batch_tokens: int | None) -> Mapping[str, Any]:
        """Below float32, what is written together changes rounding, and completions."""
        return {"policy": POLICY} | ({} if dtype == "float32" else {"batch_tokens": batch_tokens})

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Rows of several threads are written together, by one of them."""
        return [self.completion(row) for row in self.write(requests)] if requests else []

    def write(self, requests: Sequence[GenerationRequest], variants: Variants = None) -> list[WrittenRow]:
        """Return the written row of each request, in the same order.

        Args:
            requests: what to complete. Those of equal prompt and variant are read once.
            variants: how the rows of the requests are patched. The texts of patched rows aren't the model's
                completions, so nobody keeps them as such.
        """
        assert self._loop
        for remark in self._remarks:
            self.tell(remark)
        of_each = variants or [None] * len(requests)
        rows = [self._tokens.row(*each) for each in zip(requests, of_each, strict=True)]
        open_rows = [row for row in rows if not row.ended]
        with products_in(self._dtype):
            if self.decoding.beams > 1:
                self._search(open_rows)
            else:
                self._loop.write(open_rows)
        return rows

    def _search(self, rows: Sequence[WrittenRow]) -> None:
        assert self._loop
        searches: dict[Any, Search] = {}
        keys = [(tuple(row.prompt), row.stop, tuple(row.ends), row.variant) for row in rows]
        for row, key in zip(rows, keys, strict=True):
            if key not in searches:
                searches[key] = Search([dataclasses.replace(row) for _ in range(self.decoding.beams)])
        self._loop.write([beam for search in searches.values() for beam in search.beams])
        for row, key in zip(rows, keys, strict=True):
            row.written, row.ended = searches[key].finished[row.request.sample][1], True

    def read(self, texts: Sequence[Sequence[int]], variants: Variants) -> None:
        """Have the model read texts of tokens in one call, for what patchers see of it. Nothing is written.

        `texts`: tokens, at least one each.
        """
        import torch

        assert self._loop
        with products_in(self._dtype), self._loop.way.ready(), torch.inference_mode():
            self._loop.way.read(texts, variants)

    def completion(self, row: WrittenRow) -> Completion:
        return self._tokens.completion(row)

    @override
    def live(self) -> LiveModel:
        return LiveModel(self.network, self.tokenizer)

    @override
    def state(self) -> Mapping[str, float]:
        assert self._loop
        return {"batch_tokens": self._loop.now, "cache_share": self._loop.in_use / self._loop.now}

    @override
    def facts(self) -> Mapping[str, Any]:
        """The smallest token budget so far, whether adapters are merged, and a missing cache."""
        assert self._loop
        slow = {"cache": False} if self._is_slow else {}
        is_merged = bool(self.versions and self.versions.is_merged)
        return {"batch_tokens": self._loop.least, "merged": is_merged, **slow}

    def _tokens_that_fit(self) -> int:
        """Return how many tokens' keys and values an accelerator has room for beside the model; a constant on CPUs."""
        import torch

        shape = shape_of(self.network.config.to_dict())
        if self.device.type != "cuda" or shape is None:
            return CPU_TOKENS
        free, _ = torch.cuda.mem_get_info(self.device)
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)  # torch's own store
        of_a_token = 2 * shape.cached_layers * shape.key_value * self.network.dtype.itemsize
        return max(1, int(free * MEMORY_SHARE / of_a_token))


class Draws(TokenChoice):
    """Draws tokens from the nucleus with random numbers of each row's own, or takes the most likely ones."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding

    def begin(self, rows: list[WrittenRow], device: torch.device) -> torch.Tensor | None:
        """Return (rows, tokens) seeds of draws, from (seed, task, sample); None if decoding is greedy."""
        import torch

        decoding = self._decoding
        if decoding.temperature == 0:
            return None
        generators = [torch_rng(decoding.seed, row.request.task_id, row.request.sample) for row in rows]
        drawn = [torch.randint(SEEDS, (decoding.max_new_tokens,), generator=generator) for generator in generators]
        return torch.stack(drawn).to(device)

    @override
    def choose(
        self, logits: torch.Tensor, rows: list[WrittenRow], begun: torch.Tensor | None, steps: torch.Tensor
    ) -> torch.Tensor:
        seeds = None
        if begun is not None:
            seeds = begun.gather(1, steps.clamp(max=begun.shape[1] - 1)[:, None])[:, 0]
        return choose_tokens(logits, self._decoding.temperature, self._decoding.top_p, seeds)


def _require_ends(network: Any, name: str) -> None:
    """Raise UnfitModel unless a network says where its embeddings are, as code of a model's own may not."""
    for end in ("input", "output"):
        try:
            embeddings = getattr(network, f"get_{end}_embeddings")()
        except (AttributeError, NotImplementedError):
            embeddings = None
        if embeddings is None:
            raise UnfitModel(
                f"generator transformers can't run model {name}: its code doesn't say which module its {end} "
                f"embeddings are (`get_{end}_embeddings`); add that to its code, or run it with `generator: vllm`"
            )


def _kind(network: Any) -> str:
    config = getattr(network, "active_peft_config", None)
    return "" if config is None else repr(sorted((name, str(value)) for name, value in config.to_dict().items()))
