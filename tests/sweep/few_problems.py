"""Problems for sweeps that need any: a store judges all reference solutions of a set, whatever a sweep's limit."""

from __future__ import annotations

FEW_PROBLEMS = {"name": "minicode", "count": 12}
"""For `evaluation.problems`, in a list."""
