"""A Hugging Face hub that takes what huggingface_hub sends, by the endpoints and answers that the library knows."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_secret"


class FakeHub:
    """`private`: by repository; `files`: what it holds, by name; `commits`: their titles in order.

    `uploads`: hashes of large files as they came; `refusals`: (status, error) for the beginning of a path.
    """

    def __init__(self) -> None:
        self.url = ""
        self.private: dict[str, bool] = {}
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.uploads: list[str] = []
        self.refusals: dict[str, tuple[int, str]] = {}

    def answer(self, method: str, path: str, body: bytes, token: str | None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        for beginning, (status, error) in self.refusals.items():
            if path.startswith(beginning):
                return status, {"error": error}
        if path.startswith("/lfs/"):
            self.uploads.append(path.removeprefix("/lfs/"))
            self.large[self.uploads[-1]] = body
            assert hashlib.sha256(body).hexdigest() == self.uploads[-1]
            return 200, {}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials"}
        if path == "/api/validate-yaml":
            return 200, {}
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            is_new = repo not in self.private
            self.private.setdefault(repo, asked.get("private", asked.get("visibility") == "private"))
            return 200 if is_new else 409, {"url": f"{self.url}/{repo}", "error": "You already created this repo"}
        if path.endswith("/preupload/main"):
            return 200, {"files": [self._mode(one["path"]) for one in json.loads(body)["files"]]}
        if path.endswith("/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._action(one) for one in json.loads(body)["objects"]]}
        if path.endswith("/commit/main"):
            repo = path.removeprefix("/api/models/").removesuffix("/commit/main")
            return 200, self._commit(repo, [json.loads(line) for line in body.splitlines()])
        assert method == "GET", path
        repo = path.removeprefix("/api/models/").removesuffix("/revision/main")
        return 200, {"id": repo, "private": self.private[repo], "sha": f"{len(self.commits):040}"}

    def _mode(self, name: str) -> dict[str, Any]:
        is_large, content = name.endswith(".safetensors"), self.files.get(name)
        oid = None
        if content is not None:
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            oid = hashlib.sha256(content).hexdigest() if is_large else git
        return {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

    def _action(self, asked: dict[str, Any]) -> dict[str, Any]:
        upload = {"upload": {"href": f"{self.url}/lfs/{asked['oid']}"}}
        return {**asked, **({} if asked["oid"] in self.large else {"actions": upload})}

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines[1:]:
            value = line["value"]
            content = base64.b64decode(value["content"]) if line["key"] == "file" else self.large[value["oid"]]
            self.files[value["path"]] = content
        self.commits.append(lines[0]["value"]["summary"])
        oid = f"{len(self.commits):040}"
        return {"commitUrl": f"{self.url}/{repo}/commit/{oid}", "commitOid": oid}


@contextlib.contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run a hub for the length of the block."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = hub.answer(self.command, self.path, body, self.headers.get("Authorization"))
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
