"""Equal requests are completed once; each gets the completion under its own task id and sample."""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.engine.base import BatchOutput, GenerateJob
from raysweep.engine.completing import SMALLEST_BATCH, complete, completions_of, distinct_requests
from raysweep.hashing import text_sha
from raysweep.records import Completion, Decoding, GenerationRequest, Spec

GREEDY, FAKE = Decoding(), Spec("fake")
JOB = GenerateJob("", None, FAKE, GREEDY, ())


def answer(job: GenerateJob) -> Iterator[BatchOutput[Completion]]:
    """Complete each prompt with its own text; the last batch comes first."""
    for index, batch in reversed(list(enumerate(job.batches))):
        rows = [Completion(r.task_id, r.sample, r.prompt.upper(), "eos", 1, text_sha(r.prompt)) for r in batch]
        yield BatchOutput(index, rows)


def test_equal_prompts_of_a_task_are_completed_once_and_answered_in_the_order_of_the_requests():
    numbers = [*range(2 * SMALLEST_BATCH), 0, 5]
    requests = [GenerationRequest(str(i), f"T/{n}", f"prompt {n}", sample=i) for i, n in enumerate(numbers)]
    distinct = distinct_requests(requests, GREEDY, FAKE)
    outputs = list(complete(JOB, distinct, answer))
    assert [output.index for _, output in outputs] == [1, 0]
    rows = {key: row for batch, _ in outputs for key, row in batch.items()}
    assert rows.keys() == distinct.keys() and len(rows) == 2 * SMALLEST_BATCH
    answers = completions_of(requests, rows, GREEDY, FAKE)
    assert [row.text for row in answers] == [request.prompt.upper() for request in requests]
    assert [(row.task_id, row.sample) for row in answers] == [(r.task_id, r.sample) for r in requests]


def test_without_requests_nothing_is_generated():
    def fail(job: GenerateJob) -> Iterator[BatchOutput[Completion]]:
        raise AssertionError("asked")

    assert list(complete(JOB, {}, fail)) == []
