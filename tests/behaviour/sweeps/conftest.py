"""What whole sweeps share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def temporary() -> Iterator[str]:
    """A folder for temporary files, whose path is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="rs-t-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder
