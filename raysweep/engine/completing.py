"""Completes distinct prompts: equal requests of one model are completed once, in batches, and share the completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from raysweep.engine.base import BatchOutput, GenerateJob
from raysweep.generators.base import GENERATORS
from raysweep.hashing import canonical_json, text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, Spec

BATCHES = 8
"""Batches of a job, unless they get too small or too large."""
SMALLEST_BATCH, LARGEST_BATCH = 16, 2048
"""Completions of a batch: what is lost at most when a process dies. Large ones keep the rows of a model filled."""


def distinct_requests(
    requests: Iterable[GenerationRequest], decoding: Decoding, generator: Spec
) -> dict[str, GenerationRequest]:
    """Return one request for each `request_key`, in the order in which the keys first occur."""
    return {request_key(request, decoding, generator): request for request in requests}


def complete(
    job: GenerateJob,
    requests: Mapping[str, GenerationRequest],
    generate: Callable[[GenerateJob], Iterator[BatchOutput[Completion]]],
) -> Iterator[tuple[dict[str, Completion], BatchOutput[Completion]]]:
    """Complete distinct requests in batches; yield each batch's completions by key, and its output, once it is done.

    `job`: the model and how it writes; its own `batches` are not used. `requests`: by `request_key`; without any,
    `generate` isn't called. `generate`: runs the job, such as an engine's stages do.
    """
    batches = batches_of(requests)
    job = replace(job, batches=[[requests[key] for key in batch] for batch in batches])
    for output in generate(job) if batches else ():
        yield dict(zip(batches[output.index], output.rows, strict=True)), output


def batches_of(requests: Mapping[str, GenerationRequest]) -> list[list[str]]:
    """Return the keys of requests in batches, longest prompts first; the samples of a prompt share one if they fit.

    Prompts of similar length need little padding, and if memory is too small, the first batch fails.
    """
    size = min(LARGEST_BATCH, max(SMALLEST_BATCH, -(-len(requests) // BATCHES)))
    prompts: dict[str, list[str]] = {}
    for key in sorted(requests, key=lambda key: (-len(requests[key].prompt), requests[key].request_id)):
        prompts.setdefault(requests[key].prompt, []).append(key)
    batches: list[list[str]] = []
    for keys in prompts.values():
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            if not batches or len(batches[-1]) + len(part) > size:
                batches.append([])
            batches[-1] += part
    return batches


def request_key(request: GenerationRequest, decoding: Decoding, generator: Spec) -> str:
    """Return a hash of everything that determines a completion except the model; equal requests are completed once.

    The hash includes the reference solution only for generators that may answer with it.
    """
    sample = 0 if decoding.has_equal_samples else request.sample
    reference = request.reference if GENERATORS.get(generator.name).reads_reference else None
    content = (request.prompt, request.task_id, sample, request.stop, reference)
    return text_sha(canonical_json(content))


def completions_of(
    requests: Sequence[GenerationRequest], completions: Mapping[str, Completion], decoding: Decoding, generator: Spec
) -> list[Completion]:
    """Return each request's completion, found by `request_key`, with the request's own task id and sample."""
    keys = [request_key(request, decoding, generator) for request in requests]
    return [
        replace(completions[key], task_id=request.task_id, sample=request.sample, key=key)
        for key, request in zip(keys, requests, strict=True)
    ]
