"""Translator `apertium`: English to Spanish and back with Apertium's programs, offline and on the CPU.

A stand-in for neural translation where there is no model: rules and dictionaries, so meaning and grammar suffer in
other ways than with the study's FSMT. Code words and some technical words are kept from being translated.
Source: https://www.apertium.org; Debian packages apertium and apertium-eng-spa, called as programs.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

from raysweep.errors import RaysweepError
from raysweep.language.translation.base import TRANSLATORS, Sentence, Translator, is_believable

_THERE, _BACK = "eng-spa", "spa-eng"
_KEPT = """
" array arrays boolean character characters count decimal dictionary digit digits divisor element elements empty
even false float function given index indices input integer integers key keys length letter letters list lists
lowercase maximum minimum negative none number numbers odd operand operator output parameter parameters parenthesis
parentheses positive prefix prime program row rows column columns returns return returned reverse sequence string
strings substring suffix sum true tuple tuples uppercase value values vowel vowels word words zero
"""
_GLOSSARY = re.compile(rf"\b(?:{'|'.join(_KEPT.split())})\b", re.IGNORECASE)
"""Words that lose their technical meaning on the way: string, list, prime, return."""
_DISTRUSTED = re.compile(r"gift['’]t|\b(?:die|dud|bones)\b", re.IGNORECASE)
"""What wrong senses come back as."""
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_KEEP = "<apertium-notrans>{}</apertium-notrans>"
_KEEPING = re.compile(r"</?apertium-notrans>")
_SECONDS = 600
_AT_ONCE = 2000
"""Sentences in one call of the program."""


@TRANSLATORS.register("apertium")
class Apertium(Translator):
    """Apertium's rules: English, Spanish, English; about 200 docstrings a second."""

    def lacks(self) -> str:
        """Say which packages to install where the program or the pair of languages isn't there."""
        return "" if _has_pairs() else "Apertium isn't installed; apt install apertium apertium-eng-spa"

    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        """Translate in one call of the program for each direction."""
        found: list[str | None] = []
        for at in range(0, len(sentences), _AT_ONCE):
            some = sentences[at : at + _AT_ONCE]
            made = [html.unescape(_KEEPING.sub("", text)) for text in _round_trip([_marked(s) for s in some])]
            found += [_checked(sentence, text) for sentence, text in zip(some, made, strict=True)]
        return found

    def fingerprint(self) -> Mapping[str, str]:
        """Return the versions of the program and of the dictionaries."""
        return {"translator": f"apertium {_version('apertium')}, eng-spa {_version('apertium-eng-spa')}"}


def _marked(sentence: Sentence) -> str:
    """Return a sentence as HTML, with what must not be translated marked."""
    pieces = []
    for piece in sentence:
        text = html.escape(piece.text, quote=False)
        pieces.append(_GLOSSARY.sub(lambda word: _KEEP.format(word[0]), text) if piece.natural else _KEEP.format(text))
    return "".join(pieces)


def _checked(sentence: Sentence, translated: str) -> str | None:
    """Return a translation with the first letters of its sentence, or None."""
    text = " ".join(translated.split())
    clean = "".join(piece.text for piece in sentence)
    if (
        not is_believable(sentence, text)
        or _DISTRUSTED.search(text)
        or _GLOSSARY.findall(text.lower()) != (_GLOSSARY.findall(clean.lower()))
    ):
        return None
    first, second = clean.split(" ", 1)[0], text.split(" ", 2)
    if len(second) > 1 and second[0] == first and clean[len(first) + 1 : len(first) + 2].islower():
        second[1] = second[1][:1].lower() + second[1][1:]  # after a word that was kept it begins another sentence
    return " ".join(second)


def _round_trip(texts: Sequence[str]) -> list[str]:
    page = "\n".join(f"<p>{text}</p>" for text in texts)
    made = _PARAGRAPH.findall(_translate(_translate(page, _THERE), _BACK))
    if len(made) != len(texts):
        raise RaysweepError(f"apertium returned {len(made)} of {len(texts)} sentences")
    return made


def _translate(page: str, pair: str) -> str:
    try:
        done = subprocess.run(
            ["apertium", "-u", "-f", "html", pair],
            input=page.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RaysweepError(f"apertium {pair} failed: {error}") from error
    return done.stdout.decode()


@cache
def _has_pairs() -> bool:
    if shutil.which("apertium") is None:
        return False
    listed = subprocess.run(["apertium", "-l"], capture_output=True, text=True, timeout=60, check=False).stdout
    return {_THERE, _BACK} <= set(listed.split())


@cache
def _version(package: str) -> str:
    """Return a Debian package's version; where there is no such package, the program's own for all."""
    commands = (["dpkg-query", "--show", "--showformat=${Version}", package], ["apertium", "-V"])
    for command in commands:
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.split()[-1]
    return "unknown"
