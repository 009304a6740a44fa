"""The content-addressed store: a stage's output lies in a folder named by the hash of everything that determines it.

Layout:
    <root>/artefacts/<stage>/<key[:2]>/<key>/   data files, and manifest.json, written last
    <root>/verdicts/                            verdicts of programs, for all sweeps (verdicts.py)
    <root>/row-numbers/                         numbers of training rows that a base model gives (engine/checkpoints.py)
    <root>/completions/                         which artefacts have completions of a model (completions.py)
    <root>/unfinished/<stage>/<key>/            checkpoints and blocks of artefacts in progress, removed by the commit
    <root>/staging/                             drafts; for an object store, on this machine instead
    <root>/leases/                              which process makes which artefact (leases.py)
    <root>/sweeps/<name>/                       a sweep's config, grid, progress, scores and report
An artefact without a manifest does not exist. One whose files differ from its manifest is damaged: raysweep reports it,
removes it and makes it again, and never uses it (integrity.py). Artefacts of an object store are copied to this machine
for use, below $RAYSWEEP_CACHE, by default ~/.cache/raysweep (copies.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import HopelessError, StoreError, UsageError
from raysweep.hashing import describe
from raysweep.records import ModelRef
from raysweep.rows.parquet import ROWS, read_rows
from raysweep.storage.artefacts import DROPPED, MANIFEST, Artefact, Node, Unit, folder_of, missing_part, parent_of
from raysweep.storage.backends import full_disk_named
from raysweep.storage.copies import STAGING, Copies, cache_of
from raysweep.storage.files import Files
from raysweep.storage.integrity import Integrity, manifest_of
from raysweep.storage.leases import Holder, Leases
from raysweep.storage.pins import Pins

R = TypeVar("R")

IN_STORE = "artefact:"
"""Prefix of a model's location that names an artefact instead of a folder: each machine uses its own copy."""
PARALLEL_CHECKS = 16

IN_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable that Ray sets for programs started by `ray job submit`."""


class Draft:
    """A folder for an artefact's files while they are written, and the counts for its manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, Any] = {}


class Store:
    """Artefacts below one root; raises UsageError if it is a URI of an unknown kind. `expected`: see `Files`."""

    def __init__(self, root: str | Path, *, expected: bool = False) -> None:
        self.files = Files(str(root), expected=expected)
        self.root = self.files.root
        self.scratch = self.files.local or cache_of(self.root)  # on this machine, for drafts and copies
        self._drafts = self.files if self.files.local else Files(str(self.scratch))
        self._copies = None if self.files.local else Copies(self.files, self.scratch)
        self._integrity = Integrity(self.files, self._copies)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.files)

    @cached_property
    def pins(self) -> Pins:
        return Pins(self.files, self.leases)

    def require_writable(self) -> None:
        """Create the root; raise UsageError if it isn't writable, OtherSchema if another raysweep wrote it."""
        self.files.require_writable()
        if self._copies:
            self._copies.prepare()

    def folder(self, node: Artefact) -> str:
        """Return the path or URI of an artefact, which need not exist."""
        local = self.files.local
        return f"{local}/{folder_of(node)}" if local else str(self.files.below(folder_of(node)))

    def progress(self, sweep: str) -> Files:
        return self.files.below(f"sweeps/{sweep}/progress")

    def unfinished(self, node: Artefact) -> Files:
        """Return the folder for an artefact's checkpoints and blocks while it is made."""
        return self.files.below(f"unfinished/{node.stage}/{node.key}")

    def has(self, node: Artefact) -> bool:
        """Return True if an artefact is complete and undamaged."""
        if not self._integrity.is_known(node):
            return not self.damage(node)
        local = self.files.local
        return local is None or os.access(f"{local}/{folder_of(node)}/{MANIFEST}", os.R_OK)

    def checking_once(self) -> AbstractContextManager[None]:
        """Within it an artefact that was found undamaged stays so also on a disk: a report asks a dozen times for each.

        It still needs its manifest, which another process may remove. `use` checks every byte as ever.
        """
        return self._integrity.checking_once()

    def survey(self, nodes: Iterable[Artefact]) -> dict[str, bool]:
        return self._look_up(self.has, nodes)

    def survey_damage(self, nodes: Iterable[Artefact]) -> dict[str, bool]:
        return self._look_up(self.is_damaged, nodes)

    def with_manifest(self, stage: str, keys: Collection[str]) -> Collection[str]:
        """Return the keys of those artefacts of a stage that have a manifest.

        On a disk their files are not compared with it, which would take minutes for a large sweep.
        """
        if not self.files.local:
            nodes = [Unit(stage, key, f"{stage} {key[:8]}") for key in keys]
            return {key for key, exists in self.survey(nodes).items() if exists}
        parents = {start: parent_of(Unit(stage, start, "")) for start in {key[:2] for key in keys}}
        there = {name for parent in parents.values() for name in self.files.folders(parent)}
        root = str(self.files.local)
        return {
            key for key in keys if key in there and os.access(f"{root}/{parents[key[:2]]}/{key}/{MANIFEST}", os.R_OK)
        }

    def _look_up(self, question: Callable[[Artefact], bool], nodes: Iterable[Artefact]) -> dict[str, bool]:
        """Answer for each artefact, no without a folder; requests run side by side, since one by one takes minutes."""
        asked = list(nodes)
        if not self._copies:
            there = self._with_folder(asked, map)
            return {node.key: node.key in there and question(node) for node in asked}
        with ThreadPoolExecutor(PARALLEL_CHECKS) as pool:
            there = self._with_folder(asked, pool.map)
            answers = pool.map(lambda node: node.key in there and question(node), asked)
            return dict(zip((node.key for node in asked), answers, strict=True))

    def _with_folder(self, nodes: Sequence[Artefact], mapped: Callable[..., Iterable[set[str]]]) -> Collection[str]:
        """Return the keys of the artefacts that may have a folder. Of many, listing is faster than asking for each."""
        parents = {parent_of(node) for node in nodes}
        if len(nodes) < 2 * len(parents):
            return {node.key for node in nodes}
        return {name for names in mapped(self.files.folders, parents) for name in names}

    def manifest(self, node: Artefact, *, dropped: bool = False) -> dict[str, Any]:
        """Return a manifest, also a dropped one if `dropped`; raise StoreError if it is missing or unreadable."""
        text = self._integrity.manifest_text(node)
        if text is None and dropped:
            text = self._integrity.dropped_text(node)
        if text is None:
            raise self._is_gone(node)
        try:
            return self._integrity.parse(node, text)
        except StoreError:
            self._integrity.forget(node)
            raise

    def counts(self, node: Artefact) -> Mapping[str, Any]:
        """Return what the stage reported, also if files were dropped since; empty without a readable manifest."""
        return self._integrity.counts(node)

    def damage(self, node: Artefact, *, whole: bool = False) -> str:
        """Return how an artefact differs from its manifest, or "". `whole`: hash large files too."""
        return self._integrity.damage(node, self._integrity.manifest_text(node), whole=whole)

    def use(self, node: Artefact) -> Path:
        """Return a local folder with an artefact's files, after checking every byte once.

        Raises StoreError if it is missing, or was damaged and is now removed, so that it is made again.
        """
        text = self._integrity.manifest_text(node)
        if text is None:
            raise self._is_gone(node)
        if damage := self._integrity.damage(node, text, whole=True):
            self._remove_unless_renewed(node, text)
            raise StoreError(f"{node.label} is damaged ({damage}); it was removed: run the command again")
        return self.scratch / folder_of(node)

    def _is_gone(self, node: Artefact) -> StoreError:
        self._integrity.forget(node)  # another process may have removed it since it was checked
        state = "was dropped from" if self.is_dropped(node) else "is not in"
        return StoreError(f"{node.label} {state} the store; run the command again")

    def is_being_made(self, unit: Artefact) -> bool:
        """Return True while a process holds the lease of an artefact, or of a unit of work: it makes or drops it."""
        return self.leases.is_alive(f"{unit.stage}-{unit.key}")

    def rows(self, node: Artefact, record: type[R]) -> list[R]:
        """Return the rows of a tabular artefact; raise StoreError if it is missing or damaged."""
        return read_rows(self.use(node) / ROWS, record)

    def forget(self, node: Artefact) -> None:
        """Remove this machine's copy of an artefact; the artefact in the object store stays."""
        if self._copies:
            self._copies.forget(node)

    def is_damaged(self, node: Artefact) -> bool:
        """Return True if an artefact has files, but they differ from its manifest or there is no manifest."""
        if self._integrity.is_known(node):
            return False
        return bool(self._damage_of_files(node, self._integrity.manifest_text(node)))

    def discard_if_damaged(self, node: Artefact) -> str:
        """Remove a damaged artefact, so that it is made again; return its damage, or "".

        Files without a manifest stay, since a process may be committing them. The next commit replaces them.
        """
        if self._integrity.is_known(node):
            return ""
        text = self._integrity.manifest_text(node)
        damage = self._damage_of_files(node, text)
        if damage and text is not None:
            self._remove_unless_renewed(node, text)
        return damage

    def remove(self, node: Artefact) -> None:
        """Remove an artefact, its manifest first."""
        self._integrity.forget(node)
        self.files.remove(f"{folder_of(node)}/{MANIFEST}")
        self.files.remove_folder(folder_of(node))
        self.forget(node)

    def is_dropped(self, node: Artefact) -> bool:
        """Return True if an artefact was made and its files were dropped since."""
        return self._integrity.dropped_text(node) is not None and self._integrity.manifest_text(node) is None

    def drop(self, node: Artefact) -> None:
        """Remove an artefact's files and keep its manifest, under another name, as a record.

        The artefact counts as not made from then on. A drop that was killed can be given again; without an artefact
        nothing happens.
        """
        text = self._integrity.manifest_text(node)
        if text is not None:
            self.files.write(f"{folder_of(node)}/{DROPPED}", text)
        elif self._integrity.dropped_text(node) is None:
            return
        self._integrity.forget(node)
        self.files.remove(f"{folder_of(node)}/{MANIFEST}")
        for name in self.files.infos(folder_of(node)):
            if name != DROPPED:
                self.files.remove(f"{folder_of(node)}/{name}")
        self.forget(node)

    def located(self, ref: ModelRef) -> ModelRef:
        """Return a reference to local folders, fetched if need be; raise StoreError if one is missing or damaged."""
        base = self.located(ref.base) if ref.base else None
        if not ref.location.startswith(IN_STORE):
            return dataclasses.replace(ref, base=base)
        stage, key = ref.location.removeprefix(IN_STORE).split("/")
        return dataclasses.replace(ref, location=str(self.use(Unit(stage, key, f"{stage} {key[:8]}"))), base=base)

    @contextlib.contextmanager
    def making(
        self, unit: Artefact, is_done: Callable[[], bool], report: Callable[[Holder | None], None]
    ) -> Iterator[bool]:
        """Hold the lease of an artefact, or of a unit of work, for the block; first wait while another process has it.

        Yields True if this process must make it, False if it exists by now (`is_done`). `report`: see `Leases.wait`.
        """
        lease = self.leases.wait(f"{unit.stage}-{unit.key}", is_done, report)
        with lease or contextlib.nullcontext():
            if lease is None or is_done():
                yield False
                return
            yield True

    @contextlib.contextmanager
    def writing(self, node: Node) -> Iterator[Draft]:
        """Yield a draft for an artefact's files; commit it when the block ends without an error."""
        started = time.time()
        self.files.await_root()
        prefix = f"{node.stage}-{node.key[:16]}-"
        for abandoned in (self.scratch / STAGING).glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)  # its process was killed, since this one has the lease
        name = f"{STAGING}/{prefix}{uuid.uuid4().hex[:12]}"
        try:
            with full_disk_named(f"{node.label}, in {self.scratch / name}"), self._drafts.writing(name) as folder:
                draft = Draft(folder)
                yield draft
                self._commit(node, draft, self.scratch / name, time.time() - started)
        finally:
            shutil.rmtree(self.scratch / name, ignore_errors=True)
        self.unfinished(node).remove_folder()

    def _commit(self, node: Node, draft: Draft, staging: Path, wall_seconds: float) -> None:
        """Put a draft's files and then the manifest into the store. `staging`: the draft's folder by its name.

        Raises:
            HopelessError: the draft lacks what an artefact of its stage must have.
            StoreError: what was put into the store isn't there.
        """
        if self.has(node):  # another process took over while this one was out of reach
            return
        self.files.remove(f"{folder_of(node)}/{MANIFEST}")
        files = describe(draft.folder)
        if lack := missing_part(node.stage, files, draft.counts):
            raise HopelessError(f"{node.label}: {lack} among what was written: {', '.join(files) or 'no file'}")
        text = manifest_of(node, files, draft.counts, wall_seconds)
        for name in self.files.infos(folder_of(node)):
            if name not in files:
                self.files.remove(f"{folder_of(node)}/{name}")
        for name in files:
            self.files.put(draft.folder / name, f"{folder_of(node)}/{name}")
        there = {name: info.size for name, info in self.files.infos(folder_of(node)).items()}
        if lost := [name for name, entry in files.items() if there.get(name) != entry["bytes"]]:
            raise StoreError(f"storage {self.files}: of {node.label} it lost {', '.join(lost)}")
        self.files.write(f"{folder_of(node)}/{MANIFEST}", text)
        if self._copies:
            self._copies.adopt(node, staging, text)

    def _damage_of_files(self, node: Artefact, text: bytes | None) -> str:
        if text is None:
            names = self.files.infos(folder_of(node))
            return "there are files and no manifest" if names and DROPPED not in names else ""
        return self._integrity.damage(node, text)

    def _remove_unless_renewed(self, node: Artefact, text: bytes | None) -> None:
        if self._integrity.manifest_text(node) == text:
            self.remove(node)


def location_of(node: Artefact) -> str:
    """Return the model location that names an artefact; `Store.located` turns it into a local folder."""
    return f"{IN_STORE}{node.stage}/{node.key}"


def is_temporary_in_job(root: str) -> bool:
    """Return True for a store that would lie in the folder of a Ray job, which Ray removes: a relative path."""
    return "://" not in root and not Path(root).expanduser().is_absolute()


def open_store(storage: str | None) -> Store:
    """Open the store of --storage or RAYSWEEP_STORAGE, or else ./raysweep-store.

    Raises UsageError if it is empty or a file, or would lie in the folder of a Ray job, which Ray removes.
    """
    if storage is not None and not storage.strip():
        raise UsageError("--storage is empty; name a folder, or leave the option out")
    root = storage or os.environ.get("RAYSWEEP_STORAGE") or "raysweep-store"
    if IN_RAY_JOB in os.environ and is_temporary_in_job(root):
        raise UsageError(
            f"storage {root!r} would lie in the folder of this Ray job, which is temporary; with --storage or "
            "RAYSWEEP_STORAGE name an absolute path that every node sees, or an object store (s3://bucket/folder)"
        )
    with contextlib.suppress(OSError):  # what can't be looked at is reported when it is used
        if "://" not in root and Path(root).expanduser().is_file():
            raise UsageError(f"storage {root!r} is a file; name a folder")
    return Store(root)
