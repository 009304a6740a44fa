"""Asks whether model-written programs may run here at all; every command that runs some calls it first."""

from __future__ import annotations

from raysweep.errors import ExecutionNotAllowed


def require_permission(allowed: bool) -> None:
    """Raise ExecutionNotAllowed, whose text says why and how to allow it, unless the user has allowed it."""
    if not allowed:
        raise ExecutionNotAllowed
