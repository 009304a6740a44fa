"""Generates completions through Ray Data: one pipeline for each cell, whose tasks hand batches to hosts of its base.

A generator without weights needs no host; it runs in actors of the pipeline.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from raysweep.engine.base import BatchOutput, EditRun, GenerateJob
from raysweep.engine.jobs import Generated, batches_at_once
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.batches import collect_results, died_too_often, indexed_dataset, pickle_result, unpickled
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.cluster.cordons import require_open_node
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.hosts.host import HostBatch, HostKind
from raysweep.engine.ray.numbers.gauges import MeasuredGenerator, in_ascii
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.generators.base import GENERATORS
from raysweep.records import Completion, ModelRef


class GenerationActor:
    """Completes prompts with a generator of its own; Ray Data calls it with the indices of batches."""

    def __init__(self, job: GenerateJob, progress: ProgressFile) -> None:
        require_open_node()
        self._job = job
        self._progress = progress
        self._generator: MeasuredGenerator | None = None
        self._has_waited = False
        self._failure = died_too_often("a generator", progress)
        end_with_raylet()
        self._held = ExitStack()
        self._held.enter_context(held_resources(progress.activity.id))

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        results = [self._failure or pickle_result(functools.partial(self._complete, int(i))) for i in rows["index"]]
        return {"index": rows["index"], "result": results}

    def _complete(self, index: int) -> Generated:
        if not self._has_waited:
            self._progress.end_wait()  # the actor was scheduled; from now on a hang counts as a stall
            self._has_waited = True
        if self._generator is None:
            self._generator = MeasuredGenerator(self._job.label.partition(".")[0], self._job.generator.name)
        return self._generator.generate(self._job, self._job.batches[index], self._progress)


def generate_with_ray(
    job: GenerateJob, placement: Placement, actors: int, progress: ProgressFile, keeper: Any, *, is_capped: bool = False
) -> Iterator[BatchOutput[Completion]]:
    """Yield the completions of each batch as soon as it is done.

    Raises RaysweepError if the generator failed, or batches are missing. `placement`: of a host, or of an actor where
    the generator needs no weights. `actors`: most hosts that work for this job at a time. `is_capped`: hosts, which a
    cell may have waited long for, ask whether there are GPU-hours left.
    """
    import ray

    total = len(job.batches)
    name = in_ascii(f"generate {job.label.replace('.', '-')}")  # in Ray's dashboard
    if isinstance(job.model, ModelRef):
        without_batches = dataclasses.replace(job, batches=())
        generator = GENERATORS.get(job.generator.name)
        takes_full_models = generator.takes_full_models and generator.accelerators(job.generator.args) == 1
        base = job.base if takes_full_models else job.model.base or job.model
        kind = HostKind(dataclasses.replace(without_batches, model=base, label=""), placement, is_capped)
        asked = HostBatch(kind, job.label, uuid.uuid4().hex, 0, job.model, b"", progress, actors, joins=False)
        data = indexed_dataset(range(total), requests=[pickle.dumps(batch) for batch in job.batches]).map_batches(
            _named(_hand_to_host, name),
            fn_args=(keeper, asked, total),
            compute=ray.data.TaskPoolStrategy(size=min(actors * batches_at_once(job), total)),
            batch_size=1,
            num_cpus=0,
        )
    else:
        data = indexed_dataset(range(total)).map_batches(
            type(name, (GenerationActor,), {}),
            fn_constructor_args=(job, progress),
            compute=ray.data.ActorPoolStrategy(size=min(actors, total)),
            batch_size=1,
            num_cpus=0 if placement.in_trial else placement.cpus,  # the trial lends its CPU while it waits
            num_gpus=None if placement.in_trial else placement.gpus or None,
            **placement.actor_options(),
        )
    for index, result in collect_results(data, total, "generation"):
        yield BatchOutput(index, result.completions, result.loads, result.facts, result.cpu_seconds)


def edit_with_ray(
    run: EditRun, placement: Placement, progress: ProgressFile, keeper: Any, *, is_capped: bool = False
) -> dict[str, Any]:
    """Have a host of a base edit it; return the counts. It raises what `generate_with_ray` does."""
    import ray

    base = run.job.model
    assert isinstance(base, ModelRef)
    kind = HostKind(dataclasses.replace(run.job, batches=(), label=""), placement, is_capped)
    edit = pickle.dumps(run)
    asked = HostBatch(kind, run.job.label, uuid.uuid4().hex, 0, base, edit, progress, 1, joins=False, is_edit=True)
    counts: dict[str, Any] = unpickled(ray.get(keeper.generate.remote(asked)))
    return counts


def _hand_to_host(rows: dict[str, Any], keeper: Any, asked: HostBatch, total: int) -> dict[str, Any]:
    """Have hosts complete the prompts of batches; Ray Data calls it in tasks, which wait for the hosts.

    `asked`: without index and requests. `total`: of the pipeline's batches, whose last ones go to whichever host is
    free first.
    """
    import ray

    results = []
    for index, requests in zip(map(int, rows["index"]), rows["requests"], strict=True):
        joins = asked.most == 1 or index < total - asked.most
        batch = dataclasses.replace(asked, index=index, requests=requests, joins=joins)
        results.append(keeper.generate.remote(batch))
    return {"index": rows["index"], "result": ray.get(results)}


def _named(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    call.__name__ = call.__qualname__ = name
    return call
