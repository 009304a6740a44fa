"""Builds the shipped table of WordNet: `python -m raysweep.language.synonyms.wordnet_table [FOLDER]`.

FOLDER holds WordNet 3.0's `index.*`, `data.*` and `*.exc` files; the default is where Debian's `wordnet-base` has them.
File formats: https://wordnet.princeton.edu/documentation/wndb5wn. Equal files give equal bytes.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from raysweep.language.synonyms.wordnet import SELF, TABLE

DEBIAN = Path("/usr/share/wordnet")
PARTS = {"NOUN": "noun", "VERB": "verb", "ADJ": "adj", "ADV": "adv"}


def table(folder: Path) -> str:
    """Return the table's text; raise OSError if a file is missing."""
    parts = ["\n".join([f"# {upos}", *_entries(folder, name)]) for upos, name in PARTS.items()]
    parts += ["\n".join([f"! {upos}", *_exceptions(folder, name)]) for upos, name in PARTS.items()]
    return "\n\n".join(parts)


def _entries(folder: Path, name: str) -> Iterator[str]:
    """Yield ``entry<TAB>first words of its synsets``."""
    first = {}
    for line in _lines(folder / f"data.{name}"):
        offset, _, _, _, word = line.split(" ", 5)[:5]
        first[offset] = re.sub(r"\(.*\)$", "", word).lower()  # an adjective's position is noted in brackets
    for line in _lines(folder / f"index.{name}"):
        entry, _, synsets, pointers, *others = line.split()
        offsets = others[int(pointers) + 2 :]
        assert len(offsets) == int(synsets), line
        yield f"{entry}\t{' '.join(SELF if first[offset] == entry else first[offset] for offset in offsets)}"


def _exceptions(folder: Path, name: str) -> Iterator[str]:
    for line in _lines(folder / f"{name}.exc"):
        form, *entries = line.split()
        yield f"{form}\t{' '.join(entries)}"


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without those of its licence, which begin with two blanks."""
    yield from (line for line in path.read_text(encoding="ascii").splitlines() if line and not line.startswith("  "))


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN
    target = Path(__file__).with_name(TABLE)
    target.write_bytes(gzip.compress(table(source).encode(), mtime=0))
