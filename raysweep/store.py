"""The content-addressed store: a stage's output lies under the hash of everything that determines it.

Layout (design.md, "Keys and artefacts"):
    <root>/artefacts/<stage>/<key[:2]>/<key>/   data files, and manifest.json, written last
    <root>/unfinished/<stage>/<key>/            checkpoints of what is being made; goes when it is committed
    <root>/sweeps/<name>/                       config, grid, progress, scores, report of a sweep
An artefact without a manifest does not exist. One whose files differ from its manifest is damaged: it is reported,
removed and made again, never used. Files are moved one by one, the manifest last, and no folder is ever renamed, since
object stores can't: `Store` is the seam for them (today a folder on a local or shared disk).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from raysweep.errors import StoreError, UsageError
from raysweep.provenance import provenance
from raysweep.records import SCHEMA_VERSION, canonical_json

MANIFEST = "manifest.json"
FULL_CHECK_BYTES = 256 * 2**20
"""Files up to this size are hashed whenever an artefact is looked up; larger ones are checked by size until used."""


@dataclass(frozen=True)
class Node:
    """A planned artefact: what it is made by, from what, and the key that follows.

    `spec` holds all that determines the output and nothing else: no path, host, time, or option that can't change it.
    """

    stage: str
    version: int
    spec: Mapping[str, Any]
    inputs: tuple[str, ...]  # keys of the artefacts it is made from
    label: str  # for people; not part of the key
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = {"stage": self.stage, "version": self.version, "spec": self.spec, "inputs": list(self.inputs)}
        object.__setattr__(self, "key", hashlib.sha256(canonical_json(content).encode()).hexdigest())


class NewerStore(StoreError):
    """An artefact of a schema that this raysweep does not know; it is left alone."""


class Artefact(Protocol):
    """Anything that names an artefact: a `Node`, or what a sweep's grid remembers of one."""

    @property
    def stage(self) -> str:
        """The kind of artefact, a folder's name."""

    @property
    def key(self) -> str:
        """64 hex digits."""

    @property
    def label(self) -> str:
        """What people call it."""


class Draft:
    """A folder to write an artefact's files into, and the counts that its manifest will hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, Any] = {}


class Store:
    """Artefacts below one root folder.

    Args:
        root: a local path; created when missing.

    Raises:
        UsageError: the root is a URI of a kind not supported yet, or can't be written.
    """

    def __init__(self, root: str | Path) -> None:
        text = str(root)
        if "://" in text:
            raise UsageError(f"storage {text!r}: only local and shared-disk paths are supported so far; give a path")
        self.root = Path(text).expanduser().absolute()

    def require_writable(self) -> None:
        """Raise UsageError when the root can't be created or written, or holds a newer store."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{uuid.uuid4().hex}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"storage {str(self.root)!r} can't be written: {reason}; give another folder with --storage"
            ) from None

    def folder(self, node: Artefact) -> Path:
        """Return the folder of an artefact, whether it exists or not."""
        return self.root / "artefacts" / node.stage / node.key[:2] / node.key

    def work_folder(self, node: Artefact) -> Path:
        """Return the folder for checkpoints of an artefact that is being made."""
        return self.root / "unfinished" / node.stage / node.key

    def sweep_folder(self, name: str) -> Path:
        """Return the folder of a sweep."""
        return self.root / "sweeps" / name

    def has(self, node: Artefact) -> bool:
        """Tell whether an artefact is complete and undamaged."""
        return (self.folder(node) / MANIFEST).is_file() and not self.damage(node)

    def manifest(self, node: Artefact) -> dict[str, Any]:
        """Return an artefact's manifest; raise StoreError when there is none or it can't be read."""
        try:
            manifest: dict[str, Any] = json.loads((self.folder(node) / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"{node.label}: no readable manifest in {self.folder(node)}: {error}") from None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise StoreError(f"{node.label}: the manifest in {self.folder(node)} is incomplete")
        if manifest.get("schema_version", 0) > SCHEMA_VERSION:
            raise NewerStore(
                f"{self.folder(node)} was written by a newer raysweep (schema {manifest['schema_version']}, "
                f"this one reads {SCHEMA_VERSION}); upgrade raysweep or give another --storage"
            )
        return manifest

    def damage(self, node: Artefact, *, whole: bool = False) -> str:
        """Say how an artefact's files differ from its manifest; empty when they don't. `whole`: hash large ones too."""
        try:
            files = self.manifest(node)["files"]
        except NewerStore:
            raise
        except StoreError as error:
            return str(error)
        found = (_difference(self.folder(node) / name, expected, whole) for name, expected in files.items())
        return next((difference for difference in found if difference), "")

    def use(self, node: Artefact) -> Path:
        """Return an artefact's folder, for reading large files; every byte is checked once.

        Raises:
            StoreError: it is damaged, and was removed so that the next run makes it again.
        """
        wrong = self.damage(node, whole=True)
        if wrong:
            self.remove(node)
            raise StoreError(f"{node.label} is damaged ({wrong}); it was removed: run the command again")
        return self.folder(node)

    def is_damaged(self, node: Artefact) -> bool:
        """Tell whether an artefact was committed and is no longer what was written."""
        return (self.folder(node) / MANIFEST).exists() and bool(self.damage(node))

    def discard_if_damaged(self, node: Artefact) -> str:
        """Remove a damaged artefact so that it is made again; return what was wrong, or an empty string."""
        if not self.is_damaged(node):
            return ""
        wrong = self.damage(node)
        self.remove(node)
        return wrong

    def remove(self, node: Artefact) -> None:
        """Remove an artefact, its manifest first."""
        (self.folder(node) / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.folder(node), ignore_errors=True)

    @contextlib.contextmanager
    def writing(self, node: Node) -> Iterator[Draft]:
        """Give a folder to write an artefact into; commit it when the block ends without an error."""
        started = time.time()
        staging = self.root / "staging" / f"{node.stage}-{node.key[:12]}-{uuid.uuid4().hex[:12]}"
        staging.mkdir(parents=True)
        draft = Draft(staging)
        try:
            yield draft
            self._commit(node, draft, time.time() - started)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(self.work_folder(node), ignore_errors=True)

    def _commit(self, node: Node, draft: Draft, wall_seconds: float) -> None:
        folder = self.folder(node)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        names = sorted(str(p.relative_to(draft.folder)) for p in draft.folder.rglob("*") if p.is_file())
        files = {name: _describe(draft.folder / name) for name in names}
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (draft.folder / name).replace(target)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "stage": node.stage,
            "version": node.version,
            "key": node.key,
            "label": node.label,
            "spec": node.spec,
            "inputs": list(node.inputs),
            "files": files,
            "counts": draft.counts,
            "wall_seconds": round(wall_seconds, 3),
            "made": provenance(),
        }
        write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that readers see the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _difference(path: Path, expected: Any, whole: bool) -> str:
    """Say how a file differs from its manifest's entry {bytes, sha256}; empty when it does not."""
    if not path.is_file():
        return f"{path.name} is missing"
    if not isinstance(expected, dict) or not {"bytes", "sha256"} <= set(expected):
        return f"{MANIFEST} is incomplete"
    stat = path.stat()
    if stat.st_size != expected["bytes"]:
        return f"{path.name} has {stat.st_size} bytes, not {expected['bytes']}"
    looked_at = whole or stat.st_size <= FULL_CHECK_BYTES
    if looked_at and _hash(path, stat.st_size, stat.st_mtime_ns) != expected["sha256"]:
        return f"{path.name} has another content than was written"
    return ""


def _describe(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "sha256": _hash(path, stat.st_size, stat.st_mtime_ns)}


@lru_cache(maxsize=65536)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    """sha256 of a file; remembered within the process while its size and time stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
