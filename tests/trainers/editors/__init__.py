"""Editors, on all architectures whose models can be edited."""

from raysweep.models.families.base import FAMILIES
from tests.models.tiny import cases

NAMES = tuple(name for name in FAMILIES.names() if FAMILIES.get(name).paths is not None)
"""The families that say where their blocks are."""
EDITED = cases(NAMES, ("llama", "codegen"))
"""For what depends on where things are: blocks one after the other, and with their two parts side by side."""
FIRST = cases(NAMES, ("llama",))
"""For what doesn't."""
