"""A host: a Ray actor that keeps one base model in memory and generates with any version of it, cell after cell."""

from __future__ import annotations

import functools
import pickle
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from raysweep.engine.base import GenerateJob
from raysweep.engine.jobs import Generated
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.batches import pickle_result
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.cluster.cordons import own_node, require_open_node
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.numbers.gauges import MeasuredGenerator
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.engine.ray.numbers.meter import require_gpu_hours
from raysweep.execution.isolation.kernel import return_memory
from raysweep.generators.base import GENERATORS
from raysweep.machine import limit_kernel_caches, own_process
from raysweep.records import ModelRef


@dataclass(frozen=True)
class HostKind:
    """What a host is started with. Hosts of equal kinds can take each other's batches.

    `job`: without batches and label; its model is the base. `is_capped`: a cell that has waited for a host begins to
    generate only if the sweep has GPU-hours left.
    """

    job: GenerateJob
    placement: Placement
    is_capped: bool = False

    @property
    def holds_place(self) -> bool:
        """Return True if it holds resources of its own; otherwise a waiting trial lends it a CPU."""
        return not self.placement.in_trial and bool(self.placement.amounts)

    @property
    def at_once(self) -> int:
        return GENERATORS.get(self.job.generator.name).at_once

    @functools.cached_property
    def text(self) -> str:
        return repr((self.job, self.placement, self.is_capped))

    @property
    def mixes_cells(self) -> bool:
        """Whether batches that a host does at a time may be of several cells, with versions of their own."""
        return GENERATORS.get(self.job.generator.name).mixes_versions


@dataclass(frozen=True)
class HostBatch:
    """A batch for a host.

    `run`: a random id of its pipeline. `requests`: pickled, since an object of Ray would end with Data's task. `most`:
    how many hosts may work for the pipeline at a time. `joins`: it may be generated together with another batch of the
    same pipeline. `is_edit`: it is an edit of the base, and `requests` an `EditRun`.
    """

    kind: HostKind
    cell: str
    run: str
    index: int
    model: ModelRef
    requests: bytes
    progress: ProgressFile
    most: int
    joins: bool
    is_edit: bool = False


class Host:
    """Keeps a generator with one base model, whose name is `base`; works in a process of its own."""

    def __init__(self, kind: HostKind, base: str) -> None:
        own_process()
        limit_kernel_caches()
        end_with_raylet()
        self._until_it_ends = ExitStack()
        self._held = self._until_it_ends.enter_context(held_resources(""))
        self._kind, self._base = kind, base
        self._generator = MeasuredGenerator(base, kind.job.generator.name)

    def __repr__(self) -> str:
        return f"host of {self._base}"

    def ready(self) -> str:
        require_open_node()
        return own_node()

    def generate(self, asked: HostBatch) -> bytes:
        """Return the pickled `Generated`, of an edit its counts, or the pickled `BatchFailure` of the error."""
        with self._held.working_for(asked.cell):
            result = pickle_result(lambda: self._make(asked))
        return_memory()  # while it waits for batches, others may need it
        return result

    def _make(self, asked: HostBatch) -> Generated | dict[str, Any]:
        latest = asked.progress.latest()
        if latest is not None and latest.waits:
            if self._kind.is_capped:
                require_gpu_hours("generation")
            asked.progress.end_wait()  # from now on a hang counts as a stall
        if asked.is_edit:
            return self._generator.edit(pickle.loads(asked.requests), asked.progress)
        job = replace(self._kind.job, model=asked.model)
        return self._generator.generate(job, pickle.loads(asked.requests), asked.progress)
