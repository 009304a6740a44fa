"""Constraint for textattack: code stays.

It holds for transformations that change the words they are told to, as textattack's own word swaps, insertions and
deletions do. Not covered: those that pick other words themselves (``WordInnerSwapRandom``).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from raysweep.textattack.loading import load_textattack
from raysweep.textattack.words import Split, free_words, split_by_last_function


def keep_code(split: Split = split_by_last_function) -> Any:
    """Return a ``PreTransformationConstraint`` under which only words of natural language may be changed.

    Args:
        split: tells natural language from code; prompts are split as for raysweep's perturbations.

    Raises:
        UsageError: textattack isn't installed.
    """
    return _constraint_class()(split)


@cache
def _constraint_class() -> Any:
    load_textattack()
    from textattack.constraints import PreTransformationConstraint

    class KeepCode(PreTransformationConstraint):  # type: ignore[misc]
        """Only words of natural language, none of them an identifier, may be changed."""

        def __init__(self, split: Split) -> None:
            self.split = split

        def _get_modifiable_indices(self, current_text: Any) -> set[int]:
            return free_words(current_text, self.split)

    return KeepCode
