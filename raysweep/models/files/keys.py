"""What keys of models' files have in common: whether a value counts, and which version of a package wrote a file."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

ABOUT = re.compile(
    r"^(_|unsloth|num_nextn_predict|(use_associative_scan|pretraining_tp)$)|(version|name|path|_loss_coef)$"
)
"""Names of keys that say how a file came about, how the model trains or in which order it sums, and nothing of what it
writes."""


def counts(key: str, value: Any) -> bool:
    """Return whether a key that isn't read may change what a model does: it has a value and isn't about the file."""
    is_empty = value is None or value is False or value in ("", [], {})
    return not is_empty and not ABOUT.search(key)


def is_newer(version: Any, installed: str) -> bool:
    """Return whether a file's version is of a later release than the installed one, corrections aside."""
    try:
        return Version(str(version)).release[:2] > Version(installed).release[:2]
    except InvalidVersion:
        return False


def place_of(location: str, name: str) -> str:
    """Return how a file of a folder, or of a model of the hub, is named in messages."""
    folder = Path(location).expanduser()
    return str(folder / name) if folder.is_dir() else f"{name} of {location}"


def editing(location: str, what: str) -> str:
    """Return how to change a file of a model, in words; one of the hub is copied into a folder first."""
    if Path(location).expanduser().is_dir():
        return what
    return f"{what} (in a copy of the model: `hf download {location} --local-dir FOLDER`, then `path: FOLDER`)"


def unread_in_words(
    location: str, name: str, left: Mapping[str, Any], package: str, installed: str, wrote: Any, write: str = ""
) -> str:
    """Return the message for keys of a file, given with their values, that a package doesn't read.

    `package`: the one that reads the file, of the version `installed`. `wrote`: the one that wrote it, as it says.
    `write`: what says the same to the installed one; empty: nothing does.
    """
    short = reprlib.Repr()
    short.maxdict = short.maxlist = 3
    keys = ", ".join(f"`{key}` ({short.repr(value)})" for key, value in left.items())
    it = "them" if len(left) > 1 else "it"
    newer = is_newer(wrote, installed)
    by = f", written by {package} {wrote}," if wrote else ""
    way = f'install that version (`pip install "{package}>={wrote}"`), or ' if newer else ""
    without = f"{editing(location, f'delete {it} from the file')} if the model doesn't need {it}"
    own = editing(location, f"write {write} into the file") if write else without
    return (
        f"{place_of(location, name)}{by} has {keys}, which {package} {installed} doesn't read: the model may be "
        f"another one without {it}; {way}{own}"
    )
