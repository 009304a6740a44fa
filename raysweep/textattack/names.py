"""The names of textattack's transformations, read from its files: importing it takes seconds and half a gigabyte."""

from __future__ import annotations

import re
from functools import cache

from raysweep.textattack.loading import require_textattack

_CLASS = re.compile(r"^class (\w+)\((\w+)", re.MULTILINE)
_INCOMPLETE = frozenset({"Transformation", "CompositeTransformation"})


@cache
def transformation_names() -> tuple[str, ...]:
    """Return the names of the classes that can be transformations by themselves: no other is built on them.

    Raises:
        UsageError: textattack isn't installed.
    """
    folder = require_textattack() / "transformations"
    found = [pair for file in folder.rglob("*.py") for pair in _CLASS.findall(file.read_text(encoding="utf-8"))]
    bases = {base for _, base in found} | _INCOMPLETE
    return tuple(sorted(name for name, _ in found if name not in bases))
