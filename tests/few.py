"""A few problems for whole sweeps: a store judges all reference solutions of a set, whatever a sweep's limit."""

from __future__ import annotations

FEW = {"name": "minicode", "count": 12}
