"""Pure functions from results to numbers. `pass_at_k` is public API."""

from raysweep.metrics.passing import pass_at_k

__all__ = ["pass_at_k"]
