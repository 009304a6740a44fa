"""Writes the results file of `raysweep execute`, and keeps verdicts so that the same command can resume.

Rows go to `OUT.part`, which is renamed to OUT when it is complete. The folder `OUT.part.verdicts` holds the settings of
the command and, in blocks (`raysweep.storage.blocks`), the verdicts so far. The same command reuses these verdicts and
writes all rows again, so a torn row does no harm. A kill loses the verdicts of the last second.
Only one process writes: it locks `OUT.part` (flock) for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError, StoreError, UsageError
from raysweep.programs import Outcome, Verdict
from raysweep.rows.json_files import check_out, overwrites
from raysweep.storage.blocks import Blocks
from raysweep.storage.files import Files

BLOCK_SECONDS = 1.0
"""Time between two blocks of verdicts."""
_SETTINGS = "settings.json"
_BUFFER = 2**16


class ResultsFile:
    """A results file that is being written; `writing_results` opens and finishes it.

    Methods that write raise RaysweepError when the disk is full or gone.
    """

    def __init__(self, path: Path, file: io.FileIO, verdicts: Files, *, zipped: bool) -> None:
        self.path = path
        self._plain = io.BufferedWriter(file, _BUFFER)
        self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._plain, mtime=0) if zipped else None
        self._verdicts = verdicts
        self._blocks = Blocks(verdicts.below("blocks"), _verdict)
        self._has_blocks = bool(verdicts.infos("blocks"))
        self._unsaved: dict[str, Verdict] = {}
        self._lock = threading.Lock()  # of `_unsaved`
        self._error: RaysweepError | None = None  # of the thread
        self._ending = threading.Event()
        self._saver = threading.Thread(target=self._save_blocks, name="verdicts to resume from", daemon=True)
        self._saver.start()

    def saved_verdicts(self) -> Iterator[tuple[bytes, Verdict]]:
        """Yield (program key, verdict) for each verdict that an earlier, interrupted command saved."""
        for rows in self._blocks.each():
            for key, verdict in rows.items():
                yield bytes.fromhex(key), verdict

    def save_verdict(self, key: bytes, verdict: Verdict) -> None:
        """Save a verdict for a command that resumes this one, except a harness error: that program runs again."""
        if self._error is not None:
            raise self._error
        if verdict.outcome != Outcome.HARNESS_ERROR:
            with self._lock:
                self._unsaved[key.hex()] = verdict

    def write(self, row: bytes) -> None:
        with self._write_errors():
            (self._zip or self._plain).write(row)

    def flush(self) -> None:
        """Make the rows so far visible to other processes; has no effect on a gzipped file."""
        if self._zip is None:
            with self._write_errors():
                self._plain.flush()

    def finish(self, out: Path) -> None:
        """Rename the complete file to `out` and remove the saved verdicts."""
        self._stop_saver()
        with self._write_errors():
            if self._zip is not None:
                self._zip.close()
            self._plain.flush()
            os.fsync(self._plain.fileno())
            self.path.replace(out)
            self._verdicts.remove_folder()
        self._close()

    def interrupt(self) -> None:
        """Save the verdicts and close the files; remove them if there is no verdict to resume from."""
        self._stop_saver()
        with contextlib.suppress(RaysweepError):  # a full disk has been reported already
            self._save_block()
        if not self._has_blocks:
            with contextlib.suppress(OSError, StoreError):  # the error that ended the command matters more
                self._verdicts.remove_folder()
                self.path.unlink(missing_ok=True)
        self._close()

    def _save_blocks(self) -> None:
        while not self._ending.wait(BLOCK_SECONDS):
            try:
                self._save_block()
            except RaysweepError as error:
                self._error = error
                return

    def _save_block(self) -> None:
        with self._lock:
            rows, self._unsaved = self._unsaved, {}
        if rows:
            with self._write_errors():
                self._blocks.add(rows)
            self._has_blocks = True

    def _stop_saver(self) -> None:
        self._ending.set()
        self._saver.join()

    def _close(self) -> None:
        for file in (self._zip, self._plain):
            if file is not None:
                with contextlib.suppress(OSError):  # a full disk has been reported already
                    file.close()

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, StoreError) as error:
            raise RaysweepError(
                f"{self.path} can't be written ({_reason(error)}); the same command resumes once it can"
            ) from error


@contextlib.contextmanager
def writing_results(out: Path, settings: Mapping[str, Any]) -> Iterator[ResultsFile]:
    """Open a results file; it becomes `out` when the block ends, and is kept for a resume when the block fails.

    `out`: gzipped if its name ends in .gz. `settings`: all that the verdicts depend on, as JSON; only a command with
    equal settings may resume.

    Raises:
        UsageError: the file can't be written, another process is writing it, or it has other settings.
    """
    path, real = part_of(out), _real(out)
    verdicts = Files(str(_verdicts_of(path).absolute()))
    try:
        file, is_new = _locked(path)
        try:
            if is_new:
                verdicts.remove_folder()  # left by a part that was finished, or removed to start over
            _check_settings(path, verdicts, settings)
            file.truncate()
        except BaseException:
            file.close()
            raise
    except (OSError, StoreError) as error:
        raise UsageError(f"{path} can't be written ({_reason(error)}); choose another --out") from None
    results = ResultsFile(path, file, verdicts, zipped=real.suffix == ".gz")
    try:
        yield results
        results.finish(real)
    except BaseException:
        results.interrupt()
        raise


def part_of(out: Path) -> Path:
    """Return the path of a results file until it is complete; a symbolic link is followed."""
    real = _real(out)
    return real.with_name(f"{real.name}.part")


def check_results_out(out: Path, inputs: Sequence[Path]) -> None:
    """Raise UsageError unless a results file and what stands beside it can be written without overwriting `inputs`."""
    check_out(out, inputs)
    if out.exists() and not out.is_file():
        raise UsageError(f"--out {out} is no file but a pipe or a device; name a file")
    part = part_of(out)
    for read in inputs:
        is_part = part.exists() and read.exists() and part.samefile(read)
        if is_part or _verdicts_of(part).resolve() in read.resolve().parents:
            raise overwrites(out, read)


def _real(out: Path) -> Path:
    return out.resolve() if out.is_symlink() else out


def _verdicts_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.verdicts")


def _locked(path: Path) -> tuple[io.FileIO, bool]:
    """Open a part and lock it for this process; return it and whether it is new."""
    while True:
        is_new = not path.exists()
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UsageError(f"{path} is being written by another process; wait, or choose another --out") from None
        except OSError:
            pass  # a shared disk without locks: its users must not write one file at the same time
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file, is_new
        file.close()  # another process has just finished this part


def _check_settings(part: Path, verdicts: Files, settings: Mapping[str, Any]) -> None:
    """Write the settings of a new part; raise UsageError if an earlier command had others, or if they are unknown."""
    ours, earlier = json.loads(json.dumps(settings)), None
    with contextlib.suppress(ValueError):
        earlier = json.loads(verdicts.read(_SETTINGS) or b"{}")
    earlier = earlier if isinstance(earlier, dict) else {}
    way_out = f"remove {part} to start over, or choose another --out"
    if earlier and earlier != ours:
        raise UsageError(f"{part} was begun with {_differences(earlier, ours)}; give the same again, {way_out}")
    if not earlier and part.stat().st_size:
        folder = _verdicts_of(part).name
        raise UsageError(f"{part} exists, but no {folder}/{_SETTINGS} that says what it was begun for; {way_out}")
    if not earlier:
        verdicts.write(_SETTINGS, json.dumps(ours))


def _differences(earlier: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    texts = []
    for name in sorted({*earlier, *ours}):
        if earlier.get(name) != ours.get(name):
            values = f"{earlier.get(name)} (now {ours.get(name)})"
            texts.append(f"other {name}" if len(values) > 60 else f"{name} {values}")
    return ", ".join(texts)


def _reason(error: OSError | StoreError) -> str:
    cause = error.__cause__ if isinstance(error, StoreError) else error
    return (cause.strerror if isinstance(cause, OSError) else None) or str(error)


def _verdict(outcome: str, **more: Any) -> Verdict:
    return Verdict(Outcome(outcome), **more)
