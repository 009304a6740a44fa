"""A disk that is full: no program is refused for it. A slot without namespaces works on the machine's own disk."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.execution import slot
from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, Level, Oracle, Outcome, Sandbox
from tests.execution.compiled.processes import needs
from tests.execution.compiled.test_judging import HURRIED, LIMITS, program

pytestmark = [pytest.mark.slow, pytest.mark.apart]
DISK_MIB = 200
LEFT = {"cpp": (0, 2**18), "java": (0,)}
"""Bytes that are left on the disk: none, and too few for what g++ writes, which then says so in words of its own."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a small disk, on which slots have their folders."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", tmp_path], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.parametrize("language", COMPILED)
def test_a_full_disk_is_no_fault_of_a_program_and_nothing_is_left_when_it_has_room_again(language, disk, monkeypatch):
    needs(language)
    monkeypatch.setattr(slot, "_START_CODE", HURRIED)
    programs = [program(language, outcome, Oracle.INSIDE) for outcome in ("passed", "compile_error")]
    full = []
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=("namespaces",)) as executor:
        first = executor.run(programs, LIMITS)
        ((pid, folder),) = executor._slots[0].running
        for left in LEFT[language]:
            _fill(disk / "filler", left)
            full += executor.run(programs[:1], LIMITS)
            (disk / "filler").unlink()
        last = executor.run(programs, LIMITS)
        assert executor._slots[0].running == [(pid, folder)]
        boxes = [path for path in Path(folder).glob("*/box/*") if path.is_file()]
    outcomes = [Outcome.PASSED, Outcome.COMPILE_ERROR]
    assert [verdict.outcome for verdict in first] == [verdict.outcome for verdict in last] == outcomes
    assert [verdict.outcome for verdict in full] == [Outcome.HARNESS_ERROR] * len(LEFT[language])
    assert boxes == [] and list(disk.iterdir()) == []


def _fill(path: Path, left: int) -> None:
    """Fill a disk but for so many bytes."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        file.truncate(file.tell() - left)
