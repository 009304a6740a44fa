"""A connection to the Ray that the tests share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def connected(shared_ray):
    """Connect this process to the shared Ray while a module's tests run."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    ray.init(address=shared_ray.address, log_to_driver=False)
    yield
    ray.shutdown()
