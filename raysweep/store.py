"""The content-addressed store: a stage's output lies under the hash of everything that determines it.

Layout (design.md, "Keys and artefacts"):
    <root>/artefacts/<stage>/<key[:2]>/<key>/   data files, and manifest.json, written last
    <root>/unfinished/<stage>/<key>/            checkpoints and blocks of what is being made; go when it is committed
    <root>/leases/                              who is making what
    <root>/sweeps/<name>/                       config, grid, progress, scores, report of a sweep
An artefact without a manifest does not exist. One whose files differ from its manifest is damaged: it is reported,
removed and made again, never used. The root may be in an object store; what is used then lies in a folder of this
machine too, $RAYSWEEP_CACHE, by default ~/.cache/raysweep.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from raysweep.artefacts import Artefact, Node, Unit, folder_of
from raysweep.digests import describe, difference
from raysweep.errors import NewerStore, StoreError
from raysweep.files import Files
from raysweep.leases import Holder, Leases
from raysweep.places import write_atomically
from raysweep.provenance import provenance
from raysweep.records import SCHEMA_VERSION, ModelRef
from raysweep.tables import ROWS, read_rows

R = TypeVar("R")

MANIFEST = "manifest.json"
IN_STORE = "artefact:"
"""Begins a model's location that is no folder but an artefact, so that every machine finds its own copy."""


class Draft:
    """A folder to write an artefact's files into, and the counts that its manifest will hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, Any] = {}


class Store:
    """Artefacts below one root.

    Args:
        root: a local path, or a URI that pyarrow.fs knows.
        expected: the root was there before, so it is waited for when it is not; see `raysweep.files.Files`.

    Raises:
        UsageError: the root is a URI of an unknown kind.
    """

    def __init__(self, root: str | Path, *, expected: bool = False) -> None:
        self.files = Files(str(root), expected=expected)
        self.root = self.files.root
        self.leases = Leases(self.files)
        self._known: set[str] = set()  # artefacts in an object store that were found whole: they don't change

    def require_writable(self) -> None:
        """Make the root; raise UsageError when it can't be written, NewerStore when a newer raysweep wrote it."""
        self.files.require_writable()
        self.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def scratch(self) -> Path:
        """A folder on this machine's disk for what goes into the store, and for copies of what lies in it."""
        if self.files.local is not None:
            return self.files.local
        cache = os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep"
        return Path(cache).expanduser().absolute() / hashlib.sha256(self.root.encode()).hexdigest()[:16]

    def folder(self, node: Artefact) -> str:
        """Return where an artefact lies or will lie: a path, or a URI."""
        return str(self.files.below(folder_of(node)))

    def progress(self, sweep: str) -> Files:
        """Return the folder of a sweep's progress files."""
        return self.files.below(f"sweeps/{sweep}/progress")

    def work(self, node: Artefact) -> Files:
        """Return the files of an artefact that is being made: checkpoints, blocks."""
        return self.files.below(f"unfinished/{node.stage}/{node.key}")

    def has(self, node: Artefact) -> bool:
        """Tell whether an artefact is complete and undamaged."""
        return self._text(node) is not None and not self.damage(node)

    def manifest(self, node: Artefact) -> dict[str, Any]:
        """Return an artefact's manifest; raise StoreError when there is none or it can't be read."""
        text = self._text(node)
        if text is None:
            raise StoreError(f"{node.label}: there is no manifest in {self.folder(node)}")
        try:
            manifest: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise StoreError(f"{node.label}: the manifest in {self.folder(node)} can't be read: {error}") from None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise StoreError(f"{node.label}: the manifest in {self.folder(node)} is incomplete")
        if manifest.get("schema_version", 0) > SCHEMA_VERSION:
            raise NewerStore(self.folder(node), manifest["schema_version"], SCHEMA_VERSION)
        return manifest

    def damage(self, node: Artefact, *, whole: bool = False) -> str:
        """Say how an artefact's files differ from its manifest; empty when they don't. `whole`: hash large ones too."""
        if node.key in self._known and not whole:
            return ""
        try:
            files = self.manifest(node)["files"]
        except NewerStore:
            raise
        except StoreError as error:
            return str(error)
        if self.files.local is not None:
            return difference(self.files.local / folder_of(node), files, whole=whole)
        found = self.files.infos(folder_of(node))
        sizes = {name: found[name].size for name in found}
        for name, entry in files.items():
            if not isinstance(entry, dict) or sizes.get(name) != entry.get("bytes"):
                return f"{name} has {sizes.get(name, 'no')} bytes, not {dict(entry or {}).get('bytes')}"
        wrong = difference(self._copy(node), files, whole=True) if whole else ""
        if not wrong:
            self._known.add(node.key)
        return wrong

    def use(self, node: Artefact) -> Path:
        """Return a local folder with an artefact's files; every byte is checked once.

        Raises:
            StoreError: it is damaged, and was removed so that it is made again.
        """
        wrong = self.damage(node, whole=True)
        if wrong:
            self.remove(node)
            raise StoreError(f"{node.label} is damaged ({wrong}); it was removed: run the command again")
        return self.scratch / folder_of(node)

    def rows(self, node: Artefact, record: type[R]) -> list[R]:
        """Return the rows of a tabular artefact; raise StoreError when it is damaged or missing."""
        return read_rows(self.use(node) / ROWS, record)

    def forget(self, node: Artefact) -> None:
        """Remove this machine's copy of an artefact in an object store."""
        if self.files.local is None:
            shutil.rmtree(self.scratch / folder_of(node), ignore_errors=True)

    def is_damaged(self, node: Artefact) -> bool:
        """Tell whether an artefact was committed and is no longer what was written."""
        return self._text(node) is not None and bool(self.damage(node))

    def discard_if_damaged(self, node: Artefact) -> str:
        """Remove a damaged artefact so that it is made again; return what was wrong, or an empty string."""
        wrong = self.damage(node) if self._text(node) is not None else ""
        if wrong:
            self.remove(node)
        return wrong

    def remove(self, node: Artefact) -> None:
        """Remove an artefact, its manifest first."""
        self._known.discard(node.key)
        self.files.remove(f"{folder_of(node)}/{MANIFEST}")
        self.files.remove_folder(folder_of(node))
        shutil.rmtree(self.scratch / folder_of(node), ignore_errors=True)

    def located(self, ref: ModelRef) -> ModelRef:
        """Return a model with folders of this machine instead of artefacts of this store, fetched where necessary.

        Raises:
            StoreError: an artefact is damaged.
        """
        base = self.located(ref.base) if ref.base else None
        if not ref.location.startswith(IN_STORE):
            return dataclasses.replace(ref, base=base)
        stage, key = ref.location.removeprefix(IN_STORE).split("/")
        return dataclasses.replace(ref, location=str(self.use(Unit(stage, key, f"{stage} {key[:8]}"))), base=base)

    @contextlib.contextmanager
    def making(
        self, what: Artefact, is_done: Callable[[], bool], tell: Callable[[Holder | None], None]
    ) -> Iterator[bool]:
        """Hold the lease of an artefact, or of a unit of work, for the block; wait while another process has it.

        Args:
            what: what this process is about to make.
            is_done: tells whether it exists.
            tell: told who is waited for, again and again; None when the wait is over.

        Yields:
            Whether it must be made: False when it exists, maybe since a moment.
        """
        lease = self.leases.wait(f"{what.stage}-{what.key}", is_done, tell)
        with lease or contextlib.nullcontext():
            if lease is None or is_done():
                yield False
                return
            yield True

    @contextlib.contextmanager
    def writing(self, node: Node) -> Iterator[Draft]:
        """Give a folder to write an artefact into; commit it when the block ends without an error."""
        started = time.time()
        self.files.await_root()
        prefix = f"{node.stage}-{node.key[:16]}-"
        for left in (self.scratch / "staging").glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)  # of a process that was killed: nobody else makes this now
        staging = self.scratch / "staging" / f"{prefix}{uuid.uuid4().hex[:12]}"
        staging.mkdir(parents=True)
        draft = Draft(staging)
        try:
            yield draft
            self._commit(node, draft, time.time() - started)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self.work(node).remove_folder()

    def _commit(self, node: Node, draft: Draft, wall_seconds: float) -> None:
        if self.has(node):  # of another process, which took over while this one was out of reach
            return
        self.files.remove(f"{folder_of(node)}/{MANIFEST}")
        files = describe(draft.folder)
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
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        for name in files:
            self.files.put(draft.folder / name, f"{folder_of(node)}/{name}")
        self.files.write(f"{folder_of(node)}/{MANIFEST}", text)
        if self.files.local is None:  # what was just made is wanted next
            shutil.rmtree(self.scratch / folder_of(node), ignore_errors=True)
            (self.scratch / folder_of(node)).parent.mkdir(parents=True, exist_ok=True)
            draft.folder.replace(self.scratch / folder_of(node))
            write_atomically(self.scratch / folder_of(node) / MANIFEST, text)

    def _text(self, node: Artefact) -> bytes | None:
        return self.files.read(f"{folder_of(node)}/{MANIFEST}")

    def _copy(self, node: Artefact) -> Path:
        """Return the folder of this machine's copy of an artefact in an object store, made if it is missing or old."""
        folder = self.scratch / folder_of(node)
        manifest = folder / MANIFEST
        if not manifest.is_file() or manifest.read_bytes() != self._text(node):
            shutil.rmtree(folder, ignore_errors=True)
            draft = self.scratch / "staging" / f"copy-{uuid.uuid4().hex}"
            self.files.fetch(folder_of(node), draft)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another process was faster
                draft.replace(folder)
            shutil.rmtree(draft, ignore_errors=True)
        return folder


def location_of(node: Artefact) -> str:
    """Return a model's location that stands for an artefact; see `Store.located`."""
    return f"{IN_STORE}{node.stage}/{node.key}"
