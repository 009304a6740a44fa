"""Keeps a candidate's function from ending an iteration of tests: ``map(f, cases)`` ends at a StopIteration of `f`."""

from __future__ import annotations

from typing import Any

ITERATORS = frozenset(
    ("map", "filter", "iter", "starmap", "takewhile", "dropwhile", "filterfalse", "accumulate", "groupby")
)
"""Functions of Python and of itertools that call a function for each item, and end when it raises StopIteration."""


def not_ending(value: Any) -> Any:
    """Return a function that raises RuntimeError where `value` raises StopIteration, as generators do (PEP 479).

    What isn't a function, or can be iterated, is returned as it is.
    """
    if not callable(value) or hasattr(type(value), "__iter__"):
        return value

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return value(*arguments, **options)
        except StopIteration as error:
            raise RuntimeError("the program raised StopIteration") from error

    return call
