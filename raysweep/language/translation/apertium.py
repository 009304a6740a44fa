"""Translator `apertium`: English to Spanish and back with Apertium's programs, offline and on the CPU.

A substitute for machines without a neural model. It uses rules and dictionaries, so meaning and grammar suffer in other
ways than with the study's FSMT. Code words and some technical words are not translated.
Source: https://www.apertium.org; the programs of the Debian packages apertium and apertium-eng-spa.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

from typing_extensions import override

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
"""Words that would lose their technical meaning in translation, such as string, list, prime and return."""
_DISTRUSTED = re.compile(r"gift['’]t|\b(?:die|dud|bones)\b", re.IGNORECASE)
"""Words that show that a word was translated in a wrong sense."""
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_KEEP = "<apertium-notrans>{}</apertium-notrans>"
_KEEPING = re.compile(r"</?apertium-notrans>")
_PADDING = "A house is big."
_TIMEOUT_S = 600
_BATCH = 2000
"""Sentences in one call of the program."""


@TRANSLATORS.register("apertium")
class Apertium(Translator):
    """Apertium's rules: English, Spanish, English; about 200 docstrings a second."""

    caution = "whose rules make other mistakes than a neural model: not for numbers to publish"

    @override
    def lacks(self) -> str:
        return "" if _has_pairs() else "Apertium isn't installed; apt install apertium apertium-eng-spa"

    @override
    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        translations: list[str | None] = []
        for start in range(0, len(sentences), _BATCH):
            batch = sentences[start : start + _BATCH]
            texts = _round_trip([_marked(sentence) for sentence in batch])
            translations += [_checked(sentence, text) for sentence, text in zip(batch, texts, strict=True)]
        return translations

    @override
    def fingerprint(self) -> Mapping[str, str]:
        return {"translator": f"apertium {_version('apertium')}, eng-spa {_version('apertium-eng-spa')}"}


def _marked(sentence: Sentence) -> str:
    """Return a sentence as HTML, with marks around the words that must not be translated."""
    pieces = []
    for piece in sentence:
        text = html.escape(piece.text, quote=False)
        pieces.append(_GLOSSARY.sub(lambda word: _KEEP.format(word[0]), text) if piece.natural else _KEEP.format(text))
    return "".join(pieces)


def _checked(sentence: Sentence, translated: str) -> str | None:
    text = " ".join(html.unescape(_KEEPING.sub("", translated)).split())
    clean = "".join(piece.text for piece in sentence)
    if (
        not is_believable(sentence, text)
        or _DISTRUSTED.search(text)
        or _GLOSSARY.findall(text.lower()) != (_GLOSSARY.findall(clean.lower()))
    ):
        return None
    first, words = clean.split(" ", 1)[0], text.split(" ", 2)
    if len(words) > 1 and words[0] == first and clean[len(first) + 1 : len(first) + 2].islower():
        words[1] = words[1][:1].lower() + words[1][1:]  # Apertium begins a new sentence after an untranslated word
    return " ".join(words)


def _round_trip(texts: Sequence[str]) -> list[str]:
    """Return HTML texts translated to Spanish and back; raise RaysweepError if some are lost.

    Apertium loses the last text of a page if it has a ``^`` in a marked word, so such a page gets one more text.
    """
    for padding in ([], [_PADDING]):
        page = "\n".join(f"<p>{text}</p>" for text in [*texts, *padding])
        returned = _PARAGRAPH.findall(_translate(_translate(page, _THERE), _BACK))
        if len(returned) == len(texts) + len(padding):
            return returned[: len(texts)]
    raise RaysweepError(f"apertium returned {len(returned)} of {len(texts) + 1} sentences")


def _translate(page: str, pair: str) -> str:
    try:
        done = subprocess.run(
            ["apertium", "-u", "-f", "html", pair],
            input=page.encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
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
    commands = (["dpkg-query", "--show", "--showformat=${Version}", package], ["apertium", "-V"])
    for command in commands:
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.split()[-1]
    return "unknown"
