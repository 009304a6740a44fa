"""Encodes a prompt with one of its responses, the same way for all objectives."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar, Self

from raysweep.models.vocabulary import vocabulary_of
from raysweep.models.whole_texts import LABELS, logits_at
from raysweep.prompts.repair.styles import STYLES, line_lead, prompt_ids, tokens_of
from raysweep.prompts.templates import CHAT, PromptTemplate, earlier_answers, encoder_ids, loss_begins, training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import ALL, Recipe, Row
from raysweep.trainers.objectives.differences import characters_of

if TYPE_CHECKING:
    import numpy as np
    import torch


TRUNCATE = "truncate"
"""The value of a recipe's `overlong` with which responses are cut."""
SPACE = "\u0120"
"""How byte-level tokenizers write a space in their tokens."""
ONE_BEFORE, OTHERS = -1, -2
"""Tokens with one space before their text; with more spaces around it."""


@dataclass(frozen=True)
class PromptAndResponse:
    """Token ids of a prompt with a response, the end of the text included. `start`: number of the prompt's tokens."""

    ids: list[int]
    start: int

    per_token: ClassVar[tuple[str, ...]] = ("ids",)
    """Fields that have something of each token."""

    def fitted(self, recipe: Recipe) -> Self:
        """Return it cut at the recipe's `max_tokens`, where its `overlong` says so."""
        if recipe.overlong != TRUNCATE or len(self.ids) <= recipe.max_tokens:
            return self
        return replace(self, **{name: getattr(self, name)[: recipe.max_tokens] for name in self.per_token})

    def unusable(self, max_tokens: int) -> str:
        """Return in a few words why a row can't train, after `fitted`; empty if it can."""
        if not self.start:
            return "no prompt"
        if self.start >= len(self.ids):
            return f"prompt of {max_tokens} tokens or more"
        return f"over {max_tokens} tokens" if len(self.ids) > max_tokens else ""

    @property
    def weights(self) -> list[float]:
        """1 for each token of the response, 0 for each of the prompt."""
        return [0.0] * self.start + [1.0] * (len(self.ids) - self.start)


@dataclass(frozen=True)
class EncodedResponse(PromptAndResponse):
    """The same with `spans`: (tokens, 2), the characters of the response that each token covers, as (first, last + 1).

    Tokens of the prompt and of the end have an empty span.
    """

    spans: np.ndarray

    per_token: ClassVar[tuple[str, ...]] = ("ids", "spans")


def encode_response(row: TrainingRow, response: str, tokenizer: Any, recipe: Recipe) -> EncodedResponse:
    """Encode a row's prompt with a response. The prompt's tokens end with the one of its last character."""
    template = recipe.prompt_template(tokenizer)
    return encode_responses([(training_prompt(row, template), response)], template)[0]


def encode_turns(row: TrainingRow, tokenizer: Any, recipe: Recipe) -> tuple[EncodedResponse, list[float]]:
    """Encode a row's prompt with its answer, and return which tokens have loss: 1.0 for these, 0.0 for the others.

    These are the tokens of its last answer; with `loss_on: all` those of earlier answers too, by the same rule: of a
    token that begins before an answer there is no loss.

    Raises:
        UsageError: the template writes earlier answers in another way than the last one (`earlier_answers`).
    """
    import numpy as np

    template = recipe.prompt_template(tokenizer)
    prompt = training_prompt(row, template)
    encoded = encode_responses([(prompt, row.output)], template)[0]
    weights = encoded.weights
    if recipe.loss_on != ALL or not row.history:
        return encoded, weights
    text, _ = template.answered(prompt, row.output)
    special = template.adds_special_tokens(prompt)
    told = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    offsets = np.array(told["offset_mapping"], dtype=np.int64)
    for first, end in earlier_answers(row, template, text):
        begin, until = (_tokens_before(offsets, character) for character in (first, end))
        weights[begin:until] = [1.0] * (until - begin)
    return encoded, weights


def _tokens_before(offsets: np.ndarray, character: int) -> int:
    """Return one more than the number of the last token that begins before a character; 0 without one."""
    import numpy as np

    before = np.flatnonzero(offsets[:, 0] < np.minimum(offsets[:, 1], character))
    return int(before[-1]) + 1 if len(before) else 0


@dataclass(frozen=True)
class EncodedApart:
    """Token ids of a prompt for an encoder, and of a response with its end for a decoder."""

    prompt: list[int]
    response: list[int]

    def fitted(self, recipe: Recipe) -> EncodedApart:
        """See `PromptAndResponse.fitted`; the prompt has a limit of its own, and stays."""
        return replace(self, response=self.response[: recipe.max_tokens]) if recipe.overlong == TRUNCATE else self

    def unusable(self, max_tokens: int) -> str:
        """Return in a few words why a row can't train: no prompt, or one of the two too long; empty if it can."""
        if not self.prompt:
            return "no prompt"
        return f"over {max_tokens} tokens" if max(len(self.prompt), len(self.response)) > max_tokens else ""

    def row(self, weights: Sequence[float]) -> dict[str, list[Any]]:
        return {"input_ids": self.prompt, LABELS: self.response, "weights": list(weights)}


def encode_apart(row: TrainingRow, response: str, tokenizer: Any, recipe: Recipe) -> EncodedApart:
    """Encode a row's prompt and a response for a model with an encoder and a decoder, each as a text of its own."""
    template = recipe.prompt_template(tokenizer)
    prompt = training_prompt(row, template)
    whole, begins = template.answered(prompt, response)
    first = loss_begins(prompt, whole, begins)
    ids = list(tokenizer(whole[first:], add_special_tokens=False)["input_ids"])
    end = tokenizer.convert_tokens_to_ids(template.end)
    ids += [] if ids[-1:] == [end] else [end]
    return EncodedApart(encoder_ids(whole[:first], template), ids)


def encode_responses(texts: Sequence[tuple[str, str]], template: PromptTemplate) -> list[EncodedResponse]:
    """Encode prompts, filled already, with their responses, in the order in which they come.

    For repair each is encoded by itself, as in the studies: GPT-2's tokens join the end of a prompt's last line to the
    indent of the line behind it, and a model would be trained on other tokens than it is shown.
    """
    encoded: list[EncodedResponse] = []
    encode = _each_encoded if template.name in STYLES else _encoded
    for special, group in groupby(texts, key=lambda text: template.adds_special_tokens(text[0])):
        encoded += encode(list(group), template, special=special)
    return encoded


def _each_encoded(
    texts: Sequence[tuple[str, str]], template: PromptTemplate, *, special: bool
) -> list[EncodedResponse]:
    """Encode prompts as generation does, without what a tokenizer appends, and responses as they follow on a line."""
    import numpy as np

    tokenizer = template.tokenizer
    lead, appended = line_lead(tokenizer), _appended(tokenizer) if special else 0
    prompts = prompt_ids([prompt for prompt, _ in texts], tokenizer, special=special)
    led = [f"{lead}{response}" for _, response in texts]
    batch = tokenizer(led, add_special_tokens=False, return_offsets_mapping=True)
    end, skipped = tokenizer.convert_tokens_to_ids(template.end), len(tokens_of(tokenizer, lead)) if lead else 0
    result = []
    for number, prompt in enumerate(prompts):
        start = len(prompt) - appended
        ids = batch["input_ids"][number][skipped:]
        offsets = np.array(batch["offset_mapping"][number], dtype=np.int64).reshape(-1, 2)
        spans = (_untrimmed(offsets, batch.tokens(number), led[number])[skipped:] - len(lead)).clip(min=0)
        ends = [] if ids[-1:] == [end] else [end]
        spans = np.concatenate([np.zeros((start, 2), np.int64), spans, np.zeros((len(ends), 2), np.int64)])
        spans[-1] = 0
        result.append(EncodedResponse([*prompt[:start], *ids, *ends], start, spans))
    return result


@functools.lru_cache(maxsize=4)
def _appended(tokenizer: Any) -> int:
    """Return how many tokens a tokenizer puts behind a text."""
    return len(vocabulary_of(tokenizer).after)


def _encoded(texts: Sequence[tuple[str, str]], template: PromptTemplate, *, special: bool) -> list[EncodedResponse]:
    import numpy as np

    tokenizer = template.tokenizer
    answered = [template.answered(prompt, response) for prompt, response in texts]
    end_text = template.end if template.name == CHAT else ""  # a tokenizer may strip what stands before it
    whole = [text if text.endswith(end_text) else text + end_text for text, _ in answered]
    batch = tokenizer(whole, add_special_tokens=special, return_offsets_mapping=True, return_attention_mask=False)
    end, result = tokenizer.convert_tokens_to_ids(template.end), []
    for number, (prompt, response) in enumerate(texts):
        ids, flat = list(batch["input_ids"][number]), chain.from_iterable(batch["offset_mapping"][number])
        offsets = np.fromiter(flat, np.int64, 2 * len(ids)).reshape(-1, 2)
        # after tokens that overlap the prompt; what stands between prompt and response is learned with it
        start = _tokens_before(offsets, loss_begins(prompt, *answered[number]))
        spans = _in_response(_untrimmed(offsets, batch.tokens(number), whole[number]), response, *answered[number])
        spans[:start] = 0
        if start == len(ids) or ids[-1] != end:
            ids.append(end)
            spans = np.append(spans, [[0, 0]], axis=0)
        spans[-1] = 0  # also of an end that the response has itself, whose line may differ
        result.append(EncodedResponse(ids, start, spans))
    return result


def joined_prompts(texts: Iterable[tuple[str, Sequence[int] | np.ndarray[Any, Any]]], template: PromptTemplate) -> int:
    """Return how many prompts have other tokens by themselves, as generation reads them, than before a response.

    A tokenizer may join a prompt's end with the beginning of a response, or strip a blank between them, and a chat
    template may end prompts in another way than it goes on before an answer.

    `texts`: prompts, each with the tokens of it and its response.
    """
    if template.name in STYLES:
        return 0  # encoded apart
    joined = 0
    for special, group in groupby(texts, key=lambda text: template.adds_special_tokens(text[0])):
        appended = _appended(template.tokenizer) if special else 0
        while batch := list(islice(group, 1000)):
            alone = prompt_ids([prompt for prompt, _ in batch], template.tokenizer, special=special)
            for ids, (_, whole) in zip(alone, batch, strict=True):
                shown = ids[: min(len(ids) - appended, len(whole))]  # a row may be cut
                joined += shown != list(whole[: len(shown)])
    return joined


def _in_response(spans: np.ndarray, response: str, text: str, begins: int) -> np.ndarray:
    """Return which characters of a response some characters of its text are: none where a template writes it anew.

    `begins`: where it stands in the text, maybe without the blanks at its ends.
    """
    lead = 0 if text.startswith(response.rstrip(), begins) else len(response) - len(response.lstrip())
    if not text.startswith(response[lead:].rstrip(), begins):
        return spans * 0
    return (spans - begins + lead).clip(lead, len(response))  # the first may have a space that ends the prompt


def response_losses(
    model: Any, batch: Mapping[str, torch.Tensor], ids: str, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropy, in float32, of the tokens whose weight isn't 0, and where they are predicted.

    Args:
        model: a causal language model, or one with an encoder and a decoder.
        batch: has the token ids under `ids`, (rows, tokens), and their mask; or the labels of a decoder.
        ids: `input_ids` or `rejected_ids`.
        weights: (rows, tokens) of the tokens themselves, or of the labels.

    Returns:
        The losses, one after the other in the order of rows and tokens; and (rows, tokens), True at each position whose
        logits they come from: one before the token itself, or that of the label.
    """
    import torch.nn.functional as F

    from raysweep.trainers.batching import mask_of

    if LABELS in batch:
        written = weights != 0
        losses = F.cross_entropy(logits_at(model, batch, written).float(), batch[LABELS][written], reduction="none")
        return losses, written
    chosen = F.pad(weights[:, 1:] != 0, (0, 1))
    names = {"input_ids": ids, "attention_mask": mask_of(ids)}
    inputs = {name: batch[key] for name, key in names.items() if key in batch}
    if "position_ids" in batch:
        inputs["position_ids"] = batch["position_ids"]
    logits = logits_at(model, inputs, chosen)
    targets = batch[ids].roll(-1, dims=1)[chosen]
    return F.cross_entropy(logits.float(), targets, reduction="none"), chosen


def weighted_loss(model: Any, batch: Mapping[str, torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """Return the sum of the tokens' cross-entropies times their weights, (rows, tokens)."""
    if "position_ids" in batch:
        weights = weights * (batch["position_ids"] != 0)  # nothing predicts a row's first token
    losses, chosen = response_losses(model, batch, "input_ids", weights)
    shifted = weights if LABELS in batch else weights.roll(-1, dims=1)
    return (losses * shifted[chosen]).sum()


def response_tokens(rows: Sequence[Row]) -> float:
    """Return the number of tokens whose weight isn't 0 in some encoded rows."""
    import numpy as np

    return float(sum(np.count_nonzero(row["weights"]) for row in rows))


def _untrimmed(offsets: np.ndarray, tokens: Sequence[str], text: str) -> np.ndarray:
    """Return the characters of each token with its spaces, which tokenizers such as GPT-2's may leave out.

    `offsets`: (tokens, 2), the first character of each token and the one after its last. `tokens`: as the tokenizer
    writes them.
    """
    import numpy as np

    spans, kinds = offsets.copy(), np.array([_spaces(token) for token in tokens], dtype=np.int64)
    first, last = offsets.T
    is_space = np.append(characters_of(text) == ord(" "), False)
    spans[:, 0] -= (kinds == ONE_BEFORE) & ~is_space[np.minimum(first, len(text))]
    spans[:, 0] -= np.where(first == last, np.maximum(kinds, 0), 0)
    for at in np.flatnonzero(kinds == OTHERS).tolist():
        token, (begin, end) = tokens[at], offsets[at].tolist()
        before, after = len(token) - len(token.lstrip(SPACE)), len(token) - len(token.rstrip(SPACE))
        begin -= 0 if text.startswith(" " * before, begin) else before
        end += 0 if text.endswith(" " * after, 0, end) else after
        spans[at] = begin, end
    return spans


@functools.lru_cache(maxsize=2**18)
def _spaces(token: str) -> int:
    """Return the length of a token of spaces only, 0 for one without spaces at its ends, else which kind it is."""
    inner = token.strip(SPACE)
    if not inner:
        return len(token)
    return 0 if inner == token else ONE_BEFORE if token == SPACE + inner else OTHERS
