"""What a reader of a report must know of how programs were run, from the manifests of results, as (label, value)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from raysweep.config import ExecutionConfig
from raysweep.programs import Lane, Level
from raysweep.report_settings import Line
from raysweep.terminal import count

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
    rows, shared = totals["rows"], lanes[Lane.SHARED]
    return [
        ("isolation", f"level {_levels(levels, rows)}; required: {config.require}"),
        ("lane", f"{config.lane}; {_share(shared, rows)} of verdicts are from processes that programs shared"),
        ("programs that were not run", f"{_share(rows - totals['programs_run'], rows)} of {_many(rows)}: {_EQUAL}"),
        ("programs near their limit", f"{_share(totals['near_limit'], rows)} took 0.5 to 2 times as long as it is"),
        *_audits(shared, totals["audited"], totals["audit_differences"]),
    ]


_EQUAL = "an equal one had been, here or for another sweep"


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
    return ", ".join(f"{level.value} ({_share(levels[level], rows)})" for level in found)


def _audits(shared: int, audited: int, differences: int) -> Iterator[Line]:
    if not shared:
        return
    found = "no verdict differed" if not differences else f"{count(differences, 'verdict')} differed"
    checked = f"{audited:,} of {count(shared, 'shared verdict')} ({_share(audited, shared)})"
    yield "audit", f"{checked} were checked in a process of their own; {found}"


def _many(rows: int) -> str:
    return count(rows, "program")


def _share(part: int, whole: int) -> str:
    """Return a share in percent; what is not nothing doesn't look like it, and what is not all neither."""
    if 0 < part < 0.001 * whole:
        return "less than 0.1 %"
    return f"{min(99.9, 100 * part / whole) if part < whole else 100:.1f} %".replace(".0 %", " %")
