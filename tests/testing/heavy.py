"""A perturbation whose module imports a heavy package at its head."""

from __future__ import annotations

import contextlib

from raysweep.perturbations.base import Perturbation

with contextlib.suppress(ImportError):  # the attempt is enough
    import vllm

    VERSION = vllm.__version__


class Heavy(Perturbation):
    """Changes nothing."""

    name, title, level = "C1", "Heavy", "none"

    def perturb(self, segments, rng, protected):
        return list(segments)
