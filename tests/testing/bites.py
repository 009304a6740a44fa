"""Runs single tests of a suite for authors on a part, without pytest, to see whether they fail on broken ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from raysweep.testing.contract import Contract

Broken = dict[str, tuple[Callable[..., Any], str]]
"""For each test of a suite a class or function that makes a broken part, and words of the message of its failure."""


def claims_of(suite: type[Contract]) -> set[str]:
    """Return the names of the tests of one kind of part, without those of every kind."""
    return {name for name in dir(suite) if name.startswith("test_")} - set(dir(Contract))


def message(suite: type[Contract], test: str, make: Callable[..., Any], **fixtures: Any) -> str:
    """Return the message with which a test of a suite fails on the part that is made; empty if it doesn't fail."""
    case = type("Case", (suite,), {"make": staticmethod(make)})()
    run = getattr(case, test)
    wanted = inspect.signature(run).parameters
    try:
        if "built" in wanted and "built" not in fixtures:
            fixtures["built"] = case.part()
        run(**{name: value for name, value in fixtures.items() if name in wanted})
    except (AssertionError, pytest.fail.Exception) as error:
        return str(error)
    return ""
