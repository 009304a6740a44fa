"""Generates with transformers models, in a batched loop over a KV cache.

It replaces `model.generate`, which keeps finished rows in the batch, draws from the global random generator, and can't
give the clean and the perturbed prompt of a problem the same random numbers. In float32 a completion doesn't depend on
the other rows of its batch.
Not covered: encoder-decoder models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.generators.base import BATCH_SIZE, GENERATORS, TRANSFORMERS, Generator, LiveModel, cut_at_stop
from raysweep.hashing import text_sha
from raysweep.machine import versions
from raysweep.models.loading import load_model
from raysweep.prompts.templates import special_tokens
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef
from raysweep.seeding import torch_rng

if TYPE_CHECKING:
    import torch

EOS, LENGTH = "eos", "length"
"""Why a completion ended, where no stop string or stop token ended it."""
COMPACT_BELOW = 0.8
"""Finished rows are removed from the batch once at most this share of its rows is unfinished. Removing rows copies the
cache, so it isn't done after every token."""

READY_MASK_TYPES = frozenset({"llama", "gpt_bigcode", "codegen"})
"""Model types that accept a ready-made 4-dimensional attention mask. Building it in transformers for each token costs a
third of a small model's time. Other types (sliding windows, ALiBi) need the 2-dimensional mask."""


@dataclass
class _Row:
    """A completion being written.

    `budget`: limit on its number of tokens. `ends`: tokens that end it, with their names; `stop`: texts that do.
    """

    request: GenerationRequest
    prompt: list[int]
    budget: int
    ends: Mapping[int, str]
    stop: tuple[str, ...]
    written: list[int] = field(default_factory=list)
    ended: bool = False


@GENERATORS.register(TRANSFORMERS)
class Transformers(Generator):
    """Generates with a causal model on this process's accelerator, or its CPU.

    A float32 adapter is merged into its base. In other dtypes it stays separate, since merging would round.

    Args:
        model: the model to load, or one in this process, which is used unchanged and where it is.
        decoding: how to draw; `samples` is ignored, since each request is one sample.
        batch_size: number of rows generated together; they have similar lengths.
    """

    needs_model = True
    draws_when_greedy = False

    def __init__(self, model: ModelRef | LiveModel | None, decoding: Decoding, batch_size: int = BATCH_SIZE) -> None:
        super().__init__(model, decoding)
        if model is None:
            raise UsageError("generator transformers needs a model: a local folder or a hub id")
        self.batch_size = batch_size
        self.network, self.tokenizer = (
            (model.network, model.tokenizer) if isinstance(model, LiveModel) else _load_for_generation(model)
        )
        self.device = self.network.get_output_embeddings().weight.device
        self.eos = self.tokenizer.eos_token_id
        self._special = special_tokens(self.tokenizer)
        self._pieces: dict[int, str] = {}

    @classmethod
    def fingerprint(cls, dtype: str, batch_size: int) -> Mapping[str, Any]:
        """See `Generator.fingerprint`. Below float32, the batch size changes rounding and so the completions."""
        found: dict[str, Any] = {"versions": versions(("transformers", "torch"))}
        return found if dtype == "float32" else {**found, "batch_size": batch_size}

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See `Generator.generate`."""
        if not requests:
            return []
        rows = [self._row(request) for request in requests]
        unfinished = sorted((row for row in rows if not row.ended), key=lambda row: len(row.prompt))
        with self._generating():
            for start in range(0, len(unfinished), self.batch_size):
                self._write(unfinished[start : start + self.batch_size])
        return [self._completion(row) for row in rows]

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

    def _row(self, request: GenerationRequest) -> _Row:
        """Return a new row; if the prompt leaves no position to write to, it has ended already."""
        prompt = self.tokenizer(request.prompt, add_special_tokens=request.special_tokens)["input_ids"]
        ends = {self._special[text]: text for text in request.stop if text in self._special} | {self.eos: EOS}
        stop = tuple(text for text in request.stop if text not in self._special)
        positions = getattr(self.network.config, "max_position_embeddings", None)
        room = self.decoding.max_new_tokens if positions is None else positions - len(prompt)
        budget = min(self.decoding.max_new_tokens, room)
        return _Row(request, prompt, budget, ends, stop, ended=budget <= 0 or not prompt)

    def _write(self, rows: list[_Row]) -> None:
        """Generate the tokens of a batch of rows until all have ended."""
        import torch
        from transformers import DynamicCache

        ids, mask = left_pad([row.prompt for row in rows])
        ids, mask = ids.to(self.device), mask.to(self.device)
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        cache, draws = DynamicCache(), self._draws(rows)
        with torch.inference_mode():
            for step in range(self.decoding.max_new_tokens):
                logits = self.network(
                    input_ids=ids,
                    attention_mask=self._attention_mask(mask, step),
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                ).logits[:, -1]
                uniforms = None if draws is None else draws[:, step].to(self.device)
                tokens = choose_tokens(logits, self.decoding.temperature, self.decoding.top_p, uniforms)
                for row, token in zip(rows, tokens.tolist(), strict=True):
                    if not row.ended:
                        self._append(row, token)
                live = [index for index, row in enumerate(rows) if not row.ended]
                if not live:
                    return
                positions = positions[:, -1:] + 1
                if len(live) <= COMPACT_BELOW * len(rows):
                    keep = torch.tensor(live, device=self.device)
                    rows = [rows[index] for index in live]
                    cache.batch_select_indices(keep)
                    tokens, mask, positions = tokens[keep], mask[keep], positions[keep]
                    draws = None if draws is None else draws[live]
                ids = tokens[:, None]
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)

    def _attention_mask(self, mask: torch.Tensor, step: int) -> torch.Tensor:
        """Return (rows, tokens), or the ready-made (rows, 1, 1, tokens) for `READY_MASK_TYPES` after the first step."""
        import torch

        if step == 0 or self.network.config.model_type not in READY_MASK_TYPES:
            return mask
        dtype = self.network.dtype
        return (1 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min

    def _draws(self, rows: list[_Row]) -> torch.Tensor | None:
        """Return (rows, tokens) random numbers that depend on (seed, task, sample); None if decoding is greedy."""
        import torch

        if self.decoding.temperature == 0:
            return None
        generators = [torch_rng(self.decoding.seed, row.request.task_id, row.request.sample) for row in rows]
        return torch.stack([torch.rand(self.decoding.max_new_tokens, generator=generator) for generator in generators])

    def _append(self, row: _Row, token: int) -> None:
        """Add a token to a row and update whether the row has ended."""
        row.written.append(token)
        row.ended = token in row.ends or len(row.written) >= row.budget or self._stops(row, token)

    def _stops(self, row: _Row, token: int) -> bool:
        """Return True if the row's text contains a stop string.

        The whole text is decoded only when the newest tokens contain one. A stop string that this misses costs only
        tokens: at the end the whole text is cut at it.
        """
        stop = row.stop
        if token not in self._pieces:
            self._pieces[token] = self._decoded([token])
        if not any(text[-1] in self._pieces[token] for text in stop):
            return False
        newest = self._decoded(row.written[-max(map(len, stop)) - 1 :])
        return any(text in newest for text in stop) and cut_at_stop(self._text(row), stop)[1] is not None

    def _text(self, row: _Row) -> str:
        """Decode the written tokens together with the prompt: alone they may lose a leading blank (SentencePiece)."""
        written = row.written[:-1] if row.written and row.written[-1] in row.ends else row.written
        return self._decoded(row.prompt + written)[len(self._decoded(row.prompt)) :]

    def _decoded(self, ids: Sequence[int]) -> str:
        """Return what ids say, without special tokens.

        Many published tokenizers would also remove blanks before punctuation, which is right for prose alone.
        """
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _completion(self, row: _Row) -> Completion:
        text, stop = cut_at_stop(self._text(row), row.stop)
        ended = row.ends.get(row.written[-1], LENGTH) if row.written else LENGTH
        sha = text_sha(row.request.prompt)
        return Completion(row.request.task_id, row.request.sample, text, stop or ended, len(row.written), sha)


def _load_for_generation(model: ModelRef) -> tuple[Any, Any]:
    """Return a model on this process's accelerator or CPU, float32 adapters merged, and its tokenizer.

    Raises:
        UsageError: the generator can't run this kind of model.
    """
    import torch

    if model.architecture != "causal":
        raise UsageError(
            f"model {model.location} is an encoder-decoder model; generator transformers runs causal models only"
        )
    network, tokenizer = load_model(model)
    if model.kind is ModelKind.ADAPTER and model.dtype == "float32":
        network = network.merge_and_unload()
    return network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu")).eval(), tokenizer


def left_pad(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (rows, tokens) ids and mask, padded on the left so that all rows end at the same position."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    assert bool(mask[:, -1].all()), "generation needs left padding"
    return ids, mask


def choose_tokens(
    logits: torch.Tensor, temperature: float, top_p: float, uniforms: torch.Tensor | None
) -> torch.Tensor:
    """Return each row's next token: the most likely one, or a draw from the nucleus.

    A draw inverts the cumulative probabilities of the nucleus, most likely token first. So rows with equal random
    numbers and similar distributions mostly draw the same token (common random numbers).
    Nucleus: the fewest tokens whose probability reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: (rows, vocabulary).
        temperature: 0 is greedy.
        top_p: used only above temperature 0.
        uniforms: (rows,), in [0, 1); None if greedy.

    Returns:
        (rows,), token ids.
    """
    import torch

    if temperature == 0 or uniforms is None:
        return logits.argmax(dim=-1)
    probabilities, tokens = torch.softmax(logits.float() / temperature, dim=-1).sort(
        dim=-1, descending=True, stable=True
    )
    cumulative = probabilities.cumsum(dim=-1)
    nucleus = (cumulative - probabilities) < top_p
    nucleus[:, 0] = True
    last = nucleus.sum(dim=-1, keepdim=True) - 1
    target = uniforms[:, None].to(cumulative) * cumulative.gather(-1, last)
    index = torch.minimum((cumulative <= target).sum(dim=-1, keepdim=True), last)
    return tokens.gather(-1, index)[:, 0]
