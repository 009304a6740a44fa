"""The slots that the tests of a file share; each starts its processes when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Sandbox


@pytest.fixture(scope="module")
def executors() -> Iterator[Mapping[Lane, Executor]]:
    """A slot for each lane. What it knows belongs to tests, so cases that need this have tests of their own."""
    with (
        Executor(1, Sandbox(Lane.SHARED, Level.LIMITS)) as shared,
        Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as strict,
    ):
        yield {Lane.SHARED: shared, Lane.STRICT: strict}


@pytest.fixture(scope="module", params=list(Lane))
def executor(request: pytest.FixtureRequest, executors: Mapping[Lane, Executor]) -> Executor:
    """The slot of each lane in turn."""
    return executors[request.param]


@pytest.fixture(scope="module")
def strict(executors: Mapping[Lane, Executor]) -> Executor:
    return executors[Lane.STRICT]
