"""Writes the rows of several threads together, token by token: rows that end make room for rows that wait."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from raysweep.errors import RaysweepError
from raysweep.generators.caches.base import KeptPrompt, Latest, Read, Way
from raysweep.generators.patches import variants_of
from raysweep.generators.rows import WrittenRow
from raysweep.generators.writing.slots import Prompt, Slots, by_prompt
from raysweep.generators.writing.written import Endings, Stops, Written
from raysweep.machine import is_out_of_memory

if TYPE_CHECKING:
    import torch

REFILL_BELOW = 0.8
"""Ended rows are replaced once at most this share of the budget is in use. It copies the cache, so it isn't done after
every token."""


class TokenChoice(ABC):
    """Chooses the next tokens of rows."""

    @abstractmethod
    def begin(self, rows: list[WrittenRow], device: torch.device) -> torch.Tensor | None:
        """Return what rows that begin need for their choices, (rows, ...), on a device; None: nothing."""

    @abstractmethod
    def choose(
        self, logits: torch.Tensor, rows: list[WrittenRow], begun: torch.Tensor | None, steps: torch.Tensor
    ) -> torch.Tensor:
        """Return the next token of each row, (rows,); those of rows that have ended are dropped.

        Args:
            logits: (rows, vocabulary).
            rows: those that go on may lack their newest tokens.
            begun: what `begin` returned for these rows.
            steps: (rows,), how many tokens each one has.
        """


class Loop:
    """Writes rows with one model.

    Args:
        way: how the model is called; another one may take its place while nothing is written.
        choice: of the next tokens.
        budget: most tokens, of prompts and completions, of the rows that are written at a time.
        stops: whether a row ends with the token that it just got, beside its `ends` and its budget.

    Attributes:
        endings: from `stops`.
        looks_ahead: whether the model is shown tokens before it is known which rows end with them, as it is on GPUs.
            What that gives is dropped where rows are replaced then, so that what is written together stays the same.
        now: the present budget, which is smaller than `budget` after memory ran out.
        least: the smallest one so far.
        in_use: tokens, when rows were last taken in.
        alive: called after each token.
    """

    unit: ClassVar[str] = "a single completion"
    """The least that is written at a time."""

    def __init__(self, way: Way, choice: TokenChoice, budget: int, stops: Stops) -> None:
        self.way: Any = way  # None while another one is loaded
        self.choice, self.endings = choice, Endings(stops)
        self.looks_ahead = way.device.type == "cuda"
        self.now = self.least = self.budget = budget
        self.in_use = 0
        self.alive: Callable[[], None] = lambda: None
        self._turn = threading.Condition()  # of the thread that writes the rows of all threads, and of what follows
        self._is_writing = False
        self._ended = 0  # rows so far
        self._open: list[WrittenRow] = []  # the rows of all threads, ended ones too
        self._waiting: deque[Prompt] = deque()  # those that are not begun
        self._slots: Slots | None = None  # those that are being written

    def write(self, rows: list[WrittenRow]) -> None:
        """Wait where another thread writes the rows; raise RaysweepError if memory runs out with one row."""
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
        """Write the rows of all threads until those in `left` have ended."""
        import torch

        announced = 0
        with self.way.ready(), torch.inference_mode():
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
        self.now = min(self.budget, 2 * self.now)

    def _begin_again(self) -> None:
        """Have all rows wait that have not ended. The caller holds the lock."""
        self._slots, self._waiting = None, by_prompt([row for row in self._open if not row.ended])

    def _halve(self, error: BaseException) -> None:
        """Halve the budget after memory ran out; rows that were being written begin again, and get the same texts."""
        self.now //= 2
        self.least = min(self.least, self.now)
        if self.now < 1:
            raise RaysweepError(
                f"memory ran out with {self.unit}; use a model in 16 bits, or an accelerator with more memory"
            ) from error
        error.__traceback__ = None  # it holds the tensors
        if self.way.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _refilled(self, slots: Slots | None) -> Slots | None:
        if slots and self.way.switches_after is not None:
            slots = self._reread(slots, self.way.switches_after)
        used = slots.written.size(live=True) if slots else 0
        is_full = used > REFILL_BELOW * self.now
        if is_full or (not self._waiting and slots and used > REFILL_BELOW * slots.written.size(live=False)):
            return slots
        slots = slots.without_ended() if slots else None
        if slots and not self.way.joins:
            return slots
        with self._turn:
            taken = self._taken(self.now - used, is_first=slots is None)
        for new in self._started(taken):
            slots = new if slots is None else slots.joined(new)
        self.in_use = slots.written.size(live=False) if slots else 0
        return slots

    def _reread(self, slots: Slots, longest: int) -> Slots | None:
        """Read rows again that became long: LongRoPE takes the frequencies of long texts for all their tokens."""
        live, lengths = slots.live, slots.written.lengths
        turned = [number for number in live if lengths[number] == longest + 1]
        if not turned:
            return slots
        rest = slots.only([number for number in live if number not in turned])
        for new in self._started([(Prompt([]), [slots.written.row(number)]) for number in turned]):
            rest = new if rest is None else rest.joined(new)
        return rest

    def _taken(self, room: int, is_first: bool) -> list[tuple[Prompt, list[WrittenRow]]]:
        taken: list[tuple[Prompt, list[WrittenRow]]] = []
        while self._waiting:
            prompt = self._waiting[0]
            together, each = prompt.together, prompt.rows[0].tokens
            number = max(room // (each * together), int(is_first and not taken)) * together
            if number < 1:
                break
            rows, prompt.rows = prompt.rows[:number], prompt.rows[number:]
            taken.append((prompt, rows))
            room -= each * len(rows)
            if not prompt.rows:
                self._waiting.popleft()
        return taken

    def _started(self, taken: list[tuple[Prompt, list[WrittenRow]]]) -> Iterator[Slots]:
        import torch

        fresh = [(prompt, rows) for prompt, rows in taken if prompt.kept is None]
        for prompt, rows in taken:
            if prompt.kept is not None:
                yield from self._begun(rows, prompt.kept.begun(len(rows)))
        if not fresh:
            return
        variants = variants_of([rows[0].variant for _, rows in fresh])
        read = self.way.read([rows[0].prompt + rows[0].written for _, rows in fresh], variants)
        last = fresh[-1][0]
        if last.rows:  # only the last one taken may have rows left
            last.kept = KeptPrompt(read, len(fresh) - 1)
        if any(len(rows) > 1 for _, rows in fresh):
            index = [number for number, (_, rows) in enumerate(fresh) for _ in rows]
            read = read.chosen(torch.tensor(index, device=self.way.device))
        yield from self._begun([row for _, rows in fresh for row in rows], read)

    def _begun(self, rows: list[WrittenRow], read: Read) -> Iterator[Slots]:
        import torch

        draws, mask = self.choice.begin(rows, self.way.device), read.mask
        steps = torch.tensor([len(row.written) for row in rows], device=self.way.device)
        tokens, written = self.choice.choose(read.logits, rows, draws, steps), Written.of(rows, self.endings)
        self._add(tokens.cpu(), written)
        slots = Slots(written, read.cache, mask, mask.sum(dim=-1), steps + 1, tokens, draws, not bool(mask.all()))
        if (rest := slots.without_ended()) is not None:
            yield rest

    def _advanced(self, slots: Slots) -> Slots | None:
        """Look at the newest tokens while an accelerator computes the next ones: a call of the model doesn't wait."""
        logits, slots.ahead = self._logits(slots) if slots.ahead is None else slots.ahead, None
        self.alive()
        slots.tokens = self.choice.choose(logits, slots.rows, slots.draws, slots.steps)
        slots.steps = slots.steps + 1
        newest = _on_its_way(slots.tokens)
        if (
            self.looks_ahead and slots.cache.forgets and not slots.written.has_last_token
        ):  # nothing comes after that one
            slots.ahead = self._logits(slots)
        self._add(newest(), slots.written)
        return slots if slots.live else None

    def _logits(self, slots: Slots) -> torch.Tensor:
        """Show the model the latest tokens."""
        import torch

        slots.mask = torch.cat([slots.mask, slots.mask.new_ones(len(slots.rows), 1)], dim=-1)
        positions = slots.positions.clamp(0, self.way.last_position)  # only rows that have ended would go beyond
        slots.positions = slots.positions + 1
        latest = Latest(slots.mask, slots.tokens, positions, slots.padded, slots.variants)
        logits: torch.Tensor = self.way.step(slots.cache, latest)
        return logits

    def _add(self, newest: torch.Tensor, written: Written) -> None:
        """Give each row that has not ended its newest token."""
        self._ended += written.add(newest.numpy(), self.endings)


def _on_its_way(tokens: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Begin to copy tokens to the CPU; return what waits for them, but for nothing that an accelerator begins later."""
    import torch

    if tokens.device.type != "cuda":
        return tokens.cpu
    copy = tokens.to("cpu", non_blocking=True)
    arrival = torch.cuda.current_stream(tokens.device).record_event()

    def arrived() -> torch.Tensor:
        arrival.synchronize()
        return copy

    return arrived


def _have_ended(left: list[WrittenRow]) -> bool:
    """Return True if all rows have ended; it takes ended ones off the end of the list."""
    while left and left[-1].ended:
        left.pop()
    return not left
