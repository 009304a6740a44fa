"""Parts of a job that are the same on every engine: the generator, one block of perturbed rows."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raysweep.engine.base import EditRun, GenerateJob, PerturbJob
from raysweep.errors import HopelessError, UnfitModel
from raysweep.generators.base import GENERATORS, Generator, is_too_long
from raysweep.hashing import text_sha
from raysweep.machine import accelerator_in_use, software, versions
from raysweep.models.rounding import products_in
from raysweep.records import Completion, GenerationRequest, ModelRef, PerturbedRow, SourceRow
from raysweep.rows.parquet import ROWS, read_block
from raysweep.storage.store import Store
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.perturbing import perturb_rows, perturber_of

log = logging.getLogger("raysweep")


def perturb_block(job: PerturbJob, index: int) -> list[Sequence[PerturbedRow]]:
    """Return the rows of a block after each method; raise StoreError if the source's rows are missing or damaged."""
    source = SOURCES.create(job.source)
    rows = read_block(Store(job.storage, expected=True).use(job.rows) / ROWS, SourceRow, index)
    return perturb_rows(rows, source, [perturber_of(source, method, job.seed) for method in job.methods])


def require_versions(packages: Mapping[str, str], work: str) -> None:
    """Raise HopelessError if this process has other versions of packages than the command. `work`: what it does."""
    here = versions(list(packages))
    for package, version in packages.items():
        if here.get(package, "none") != version:
            raise HopelessError(
                f"the command has {package} {version}, but the process that {work} ({platform.node()}) has "
                f"{here.get(package, 'none')}; install the same version on all nodes"
            )


def make_generator(job: GenerateJob) -> Generator:
    """Build a job's generator with a local copy of its model. A generator with `batch_tokens` gets the job's.

    Raises:
        StoreError: the model is missing or damaged.
        HopelessError: this process has other versions of packages than the command, or another device than the models
            of its group have.
    """
    require_versions(job.versions, "generates")
    takes = GENERATORS.parameters(job.generator.name)
    arguments = {"batch_tokens": job.batch_tokens} if "batch_tokens" in takes else {}
    model = job.model
    if isinstance(model, ModelRef):
        store = Store(job.storage, expected=True)
        if job.group:
            has_own_packages = bool(GENERATORS.get(job.generator.name).environment)  # its versions are in keys
            store.pins.require(job.group, accelerator_in_use(), {} if has_own_packages else software())
        model = store.located(model)
    return GENERATORS.create(job.generator, model=model, decoding=job.decoding, **arguments)


@dataclass(frozen=True)
class Generated:
    """What a process made of a batch.

    `loads`: whole models that it has loaded for it. `facts`: what the manifest should say of how they were made.
    `cpu_seconds`: that the process has used since the batch before, or since it had none.
    """

    completions: list[Completion]
    loads: int
    facts: Mapping[str, Any]
    cpu_seconds: float


class KeptGenerator:
    """The generator of a process, which keeps its base in memory as long as jobs differ in their models alone."""

    def __init__(self) -> None:
        self._generator: Generator | None = None
        self._broken: Generator | None = None  # one that has failed, maybe while others used it
        self._job: GenerateJob | None = None  # the one that it has last worked for
        self._reported_loads = 0  # of the generator
        self._reported_cpu = 0.0  # seconds of the process
        self._turn = threading.Condition()  # of what follows, and of `_reported_loads`
        self._working = 0  # threads that generate, or get their model ready
        self._is_loading = False  # one of them gets its model ready, which others need not wait for to end theirs

    def generate(
        self,
        job: GenerateJob,
        requests: Sequence[GenerationRequest],
        alive: Callable[[], None],
        tell: Callable[[str], None] = lambda text: None,
    ) -> Generated:
        """Return the completions of a batch of a job. Several threads may call it, and wait for their turns.

        `job`: its own `batches` and `label` are not used. `tell`: called with what holds it up, in words.

        Raises:
            UnfitModel: the generator can't run this model.
            RaysweepError: the model can't be loaded, or the generator failed. The next batch gets a new generator.
        """
        job = replace(job, batches=(), label="")
        with self._turn:
            self._turn.wait_for(lambda: self._may_begin(job))
            if not self._working:
                self._reported_cpu = time.process_time()
            self._working += 1
            self._is_loading = True
        try:
            try:
                alive()
                generator = self._ready(job, tell)
                generator.alive, generator.tell = alive, tell
            finally:
                with self._turn:
                    self._is_loading = False
                    self._turn.notify_all()
            return self._generated(generator, requests)
        finally:
            with self._turn:
                self._working -= 1
                self._turn.notify_all()

    def edit(self, run: EditRun, alive: Callable[[], None]) -> dict[str, Any]:
        """Return the counts of an edit of a job's base; raise RaysweepError if it can't be loaded, or the edit failed.

        Nothing is generated meanwhile. An editor puts the base back bit for bit, and sums over all of its numbers tell
        whether it did; if not, or after an error, what comes next gets a new generator.
        """
        from raysweep.models.deltas import fingerprint

        job = replace(run.job, batches=(), label="")
        with self._turn:
            self._turn.wait_for(lambda: not self._working)
            self._working, self._is_loading = 1, True  # nobody else begins
        try:
            alive()
            generator = self._ready(job, lambda text: None)
            try:
                model = generator.live()
                before = fingerprint(model.network.state_dict())
                with products_in(job.model.dtype if isinstance(job.model, ModelRef) else None):
                    counts = run.edit(model, alive)
                if fingerprint(model.network.state_dict()) != before:
                    log.warning("an edit for %s left its base changed; the base is loaded anew", run.job.label)
                    self._broken = generator
                return counts
            except BaseException:
                self._broken = generator
                raise
        finally:
            with self._turn:
                self._working, self._is_loading = 0, False
                self._turn.notify_all()

    def state(self) -> Mapping[str, float]:
        generator = self._generator  # which another thread may replace
        return generator.state() if generator else {}

    def _may_begin(self, job: GenerateJob) -> bool:
        if not self._working or self._is_loading or self._generator in (None, self._broken):
            return not self._working
        return self._working < self._generator.at_once and (job == self._job or self._generator.mixes_versions)

    def _ready(self, job: GenerateJob, tell: Callable[[str], None]) -> Generator:
        generator, self._generator = self._generator, None
        if generator in (None, self._broken) or not self._suits(generator, job):
            generator = self._broken = None  # frees its memory before the next one is made
            if GENERATORS.get(job.generator.name).environment:
                tell(f"{job.generator.name} starts, which may take a minute")
            generator, self._reported_loads = make_generator(job), 0
        self._generator, self._job = generator, job
        return generator

    def _suits(self, generator: Generator, job: GenerateJob) -> bool:
        if job == self._job and not generator.mixes_versions:
            return True
        assert self._job is not None
        is_alike = replace(job, model=None) == replace(self._job, model=None)
        if not is_alike or not isinstance(job.model, ModelRef):
            return False
        return generator.use(Store(job.storage, expected=True).located(job.model))

    def _generated(self, generator: Generator, requests: Sequence[GenerationRequest]) -> Generated:
        try:
            completions = generate(generator, requests)
        except UnfitModel:
            raise
        except BaseException:
            self._broken = generator
            raise
        with self._turn:
            loads, self._reported_loads = generator.loads - self._reported_loads, generator.loads
            cpu, now = self._reported_cpu, time.process_time()
            self._reported_cpu = now
        return Generated(completions, loads, generator.facts(), now - cpu)


def generate(generator: Generator, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """Return the completions of requests, with the marks of reasoning that their prompts opened.

    Raises:
        HopelessError: there are too few or too many completions, or one is not for its request.
    """
    completions = generator.generate(requests)
    broken = f"generator {generator.name!r} breaks its contract"
    if len(completions) != len(requests):
        raise HopelessError(f"{broken}: it gave {len(completions)} completions for {len(requests)} requests")
    for number, (request, completion) in enumerate(zip(requests, completions, strict=True)):
        if not isinstance(completion, Completion):
            raise HopelessError(f"{broken}: it gave a {type(completion).__name__} for request {number}, no Completion")
        asked = request.task_id, request.sample, text_sha(request.prompt)
        if (completion.task_id, completion.sample, completion.prompt_sha) != asked:
            raise HopelessError(
                f"{broken}: completion {number} is of {completion.task_id}, sample {completion.sample}, but the "
                f"request is of {request.task_id}, sample {request.sample}, or their prompts differ"
            )
    return [
        replace(one, text=f"{request.opened}{one.text}") if request.opened and not is_too_long(one) else one
        for request, one in zip(requests, completions, strict=True)
    ]


BATCHES_AT_ONCE = 2
"""Batches of a job that a process has at a time at most, so that its model always has rows to write."""


def batches_at_once(job: GenerateJob) -> int:
    return min(BATCHES_AT_ONCE, GENERATORS.get(job.generator.name).at_once)
