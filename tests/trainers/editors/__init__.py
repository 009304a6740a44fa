"""Editors, on all architectures whose models can be edited."""

from raysweep.models.families.base import FAMILIES

EDITED = tuple(name for name in FAMILIES.names() if FAMILIES.get(name).paths is not None)
"""The families that say where their blocks are."""
