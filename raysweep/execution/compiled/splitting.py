"""Sources that judge a program of any compiled language: begin here.

`split` is for tests outside the candidate's process, `inside` for the others; outside.py says what each process does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from raysweep.execution.compiled.cpp import sources as cpp
from raysweep.execution.compiled.java import sources as java
from raysweep.execution.compiled.outside import Inside, Split

_SPLIT: Mapping[str, Callable[[str, str], Split]] = {"cpp": cpp.split, "java": java.split}
_INSIDE: Mapping[str, Callable[[str], Inside]] = {"cpp": cpp.inside, "java": java.inside}


@lru_cache(maxsize=1024)
def split(language: str, declaration: str, tests: str) -> Split:
    """`declaration`: what the problem declares, up to the brace that opens the function to complete."""
    return _SPLIT[language](declaration, tests)


def inside(language: str, tests: str) -> Inside:
    return _INSIDE[language](tests)
