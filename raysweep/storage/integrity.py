"""Manifests: writes and reads them, and finds damage, which is any difference between an artefact and its manifest.

Every check hashes the files of a store on a disk; large files are hashed before use only. In an object store a check
compares sizes and times. Files are fetched and hashed before use, or if they are newer than their manifest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from raysweep.errors import OtherSchema, StoreError
from raysweep.hashing import strict_json
from raysweep.machine import provenance
from raysweep.records import SCHEMA_VERSION
from raysweep.storage.artefacts import DROPPED, MANIFEST, Artefact, Node, folder_of, missing_part
from raysweep.storage.copies import Copies
from raysweep.storage.files import Files

NO_MANIFEST = "there is no manifest"


def manifest_of(node: Node, files: Mapping[str, Any], counts: Mapping[str, Any], wall_seconds: float) -> bytes:
    """Return the manifest of an artefact that is finished now. `files`: as `raysweep.hashing.describe` returns them."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "stage": node.stage,
        "version": node.version,
        "key": node.key,
        "label": node.label,
        "spec": node.spec,
        "inputs": list(node.inputs),
        "files": files,
        "counts": counts,
        "wall_seconds": round(wall_seconds, 3),
        "finished": datetime.now(UTC).isoformat(),
        "made": provenance(),
    }
    return strict_json(content, indent=1, ensure_ascii=False).encode()


class Integrity:
    """Checks the artefacts of one store. `copies`: this machine's; None for a store on a disk."""

    def __init__(self, files: Files, copies: Copies | None) -> None:
        self._files = files
        self._copies = copies
        self._keeps = copies is not None  # artefacts in an object store don't change
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}  # counts of undamaged artefacts, by stage and key

    @contextlib.contextmanager
    def checking_once(self) -> Iterator[None]:
        self._keeps = True
        try:
            yield
        finally:
            if self._copies is None:
                self._keeps = False
                self._known.clear()

    def is_known(self, node: Artefact) -> bool:
        """Return True if this process has found an artefact undamaged, and keeps that."""
        return (node.stage, node.key) in self._known

    def forget(self, node: Artefact) -> None:
        """Make the next check look at the artefact again."""
        self._known.pop((node.stage, node.key), None)

    def counts(self, node: Artefact) -> Mapping[str, Any]:
        """Return what the stage reported, also if files were dropped since; empty without a readable manifest."""
        if (node.stage, node.key) in self._known:
            return self._known[node.stage, node.key]
        with contextlib.suppress(StoreError):
            return _counts(self.parse(node, self.manifest_text(node) or self.dropped_text(node) or b""))
        return {}

    def manifest_text(self, node: Artefact) -> bytes | None:
        return self._files.read(f"{folder_of(node)}/{MANIFEST}")

    def dropped_text(self, node: Artefact) -> bytes | None:
        """Return the text of the manifest that an artefact had before its files were dropped; None if they were not."""
        return self._files.read(f"{folder_of(node)}/{DROPPED}")

    def parse(self, node: Artefact, text: bytes) -> dict[str, Any]:
        """Return a manifest's content; raise StoreError if it is broken, OtherSchema if another raysweep wrote it."""
        try:
            manifest: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise StoreError(f"{node.label}: the manifest in {self._place(node)} can't be read: {error}") from None
        version = manifest.get("schema_version") if isinstance(manifest, dict) else None
        if not isinstance(version, int) or not isinstance(manifest.get("files"), dict):
            raise StoreError(f"{node.label}: the manifest in {self._place(node)} is incomplete")
        if version != SCHEMA_VERSION:
            raise OtherSchema(self._place(node), version, SCHEMA_VERSION)
        return manifest

    def _place(self, node: Artefact) -> str:
        return str(self._files.below(folder_of(node)))

    def damage(self, node: Artefact, text: bytes | None, *, whole: bool = False) -> str:
        """Return how an artefact differs from its manifest, or "". `whole`: hash files of any size."""
        if text is None:
            return NO_MANIFEST
        try:
            manifest = self.parse(node, text)
        except OtherSchema:
            raise
        except StoreError as error:
            return str(error)
        if damage := missing_part(node.stage, manifest["files"], _counts(manifest)):
            return damage
        if self._copies is None:
            damage = self._files.difference(folder_of(node), manifest["files"], whole=whole)
        else:
            damage = self._damage_in_object_store(self._copies, node, text, manifest["files"], whole=whole)
        if not damage and self._keeps:
            self._known[node.stage, node.key] = _counts(manifest)
        return damage

    def _damage_in_object_store(
        self, copies: Copies, node: Artefact, text: bytes, files: Mapping[str, Any], *, whole: bool
    ) -> str:
        listed = self._files.infos(folder_of(node))
        if MANIFEST not in listed:
            return NO_MANIFEST
        for name, entry in files.items():
            if not isinstance(entry, dict) or not {"bytes", "sha256"} <= set(entry):
                return f"the entry of {name} is incomplete"
            if name not in listed:
                return f"{name} is missing"
            if listed[name].size != entry["bytes"]:
                return f"{name} has {listed[name].size} bytes, not {entry['bytes']}"
        is_late = any(listed[name].mtime_ns > listed[MANIFEST].mtime_ns for name in files)
        is_doubtful = is_late and not copies.is_verified(node, text, listed)
        damage = copies.damage(node, text, files, refetch=is_doubtful) if whole or is_doubtful else ""
        if is_doubtful and not damage:
            copies.mark_verified(node, text, listed)
        return damage


def _counts(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    counts = manifest.get("counts")
    return counts if isinstance(counts, dict) else {}
