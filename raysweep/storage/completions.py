"""Finds completions that a store has already, so that none is generated twice, whichever sweep or test set asks.

Layout: ``completions/<pool>/<key of an artefact>``, an empty file for each artefact with completions of a pool: those
of one model, written in one way. Files are added and never changed, so several sweeps may write at the same time; one
goes only where an artefact is made again by another model, which was chosen since. What
counts is the artefact, whose rows have their keys; one that is gone or damaged is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

from raysweep.errors import StoreError
from raysweep.records import Completion
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.storage.artefacts import Artefact, Node, Unit
from raysweep.storage.store import Store

log = logging.getLogger("raysweep")

STAGE = "completions"


class CompletionPool:
    """The completions of one pool, a hash of the model and of all that they depend on but prompt, task and sample."""

    def __init__(self, store: Store, pool: str) -> None:
        self._store, self._pool = store, pool
        self._files = store.files.below("completions").below(pool)

    def find(self, keys: Collection[str]) -> dict[str, Completion]:
        wanted, completions = set(keys), dict[str, Completion]()
        for name in sorted(self._files.infos()) if wanted else ():
            artefact = Unit(STAGE, name, "completions of another sweep or test set")
            if len(completions) == len(wanted) or not self._store.has(artefact):
                continue
            try:
                rows = self._store.rows(artefact, Completion)
            except StoreError as error:
                log.warning("completions that were generated before can't be read and are generated again: %s", error)
                continue
            completions.update((row.key, row) for row in rows if row.key in wanted)
        return completions

    def keep(self, completions: Mapping[str, Completion]) -> None:
        """Make an artefact of completions that an unfinished sweep left and the present one doesn't ask for.

        Their blocks go with the folder that the sweeps share; the unfinished one finds them here.
        """
        if completions:
            spec = {"pool": self._pool, "keys": sorted(completions)}
            node = Node(STAGE, 1, spec, (), "completions of an unfinished sweep")
            self.add(node)
            with self._store.writing(node) as draft:
                rows = [replace(row, key=key) for key, row in completions.items()]
                write_rows(draft.folder / ROWS, Completion, rows, ["task_id", "sample", "key"])
                draft.counts = {"rows": len(rows)}

    def add(self, node: Artefact) -> None:
        """Note an artefact with completions of this pool, which may not be there yet."""
        self._files.write(node.key, "")

    def remove(self, node: Artefact) -> None:
        self._files.remove(node.key)
