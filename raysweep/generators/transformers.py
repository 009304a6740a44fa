"""Generates with transformers models, in a batched loop over a KV cache.

It replaces `model.generate`, which keeps finished rows in the batch, draws from the global random generator, and can't
give the clean and the perturbed prompt of a problem the same random numbers. A prompt is read once for all its samples,
and a row that ends makes room for one that waits, of this batch or of the next one, which another thread brings. In
float32 a completion doesn't depend on what is written beside it, save where rounding decides between two tokens.
Not covered: encoder-decoder models.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError, UsageError
from raysweep.generators.base import (
    CPU_TOKENS,
    GENERATORS,
    MEMORY_SHARE,
    TRANSFORMERS,
    Generator,
    LiveModel,
    cut_at_stop,
)
from raysweep.generators.kv_cache import KeptPrompt, chosen, new_cache
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.generators.sampling import RULE, SEEDS, choose_tokens
from raysweep.generators.slots import Prompt, Slots, by_prompt, left_pad, tokens_of
from raysweep.machine import is_out_of_memory
from raysweep.models.architectures.shape import shape_of
from raysweep.models.attention import disable_cudnn_attention
from raysweep.models.versions import ModelVersions
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.seeding import torch_rng

if TYPE_CHECKING:
    import torch

REFILL_BELOW = 0.8
"""Ended rows are replaced once at most this share of the budget is in use. It copies the cache, so it isn't done after
every token."""
POLICY = 3
"""Version of the rules by which rows are put together, for the keys of completions in 16 bits."""

READY_MASK_TYPES = frozenset({"llama", "gpt_bigcode", "codegen"})
"""Model types that accept a ready-made 4-dimensional attention mask. Building it in transformers for each token costs a
third of a small model's time. Other types (sliding windows, ALiBi) need the 2-dimensional mask."""


@GENERATORS.register(TRANSFORMERS)
class Transformers(Generator):
    """Generates with a causal model on this process's accelerator, or its CPU.

    Args:
        model: the model to load, or one in this process, which is used unchanged and where it is.
        decoding: how to draw; `samples` is ignored, since each request is one sample.
        merge: whether adapters are merged into their base, which is faster; null: in float32, since 16 bits would
            round.
        batch_tokens: most tokens, of prompts and completions, of the rows that are written together; None: by the
            device.
    """

    needs_model = True
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
    ) -> None:
        super().__init__(model, decoding)
        if model is None:
            raise UsageError("generator transformers needs a model: a local folder or a hub id")
        self.network: Any = None
        self.tokenizer: Any = None
        self.versions: ModelVersions | None = None
        if isinstance(model, LiveModel):
            self._take(model.network, model.tokenizer)
        else:
            self.versions = _versions(merge)
            self.use(model)
        self.batch_tokens = batch_tokens or self._tokens_that_fit()
        self._now = self._least = self.batch_tokens  # fewer after memory ran out
        self._in_use = 0  # tokens, when rows were last taken in
        self._turn = threading.Condition()  # of the thread that writes the rows of all threads, and of what follows
        self._is_writing = False
        self._ended = 0  # rows so far
        self._open: list[WrittenRow] = []  # the rows of all threads, ended ones too
        self._waiting: deque[Prompt] = deque()  # those that are not begun
        self._slots: Slots | None = None  # those that are being written

    def use(self, model: ModelRef) -> bool:
        """See `Generator.use`. An adapter or delta of the loaded base, or a model like it, doesn't load it again.

        Raises:
            UsageError: this generator can't run this kind of model.
            RaysweepError: the model can't be loaded.
        """
        if self.versions is None:
            return False
        if model.architecture != "causal":
            raise UsageError(
                f"model {model.location} is an encoder-decoder model; generator transformers runs causal models only"
            )
        self.network = self.tokenizer = None  # else two would be in memory while one replaces the other
        self.versions.become(model)
        self.loads = self.versions.loads
        self._take(self.versions.network, self.versions.tokenizer)
        return True

    def _take(self, network: Any, tokenizer: Any) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.device = network.get_output_embeddings().weight.device
        disable_cudnn_attention(self.device)
        positions = getattr(network.config, "max_position_embeddings", None)
        self._tokens = Tokens(tokenizer, positions, self.decoding.max_new_tokens)
        self._pieces: dict[int, str] = {}

    @classmethod
    def fingerprint(cls, dtype: str, batch_tokens: int | None) -> Mapping[str, Any]:
        """See `Generator.fingerprint`. Below float32, what is written together changes rounding, and completions."""
        return {} if dtype == "float32" else {"batch_tokens": batch_tokens, "policy": POLICY}

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See `Generator.generate`. Rows of several threads are written together, by one of them."""
        if not requests:
            return []
        rows = [self._tokens.row(request) for request in requests]
        self._write([row for row in rows if not row.ended])
        return [self._tokens.completion(row) for row in rows]

    def state(self) -> Mapping[str, float]:
        """See `Generator.state`."""
        return {"batch_tokens": self._now, "cache_share": self._in_use / self._now}

    def facts(self) -> Mapping[str, Any]:
        """See `Generator.facts`: the smallest token budget so far, and whether adapters are merged into the base."""
        return {"batch_tokens": self._least, "merged": bool(self.versions and self.versions.is_merged)}

    @contextlib.contextmanager
    def _generating(self) -> Iterator[None]:
        """Put the model into evaluation mode for the block, and compute logits for the last position only."""
        head, was_training = self.network.get_output_embeddings(), self.network.training
        hook = head.register_forward_pre_hook(lambda _, args: (args[0][:, -1:], *args[1:]))
        self.network.eval()
        try:
            yield
        finally:
            hook.remove()
            self.network.train(was_training)

    def _write(self, rows: list[WrittenRow]) -> None:
        """Write rows to their ends, or wait until another thread has written them.

        Raises:
            RaysweepError: memory ran out with one row.
        """
        left, is_writer = list(rows), False
        with self._turn:
            self._open += rows
            self._waiting += by_prompt(rows)
        try:
            with self._turn:
                self._turn.wait_for(lambda: not self._is_writing or _have_ended(left))
                if left:
                    is_writer = self._is_writing = True
            if is_writer:
                self._write_all(left)
        finally:
            ids = set(map(id, rows))
            with self._turn:
                self._open = [row for row in self._open if id(row) not in ids]
                if is_writer:
                    self._is_writing = False
                    if left:  # an error ended it; other threads try what is theirs
                        self._begin_again()
                self._turn.notify_all()

    def _write_all(self, left: list[WrittenRow]) -> None:
        """Write the rows of all threads until those in `left` have ended.

        As many are written at a time as the budget holds, ended ones being replaced by waiting ones.
        """
        import torch

        announced = 0
        with self._generating(), torch.inference_mode():
            while not _have_ended(left):
                if announced < self._ended:
                    announced = self._ended
                    with self._turn:
                        self._turn.notify_all()  # the last row of another thread may have ended
                try:
                    self._slots = self._refilled(self._slots)
                    self._slots = self._advanced(self._slots) if self._slots else None
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    with self._turn:
                        self._begin_again()
                    self._halve(error)
        self._now = min(self.batch_tokens, 2 * self._now)

    def _begin_again(self) -> None:
        """Have all rows wait that have not ended. The caller holds the lock."""
        self._slots, self._waiting = None, by_prompt([row for row in self._open if not row.ended])

    def _halve(self, error: BaseException) -> None:
        """Halve the budget after memory ran out; rows that were being written begin again, and get the same texts."""
        self._now //= 2
        self._least = min(self._least, self._now)
        if self._now < 1:
            raise RaysweepError(
                "memory ran out with a single completion; use a model in 16 bits, or an accelerator with more memory"
            ) from error
        error.__traceback__ = None  # it holds the tensors
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _refilled(self, slots: Slots | None) -> Slots | None:
        """Return the slots with waiting rows in place of ended ones, where that is due."""
        used = sum(slots.rows[number].tokens for number in slots.live) if slots else 0
        is_full = used > REFILL_BELOW * self._now
        if is_full or (not self._waiting and slots and used > REFILL_BELOW * tokens_of(slots.rows)):
            return slots
        slots = slots.without_ended() if slots else None
        with self._turn:
            taken = self._taken(self._now - used, is_first=slots is None)
        for new in self._started(taken):
            slots = new if slots is None else slots.joined(new)
        self._in_use = tokens_of(slots.rows) if slots else 0
        return slots

    def _taken(self, room: int, is_first: bool) -> list[tuple[Prompt, list[WrittenRow]]]:
        """Take the next rows that fit off the waiting prompts; at least one if it is the first."""
        taken: list[tuple[Prompt, list[WrittenRow]]] = []
        while self._waiting:
            prompt, each = self._waiting[0], self._waiting[0].rows[0].tokens
            number = max(room // each, int(is_first and not taken))
            if number < 1:
                break
            rows, prompt.rows = prompt.rows[:number], prompt.rows[number:]
            taken.append((prompt, rows))
            room -= each * len(rows)
            if not prompt.rows:
                self._waiting.popleft()
        return taken

    def _started(self, taken: list[tuple[Prompt, list[WrittenRow]]]) -> Iterator[Slots]:
        """Yield slots of new rows with their first token. A prompt is read once for all its rows."""
        import torch

        fresh = [(prompt, rows) for prompt, rows in taken if prompt.kept is None]
        for prompt, rows in taken:
            if prompt.kept is not None:
                cache, logits = prompt.kept.begun(len(rows))
                mask = torch.ones(len(rows), len(rows[0].prompt), dtype=torch.long, device=self.device)
                yield from self._begun(rows, cache, mask, logits)
        if not fresh:
            return
        ids, mask = left_pad([rows[0].prompt for _, rows in fresh])
        ids, mask = ids.to(self.device), mask.to(self.device)
        cache = new_cache()
        logits = self.network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=-1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        last = fresh[-1][0]
        if last.rows:  # only the last one taken may have rows left
            last.kept = KeptPrompt(cache, len(fresh) - 1, mask.shape[1] - int(mask[-1].sum()), logits)
        if any(len(rows) > 1 for _, rows in fresh):
            index = [number for number, (_, rows) in enumerate(fresh) for _ in rows]
            at = torch.tensor(index, device=self.device)
            cache, mask, logits = chosen(cache, at), mask[at], logits[at]
        yield from self._begun([row for _, rows in fresh for row in rows], cache, mask, logits)

    def _begun(self, rows: list[WrittenRow], cache: Any, mask: torch.Tensor, logits: torch.Tensor) -> Iterator[Slots]:
        """Yield slots of rows, with their first token, whose prompts were read; they take the cache."""
        draws = self._draws(rows)
        tokens = self._next_tokens(logits, rows, draws)
        slots = Slots(rows, cache, mask, mask.sum(dim=-1), tokens, draws, not bool(mask.all())).without_ended()
        if slots is not None:
            yield slots

    def _advanced(self, slots: Slots) -> Slots | None:
        """Write one token to every row; return None if all have ended."""
        import torch

        slots.mask = torch.cat([slots.mask, slots.mask.new_ones(len(slots.rows), 1)], dim=-1)
        logits = self.network(
            input_ids=slots.tokens[:, None],
            attention_mask=self._attention_mask(slots),
            position_ids=slots.positions[:, None],
            past_key_values=slots.cache,
            use_cache=True,
        ).logits[:, -1]
        self.alive()
        slots.positions = slots.positions + 1
        slots.tokens = self._next_tokens(logits, slots.rows, slots.draws)
        return slots if slots.live else None

    def _next_tokens(self, logits: torch.Tensor, rows: list[WrittenRow], draws: torch.Tensor | None) -> torch.Tensor:
        """Choose a token for each row, (rows,), and add it to those that have not ended."""
        import torch

        seeds = None
        if draws is not None:
            steps = [min(len(row.written), draws.shape[1] - 1) for row in rows]
            seeds = draws.gather(1, torch.tensor(steps, device=draws.device)[:, None])[:, 0]
        tokens = choose_tokens(logits, self.decoding.temperature, self.decoding.top_p, seeds)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if not row.ended:
                self._append(row, token)
        return tokens

    def _attention_mask(self, slots: Slots) -> torch.Tensor | None:
        """Return (rows, tokens); for `READY_MASK_TYPES` (rows, 1, 1, tokens), or nothing where nothing is masked."""
        import torch

        if self.network.config.model_type not in READY_MASK_TYPES:
            return slots.mask
        if not slots.padded:
            return None
        dtype = self.network.dtype
        return (1 - slots.mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min

    def _tokens_that_fit(self) -> int:
        """Return how many tokens' keys and values an accelerator has room for beside the model; a constant on CPUs."""
        import torch

        shape = shape_of(self.network.config.to_dict())
        if self.device.type != "cuda" or shape is None:
            return CPU_TOKENS
        free, _ = torch.cuda.mem_get_info(self.device)
        of_a_token = 2 * shape.layers * shape.key_value * self.network.dtype.itemsize
        return max(1, int(free * MEMORY_SHARE / of_a_token))

    def _draws(self, rows: list[WrittenRow]) -> torch.Tensor | None:
        """Return (rows, tokens) seeds of draws, from (seed, task, sample); None if decoding is greedy."""
        import torch

        if self.decoding.temperature == 0:
            return None
        generators = [torch_rng(self.decoding.seed, row.request.task_id, row.request.sample) for row in rows]
        drawn = [torch.randint(SEEDS, (self.decoding.max_new_tokens,), generator=generator) for generator in generators]
        return torch.stack(drawn).to(self.device)

    def _append(self, row: WrittenRow, token: int) -> None:
        """Add a token to a row and update whether the row has ended."""
        row.written.append(token)
        row.ended = token in row.ends or len(row.written) >= row.budget or self._stops(row, token)
        self._ended += row.ended

    def _stops(self, row: WrittenRow, token: int) -> bool:
        """Return True if the row's text contains a stop string.

        The whole text is decoded only when the newest tokens contain one. A stop string that this misses costs only
        tokens: at the end the whole text is cut at it.
        """
        stop = row.stop
        if token not in self._pieces:
            self._pieces[token] = self._tokens.decoded([token])
        if not any(text[-1] in self._pieces[token] for text in stop):
            return False
        newest = self._tokens.decoded(row.written[-max(map(len, stop)) - 1 :])
        return any(text in newest for text in stop) and cut_at_stop(self._tokens.text(row), stop)[1] is not None


def _have_ended(left: list[WrittenRow]) -> bool:
    """Return True if all rows have ended; it takes ended ones off the end of the list."""
    while left and left[-1].ended:
        left.pop()
    return not left


def _versions(merge: bool | None) -> ModelVersions:
    """Return versions on this process's accelerator or CPU."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return ModelVersions(device, lambda dtype: dtype == "float32" if merge is None else merge)
