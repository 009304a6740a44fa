"""The result of examining one subject of a machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended, the worst last.

    What few sweeps need isn't there; nothing is wrong; something may not work well; something can't work.
    """

    ABSENT = "absent"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Check:
    """The result for one subject. `advice`: the way out; empty if the state is ok or absent."""

    name: str
    state: State
    found: str
    advice: str = ""


def worst_state(checks: Iterable[Check]) -> State:
    return max((check.state for check in checks), key=list(State).index, default=State.OK)
