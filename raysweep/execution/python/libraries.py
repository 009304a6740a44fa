"""Names of libraries: what tests take from a candidate that imports them, and from no candidate that makes its own."""

from __future__ import annotations

import collections
import functools
import itertools
import math
import string
import sys
import typing
from types import ModuleType
from typing import Any

from raysweep.execution.python.harmless import ALLOWED_TEST_MODULES

LIBRARIES = tuple(one.__name__ for one in (typing, collections, math, functools, itertools, string))
"""Modules whose names tests take from a candidate that imports them, such as ``x: List[int]``."""


def library_name(name: str, value: Any) -> list[str] | None:
    """Return (module, name) of a module that computes, or of what such a module has under the same name."""
    if type(value) is ModuleType:
        return [value.__name__, ""] if value.__name__ in ALLOWED_TEST_MODULES else None
    if name.startswith("_"):
        return None
    modules = (one for one in LIBRARIES if name in vars(sys.modules[one]) and vars(sys.modules[one])[name] is value)
    module = next(modules, None)
    return [module, name] if module else None


def is_of_library(name: str) -> bool:
    return name in ALLOWED_TEST_MODULES or any(name in vars(sys.modules[library]) for library in LIBRARIES)
