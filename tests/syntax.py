"""Syntax trees of source files, for tests that read the code."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a source file; callers don't change it.

    Until Python 3.11.8, `ast.parse` raises SystemError if another thread parses meanwhile, as the formatting of a
    traceback does (CPython issue 106905). That takes a switch of threads, which only the garbage collector allows here.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if collects:
            gc.enable()
