"""Builds the shipped table of WordNet: `python -m raysweep.language.synonyms.wordnet_table [FOLDER]`.

FOLDER holds WordNet 3.0's `index.*`, `data.*` and `*.exc` files and `cntlist.rev`, the counts of senses; the default is
where Debian's `wordnet-base` has them.
File formats: https://wordnet.princeton.edu/documentation/wndb5wn. Equal files give equal bytes.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raysweep.language.synonyms.wordnet import SELF, TABLE

DEBIAN = Path("/usr/share/wordnet")
KINDS = {"n": 1, "v": 2, "a": 3, "r": 4, "s": 5}
"""The numbers of parts of speech in keys of senses; s: an adjective that is similar to another one."""
PARTS = {"NOUN": "noun", "VERB": "verb", "ADJ": "adj", "ADV": "adv"}


def table(folder: Path) -> str:
    """Return the table's text; raise OSError if a file is missing."""
    parts = ["\n".join([f"# {upos}", *_entries(folder, name)]) for upos, name in PARTS.items()]
    for upos, name in PARTS.items():
        forms = (line.split() for line in _lines(folder / f"{name}.exc"))
        parts.append("\n".join([f"! {upos}", *(f"{form}\t{' '.join(entries)}" for form, *entries in forms)]))
    return "\n\n".join(parts)


def _entries(folder: Path, name: str) -> Iterator[str]:
    """Yield ``entry<TAB>first words of its synsets``, and after another tab its frequent synonyms, if it has any."""
    counted = _counted(folder)
    words: dict[str, list[str]] = {}
    used: dict[str, list[str]] = {}  # the words of a synset that texts use in its sense
    for line in _lines(folder / f"data.{name}"):
        offset, file, kind, number, *others = line.split(" ")
        ids = others[1 : 2 * int(number, 16) : 2]
        words[offset] = [re.sub(r"\(.*\)$", "", word).lower() for word in others[: 2 * int(number, 16) : 2]]
        keys = (f"{word}%{KINDS[kind]}:{file}:{int(id, 16):02d}" for word, id in zip(words[offset], ids, strict=True))
        used[offset] = [word for word, key in zip(words[offset], keys, strict=True) if key in counted]
    synsets = {}
    for line in _lines(folder / f"index.{name}"):
        entry, _, senses, pointers, *others = line.split()
        synsets[entry] = others[int(pointers) + 2 :]
        assert len(synsets[entry]) == int(senses), line
    for entry, offsets in synsets.items():
        heads = [SELF if words[offset][0] == entry else words[offset][0] for offset in offsets]
        same = [word for word in used[offsets[0]] if word != entry and _is_first(word, offsets[0], synsets)]
        yield "\t".join([entry, " ".join(heads), *([" ".join(dict.fromkeys(same))] if same else [])])


def _is_first(word: str, offset: str, synsets: Mapping[str, Sequence[str]]) -> bool:
    """Return True for a word of at most two parts whose first synset it is; the most frequent sense comes first."""
    return word.count("_") < 2 and synsets[word][0] == offset


def _counted(folder: Path) -> set[str]:
    return {line.split(" ")[0].rsplit(":", 2)[0] for line in _lines(folder / "cntlist.rev")}


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without those of its licence, which begin with two blanks."""
    yield from (line for line in path.read_text(encoding="ascii").splitlines() if line and not line.startswith("  "))


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN
    target = Path(__file__).with_name(TABLE)
    target.write_bytes(gzip.compress(table(source).encode(), mtime=0))
