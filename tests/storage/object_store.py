"""A local S3 server for tests: moto, in this process."""

from __future__ import annotations

import contextlib
import logging
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.patience import PATIENCE

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "us-east-1",
}


@dataclass
class Server:
    """A server with one bucket, whose objects outlive `stop` and `start`."""

    bucket: str
    port: int = 0
    _server: Any = None

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()
        self._server._server.app = one_at_a_time(self._server._server.app)
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()

    def uri(self, folder: str, bucket: str | None = None) -> str:
        """Return a storage URI for raysweep."""
        return f"s3://{bucket or self.bucket}/{folder}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def keys(self) -> list[str]:
        """Return the names of all objects that aren't empty, read without raysweep."""
        return sorted(key for key, value in self._objects() if value)

    def get(self, key: str) -> bytes:
        return dict(self._objects())[key]

    def put(self, key: str, data: bytes) -> None:
        """Write an object without raysweep."""
        self.ask("PUT", key, data)

    def delete(self, key: str) -> None:
        self.ask("DELETE", key)

    def ask(self, method: str, key: str, data: bytes | None = None) -> None:
        address = f"http://127.0.0.1:{self.port}/{self.bucket}/{quote(key)}"
        urllib.request.urlopen(urllib.request.Request(address, data, method=method), timeout=PATIENCE).close()

    def _objects(self) -> Iterator[tuple[str, bytes]]:
        from moto.s3.models import s3_backends

        for backend in s3_backends.values():
            for account in backend.values():
                if self.bucket in account.buckets:
                    yield from ((name, key.value) for name, key in account.buckets[self.bucket].keys.items())


def one_at_a_time(app: Any) -> Any:
    """Return the server's application with a lock: moto looks at a put's condition and writes in two steps."""
    lock = threading.Lock()

    def locked(environ: Any, start_response: Any) -> Any:
        with lock:
            return app(environ, start_response)

    return locked


@contextlib.contextmanager
def served() -> Iterator[Server]:
    """Run a server for the block."""
    pytest.importorskip("moto.server", reason="needs moto[server]")
    server = Server(f"b{uuid.uuid4().hex[:12]}")  # all servers of a process share their objects
    server.start()
    try:
        server.ask("PUT", "")
        yield server
    finally:
        server.stop()
