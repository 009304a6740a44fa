"""Builds the shipped table of WordNet: `python -m raysweep.language.synonyms.wordnet_table [FOLDER]`.

FOLDER holds WordNet 3.0's `index.*`, `data.*` and `*.exc` files and `cntlist.rev`, the counts of senses; the default is
where Debian's `wordnet-base` has them.
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
KINDS = {"noun": "1", "verb": "2", "adj": "35", "adv": "4"}
"""The digits of a part of speech in the keys of senses; 5 stands for adjectives that are similar to others."""
PARTS = {"NOUN": "noun", "VERB": "verb", "ADJ": "adj", "ADV": "adv"}


def table(folder: Path) -> str:
    """Return the table's text; raise OSError if a file is missing."""
    parts = ["\n".join([f"# {upos}", *_entries(folder, name)]) for upos, name in PARTS.items()]
    parts += ["\n".join([f"! {upos}", *_exceptions(folder, name)]) for upos, name in PARTS.items()]
    return "\n\n".join(parts)


def _entries(folder: Path, name: str) -> Iterator[str]:
    """Yield ``entry<TAB>first words of its synsets``, and after another tab its frequent synonyms, if it has any."""
    words = {}
    for line in _lines(folder / f"data.{name}"):
        offset, _, _, number, *others = line.split(" ")
        named = others[: 2 * int(number, 16) : 2]
        words[offset] = [re.sub(r"\(.*\)$", "", word).lower() for word in named]  # brackets: an adjective's position
    synsets = {}
    for line in _lines(folder / f"index.{name}"):
        entry, _, senses, pointers, *others = line.split()
        synsets[entry] = others[int(pointers) + 2 :]
        assert len(synsets[entry]) == int(senses), line
    used = _used_in_their_first_sense(folder, name)
    for entry, offsets in synsets.items():
        heads = [SELF if words[offset][0] == entry else words[offset][0] for offset in offsets]
        first = offsets[0]
        same = [word for word in words[first] if word != entry and word in used and synsets[word][0] == first]
        yield "\t".join([entry, " ".join(heads), *([" ".join(dict.fromkeys(same))] if same else [])])


def _used_in_their_first_sense(folder: Path, name: str) -> set[str]:
    """Return the words that texts use in their first sense, by WordNet's counts; the longest have two parts."""
    found = set()
    for line in _lines(folder / "cntlist.rev"):
        key, sense, _ = line.split()
        word, _, rest = key.partition("%")
        if rest[0] in KINDS[name] and sense == "1" and word.count("_") < 2:
            found.add(word)
    return found


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
