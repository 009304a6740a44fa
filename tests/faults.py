"""Puts known faults into a copy of raysweep, one at a time, and looks whether the tests find them.

``python -m tests.faults [NAME...]`` runs, for each fault of tests/faults.yaml or those named, the tests that are known
to find it, and prints the first one that failed. That test is run again without the fault, and has to pass then: else
it says nothing of the fault. ``--all-tests`` runs all tests that aren't `long` in place of the known ones. The exit
code is 1 if a fault isn't found.

Processes that tests start, such as a Ray's and a slot's, have the copy too: PYTHONPATH names it, which comes before the
folder of an editable install, and a slot takes the folder of the raysweep that starts it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.paths import REPO

FAULTS = REPO / "tests" / "faults.yaml"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_TESTS_FAILED = 1  # pytest's exit code; others say that it ran no test, or could not collect them


@dataclass(frozen=True)
class Fault:
    """A fault: `new` stands in `file` where `old` should.

    `wrong`: what that breaks. `found_by`: files or folders of tests. `long`: only tests with that mark find it.
    """

    name: str
    file: str
    old: str
    new: str
    wrong: str
    found_by: Sequence[str]
    long: bool = False


def read_faults(names: Sequence[str] = ()) -> list[Fault]:
    """Return the faults of these names, else all of them; end with a message where a file or an old text is unknown."""
    faults = [Fault(name, **entry) for name, entry in yaml.safe_load(FAULTS.read_text(encoding="utf-8")).items()]
    if unknown := set(names) - {fault.name for fault in faults}:
        raise SystemExit(f"no fault is called {', '.join(sorted(unknown))}")
    for fault in faults:
        file = REPO / fault.file
        times = file.read_text(encoding="utf-8").count(fault.old) if file.is_file() else 0
        if times != 1:
            raise SystemExit(f"fault {fault.name}: its old text occurs {times} times in {fault.file}, not once")
        if missing := [path for path in fault.found_by if not (REPO / path).exists()]:
            raise SystemExit(f"fault {fault.name}: there is no {' and no '.join(missing)}")
    return [fault for fault in faults if fault.name in names or not names]


@contextmanager
def copied() -> Iterator[Path]:
    """Yield a copy of this checkout, as a repository of its own, with the same `shared` beside it."""
    with tempfile.TemporaryDirectory(prefix="rs-faults-") as folder:
        copy = Path(folder, "checkout")
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=REPO, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in names:
            if (REPO / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPO / name, copy / name, follow_symlinks=False)
        for command in (["git", "init", "-q"], ["git", "add", "-A"]):
            subprocess.run(command, cwd=copy, check=True)
        Path(folder, "shared").symlink_to(REPO.parent / "shared")
        yield copy


def run_tests(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run tests of a copy until one fails; return pytest's exit code, and that test or the end of the output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", *arguments]
    done = subprocess.run(command, cwd=copy, env=_environment(copy), capture_output=True, text=True)
    failed = _FAILED.search(done.stdout)
    return done.returncode, failed[1] if failed else (done.stdout + done.stderr).strip()[-500:]


def look_for(fault: Fault, copy: Path, tests: Sequence[str], *, long: bool) -> str:
    """Put a fault into a copy and run tests; return what came of it: "found" and by what, or why it was not."""
    file, cache = copy / fault.file, copy / ".pytest_cache"
    text = file.read_text(encoding="utf-8")
    shutil.rmtree(cache, ignore_errors=True)
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    code, said = run_tests(copy, *([] if long else ["-m", "not long"]), *tests)
    file.write_text(text, encoding="utf-8")
    if code != _TESTS_FAILED:
        return f"NOT FOUND: pytest ended with {code}: {said}"
    again, why = run_tests(copy, "--last-failed", "--last-failed-no-failures=none", *tests)
    return (
        f"found by {said}"
        if again == 0
        else f"NOT FOUND: {said} fails without it, too (pytest ended with {again}: {why})"
    )


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy)}


def require_used(copy: Path) -> None:
    """End with a message unless processes import the copy."""
    where = [sys.executable, "-c", "import raysweep; print(raysweep.__file__)"]
    answer = subprocess.run(where, cwd="/", env=_environment(copy), capture_output=True, text=True, check=True).stdout
    if not Path(answer.strip()).is_relative_to(copy):
        raise SystemExit(f"{answer.strip()} would be tested, not the copy in {copy}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for faults; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Do the tests find known faults?")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults; all if none is named")
    parser.add_argument("--all-tests", action="store_true", help="run all tests but long ones, not those known to find")
    asked = parser.parse_args(arguments)
    faults, found = read_faults(asked.names), 0
    with copied() as copy:
        require_used(copy)
        for fault in faults:
            began = time.monotonic()
            tests = ["tests"] if asked.all_tests else fault.found_by
            result = look_for(fault, copy, tests, long=fault.long and not asked.all_tests)
            found += result.startswith("found")
            print(f"{time.monotonic() - began:5.0f} s  {fault.name}: {result}", flush=True)
    print(f"{found} of {len(faults)} found")
    return int(found < len(faults))


if __name__ == "__main__":
    sys.exit(main())
