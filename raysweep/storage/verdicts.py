"""Caches verdicts in a store, so that equal programs under equal limits and interpreter run once for all sweeps.

Layout: ``verdicts/<hash of limits, and interpreter or compiler>/<hash of content>.parquet``, rows sorted by the
program's hash.
Files are added and never changed or removed, so several sweeps may write at the same time; if two judge one program,
there are two rows. A lookup reads the hashes in the files of its limits, several files at a time, and then the groups
of rows with matches. A verdict's level and lane are columns and not part of any hash: the caller's sandbox decides
whether the verdict is good enough. A lookup skips an unreadable file with a warning, and its programs run again.

Not covered: harness errors, which are no verdicts and are never stored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from raysweep.hashing import canonical_json, text_sha
from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Sandbox, Verdict
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")

VERSION = 1
"""Raise it to have all programs judged again."""
WAITING_ROWS = 4096
"""Verdicts to collect in memory before writing a file, since many small files make lookups slow."""
GROUP_ROWS = 16_384
PARALLEL_READS = 16
TEXTS = ("outcome", "detail", "stderr", "level", "lane", "oracle", "audit", "parts")
NUMBERS = ("seconds", "limit_seconds")


@dataclass(frozen=True, slots=True)
class Question:
    """The cache key of a verdict: does this program pass these tests, run there, under these limits?"""

    sha: str  # the program's, see `Program.sha`
    limits: Limits
    oracle: Oracle
    toolchain: str = ""  # compiler, run time and flags of a compiled language

    @property
    def key(self) -> str:
        """A hash of all fields, 64 hex digits."""
        content = canonical_json([self.sha, dataclasses.asdict(self.limits), self.oracle, self.toolchain])
        return text_sha(content)


class VerdictCache:
    """The verdicts of one interpreter, and of any compilers, in one store.

    `interpreter`: the version of Python, such as ``3.11.9``; programs in other languages name their own.
    """

    def __init__(self, files: Files, interpreter: str) -> None:
        self._files = files.below("verdicts")
        self._interpreter = interpreter
        self._waiting: dict[Question, Verdict] = {}

    def find(self, questions: Collection[Question], sandbox: Sandbox) -> dict[Question, Verdict]:
        """Return the stored verdicts that are good enough for a sandbox."""
        folders: dict[str, dict[str, Question]] = defaultdict(dict)
        for question in questions:
            folders[self._folder(question)][question.sha] = question
        verdicts: dict[Question, Verdict] = {}
        for folder, asked in folders.items():
            for sha, verdict in self._stored(folder, set(asked)):
                if serves(verdict, asked[sha].oracle, sandbox):
                    verdicts.setdefault(asked[sha], verdict)
        return verdicts

    def add(self, answers: Mapping[Question, Verdict]) -> None:
        """Collect verdicts and write them once there are `WAITING_ROWS`; harness errors are ignored."""
        self._waiting.update({q: v for q, v in answers.items() if v.outcome is not Outcome.HARNESS_ERROR})
        if len(self._waiting) >= WAITING_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the collected verdicts, one file for each set of limits and each interpreter or compiler."""
        folders: dict[str, dict[str, Verdict]] = defaultdict(dict)
        for question, verdict in self._waiting.items():
            folders[self._folder(question)][question.sha] = verdict
        for folder, rows in folders.items():
            data = _to_parquet(rows)
            self._files.write(f"{folder}/{hashlib.sha256(data).hexdigest()[:32]}.parquet", data)
        self._waiting.clear()

    def _folder(self, question: Question) -> str:
        runs_it = question.toolchain or self._interpreter
        content = canonical_json([VERSION, dataclasses.asdict(question.limits), runs_it])
        return text_sha(content)[:16]

    def _stored(self, name_of_folder: str, shas: set[str]) -> Iterator[tuple[str, Verdict]]:
        """Yield (sha, verdict) for each stored row of these programs, file by file in the order of names."""
        folder = self._files.below(name_of_folder)
        names = sorted(name for name in folder.infos() if name.endswith(".parquet") and not name.startswith("."))
        if not names:
            return
        keys = sorted(bytes.fromhex(sha) for sha in shas)
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            for rows in pool.map(lambda name: _read(folder, name, keys), names):
                yield from rows


def serves(verdict: Verdict, oracle: Oracle, sandbox: Sandbox) -> bool:
    """Return True if a verdict is by this oracle, at the level that a sandbox requires or above, in an allowed lane."""
    if verdict.oracle != oracle:
        return False
    return level_of(verdict.level) >= sandbox.require and (sandbox.lane is Lane.SHARED or verdict.lane == Lane.STRICT)


def level_of(text: str) -> Level:
    """Return the level of that name; an unknown name counts as the lowest one, limits only."""
    return Level(text) if text in list(Level) else Level.LIMITS


def _to_parquet(rows: Mapping[str, Verdict]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    ordered = sorted(rows.items())
    columns: dict[str, Any] = {"sha": [bytes.fromhex(sha) for sha, _ in ordered]}
    columns |= {name: [getattr(verdict, name) for _, verdict in ordered] for name in (*TEXTS, *NUMBERS)}
    fields = [("sha", pyarrow.binary(32)), *((name, pyarrow.string()) for name in TEXTS)]
    fields += [(name, pyarrow.float64()) for name in NUMBERS]
    table = pyarrow.table(columns, schema=pyarrow.schema(fields, metadata={"raysweep.verdicts": str(VERSION)}))
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd", row_group_size=GROUP_ROWS, write_page_checksum=True)
    return bytes(sink.getvalue())


def _read(folder: Files, name: str, keys: list[bytes]) -> list[tuple[str, Verdict]]:
    """Return the rows of one file with these hashes; log a warning and return none if the file is unreadable."""
    import pyarrow
    import pyarrow.parquet

    filesystem, top = folder.filesystem()
    try:
        path = f"{top}/{name}"
        with pyarrow.parquet.ParquetFile(path, filesystem=filesystem, page_checksum_verification=True) as file:
            return [row for group, matches in _groups(file, keys) for row in _read_group(file, group, matches)]
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("%s/%s can't be read (%s): its programs run again; it may be removed", folder, name, reason)
        return []


def _groups(file: Any, keys: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    for group in range(file.num_row_groups):
        span = file.metadata.row_group(group).column(0).statistics
        if matches := keys[bisect_left(keys, span.min) : bisect_right(keys, span.max)]:
            yield group, matches


def _read_group(file: Any, group: int, keys: list[bytes]) -> list[tuple[str, Verdict]]:
    import pyarrow
    import pyarrow.compute

    shas = file.read_row_group(group, columns=["sha"]).column("sha").combine_chunks()
    indices = pyarrow.compute.index_in(pyarrow.array(keys, pyarrow.binary(32)), value_set=shas).drop_null()
    if not len(indices):
        return []
    table = file.read_row_group(group, columns=["sha", *TEXTS, *NUMBERS]).take(indices)
    found = []
    for row in table.to_pylist():
        sha, outcome = row.pop("sha"), Outcome(row.pop("outcome"))
        found.append((sha.hex(), Verdict(outcome, **row)))
    return found
