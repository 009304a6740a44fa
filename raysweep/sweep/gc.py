"""Finds what no sweep of a store uses, and removes it (`raysweep gc`).

A sweep uses what its list names (`raysweep.storage.uses`), whether it is made already or not. The artefacts of
`raysweep attack` are used by no sweep and stay, and so do the caches of verdicts, row-numbers and pins.

What a process may be working with stays too, and the result says why. All that exists is listed first, then the living
processes are looked up, and then the sweeps' lists are read: whoever made what was listed has written its list before.
A process that begins while something is removed waits under its own lease until the removal, which sees that lease and
stops, has ended; only then it looks at what exists. An artefact's manifest is removed first, so that
a removal that is killed leaves nothing that counts as made, and the next one removes the rest.

Not covered: copies of an object store's artefacts on other machines, which may be removed as a whole.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raysweep.errors import StoreError, UsageError
from raysweep.storage.artefacts import DROPPED, MANIFEST, Unit, folder_of
from raysweep.storage.backends import MARKER, FileInfo
from raysweep.storage.copies import STAGING
from raysweep.storage.leases import CLEANING, SWEEPS, Holder
from raysweep.storage.store import Store
from raysweep.storage.uses import listed_by, read_uses, sweeps_with_artefacts

PIN_LEASE = "pin-"
"""How the names of leases of pins begin."""
KEPT_STAGES = ("attack",)
"""Stages whose artefacts no sweep uses: a command of its own made them for its user."""
UNFINISHED, INDEX = "unfinished", "index of completions"
"""Kinds of things beside artefacts; the third one is `STAGING`."""
CLOCK_SECONDS = 60.0
"""How far the clocks of two machines may differ. File times are compared with a process's own clock."""

Report = Callable[[int], None]
"""Called with the number of steps that are done."""
Files = Mapping[str, FileInfo]
"""The files of a folder, by their names in it."""


@dataclass(frozen=True)
class Unused:
    """A folder or file of the store that no sweep uses."""

    kind: str  # an artefact's stage, or one of the kinds above
    name: str  # relative to the store's root
    bytes: int
    written: float  # when its newest file was, in seconds since the epoch by the store's clock

    @property
    def key(self) -> str:
        """The key of its artefact or unit of work, which is the last part of its name; staging has none."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class LeftOut:
    """Things that no sweep uses, and why they stay nevertheless."""

    reason: str
    number: int
    bytes: int


@dataclass(frozen=True)
class Survey:
    """What of a store may be removed, and what not, though no sweep uses it."""

    sweeps: int  # number of those that use artefacts
    unused: tuple[Unused, ...]
    left_out: tuple[LeftOut, ...]
    used: frozenset[str]  # keys of what sweeps use
    running: frozenset[str]  # tokens of the leases of sweeps that run and whose lists are up to date


@dataclass(frozen=True)
class Removal:
    """A survey, what of it was removed, and why the rest was not; `stopped` is empty if all was."""

    survey: Survey
    removed: tuple[Unused, ...]
    stopped: str = ""


def open_for_gc(store: Store) -> Store:
    """Return the store as one that is waited for if it vanishes: otherwise it would seem to have no sweeps.

    Raises UsageError without a store, OtherSchema if another raysweep wrote it.
    """
    store.files.require_known()
    if store.files.read(MARKER) is None:
        raise UsageError(f"{store.files} is no store: it has no file {MARKER}; name a store with --storage")
    return Store(store.root, expected=True)


def survey(store: Store, report: Report = lambda done: None) -> Survey:
    """Find what no sweep uses; raise UsageError if it is unknown what a sweep uses. Writes nothing.

    `report`: called with the number of sweeps that were looked at.
    """
    listing = _Listing(store)
    workers = _workers(store)
    running = frozenset(
        holder.token
        for name, holder in workers.items()
        if name.startswith(SWEEPS) and listed_by(store, name.removeprefix(SWEEPS)) == holder.token
    )
    names, used = sweeps_with_artefacts(store), set[str]()
    for done, name in enumerate(names, start=1):
        try:
            used |= {use.key for use in read_uses(store, name)}
        except StoreError as error:
            raise UsageError(
                f"it is unknown what the sweep {name!r} uses, so nothing is removed: {error}. Run its command again, "
                f"or remove {store.files}/sweeps/{name} if it is no longer needed"
            ) from None
        report(done)
    unused, all_used = tuple(_unused(listing, used)), frozenset(used)
    if stranger := _stranger(workers, all_used, running):
        left_out = _left_out(unused, f"{stranger} works in the store, and nothing says yet what it uses")
        return Survey(len(names), (), left_out, all_used, running)
    begun = min((holder.since for holder in workers.values()), default=math.inf) - CLOCK_SECONDS
    # what was written since, or may be written now
    busy = {artefact for artefact in unused if artefact.written >= begun or (workers and artefact.key in all_used)}
    oldest = min(workers.values(), key=lambda holder: holder.since, default=None)
    left_out = _left_out(busy, f"they were written since {oldest} began to work, or are parts of what may be made now")
    removable = tuple(artefact for artefact in unused if artefact not in busy)
    return Survey(len(names), removable, left_out, all_used, running)


def remove(store: Store, report: Report = lambda done: None) -> Removal:
    """Find what no sweep uses, and remove it until a process begins whose needs are not known.

    Raises UsageError if another process removes already, or if it is unknown what a sweep uses. `report`: called with
    the number of things that are removed.
    """
    lease = store.leases.take(CLEANING)
    if lease is None:
        raise UsageError(f"{store.leases.holder(CLEANING)} is cleaning this store; wait for it")
    with lease:
        surveyed, removed = survey(store), list[Unused]()
        for artefact in surveyed.unused:
            if stranger := _stranger(_workers(store), surveyed.used, surveyed.running):
                return Removal(surveyed, tuple(removed), f"{stranger} has begun to work in the store")
            if artefact.kind == INDEX:
                store.files.remove(artefact.name)
            elif artefact.kind in (UNFINISHED, STAGING):
                store.files.remove_folder(artefact.name)
            else:
                store.remove(Unit(artefact.kind, artefact.key, artefact.name))
            removed.append(artefact)
            report(len(removed))
    return Removal(surveyed, tuple(removed))


class _Listing:
    """The files of a store, by stage and key of the artefact or unit of work that they belong to."""

    def __init__(self, store: Store) -> None:
        self.staging = _grouped(store.files.infos(STAGING), [0])
        self.unfinished = _grouped(store.files.infos(UNFINISHED), [0, 1])
        self.index = {name: info for name, info in store.files.infos("completions").items() if name.count("/") == 1}
        self.artefacts = _grouped(store.files.infos("artefacts"), [0, 2])
        self.complete = {
            key: stage for (stage, key), files in self.artefacts.items() if MANIFEST in files or DROPPED in files
        }


def _grouped(infos: Files, parts: Sequence[int]) -> dict[tuple[str, ...], dict[str, FileInfo]]:
    """Group files by these parts of their paths; their names in a group are what follows the last of the parts."""
    groups: dict[tuple[str, ...], dict[str, FileInfo]] = defaultdict(dict)
    for name, info in infos.items():
        path = name.split("/")
        if rest := "/".join(path[parts[-1] + 1 :]):
            groups[tuple(path[part] for part in parts)][rest] = info
    return groups


def _unused(listing: _Listing, used: set[str]) -> Iterator[Unused]:
    """Yield what is neither used nor kept: artefacts first, then what belongs to none any more."""
    for (stage, key), files in listing.artefacts.items():
        is_kept = key in used or stage in KEPT_STAGES
        if not (is_kept and key in listing.complete):
            yield _thing(stage, folder_of(Unit(stage, key, "")), files)
    for name, info in listing.index.items():
        if name.rpartition("/")[2] not in used:
            yield _thing(INDEX, f"completions/{name}", {name: info})
    for (stage, key), files in listing.unfinished.items():
        is_needed = key in used and key not in listing.complete
        if not is_needed and stage not in KEPT_STAGES:
            yield _thing(UNFINISHED, f"{UNFINISHED}/{stage}/{key}", files)
    for (draft,), files in listing.staging.items():
        yield _thing(STAGING, f"{STAGING}/{draft}", files)


def _thing(kind: str, name: str, files: Files) -> Unused:
    newest = max(info.mtime_ns for info in files.values()) / 1e9
    return Unused(kind, name, sum(info.size for info in files.values()), newest)


def _left_out(things: Iterable[Unused], reason: str) -> tuple[LeftOut, ...]:
    sizes = [thing.bytes for thing in things]
    return (LeftOut(reason, len(sizes), sum(sizes)),) if sizes else ()


def _workers(store: Store) -> dict[str, Holder]:
    alive = store.leases.alive()
    return {name: holder for name, holder in alive.items() if name != CLEANING and not name.startswith(PIN_LEASE)}


def _stranger(workers: Mapping[str, Holder], used: frozenset[str], running: frozenset[str]) -> Holder | None:
    """Return a process of which it isn't known what it uses: a run that has just begun, or one of no sweep."""
    for name, holder in workers.items():
        is_sweep = name.startswith(SWEEPS)
        if holder.token not in running if is_sweep else name.rpartition("-")[2] not in used:
            return holder
    return None
