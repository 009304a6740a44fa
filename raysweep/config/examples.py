"""Copies one of the configs that raysweep brings along into a folder, to start from.

They are the files of configs/: an installed raysweep has them inside the package (setup.py), a checkout beside it. The
first line of each is the command that runs it, from the checkout; a copy's first line is the command that runs the copy
from the folder in which it was asked for.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from raysweep.errors import UnknownName, UsageError

DEFAULT = "own-model"
PACKAGE = Path(__file__).parents[1]
COMMAND = "# raysweep run "


@dataclass(frozen=True)
class Example:
    """One config.

    `about`: its first sentence; `file` and `options`: what follows ``raysweep run`` in its first line; `rest`: all
    further lines.
    """

    name: str
    about: str
    file: Path
    options: str
    rest: str

    @property
    def arguments(self) -> str:
        return f"{shlex.quote(str(self.file))} {self.options}".strip()


def examples() -> dict[str, Example]:
    """Return the configs by name, the default first; raise UsageError if this installation has none."""
    for folder in (PACKAGE / "configs", PACKAGE.parent / "configs"):
        examples = {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}
        if DEFAULT in examples:
            return {DEFAULT: examples.pop(DEFAULT), **examples}
    raise UsageError("this installation of raysweep lacks its configs; install it again")


def write_example(name: str, folder: Path) -> Example:
    """Write a config into a folder as NAME.yaml, making the folder; never overwrite a file. Return the copy.

    Raises:
        UsageError: there is no such config, the file exists, or it can't be written.
    """
    known = examples()
    if name not in known:
        raise UnknownName("config to start from", name, known)
    file = folder / f"{name}.yaml"
    copy = replace(known[name], file=file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(f"{COMMAND}{copy.arguments}\n{copy.rest}")
    except FileExistsError:
        there = file if folder.is_dir() else folder
        raise UsageError(f"{there} exists already, and nothing was written; give another folder") from None
    except OSError as error:
        raise UsageError(f"{file} can't be written ({error.strerror}); give another folder") from None
    return copy


def _read(path: Path) -> Example:
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    _, _, options = first.removeprefix(COMMAND).partition(" ")
    lines = takewhile(lambda line: line.startswith("#"), rest.split("\n"))
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    about = re.match(r".*?[.?!](?= |$)", comment)
    return Example(path.stem, about[0] if about else comment, path, options, rest)
