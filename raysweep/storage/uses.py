"""What each sweep of a store uses, so that nothing is removed that a sweep still needs.

A sweep's list, ``sweeps/<name>/uses.parquet``, is written when a run starts, before anything is made. It names each
artefact of the sweep's plan, whichever sweep makes it, and each unit of work that leaves unfinished parts. The file
``uses.run`` beside it has the token of the run's lease: `raysweep gc` knows by it that the list is that of the run.

`drop_judged` drops models that no sweep needs any more. `raysweep.sweep.gc` finds artefacts that none uses.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.errors import StoreError
from raysweep.rows.parquet import from_bytes, to_bytes
from raysweep.storage.artefacts import DROPPED, Artefact, Unit, folder_of
from raysweep.storage.leases import SWEEPS
from raysweep.storage.store import Store

log = logging.getLogger("raysweep")

USES, GRID, LISTED_BY = "uses.parquet", "grid.parquet", "uses.run"
"""Files of a sweep's folder: its list, its evaluation pairs, and the token of the run that wrote the list."""
SELECTION, CHOSEN = "selection", "chosen"
"""The stage of selections of a model, and the count of their manifests with its key."""


@dataclass(frozen=True)
class Use:
    """An artefact that a sweep uses, or a unit of work that makes some."""

    stage: str
    key: str
    label: str
    judges: str = ""  # of results: key of the model, or of the choice of it, whose completions they judge
    droppable: bool = False  # a model that the sweep needs only until all its pairs are judged
    candidate_of: str = ""  # of a model: key of the selection of one among several; "": there is none
    passing: bool = False  # a candidate that the sweep needs no more where another model was chosen


def write_uses(store: Store, sweep: str, uses: Iterable[Use]) -> None:
    """Write a sweep's list in place of an older one, as that of the run which holds the sweep's lease."""
    store.files.write(_file(sweep), to_bytes(Use, uses, ["stage", "key"]))
    holder = store.leases.holder(f"{SWEEPS}{sweep}")
    store.files.write(f"sweeps/{sweep}/{LISTED_BY}", holder.token if holder else "")


def read_uses(store: Store, sweep: str) -> list[Use]:
    """Return a sweep's list; raise StoreError if it can't be read."""
    data, name = store.files.read(_file(sweep)), f"{store.files}/{_file(sweep)}"
    if data is None:
        raise StoreError(f"{name} is missing")
    return from_bytes(data, name, Use)


def listed_by(store: Store, sweep: str) -> str:
    """Return the token of the lease of the run that wrote a sweep's list; empty if that isn't known."""
    return (store.files.read(f"sweeps/{sweep}/{LISTED_BY}") or b"").decode()


def sweeps_with_artefacts(store: Store) -> list[str]:
    names = store.files.folders("sweeps")
    return sorted(name for name in names if any(store.files.info(f"sweeps/{name}/{file}") for file in (USES, GRID)))


def drop_judged(models: Iterable[Artefact], store: Store) -> None:
    """Drop the files of those models that no sweep of the store needs any more; see `Store.drop`.

    A model stays while a sweep keeps it, or has pairs of it that are not judged, or while its lease is held. If that
    is unknown of a sweep, all models stay. Nothing here is worth an error: the next run tries again.
    """
    try:
        uses = [use for name in sweeps_with_artefacts(store) for use in read_uses(store, name)]
        needs = _Needs(uses, store)
        for model in models:
            has_files = store.files.infos(folder_of(model)).keys() - {DROPPED}  # also one that a drop was killed in
            if has_files and needs.can_drop(model) and (lease := store.leases.take(f"{model.stage}-{model.key}")):
                with lease:
                    store.drop(model)
    except StoreError as error:
        log.warning("weights of evaluated models could not be dropped: %s", error)


class _Needs:
    """What all sweeps together need of each model."""

    def __init__(self, uses: Iterable[Use], store: Store) -> None:
        self._store = store
        self._uses: dict[str, list[Use]] = defaultdict(list)  # by key
        self._judged_by: dict[str, set[Unit]] = defaultdict(set)  # results by the key of the model, or of its choice
        for use in uses:
            self._uses[use.key].append(use)
            if use.judges:
                self._judged_by[use.judges].add(Unit(use.stage, use.key, use.label))

    def can_drop(self, model: Artefact) -> bool:
        uses = self._uses[model.key]
        return bool(uses) and all(map(self._is_over, uses))

    def _is_over(self, use: Use) -> bool:
        if not use.candidate_of:
            return use.droppable and self._is_judged(use.key)
        selection = Unit(SELECTION, use.candidate_of, use.label)
        if not self._store.has(selection):
            return False
        if self._store.counts(selection).get(CHOSEN) != use.key:
            return use.passing
        return use.droppable and self._is_judged(use.candidate_of)

    def _is_judged(self, key: str) -> bool:
        """Return True if all results of a model, or of one that was chosen, are there, and there are some."""
        results = self._judged_by[key]
        return bool(results) and all(self._store.survey(results).values())


def _file(sweep: str) -> str:
    return f"sweeps/{sweep}/{USES}"
