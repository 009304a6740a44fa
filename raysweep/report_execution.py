"""What a reader of a report must know of how programs were run, from the manifests of results, as (label, value)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from raysweep.config import ExecutionConfig
from raysweep.programs import Lane, Level
from raysweep.report_settings import Line
from raysweep.terminal import count, share

TOTALS = ("rows", "programs_run", "near_limit", "audited", "audit_differences")


def execution_of(config: ExecutionConfig, counts: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return isolation, lane, share saved, share near the limit and audits.

    Args:
        config: what was asked for.
        counts: of each results artefact, see `raysweep.judging_stage`; those of other versions are passed over.
    """
    known = [one for one in counts if one.get("rows") and "levels" in one]
    if not known:
        return []
    totals = {name: sum(int(one.get(name, 0)) for one in known) for name in TOTALS}
    levels, lanes = (_summed(known, name) for name in ("levels", "lanes"))
    rows, together = totals["rows"], lanes[Lane.SHARED]
    return [
        ("isolation", f"level {_levels(levels, rows)}; required: {config.require}"),
        ("lane", f"{config.lane}; {share(together, rows)} of verdicts are from processes that programs shared"),
        ("completions that were not run", f"{share(rows - totals['programs_run'], rows)} of {rows:,}: {_EQUAL}"),
        (
            "verdicts near the limit",
            f"{share(totals['near_limit'], rows)} took half of it or more, stopped ones included",
        ),
        *_audits(together, totals["audited"], totals["audit_differences"]),
    ]


_EQUAL = "an equal program had been, here or for another sweep"


def _summed(counts: Sequence[Mapping[str, Any]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update({key: int(number) for key, number in dict(one.get(name) or {}).items()})
    return total


def _levels(levels: Counter[str], rows: int) -> str:
    """Return the only level, or each with its share, the lowest first."""
    found = [level for level in Level if levels[level]]
    if len(found) == 1:
        return found[0].value
    return ", ".join(f"{level.value} ({share(levels[level], rows)})" for level in found)


def _audits(shared: int, audited: int, differences: int) -> Iterator[Line]:
    if not shared:
        return
    if not audited:
        yield "audit", f"1 in 100 of the {count(shared, 'shared verdict')} was to be checked, and none was drawn"
        return
    found = "no verdict differed" if not differences else f"{count(differences, 'verdict')} differed"
    checked = f"{audited:,} of {count(shared, 'shared verdict')} ({share(audited, shared)})"
    yield "audit", f"{checked} were checked in a process of their own; {found}"
