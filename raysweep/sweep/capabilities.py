"""Counts on which kinds of CPUs the models of a sweep were trained: another kind rounds otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from raysweep.machine import CPU_CAPABILITY
from raysweep.sweep.folder import SweepFolder
from raysweep.units import count


def cpu_capabilities(folder: SweepFolder) -> dict[str, int]:
    """Return how many models of a sweep were trained or edited on CPUs of each capability (`machine.cpu_capability`).

    Models of accelerators don't count, nor those of versions before, which didn't keep it.
    """
    models = {row.model_key: row.weights for row in folder.grid() if row.weights is not None}
    named = (folder.store.counts(weights).get(CPU_CAPABILITY) for weights in models.values())
    return dict(sorted(Counter(str(capability) for capability in named if capability).items()))


def in_words(capabilities: Mapping[str, int]) -> str:
    """Return the result of `cpu_capabilities` in words, such as "AVX2 (2 models), AVX512 (4 models)"."""
    return ", ".join(f"{capability} ({count(number, 'model')})" for capability, number in capabilities.items())
