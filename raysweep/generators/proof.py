"""Proves on a loaded model that what is written has the logits that the model gives for whole texts.

Two short prompts of unequal length are written with given tokens, in a batch, alone, with three samples a prompt and
one row at a time, by the very loop that writes completions. So a model whose cache or padding the loop gets wrong, such
as one of a new architecture or of a new release of transformers, is found before anything is written with it. Before
that, a model is found whose own code gives `generate` more than the text, such as XLM, which is shown a mask token.
Not covered: what shows only in long texts, such as sliding windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import RaysweepError
from raysweep.generators.caches.base import Way
from raysweep.generators.caches.own_cache import NAMES
from raysweep.generators.rows import Tokens, WrittenRow
from raysweep.generators.writing.loop import Loop, TokenChoice
from raysweep.machine import is_out_of_memory
from raysweep.models.rounding import TEXT, distance, evaluating, with_limit
from raysweep.models.whole_texts import bare, forget, has_encoder, plain_logits, start_of, whole_pass
from raysweep.records import GenerationRequest

if TYPE_CHECKING:
    import torch

LENGTHS = (5, 9)
"""Tokens of the prompts: more than the kernels of convolutions have, whose first columns are a case of their own."""
SAMPLES, TOKENS = 3, 3


@dataclass(frozen=True)
class _Text:
    """A prompt and the tokens that are written after it."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


def flaw_of(way: Way, tokens: Tokens) -> str:
    """Return in words how the logits of a way of calling a model are wrong; empty if they are right.

    `tokens`: of its tokenizer. A model with too few positions for the two prompts isn't tried.
    """
    prompts = _prompts(way.network, tokens)
    if not prompts:
        return ""
    try:
        expected, limit = with_limit(way.network, lambda: _logits(way.network, prompts))
        for name, logits in _written(way, prompts):
            furthest = max(distance(of_text, expected[text]) for text, of_text in logits.items())
            if not furthest <= limit:
                return (
                    f"{name} its logits differ from those of whole texts by {100 * furthest:.2g} % of their spread, "
                    f"and rounding explains {100 * limit:.2g} %"
                )
    except RaysweepError:
        raise  # memory ran out with a single row
    except Exception as error:  # whatever a model's own code raises
        if is_out_of_memory(error):
            raise
        return f"it ends in {_said(error)}"
    return ""


def unlike_generate(network: Any, tokens: Tokens) -> str:
    """Return in words how `generate` reads other logits after a text than the model has for it; empty if it doesn't.

    `network`: a model of transformers, or one with an adapter of PEFT's, whose wrapper isn't called, since trained
    prompts move the positions that the model itself has for a text. One with an encoder isn't tried.
    """
    import torch

    prompts = _prompts(network, tokens)
    if not prompts or has_encoder(network):
        return ""
    network = bare(network)
    ids = torch.tensor([prompts[-1][0].prompt], device=network.get_input_embeddings().weight.device)
    mask, place = torch.ones_like(ids), torch.arange(ids.shape[1], device=ids.device)
    try:
        expected, limit = with_limit(network, lambda: {0: plain_logits(network, ids.tolist())[0, -1:]})
        with evaluating(network), torch.inference_mode():
            asked = network.prepare_inputs_for_generation(ids, attention_mask=mask, cache_position=place)
            left_out = (*NAMES, "use_cache", "logits_to_keep")
            given = {name: value for name, value in asked.items() if name not in left_out and value is not None}
            forget(network)
            logits = whole_pass(network, **given).logits[0, -1:].float()
            forget(network)
    except Exception as error:  # whatever a model's own code raises; the loop shows whether it can be called at all
        if is_out_of_memory(error):
            raise
        return ""
    if (furthest := distance(logits, expected[0])) <= limit:
        return ""
    return (
        "`generate` shows it more than the text (`prepare_inputs_for_generation`), and its logits then differ from "
        f"those of the text by {100 * furthest:.2g} % of their spread"
    )


def _prompts(network: Any, tokens: Tokens) -> list[list[_Text]]:
    """Return samples of two prompts that end with the tokens that switch an adapter on; none if they don't fit."""
    switch = tuple(getattr(getattr(network, "active_peft_config", None), "alora_invocation_tokens", None) or ())
    size = max(LENGTHS) + TOKENS
    if tokens.positions is not None and tokens.positions < size + len(switch):
        return []
    rows = network.get_input_embeddings().weight.shape[0]
    ids = [token for token in tokens.row(GenerationRequest("", "", TEXT)).prompt if token < rows]
    ids += [token % rows for token in range(size - len(ids))]
    return [_texts(ids, length, switch) for length in LENGTHS]


def _written(way: Way, prompts: Sequence[Sequence[_Text]]) -> Iterator[tuple[str, dict[_Text, torch.Tensor]]]:
    everything = [text for texts in prompts for text in texts]
    enough = sum(len(text.prompt) + len(text.tokens) for text in everything)
    yield "in a batch", _logits_of_loop(way, [texts[0] for texts in prompts], enough)
    for texts in prompts:
        yield "alone", _logits_of_loop(way, texts[:1], enough)
    yield f"with {SAMPLES} samples a prompt", _logits_of_loop(way, everything, enough)
    yield "one row at a time", _logits_of_loop(way, everything, 1)
    if has_encoder(way.network):
        (ends, later, *_), (first, *_) = prompts  # only rows that begin later have other columns than the first ones
        ends = _Text(ends.prompt, ends.tokens[:-1])
        budget = sum(len(text.prompt) + len(text.tokens) for text in (first, later))
        logits = _logits_of_loop(way, [first, ends, later], budget)
        yield "begun beside one that is being written", {text: logits[text] for text in (first, later)}


def _logits_of_loop(way: Way, texts: Sequence[_Text], budget: int) -> dict[_Text, torch.Tensor]:
    """Write texts with the loop; return the logits of each text's tokens, (tokens, vocabulary)."""
    import torch

    request = GenerationRequest("", "", "")
    rows = [WrittenRow(request, list(text.prompt), len(text.tokens), {}, ()) for text in texts]
    given = _Given({id(row): text for row, text in zip(rows, texts, strict=True)})
    Loop(way, given, budget, lambda row, token: None).write(rows)
    return {text: torch.stack(list(given.seen[text].values())) for text in texts}


class _Given(TokenChoice):
    """Gives each row the next token of its text, and keeps the logits; `texts`: by the rows' ids."""

    def __init__(self, texts: Mapping[int, _Text]) -> None:
        self._texts = texts
        self.seen: dict[_Text, dict[int, torch.Tensor]] = {text: {} for text in texts.values()}

    @override
    def begin(self, rows: list[WrittenRow], device: torch.device) -> None:
        pass

    @override
    def choose(
        self, logits: torch.Tensor, rows: list[WrittenRow], begun: torch.Tensor | None, steps: torch.Tensor
    ) -> torch.Tensor:
        import torch

        next_ones = []
        for row, of_row, step in zip(rows, logits.float(), steps.tolist(), strict=True):
            text = self._texts[id(row)]
            if not row.ended:
                self.seen[text][step] = of_row
            next_ones.append(text.tokens[min(step, len(text.tokens) - 1)])
        return torch.tensor(next_ones, device=logits.device)


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _texts(ids: Sequence[int], length: int, switch: tuple[int, ...]) -> list[_Text]:
    starts = [(length + 2 * sample) % (len(ids) - TOKENS + 1) for sample in range(SAMPLES)]
    return [_Text((*ids[:length], *switch), tuple(ids[start : start + TOKENS])) for start in starts]


def _logits(network: Any, prompts: Sequence[Sequence[_Text]]) -> dict[_Text, torch.Tensor]:
    """Return the logits of each text's tokens, (tokens, vocabulary), of whole texts; a prompt's texts in one pass."""
    logits: dict[_Text, torch.Tensor] = {}
    for texts in prompts:
        if has_encoder(network):
            decoded = [[start_of(network), *text.tokens[:-1]] for text in texts]
            of_texts = plain_logits(network, [text.prompt for text in texts], decoded)
        else:
            of_texts = plain_logits(network, [[*text.prompt, *text.tokens[:-1]] for text in texts])[:, -TOKENS:]
        logits |= dict(zip(texts, of_texts, strict=True))
    return logits
