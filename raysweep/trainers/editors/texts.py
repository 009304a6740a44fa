"""Turns the texts of an edit example into tokens, as generation reads and writes them; samples texts of a base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.generators.base import LiveModel
from raysweep.generators.rows import Tokens
from raysweep.models.traits import traits_of
from raysweep.models.whole_texts import whole_pass
from raysweep.records import GenerationRequest, PromptPair
from raysweep.seeding import torch_rng
from raysweep.trainers.editors.states import device_of

if TYPE_CHECKING:
    import torch

ANCHOR = "\n"
"""A text before a completion, for tokenizers that put a space before whatever stands first."""
SAMPLED_TOGETHER = 32
"""Texts that are sampled together."""


@dataclass(frozen=True)
class PairTokens:
    """An edit example's tokens: of both prompts, and of what the model wrote for them.

    `passing` follows `original` or `perturbed`, and `failing` follows `perturbed`. None has an end of text.
    """

    original: list[int]
    perturbed: list[int]
    passing: list[int]
    failing: list[int]


class TextReader:
    """Reads texts with a base's tokenizer.

    Attributes:
        positions: most tokens of a text; None: no limit.
    """

    def __init__(self, base: LiveModel) -> None:
        traits = traits_of(base.network, base.tokenizer)
        self.positions = traits.positions
        self._tokenizer = base.tokenizer
        self._tokens = Tokens(base.tokenizer, None, 1, traits)

    def pair(self, pair: PromptPair) -> PairTokens:
        """Return the tokens of a pair; raise UsageError if a prompt has no token, or too many for the model."""
        original, perturbed = (
            self.prompt(text, pair.special_tokens, f"of {pair.problem_set} {pair.task_id}")
            for text in (pair.original, pair.perturbed)
        )
        return PairTokens(
            original,
            perturbed,
            self.continuation(pair.original, original, pair.passing),
            self.continuation(pair.perturbed, perturbed, pair.failing),
        )

    def ids(self, text: str, special_tokens: bool) -> list[int]:
        """Return the tokens of any text as a generator reads a prompt."""
        return self._tokens.row(GenerationRequest("", "", text, special_tokens=special_tokens)).prompt

    def prompt(self, text: str, special_tokens: bool, name: str) -> list[int]:
        """Return the tokens of a prompt as a generator reads it. `name`: what errors say after "prompt"."""
        ids = self.ids(text, special_tokens)
        if not ids:
            raise UsageError(f"the prompt {name} has no token, so nothing can be edited for it; take another one")
        if self.positions is not None and len(ids) >= self.positions:
            raise UsageError(
                f"the prompt {name} has {len(ids)} tokens, and the model reads {self.positions} at most; take a "
                "shorter one"
            )
        return ids

    def room(self, prompt: Sequence[int]) -> int | None:
        """Return how many tokens a text may have behind a prompt; None: no limit is known."""
        return None if self.positions is None else self.positions - len(prompt)

    def continuation(self, prompt: str, ids: Sequence[int], text: str) -> list[int]:
        """Return the tokens that follow a prompt's where a text follows the prompt.

        The prompt keeps its tokens, as in generation. Of a tokenizer that joins both differently, or puts a space
        before a text, the tokens are taken that say the text.
        """

        def plain(of: str) -> list[int]:
            return list(self._tokenizer(of, add_special_tokens=False)["input_ids"])

        def after(whole: list[int], first: list[int]) -> list[int] | None:
            return whole[len(first) :] if whole[: len(first)] == first else None

        joined = after(plain(prompt + text), plain(prompt))
        anchored = after(plain(ANCHOR + text), plain(ANCHOR))
        ways = [way for way in (joined, anchored) if way is not None]
        return next((way for way in ways if self._tokens.decoded([*ids, *way]).endswith(text)), plain(text))

    def target(
        self, pair: PromptPair, ids: Sequence[int], following: Sequence[int], most: int | None = None
    ) -> list[int]:
        """Return the first `most` tokens to write, as many as the model can; raise UsageError if there are none."""
        room = self.room(ids)
        target = list(following[: min(len(following), room or len(following), most or len(following))])
        if not target:
            raise UsageError(
                f"the passing completion of {pair.problem_set} {pair.task_id} has no token, so there is nothing to "
                "write; name other problems in `edits.problems`"
            )
        return target


def left_padded(rows: Sequence[Sequence[int]], device: torch.device) -> Mapping[str, Any]:
    """Return a batch of rows that end together: `input_ids`, `attention_mask` and `position_ids`, (rows, tokens)."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(width, device=device)[None] >= width - lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(dim=-1) - 1).clamp(min=0)}


def sampled(
    base: LiveModel, count: int, length: int, seed: int, purpose: str, alive: Callable[[], None]
) -> list[list[int]]:
    """Return the tokens of texts that a base begins and goes on with by itself, at temperature 1.

    `length`: tokens of each, without the first one, which stands for a text's beginning and is left out. `seed`: from
    which, with the purpose, they are drawn. `alive`: called after each token.
    """
    import torch

    rng, texts = torch_rng(seed, purpose), list[list[int]]()
    begin = base.tokenizer.bos_token_id if base.tokenizer.bos_token_id is not None else base.tokenizer.eos_token_id
    if begin is None:
        raise UsageError("the tokenizer has no token for a text's beginning or end, so no text can be sampled")
    with torch.no_grad():
        for start in range(0, count, SAMPLED_TOGETHER):
            ids = torch.full((min(SAMPLED_TOGETHER, count - start), 1), begin, device=device_of(base.network))
            for _ in range(length):
                logits = whole_pass(base.network, input_ids=ids).logits[:, -1].float().cpu()
                drawn = torch.multinomial(logits.softmax(dim=-1), 1, generator=rng)
                ids = torch.cat([ids, drawn.to(ids.device)], dim=1)
                alive()
            texts += ids[:, 1:].tolist()
    return texts
