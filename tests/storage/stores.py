"""What lies in a store, on a disk or in an object store, for tests to compare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from raysweep.storage.artefacts import Unit
from raysweep.storage.copies import MANIFEST
from raysweep.storage.store import Store


@dataclass(frozen=True)
class Made:
    """A committed artefact. `written`: when, and what its manifest says of the making."""

    what: Unit
    content: Any  # hashes by file; rows without times where it is results
    written: tuple[int, float]


def made(root: object) -> dict[str, Made]:
    """Return all artefacts of a store by stage and key."""
    from raysweep.records import Result

    store = Store(str(root))
    found = {}
    for name, info in store.files.infos("artefacts").items():
        if not name.endswith(f"/{MANIFEST}"):
            continue
        manifest = json.loads(store.files.read(f"artefacts/{name}"))
        what = Unit(manifest["stage"], manifest["key"], manifest["label"])
        content: Any = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        if what.stage == "results":
            rows = store.rows(what, Result)
            content = [(row.task_id, row.draw, row.outcome, row.detail, row.program_sha) for row in rows]
        found[f"{what.stage}/{what.key}"] = Made(what, content, (info.mtime_ns, manifest["wall_seconds"]))
    return found


def content(root: object) -> dict[str, Any]:
    """Return what two stores with the same results agree in."""
    return {name: artefact.content for name, artefact in made(root).items()}


def written(root: object) -> dict[str, tuple[int, float]]:
    """Return what changes when an artefact is made again."""
    return {name: artefact.written for name, artefact in made(root).items()}
