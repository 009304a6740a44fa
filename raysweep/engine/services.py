"""Completions and verdicts for code inside a stage, such as attacks."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Sequence

from raysweep.engine.base import BatchOutput, GenerateJob, Stages
from raysweep.engine.completing import complete, completions_of, distinct_requests
from raysweep.engine.jobs import KeptGenerator
from raysweep.engine.judging import ProgramJudge
from raysweep.engine.progress import ProgressFile
from raysweep.errors import StoreError
from raysweep.execution.oracle import oracle_of
from raysweep.execution.runtimes import identity
from raysweep.generators.base import TRANSFORMERS, LiveModel
from raysweep.programs import DEFAULT_SANDBOX, Limits, Outcome, Program, Sandbox, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, Spec
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.storage.verdicts import Question, VerdictCache

BATCH_PROGRAMS = 64
"""Programs in one batch."""
REMEMBERED_VERDICTS = 100_000
"""Verdicts that a service keeps in memory."""


class ModelService:
    """Generates completions and judges programs for code inside a stage: trainers, attacks, editors.

    It uses the engine's stages, so accelerators, batches and isolation are those of a sweep. In one call, equal prompts
    are completed once and equal programs are run once. Verdicts are read from the store's cache and added to it.

    `stages`: the engine's. `LocalStages` in a ``with`` block keeps model and processes between calls. `store`: holds
    the verdict cache, and models that are artefacts. `progress`: receives reports of waits.
    """

    def __init__(
        self, stages: Stages, store: Store, progress: ProgressFile, sandbox: Sandbox = DEFAULT_SANDBOX
    ) -> None:
        self._stages, self._store, self._progress, self._sandbox = stages, store, progress, sandbox
        cache = VerdictCache(store.files, platform.python_version())
        self._judge = ProgramJudge(stages, progress, cache, sandbox)
        self._verdicts: dict[Question, Verdict] = {}

    @property
    def files(self) -> Files:
        return self._store.files

    def __enter__(self) -> ModelService:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Write pending verdicts to the store's cache; an error of the block is not replaced by one of the store."""
        with contextlib.suppress(*([StoreError] if kind else [])):
            self._judge.flush()

    def generate(
        self,
        model: ModelRef | LiveModel | None,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        generator: Spec = Spec(TRANSFORMERS),  # noqa: B008  # frozen
    ) -> list[Completion]:
        """Return one completion for each request, in their order.

        `model`: a reference, or a loaded model in this process; None for generators without a model. `generator`: a
        registered name with its arguments.
        """
        distinct = distinct_requests(requests, decoding, generator)
        job = GenerateJob(self._store.root, model, generator, decoding, ())
        completions: dict[str, Completion] = {}
        for rows, _ in complete(job, distinct, self._outputs):
            completions.update(rows)
        return completions_of(requests, completions, decoding, generator)

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        """Return one verdict for each program, in their order. A later call runs harness errors again."""
        chains = {name: identity(name, self._sandbox.setting_of(name)) for name in {p.runtime for p in programs}}
        questions = [
            Question(program.sha, limits, program.oracle or oracle_of(program), chains[program.runtime])
            for program in programs
        ]
        distinct = dict(zip(questions, programs, strict=True))
        if len(self._verdicts) > REMEMBERED_VERDICTS:
            self._verdicts.clear()  # the store's cache has them
        self._verdicts |= self._judge.known([question for question in distinct if question not in self._verdicts])
        verdicts = {question: self._verdicts[question] for question in distinct if question in self._verdicts}
        for judged in self._judge.run(distinct, verdicts, BATCH_PROGRAMS):
            verdicts |= judged
        self._verdicts |= {q: verdict for q, verdict in verdicts.items() if verdict.outcome != Outcome.HARNESS_ERROR}
        return [verdicts[question] for question in questions]

    def _outputs(self, job: GenerateJob) -> Iterator[BatchOutput[Completion]]:
        """Yield the batches' completions. A live model generates in this process, whatever the engine."""
        if not isinstance(job.model, LiveModel):
            yield from self._stages.generate(job, self._progress)
            return
        kept = KeptGenerator()
        for index, batch in enumerate(job.batches):
            yield BatchOutput(index, kept.generate(job, batch, self._progress.touch).completions)
