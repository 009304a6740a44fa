"""Commits artefacts and returns the content of a store, on a disk or in an object store, for tests to compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.rows.parquet import ROWS
from raysweep.storage.artefacts import MANIFEST, MODELS, Node, Unit
from raysweep.storage.store import Store


@dataclass(frozen=True)
class Committed:
    """A committed artefact."""

    unit: Unit
    content: Any  # hashes by file; for results and references, the rows without times
    written: tuple[int, float]  # the manifest's time, and the seconds of the stage


def commit(store: Store, node: Node, counts: Mapping[str, Any] | None = None) -> None:
    """Commit an artefact that has no more than the file that its stage must have."""
    with store.writing(node) as draft:
        (draft.folder / ("model.safetensors" if node.stage in MODELS else ROWS)).write_text("content")
        draft.counts = dict(counts or {})


def committed(root: object) -> dict[str, Committed]:
    """Return all artefacts of a store by stage and key."""
    from raysweep.records import ReferenceRun, Result

    store = Store(str(root))
    artefacts = {}
    for name, info in store.files.infos("artefacts").items():
        if not name.endswith(f"/{MANIFEST}"):
            continue
        manifest = json.loads(store.files.read(f"artefacts/{name}"))
        unit = Unit(manifest["stage"], manifest["key"], manifest["label"])
        content: Any = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        if unit.stage == "results":
            rows = store.rows(unit, Result)
            content = [(row.task_id, row.sample, row.outcome, row.detail, row.program_sha) for row in rows]
        if unit.stage == "references":
            content = [(row.task_id, row.outcome, row.oracle) for row in store.rows(unit, ReferenceRun)]
        artefacts[f"{unit.stage}/{unit.key}"] = Committed(unit, content, (info.mtime_ns, manifest["wall_seconds"]))
    return artefacts


def content(root: object) -> dict[str, Any]:
    """Return the contents by artefact; two stores with the same results have equal ones."""
    return {name: artefact.content for name, artefact in committed(root).items()}


def written(root: object) -> dict[str, tuple[int, float]]:
    """Return the times by artefact; they change when an artefact is made again."""
    return {name: artefact.written for name, artefact in committed(root).items()}
