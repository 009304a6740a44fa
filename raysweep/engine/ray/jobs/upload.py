"""What a Ray job uploads: the files of its working folder that it may need, which must stay below Ray's limit.

Ray leaves out what .gitignore and .rayignore name, `.git`, `venv`, `.venv` and `__pycache__`. Here further virtual
environments, caches and stores of raysweep are found, wherever they lie, and named as `excludes`.
"""

from __future__ import annotations

import heapq
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import UsageError
from raysweep.storage.backends import MARKER
from raysweep.units import count, size

CACHES = {".hypothesis", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox"}
STORE = "raysweep-store"
"""The name of the default store, which is left out even before it has its marker."""
ZIP_ENTRY, ZIP_END = 76, 22
"""Bytes that a zip file takes for each entry, beside its content and twice its name, and at its end."""
SHOWN = 3

_quiet = logging.Logger("packaging", logging.ERROR)


@dataclass(frozen=True)
class Upload:
    """The files of a folder that a job gets.

    `files`: sizes in bytes by path below the folder; `excludes`: patterns, like those of .gitignore, of what is left
    out beside what Ray leaves out itself.
    """

    folder: Path
    files: Mapping[str, int]
    excludes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(self.files.values()) + sum(ZIP_ENTRY + 2 * len(os.fsencode(name)) for name in self.files) + ZIP_END


def find_upload(folder: Path) -> Upload:
    """Find the files that Ray would upload, reading none; raise UsageError if something can't be looked at."""
    from ray._private.ray_constants import RAY_RUNTIME_ENV_IGNORE_GITIGNORE, get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    root = folder.absolute()
    if not root.is_dir():
        raise UsageError(f"{folder} is no folder")
    files: dict[str, int] = {}
    left_out: list[str] = []

    def is_left_out(path: Path) -> bool:
        marks = ("pyvenv.cfg", MARKER)
        is_named = path.name in CACHES or path.name == STORE
        if path == root or not path.is_dir() or not (is_named or any((path / name).is_file() for name in marks)):
            return False
        within = path / "file"  # Ray applies `folder/` of .gitignore to what lies in the folder, not to the folder
        if any(rule(path) or rule(within) for rule in rules if rule is not is_left_out):
            return False
        left_out.append(_pattern(path.relative_to(root)))
        return True

    def add(path: Path) -> None:
        if path.is_file():
            files[path.relative_to(root).as_posix()] = path.stat().st_size

    rules: list[Callable[[Path], bool]] = [_get_excludes(root, get_runtime_env_default_excludes()), is_left_out]
    reads_gitignore = os.environ.get(RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    try:
        _dir_travel(root, rules, add, include_gitignore=reads_gitignore, logger=_quiet)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be read ({error.strerror}), so it can't be uploaded") from None
    return Upload(root, files, tuple(sorted(left_out)))


def require_small(upload: Upload) -> None:
    """Raise UsageError if Ray would refuse a package of this size; the message names the largest files."""
    from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    limit = min(DASHBOARD_CLIENT_MAX_SIZE, GCS_STORAGE_MAX_SIZE)
    if upload.size < limit:
        return
    largest = heapq.nlargest(SHOWN, upload.files.items(), key=lambda item: item[1])
    named = ", ".join(f"{name} ({size(held)})" for name, held in largest if held >= largest[0][1] / 10)
    raise UsageError(
        f"{upload.folder} holds {size(upload.size)} in {count(len(upload.files), 'file')}, and Ray takes less than "
        f"{size(limit)}. The largest: {named}{_heaviest_folder(upload)}. Name what the job doesn't need in .gitignore "
        "or .rayignore, give the command in a smaller folder, or put data where every node sees it"
    )


def _pattern(relative: Path) -> str:
    return "/" + re.sub(r"([\\*?\[\]!#])", r"\\\1", relative.as_posix())


def _heaviest_folder(upload: Upload) -> str:
    held: Counter[str] = Counter()
    for name, amount in upload.files.items():
        top, slash, _ = name.partition("/")
        held[top + slash] += amount
    name, most = held.most_common(1)[0]
    return f"; {name} holds {size(most)} in all" if name.endswith("/") and most > upload.size / 2 else ""
