"""A metadata server as AWS and Google Cloud run one for each machine; it answers what a test says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACTION = "/latest/meta-data/spot/instance-action"
TOKEN = "/latest/api/token"
PREEMPTED, MAINTENANCE = "/computeMetadata/v1/instance/preempted", "/computeMetadata/v1/instance/maintenance-event"


class MetadataServer:
    """`answers`: (status, text) for each path; `tokens`: given and valid, of AWS; `asked`: for what so far."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, tuple[int, str]] = {}
        self.tokens: list[str] = []
        self.asked: list[str] = []

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, str]:
        """Answer as the providers do: with their headers alone."""
        self.asked.append(f"{method} {path}")
        if path == TOKEN and path not in self.answers:
            if method != "PUT" or headers.get("X-aws-ec2-metadata-token-ttl-seconds") != "21600":
                return 400, ""
            self.tokens.append(f"token-{len(self.asked)}")
            return 200, self.tokens[-1]
        if path == ACTION and headers.get("X-aws-ec2-metadata-token") not in self.tokens:
            return 401, ""
        if path in (PREEMPTED, MAINTENANCE) and headers.get("Metadata-Flavor") != "Google":
            return 403, ""
        return self.answers.get(path, (404, ""))


@contextlib.contextmanager
def metadata_server(port: int = 0) -> Iterator[MetadataServer]:
    """Run a server for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = found.answer(self.command, self.path, self.headers)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found = MetadataServer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
