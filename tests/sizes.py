"""Sizes of folders, and seconds of their tests when they last ran, beside those before: ``python -m tests.sizes``.

What is printed goes into tests/sizes.json, too: commit it with the change that it shows, so that growth is seen the day
it comes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from tests.paths import REPO

LAST = REPO / "tests" / "sizes.json"
SECONDS = "raysweep/seconds"
"""Where pytest's cache has the seconds of each folder of tests, added over all processes."""


def lines() -> dict[str, int]:
    """Return the lines of Python and Markdown in each folder of the package and of tests, and in the other folders."""
    counts: Counter[str] = Counter()
    for top in ("raysweep", "tests", "benchmarks", "docs", "examples"):
        for path in (one for kind in ("*.py", "*.md") for one in (REPO / top).rglob(kind)):
            parts = path.relative_to(REPO).parts[:-1]
            counts["/".join(parts[:2] if top in ("raysweep", "tests") else parts[:1])] += path.read_text().count("\n")
    return dict(counts)


def table(title: str, now: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """Return lines with a number of each folder and how it has changed, the largest first, and their sum."""
    rows = [(name, now.get(name, 0), before.get(name, 0)) for name in sorted({*now, *before})]
    rows.sort(key=lambda row: -row[1])
    rows.append(("all", sum(now.values()), sum(before.values())))
    return [
        title,
        *(f"{new:9,.0f} {f'{new - old:+,.0f}' if round(new - old) else '':>8}  {name}" for name, new, old in rows),
    ]


def main() -> None:
    """Print both tables, and keep their numbers."""
    cached = REPO / ".pytest_cache" / "v" / SECONDS
    seconds = json.loads(cached.read_text()) if cached.exists() else {}
    now = {"lines": lines(), "seconds": {name: round(value) for name, value in seconds.items()}}
    last = json.loads(LAST.read_text()) if LAST.exists() else {}
    for kind, title in (("lines", "lines by folder"), ("seconds", "seconds by folder of tests, over all processes")):
        print(*table(f"{title}, and the change since the last run", now[kind], last.get(kind, {})), sep="\n")
    LAST.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
