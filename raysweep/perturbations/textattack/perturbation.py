"""``textattack:NAME``: any of textattack's transformations as a perturbation (``textattack:WordSwapQWERTY``).

Source: https://github.com/QData/TextAttack (Morris et al. 2020), which the extra `attack` installs. textattack's
Augmenter transforms every word to keep one; here words are drawn first, and each is transformed alone within its line.

Not covered: transformations with an argument that has no default. Transformations that draw from a set of strings
(``WordInsertionRandomSynonym``) give different texts under different values of PYTHONHASHSEED.
"""

from __future__ import annotations

import os.path
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from typing_extensions import override

from raysweep.errors import UnknownName, UsageError
from raysweep.machine import versions
from raysweep.perturbations.base import PERTURBATIONS, Perturbation, percentage
from raysweep.perturbations.edits import Edit, apply_edits
from raysweep.perturbations.textattack.loading import load_textattack, require_textattack
from raysweep.perturbations.textattack.words import Span, free_spans, word_spans
from raysweep.records import Segment

PREFIX = "textattack"
RATE = 0.1
"""Share of the words that are changed at strength 1: the default of textattack's Augmenter."""

_PROBE = "Return the 3 largest numbers of a list, which doesn't change."
_SPLIT_TOKEN = "<SPLIT>"  # separates columns in textattack
_CLASS = re.compile(r"^class (\w+)\((\w+)", re.MULTILINE)
_ABSTRACT = frozenset({"Transformation", "CompositeTransformation"})


class Word(NamedTuple):
    """A word that may be changed."""

    line: Any  # its line as an AttackedText
    line_start: int  # position of the line in the text
    word_index: int  # among the line's words
    free: Span  # the piece of the text around it that may be changed too


class TextattackPerturbation(Perturbation):
    """A textattack transformation changes the share .1 x strength of a text's words.

    Raises:
        UsageError: textattack isn't installed, or the transformation can't be used on this machine.
    """

    level = "word"

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__(strength)
        self._transformation = _transformation(self.title)

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        words = list(_words("".join(segment.text for segment in segments), free_spans(segments, protected)))
        wanted = len(words) * min(1.0, RATE * self.strength)
        count = int(wanted) + (rng.random() < wanted % 1)
        edits: list[tuple[int, int, str]] = []
        if count:
            rng.shuffle(words)
            with global_generators(rng):
                for word in words:
                    edit = self._edit(word, rng)
                    if edit is not None and not any(edit[0] < end and start < edit[1] for start, end, _ in edits):
                        edits.append(edit)
                    if len(edits) == count:
                        break
        return apply_edits(segments, _in_segments(sorted(edits), segments))

    @override
    def fingerprint(self) -> Mapping[str, str]:
        installed = versions(("textattack", "nltk"))
        return {"textattack": f"{installed['textattack']}, nltk {installed['nltk']}"}

    @override
    def rate_text(self) -> str:
        return percentage(RATE * self.strength, "words")

    def _edit(self, word: Word, rng: random.Random) -> tuple[int, int, str] | None:
        """Return one change of a word as (start, end, new text), or None if each would touch what has to stay."""
        before = word.line.text
        changed = {text.text for text in self._transformation(word.line, indices_to_modify=[word.word_index])}
        texts = sorted(changed - {before})
        if not texts:
            return None
        after = rng.choice(texts)
        head = len(os.path.commonprefix([before, after]))  # noqa: RUF071  # of characters
        tail = len(os.path.commonprefix([before[head:][::-1], after[head:][::-1]]))  # noqa: RUF071
        old, new = before[head : len(before) - tail], after[head : len(after) - tail]
        start, end = word.line_start + head, word.line_start + len(before) - tail
        if start < word.free[0] or end > word.free[1] or len(f"{old}{new}x".splitlines()) > 1:
            return None
        return start, end, new


@PERTURBATIONS.register_prefix(PREFIX)
@cache
def transformation_as_perturbation(name: str) -> type[Perturbation]:
    """Return the class of ``textattack:name``, without importing textattack.

    Raises:
        UsageError: textattack isn't installed.
        UnknownName: textattack has no such transformation; the message offers the nearest one.
    """
    try:
        require_textattack()
    except UsageError as error:
        raise UsageError(f"perturbation {PREFIX}:{name}: {error}") from None
    known = transformation_names()
    if name not in known:
        raise UnknownName("transformation of textattack", name, known)
    document = f"textattack's transformation {name}, on a tenth of the words at strength 1."
    return type(name, (TextattackPerturbation,), {"name": f"{PREFIX}:{name}", "title": name, "__doc__": document})


@cache
def transformation_names() -> tuple[str, ...]:
    """Return the names of textattack's transformations: the classes of its files that no other class extends.

    They are read from the source files, since importing textattack takes seconds and half a gigabyte.

    Raises:
        UsageError: textattack isn't installed.
    """
    folder = require_textattack() / "transformations"
    classes = [pair for file in folder.rglob("*.py") for pair in _CLASS.findall(file.read_text(encoding="utf-8"))]
    bases = {base for _, base in classes} | _ABSTRACT
    return tuple(sorted(name for name, _ in classes if name not in bases))


@contextmanager
def global_generators(rng: random.Random) -> Iterator[None]:
    """Seed the global generators of Python and NumPy, from which textattack draws; restore their states at the end."""
    import numpy as np

    before = random.getstate(), np.random.get_state()
    random.seed(rng.getrandbits(64))
    np.random.seed(rng.getrandbits(32))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@cache
def _transformation(name: str) -> Any:
    """Return a transformation after trying it on a probe, so that a missing resource is reported before work starts."""
    load_textattack()
    from textattack import transformations
    from textattack.shared import AttackedText

    try:
        transformation = getattr(transformations, name)()
        with global_generators(random.Random(0)):
            transformation(AttackedText(_PROBE))
    except Exception as error:  # each needs something else: arguments, WordNet, a model
        lines = [line.strip(" *") for line in str(error).splitlines() if line.strip(" *")]
        why = f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
        raise UsageError(
            f"perturbation {PREFIX}:{name} can't be used here ({why}); bring what it needs to this machine, "
            "or choose another one"
        ) from error
    return transformation


def _words(text: str, free: Sequence[Span]) -> Iterator[Word]:
    from textattack.shared import AttackedText

    line_start = 0
    for line in text.splitlines(keepends=True):
        line_end = line_start + len(line)
        around = [span for span in free if span[0] < line_end and line_start < span[1]] if line.strip() else []
        if around and _SPLIT_TOKEN not in line:
            attacked = AttackedText(line)
            for index, (start, end) in enumerate(word_spans(line, attacked.words)):
                for span in around:
                    if span[0] <= line_start + start and line_start + end <= span[1]:
                        yield Word(attacked, line_start, index, span)
        line_start = line_end


def _in_segments(edits: Sequence[tuple[int, int, str]], segments: Sequence[Segment]) -> Iterator[Edit]:
    segment_start, index = 0, 0
    for start, end, text in edits:
        while not (segments[index].natural and end <= segment_start + len(segments[index].text)):
            segment_start += len(segments[index].text)
            index += 1
        yield Edit(index, start - segment_start, end - segment_start, text)
