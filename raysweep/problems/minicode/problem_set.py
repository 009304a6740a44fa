"""Problem set `minicode`: small generated problems in HumanEval's shape, for tries without a download.

Validation and test problems use wordings and combinations of parts that never occur in the training rows of
`raysweep.training_sets.minicode`. Results say nothing about real models: the world was designed to make the effect of
noisy prompts visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.minicode.families import Split
from raysweep.problems.minicode.world import GENERATOR_VERSION, evaluation_tasks, tests_of
from raysweep.programs import Limits
from raysweep.records import Problem

STOP = ("\ndef", "\n#", "\nif", "\nclass", "\n\n\n")
"""Strings that end a completion: SafeCoder's and a double blank line (study.md section 6)."""


@PROBLEMS.register("minicode")
class MiniCodeProblems(ProblemSet):
    """The first `count` problems of a world's validation or test split.

    Raises:
        UsageError: there is no such split, or `count` isn't positive.
    """

    limits: ClassVar[Limits] = Limits(timeout=1.0)

    def __init__(self, world: int, split: str = "test", count: int = 240) -> None:
        splits = [name for name in get_args(Split) if name != "train"]
        if split not in splits:
            raise UsageError(f"minicode: split {split!r} is none of {', '.join(splits)}{did_you_mean(split, splits)}")
        if count < 1:
            raise UsageError(f"minicode: count is {count}; it must be at least 1")
        self.world, self.count = world, count
        self.split: Split = "test" if split == "test" else "validation"

    def problems(self) -> Sequence[Problem]:
        """Draw the problems and choose their tests, which takes about 5 ms each."""
        return [
            Problem(
                task_id=f"MiniCode/{index}",
                prompt=task.prompt,
                entry_point=task.name,
                test=tests_of(task, self.world, self.split, index),
                reference=task.body,
                stop=STOP,
            )
            for index, task in enumerate(evaluation_tasks(self.world, self.split, self.count))
        ]

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the generator's version and the constructor's arguments."""
        return {"generator": GENERATOR_VERSION, "world": self.world, "split": self.split, "count": self.count}
