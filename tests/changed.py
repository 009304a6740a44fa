"""Runs the tests of what has changed: ``python -m tests.changed [SINCE]``, by default since the last commit.

Of a changed module these are its mirror (tests/a/test_b.py of raysweep/a/b.py) and all files of tests that import it;
of a module without any they are the mirror of its folder, of a page or a config those that name it; without what needs
Ray or takes long. Those with the mark `slow` come last, only the mirror's own, and none begins after ten seconds.
It finds 39 of the 44 faults of tests/faults.yaml (2026-11-29).
(pytest-testmon needs a traced run of all tests in each checkout first, and sees nothing of the processes that run
programs and cells.)
With ``--long`` they are the long tests of the mirrors of all folders that the change touches, as many as begin within
``--minutes``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from tests.paths import REPO

TESTS = REPO / "tests"
MANY = 20
"""A module that more files of tests import is tested by those in its own folder."""
SECONDS = 10
"""After so many no slow test begins."""


class Briefly:
    """Runs slow tests of a few files only and after all others, and begins none of them when the time is over."""

    def __init__(self, own: set[Path]) -> None:
        self._own, self._until, self._left = own, time.monotonic() + SECONDS, 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        slow = {one for one in items if one.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=[one for one in slow if one.path not in self._own])
        own = [one for one in items if one in slow and one.path in self._own]
        items[:] = [one for one in items if one not in slow] + own

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        over = item.get_closest_marker("slow") is not None and time.monotonic() > self._until
        self._left += over
        return over or None

    def pytest_terminal_summary(self) -> None:
        if self._left:
            print(f"\nafter {SECONDS} s {self._left} slow tests were not begun; `make test` runs them")


def changed(since: str) -> list[Path]:
    """Return the files of the checkout that differ from a commit, new ones included, relative to it."""
    listing = [["diff", "--name-only", since], ["ls-files", "--others", "--exclude-standard"]]
    texts = [
        subprocess.run(["git", *one], cwd=REPO, capture_output=True, text=True, check=True).stdout for one in listing
    ]
    return [Path(name) for text in texts for name in text.splitlines()]


@cache
def texts() -> dict[Path, str]:
    """Return the texts of all files of tests."""
    return {file: file.read_text() for file in TESTS.rglob("test_*.py")}


def tests_of(path: Path) -> list[Path]:
    """Return the files and folders with tests of a changed file."""
    if path.parts[0] == "tests":
        return [REPO / path if path.name.startswith("test_") else mirror(path)]
    if path.parts[0] != "raysweep":  # a page, a config ...: what names it
        return [file for file, text in texts().items() if path.name in text]
    *folders, name = path.with_suffix("").parts
    module = rf"\b{re.escape('.'.join([*folders, name]))}\b|from {re.escape('.'.join(folders))} import .*\b{name}\b"
    found = [file for file, text in texts().items() if file == own_file(path) or re.search(module, text)]
    if len(found) > MANY:
        found = [file for file in found if file.parent == mirror(path)] or found
    return found or [mirror(path)]


def own_file(path: Path) -> Path:
    """Return the file of a module's own tests, or a changed one itself; it need not exist."""
    return REPO / path if path.parts[0] == "tests" else mirror(path) / f"test_{path.stem}.py"


def mirror(path: Path) -> Path:
    """Return the folder with the tests of a file's folder, or of the nearest one above that has some."""
    folder = TESTS.joinpath(*path.parts[1:-1])
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def main() -> int:
    """Run the tests that the command line asks for; return pytest's exit code, 0 where there are none."""
    parser = argparse.ArgumentParser(prog="python -m tests.changed", description=__doc__)
    parser.add_argument("since", nargs="?", default="HEAD", help="a commit")
    parser.add_argument("--long", action="store_true", help="the long tests of the folders, in two processes")
    parser.add_argument("--minutes", type=float, default=60, help="begin no file of long tests after these")
    given = parser.parse_args()
    files = changed(given.since)
    if given.long:
        found = {mirror(path) for path in files if path.parts[0] in ("raysweep", "tests")} - {TESTS}
    else:
        found = {one for path in files for one in tests_of(path)} - {TESTS}
    there = sorted(str(one) for one in found if one.exists())
    if not there:
        print(f"no tests for what has changed since {given.since}")
        return 0
    if given.long:
        ended = pytest.main(["-m", "long", "--processes", "2", f"--minutes={given.minutes}", *there])
    else:
        briefly = Briefly({own_file(path) for path in files})
        ended = pytest.main(["-m", "not (ray or chaos or long)", *there], [briefly])
    return 0 if ended == pytest.ExitCode.NO_TESTS_COLLECTED else int(ended)


if __name__ == "__main__":
    sys.exit(main())
