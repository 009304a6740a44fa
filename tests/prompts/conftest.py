from __future__ import annotations

from tests.models.tiny import tiny

__all__ = ["tiny"]
