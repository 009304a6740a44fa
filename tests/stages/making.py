"""A store, and the work of a process on it, for stages and plans under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.engine.base import Context, Stages, Work
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.records import Recovery
from raysweep.storage.store import Store


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.require_writable()
    return store


def work_on(store: Store, stages: Stages | None = None, cell: str = "cell", **context: Any) -> Work:
    """The work of a cell's process; `context`: what its sweep says."""
    made = Context(store.root, "s", 0, Recovery(retries=0), **context)
    return Work(store, stages or LocalStages(), ProgressFile(made.progress, cell), made)
