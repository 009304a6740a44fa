"""Beam search: the most likely texts of a prompt, found from its most likely beginnings, as transformers' `generate`.

The beams of a prompt are rows that begin together and end together, beside those of other prompts. At each step the
likeliest continuations of all of them are taken: those that end join the prompt's finished texts, which are kept by
their mean log-probability (a length penalty of 1), and the best others are its beams. With early stopping a search
ends with as many finished texts as it has beams, else once no beam is better than the worst of them. A stop string ends
a text as an end token does. The sums are of 32 bits, and equal ones come in the order that torch.topk gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.generators.caches.base import Way
from raysweep.generators.rows import WrittenRow
from raysweep.generators.writing.loop import Loop, TokenChoice
from raysweep.generators.writing.slots import Slots
from raysweep.generators.writing.written import Stops, Written

if TYPE_CHECKING:
    import torch

NOT_BEGUN = -1e9
"""The sum of a beam that is none: all begin alike, so only the first one counts at first. As transformers has it."""


class Continuation(NamedTuple):
    """A beam with one more token. `total`: the sum of its log-probabilities; `mean`: theirs."""

    total: float
    mean: float
    beam: int
    token: int


@dataclass(eq=False)
class Search:
    """The search for one prompt.

    Attributes:
        beams: its rows, which are written together.
        finished: texts that have ended, with the means of their log-probabilities, the best first.
    """

    beams: list[WrittenRow]
    finished: list[tuple[float, list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for beam in self.beams:
            beam.group = self

    @property
    def considered(self) -> int:
        """How many continuations are looked at: so many that as many as it has beams are left if all ends come."""
        return max(2, 1 + len(self.beams[0].ends)) * len(self.beams)

    def go_on(self, best: Sequence[Continuation], stops: Stops, early: bool) -> list[Continuation]:
        """Take the best continuations in; return those that its beams are from now on. All beams end with the search.

        `best`: as many as are considered or more, the best first. `early`: whether the search ends with as many
        finished texts as it has beams.
        """
        if self.beams[0].ended:
            latest = enumerate(beam.written[-1] for beam in self.beams)
            return [Continuation(NOT_BEGUN, NOT_BEGUN, *own) for own in latest]
        number, is_last = len(self.beams), len(self.beams[0].written) + 1 >= self.beams[0].budget
        best = best[: self.considered]
        ends = [is_last or self._ends(one, stops) for one in best]
        texts = [
            (one.mean, [*self.beams[one.beam].written, one.token])
            for one, is_end in zip(best[:number], ends, strict=False)
            if is_end
        ]
        self.finished = sorted([*self.finished, *texts], key=lambda text: -text[0])[:number]
        going = [one for one, is_end in zip(best, ends, strict=True) if not is_end][:number]
        is_full = len(self.finished) == number
        has_ended = not going or (is_full and (early or going[0].mean <= self.finished[-1][0]))
        # a beam without a place is none from now on, since nothing else goes on
        going += [one._replace(total=NOT_BEGUN, mean=NOT_BEGUN) for one in (going or best)[:1]] * (number - len(going))
        written = [[*self.beams[one.beam].written, one.token] for one in going]
        for beam, text in zip(self.beams, written, strict=True):
            beam.written, beam.ended = text, has_ended
        return going

    def _ends(self, one: Continuation, stops: Stops) -> bool:
        beam = self.beams[one.beam]
        if one.token in beam.ends:
            return True
        beam.written.append(one.token)
        try:
            return bool(stops(beam, one.token))
        finally:
            beam.written.pop()


class Beams(TokenChoice):
    """Has each search go on with its best continuations.

    Args:
        early: whether a search ends with as many finished texts as it has beams.
        stops: whether a row ends with a token.

    Attributes:
        origins: from which of the rows each one goes on, after the latest choice.
    """

    def __init__(self, early: bool, stops: Stops) -> None:
        self.early, self.stops = early, stops
        self.origins: list[int] = []

    def begin(self, rows: list[WrittenRow], device: torch.device) -> torch.Tensor:
        """Return (rows, 1), the sums of the beams' log-probabilities; the searches begin anew."""
        import torch

        totals: list[float] = []
        for search in _searches(rows):
            search.finished = []
            totals += [0.0, *[NOT_BEGUN] * (len(search.beams) - 1)]
        return torch.tensor(totals, device=device)[:, None]

    @override
    def choose(
        self, logits: torch.Tensor, rows: list[WrittenRow], begun: torch.Tensor | None, steps: torch.Tensor
    ) -> torch.Tensor:
        """The rows get these tokens, behind those of the beams that they go on from.

        Raises:
            UsageError: the vocabulary is too small for so many beams.
        """
        import torch

        assert begun is not None
        searches, vocabulary = _searches(rows), logits.shape[-1]
        number, considered = len(searches[0].beams), max(search.considered for search in searches)
        if considered > vocabulary:
            raise UsageError(
                f"{number} beams need {considered} tokens to choose from, and the model has {vocabulary}; take fewer"
            )
        totals = torch.log_softmax(logits.float(), dim=-1) + begun
        best, places = totals.view(len(searches), -1).topk(considered, dim=-1)
        lengths = torch.tensor([len(search.beams[0].written) + 1 for search in searches], device=best.device)
        parts = (best, best / lengths[:, None], places // vocabulary, places % vocabulary)
        chosen: list[Continuation] = []
        self.origins = []
        for search, *of_search in zip(searches, *(part.tolist() for part in parts), strict=True):
            going = search.go_on([Continuation(*one) for one in zip(*of_search, strict=True)], self.stops, self.early)
            self.origins += [len(chosen) + one.beam for one in going]
            chosen += going
        begun.copy_(torch.tensor([one.total for one in chosen], device=begun.device)[:, None])
        return torch.tensor([one.token for one in chosen], device=logits.device)


class BeamLoop(Loop):
    """Writes the rows of searches."""

    unit = "the beams of a single prompt; take fewer `beams`"
    choice: Beams

    def __init__(self, way: Way, early: bool, budget: int, stops: Stops) -> None:
        choice = Beams(early, lambda row, token: self.endings.stops(row, token))  # those of the present model
        super().__init__(way, choice, budget, stops)
        self.looks_ahead = False  # the choice says whose cache each beam takes over

    @override
    def _advanced(self, slots: Slots) -> Slots | None:
        """Beams take over what is kept of the beams that they go on from."""
        import torch

        going = super()._advanced(slots)
        if going is not None and self.choice.origins != list(range(len(going.rows))):
            newest = max(len(row.written) for row in going.rows) - 1  # the latest token is not read yet
            origins = torch.tensor(self.choice.origins, device=self.way.device)
            going.cache = going.cache.reordered(origins, newest)
        return going

    @override
    def _add(self, newest: torch.Tensor, written: Written) -> None:
        """The choice gave the rows their tokens."""
        had_ended = written.counts["ended"].sum()
        written.counts["ended"] = [row.ended for row in written.rows]
        self._ended += int(written.counts["ended"].sum() - had_ended)


def _searches(rows: Sequence[WrittenRow]) -> list[Search]:
    return list(dict.fromkeys(row.group for row in rows))
