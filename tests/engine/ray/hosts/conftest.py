"""A keeper of hosts, which ends with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raysweep.engine.ray.hosts.keeper import start_keeper


@pytest.fixture
def keeper() -> Iterator[Callable[..., Any]]:
    """Start a keeper for cells of given bases."""
    import ray

    started: list[Any] = []

    def start(**cells: str) -> Any:
        started.append(start_keeper(cells))
        return started[-1]

    yield start
    for one in started:
        ray.kill(one)
