"""Records golden numbers of a commit on this machine, and checks that this checkout still gives them.

    python -m tests.golden record [COMMIT]   # in a worktree of the commit, by default HEAD; into build/golden
    python -m tests.golden check             # this checkout against what was recorded, and against tests/golden/results
    python -m tests.golden store [NAME ...]  # put recorded sweeps into tests/golden/results, to be checked everywhere

Trained numbers differ by processor, so `record` and `check` run on the same machine. Numbers are compared by name and
value, not as text. What is meant to go is named in gone.txt, a line each: ``PATTERN: why``, where the pattern is one of
a shell for the number's name, such as ``choice-*.csv|*``. It excuses that a number is missing, not another value.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from tests.golden.numbers import SWEEPS, Numbers, beside_the_checkout, keys, reported, sweep, verdicts
from tests.paths import REPO

RECORDED = REPO / "build" / "golden"
HERE = Path(__file__).parent
STORED = HERE / "results"
GONE = HERE / "gone.txt"
TOLERANCE = 1e-9
"""Relative difference of floating-point numbers that a sum in another order may make."""
SMALLEST = 1e-15
"""A difference from 0 that it may make."""
SHOWN = 20
"""Most differing numbers that are printed of each part."""
MOST_ROWS_BYTES = 300_000
"""Larger files of rows are those of pre-training, which no report reads."""
KEYS, VERDICTS = "keys", "verdicts"
PARTS = (KEYS, VERDICTS, *SWEEPS)


def differences(now: Numbers, before: Numbers) -> list[str]:
    """Return a line for each number that is another one now, that is missing, or that is new in a table of before.

    A missing one that gone.txt names is left out. So are tables, and keys of configs, that weren't there before.
    """
    gone = [line.split(": ", 1) for line in GONE.read_text().splitlines()]
    tables = {_table(name) for name in before}
    lines = [f"{name}: {value}, now {now[name]}" for name, value in before.items() if not _equal(now.get(name), value)]
    return [
        *lines,
        *(
            f"{name}: {value}, now missing"
            for name, value in before.items()
            if name not in now and not any(fnmatchcase(name, pattern) for pattern, _ in gone)
        ),
        *(f"{name}: new, {value}" for name, value in now.items() if name not in before and _table(name) in tables),
    ]


def _table(name: str) -> str:
    return name.partition("|")[0]


def _equal(one: float | str | None, other: float | str) -> bool:
    if one is None:  # it is missing, which is told apart
        return True
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=SMALLEST) or (math.isnan(one) and math.isnan(other))


def stored_differences() -> Iterator[tuple[str, list[str]]]:
    """Yield each stored sweep with the differences between the numbers of its report now and those kept beside it."""
    for package in sorted(STORED.glob("*.tar.xz")):
        name = package.name.removesuffix(".tar.xz")
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(package) as archive:
                archive.extractall(folder, filter="data")
            numbers = reported(REPO, name, Path(folder, name), Path(folder, "tables"))
        yield name, differences(numbers, _read(STORED / f"{name}.json.gz"))


def golden(checkout: Path, parts: Collection[str], results: Path | None = None) -> Iterator[tuple[str, Numbers]]:
    """Yield golden numbers of a checkout, part by part. `results`: a folder for the packages of finished sweeps."""
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            if part == KEYS:
                yield part, keys(checkout, Path(folder))
            elif part == VERDICTS:
                yield part, verdicts(checkout, beside_the_checkout(), Path(folder))
            else:
                yield part, sweep(checkout, part, Path(folder))
                if results is not None:
                    shutil.copytree(Path(folder, "package", "store"), results / part, dirs_exist_ok=True)


def record(commit: str, parts: Collection[str]) -> None:
    """Keep the numbers of a commit."""
    (RECORDED / "results").mkdir(parents=True, exist_ok=True)
    with _worktree(commit) as checkout:
        for part, numbers in _told(golden(checkout, parts, RECORDED / "results")):
            _write(RECORDED / f"{part}.json.gz", numbers)


def check(parts: Collection[str]) -> bool:
    """Print what differs; return whether nothing does."""
    total = 0
    for part, numbers in _told(golden(REPO, parts)):
        if not (RECORDED / f"{part}.json.gz").exists():
            sys.exit(f"{RECORDED} has no {part}; `python -m tests.golden record COMMIT` keeps the numbers of a commit")
        total += _print(part, differences(numbers, _read(RECORDED / f"{part}.json.gz")))
    for name, lines in stored_differences():
        total += _print(f"stored results of {name}", lines)
    return total == 0


def store(names: list[str]) -> None:
    """Put recorded sweeps and their numbers into the folder that is committed, without the rows of pre-training."""
    STORED.mkdir(exist_ok=True)

    def wanted(file: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "/training_set/" in file.name and file.size > MOST_ROWS_BYTES else file

    for name in names:
        with tarfile.open(STORED / f"{name}.tar.xz", "w:xz") as archive:
            archive.add(RECORDED / "results" / name, name, filter=wanted)
        shutil.copyfile(RECORDED / f"{name}.json.gz", STORED / f"{name}.json.gz")


def _print(part: str, lines: list[str]) -> int:
    print(*lines[:SHOWN], sep="\n", end="\n" if lines else "")
    print(f"{part}: {len(lines) or 'no'} numbers differ", flush=True)
    return len(lines)


def _told(numbers: Iterator[tuple[str, Numbers]]) -> Iterator[tuple[str, Numbers]]:
    start = time.monotonic()
    for part, of in numbers:
        print(f"{part}: {len(of):,} numbers, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        yield part, of
        start = time.monotonic()


def _read(path: Path) -> Numbers:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        numbers: Numbers = json.load(stream)
    return numbers


def _write(path: Path, numbers: Mapping[str, float | str]) -> None:
    text = json.dumps(numbers, indent=0, sort_keys=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkout")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(path), commit], cwd=REPO, check=True)
        try:
            yield path
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=REPO, check=True)


def main() -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record").add_argument("commit", nargs="?", default="HEAD")
    commands.add_parser("check")
    for name in ("record", "check"):
        commands.choices[name].add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    commands.add_parser("store").add_argument("names", nargs="*", default=[*SWEEPS])
    arguments = parser.parse_args()
    if arguments.command == "check":
        return 0 if check(arguments.only) else 1
    if arguments.command == "record":
        record(arguments.commit, arguments.only)
    else:
        store(arguments.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
