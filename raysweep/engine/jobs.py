"""Parts of a job that are the same on every engine: batches of requests, the generator, one block of perturbed rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raysweep.engine.base import GenerateJob, PerturbJob
from raysweep.errors import HopelessError
from raysweep.generators.base import GENERATORS, Generator
from raysweep.hashing import canonical_json, text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, PerturbedRow, SourceRow
from raysweep.rows.parquet import ROWS, read_block
from raysweep.storage.store import Store
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.perturbing import perturb_rows, perturber_of


def perturb_block(job: PerturbJob, index: int) -> list[Sequence[PerturbedRow]]:
    """Return the rows of a block after each method of the job.

    Raises:
        StoreError: the source's rows are missing or damaged.
    """
    source = SOURCES.create(job.source)
    rows = read_block(Store(job.storage, expected=True).use(job.rows) / ROWS, SourceRow, index)
    return perturb_rows(rows, source, [perturber_of(source, method, job.seed) for method in job.methods])


def make_generator(job: GenerateJob) -> Generator:
    """Build a job's generator with a local copy of its model. A generator with a `batch_size` gets the job's.

    Raises:
        StoreError: the model is missing or damaged.
    """
    arguments = {"batch_size": job.batch_size} if "batch_size" in GENERATORS.parameters(job.generator.name) else {}
    model = job.model
    if isinstance(model, ModelRef):
        model = Store(job.storage, expected=True).located(model)
    return GENERATORS.create(job.generator, model=model, decoding=job.decoding, **arguments)


def generate(generator: Generator, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """Return a generator's completions of a batch.

    Raises:
        HopelessError: there are too few or too many, or one is not for its request.
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
    return completions


def batches_by_length(requests: Mapping[str, GenerationRequest], size: int) -> list[list[str]]:
    """Return the keys of requests in batches of at most `size`, longest prompts first.

    Prompts of similar length need little padding, and if memory is too small, the first batch fails.
    """
    ordered = sorted(requests, key=lambda key: (-len(requests[key].prompt), requests[key].request_id))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def request_key(request: GenerationRequest, decoding: Decoding) -> str:
    """Return a hash of everything that determines a completion except the model; equal requests are completed once.

    The hash includes the reference solution, since some generators without a model answer with it.
    """
    sample = request.sample if decoding.temperature > 0 else 0
    content = (request.prompt, request.task_id, sample, request.stop, request.reference)
    return text_sha(canonical_json(content))


def completions_of(
    requests: Sequence[GenerationRequest], completions: Mapping[str, Completion], decoding: Decoding
) -> list[Completion]:
    """Return each request's completion, found by `request_key`, with the request's own task id and sample."""
    return [
        replace(completions[request_key(request, decoding)], task_id=request.task_id, sample=request.sample)
        for request in requests
    ]
