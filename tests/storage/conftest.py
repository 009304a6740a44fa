"""One S3 server for all files here, and an account for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage.object_store import ACCOUNT, Server, served


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
