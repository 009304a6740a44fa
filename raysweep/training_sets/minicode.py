"""Training-set source `minicode`: prompts and solutions of the embedded world (`raysweep.problems.minicode`).

The parts, for pre-training, fine-tuning and validation, are drawn independently. None contains a combination or a
wording that is held out for evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.minicode.world import GENERATOR_VERSION, training_task
from raysweep.records import SourceRow
from raysweep.training_sets.base import SOURCES, TrainingSource

PARTS = ("pretraining", "finetuning", "validation")


@SOURCES.register("minicode")
class MiniCodeRows(TrainingSource):
    """The first rows of a world: the instruction has the form of a problem's prompt, the output is a function body.

    Args:
        world: the world's seed.
        rows: how many.
        part: ``pretraining``, ``finetuning`` or ``validation``.

    Raises:
        UsageError: the part is unknown, or `rows` isn't positive.
    """

    apart_from = frozenset({"minicode"})  # held-out tasks are never drawn for training

    def __init__(self, world: int, rows: int, part: str = "finetuning") -> None:
        if part not in PARTS:
            raise UsageError(f"minicode: part {part!r} is none of {', '.join(PARTS)}{did_you_mean(part, PARTS)}")
        if rows < 1:
            raise UsageError(f"minicode: rows is {rows}; it must be at least 1")
        self.world, self.size, self.part = world, rows, part

    def rows(self) -> Iterable[SourceRow]:
        """Yield the rows, about 10,000 a second."""
        for index in range(self.size):
            task = training_task(self.world, self.part, index)
            yield SourceRow(
                row_id=f"minicode-{self.part}-{index}",
                instruction=task.prompt,
                output=task.body,
                language="python",
                entry_point=task.name,
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the generator's version and the arguments."""
        return {"generator": GENERATOR_VERSION, "world": self.world, "rows": self.size, "part": self.part}
