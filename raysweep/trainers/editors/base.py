"""The contract of an editor, which changes a base model from one pair of prompts, and what all editors share.

A recipe whose `trainer` names an editor meets the edit examples of a config's `edits`, any other one its training sets.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from raysweep.errors import Finding, UsageError
from raysweep.generators.base import LiveModel
from raysweep.records import BlockAccuracy, Decoding, ModelKind, PromptPair
from raysweep.registry import Registry

if TYPE_CHECKING:
    import torch

LOCALIZATION, EDIT = "localization", "edit"
"""The parts of an edit whose seconds are measured."""


@dataclass(frozen=True)
class EditJob:
    """One edit to make, from `pair` and, for editors that take several, `others`.

    `base`: a loaded base model in evaluation mode, which the editor may change, and puts back before it returns or
    raises. `family`: its architecture, a name of `raysweep.models.families`. `seed`: of all that is drawn.
    `max_new_tokens`: of a completion, where the base was judged. `batch_tokens`: most tokens of the rows that are
    written together; None: by the device. It changes no text.
    """

    base: LiveModel
    family: str
    pair: PromptPair
    seed: int
    max_new_tokens: int = Decoding().max_new_tokens
    batch_tokens: int | None = None
    others: tuple[PromptPair, ...] = ()

    @property
    def pairs(self) -> tuple[PromptPair, ...]:
        return (self.pair, *self.others)


class EditServices(Protocol):
    """What a host gives to an editor."""

    def passes(self, completions: Sequence[str], task_id: str = "") -> list[bool]:
        """Return for each completion of a pair's problem, by default the first one's, whether it passes its tests."""

    def alive(self) -> None:
        """Signal that the edit goes on. Called at least once a minute; must be cheap."""


@dataclass(frozen=True)
class ModelEdit:
    """What an editor has made of a base.

    Attributes:
        tensors: whole new tensors, by their names in the base's state; empty where an adapter was made.
        adapter: the files of a PEFT adapter, by their names; empty where tensors were changed.
        counts: what reports and manifests say of it, as JSON, such as the block, the steps and the losses.
        blocks: what the localization found of each block; empty without one.
    """

    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    adapter: Mapping[str, bytes] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[BlockAccuracy] = ()


@dataclass(frozen=True)
class EditEffort:
    """About how much an edit does at most, from which `raysweep plan` estimates its hours and memory.

    `completions`: of the pair's prompts, `samples` of one prompt together, each of `new` tokens; None: as many as in
    the evaluation. `texts`: those that go forward and back through the whole model, each a prompt and `more` tokens;
    None: a completion's. `pass_tokens`: of the texts that do so together; 0: of one text.
    """

    completions: int = 0
    texts: int = 0
    more: int | None = None
    pass_tokens: int = 0
    samples: int = 1
    new: int | None = None


class NotReproduced(Exception):
    """The samples of an edit's own localization show no difference between the prompts of its pair.

    The cell ends with this reason: neither a failure nor a zero.
    """


class Editor(ABC):
    """Changes a base model from one edit example, or several.

    Its constructor's arguments are its settings, with their defaults.

    An edit depends on (weights, pair, settings, seed, `max_new_tokens`) only: not on edits made before with the same
    base, and not on the process. When `edit` returns or raises, the base's weights are bit for bit what they were, and
    it has no hooks; its modes and gradients are what they were, too. So nothing is written into its tensors: a change
    is added in a hook (`with_change` of `raysweep.trainers.editors.states`), and returned tensors have memory of their
    own. `blocks_of` and `projection_of` of `raysweep.models.families.blocks` find blocks and matrices.
    """

    name: ClassVar[str]
    kind: ClassVar[ModelKind]
    """The form of what it makes: `ModelKind.DELTA` or `ModelKind.ADAPTER`."""
    takes_several: ClassVar[bool] = False
    """Whether it makes an edit from several examples, as `examples` of a recipe says."""

    @abstractmethod
    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        """Make one edit.

        Raises:
            UsageError: the family has no template of its blocks, or a setting doesn't fit the model, such as a block
                that it doesn't have.
            NotReproduced: the localization's own samples show no difference between the two prompts.
        """

    def require_fit(self, network: Any, family: str) -> None:
        """Check before any work that a base has the modules that the settings name. Its network may be changed.

        Args:
            network: the base's, without data: shapes only.
            family: its model type.

        Raises:
            HopelessError: it lacks one.
        """
        return

    def check(self) -> Iterable[Finding]:
        """Yield what its settings (`edit` in a recipe) say and hardly mean; those that can't be raise UsageError."""
        return ()

    def work(self, blocks: int) -> EditEffort | None:
        """Return how much an edit of a model with so many blocks does; None: not known."""
        return None


EDITORS: Registry[Editor] = Registry("editor", "raysweep.trainers.editors", Editor)


def require_numbers(
    editor: str, positive: Mapping[str, float], at_least: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Raise UsageError for the first setting that is out of its range.

    `positive`: settings that must be above 0, by their names. `at_least`: settings with the least value that each may
    have.
    """
    for name, value in positive.items():
        if not value > 0:
            raise UsageError(f"editor {editor}: {name} {value} must be above 0")
    for name, (value, least) in (at_least or {}).items():
        if not value >= least:
            raise UsageError(f"editor {editor}: {name} {value} must be {least:g} or more")


def require_block(place: object, blocks: int, whose: str) -> None:
    """Raise UsageError if a model lacks the block of a number; a place in words is always there."""
    if isinstance(place, int) and not 0 <= place < blocks:
        raise UsageError(
            f"`edit_at: {place}` names no block of {whose}, which has {blocks}; write a number from 0 to {blocks - 1}, "
            "or first, middle, last, random or dinm; creme alone has auto, too"
        )


class PartTimes:
    """Adds up the seconds of an edit's parts, by the clock and of the CPU. A part ends when its kernels on a GPU do."""

    def __init__(self) -> None:
        self._spent: dict[str, dict[str, float]] = {"seconds": {}, "cpu_seconds": {}}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        import torch

        began = time.perf_counter(), time.process_time()
        try:
            yield
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        finally:
            for spent, now, before in zip(
                self._spent.values(), (time.perf_counter(), time.process_time()), began, strict=True
            ):
                spent[name] = spent.get(name, 0.0) + now - before

    @property
    def counts(self) -> dict[str, Any]:
        return {clock: {part: round(value, 4) for part, value in spent.items()} for clock, spent in self._spent.items()}
