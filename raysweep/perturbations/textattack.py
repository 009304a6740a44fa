"""``textattack:NAME``: any of textattack's transformations, as a perturbation (``textattack:WordSwapQWERTY``).

Source: https://github.com/QData/TextAttack (Morris et al. 2020), which the extra `attack` installs. Its Augmenter,
which transforms every word to keep one, takes no part: words are drawn first and transformed alone, in their lines.

Not covered: transformations with arguments that have no default; and those that draw from a set of strings
(``WordInsertionRandomSynonym``) give other texts under another PYTHONHASHSEED.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation, share
from raysweep.perturbations.words import Edit, replaced
from raysweep.records import Segment
from raysweep.textattack.loading import load_textattack, require_textattack
from raysweep.textattack.names import transformation_names
from raysweep.textattack.words import Span, free_spans, word_spans

PREFIX = "textattack"
RATE = 0.1
"""Share of the words that is changed at strength 1: the default of textattack's Augmenter."""

_PROBE = "Return the 3 largest numbers of a list, which doesn't change."
_SPLIT_TOKEN = "<SPLIT>"  # means another column to textattack


class Word(NamedTuple):
    """A word that may be changed. `line_start`: in the text; `free`: the piece around it that may be changed too."""

    line: Any  # an AttackedText
    line_start: int
    number: int  # among the line's words
    free: Span


class TextAttack(Perturbation):
    """The share .1 x strength of a text's words is changed by a textattack transformation.

    Raises:
        UsageError: textattack isn't installed, or the transformation can't be had on this machine.
    """

    level = "word"

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__(strength)
        self._transformation = _transformation(self.title)

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return one natural-language text, changed."""
        return "".join(segment.text for segment in self.perturb([Segment(text, True)], rng, protected))

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, words of the natural ones changed."""
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
        return replaced(segments, _placed(sorted(edits), segments))

    def fingerprint(self) -> Mapping[str, str]:
        """Return the versions of textattack and nltk."""
        return {"textattack": f"{version('textattack')}, nltk {version('nltk')}"}

    def rate_text(self) -> str:
        """Return the share of words."""
        return share(RATE * self.strength, "words")

    def _edit(self, word: Word, rng: random.Random) -> tuple[int, int, str] | None:
        """Return (start, end, new text) of one change, None where there is none that leaves the rest as it is."""
        before = word.line.text
        made = {text.text for text in self._transformation(word.line, indices_to_modify=[word.number])}
        texts = sorted(made - {before})
        if not texts:
            return None
        after = rng.choice(texts)
        low, high = _common(before, after)
        old, new = before[low : len(before) - high], after[low : len(after) - high]
        start, end = word.line_start + low, word.line_start + len(before) - high
        if start < word.free[0] or end > word.free[1] or len(f"{old}{new}x".splitlines()) > 1:
            return None
        return start, end, new


@PERTURBATIONS.register_prefix(PREFIX)
@cache
def transformation_as_perturbation(name: str) -> type[Perturbation]:
    """Return the perturbation ``textattack:name``; textattack is not imported for that.

    Raises:
        UsageError: textattack isn't installed.
        UnknownName: it has no such transformation; the nearest one is offered.
    """
    try:
        require_textattack()
    except UsageError as error:
        raise UsageError(f"perturbation {PREFIX}:{name}: {error}") from None
    known = transformation_names()
    if name not in known:
        raise UnknownName("transformation of textattack", name, known)
    document = f"textattack's transformation {name}, on a tenth of the words at strength 1."
    return type(name, (TextAttack,), {"name": f"{PREFIX}:{name}", "title": name, "__doc__": document})


@contextmanager
def global_generators(rng: random.Random) -> Iterator[None]:
    """Seed the global generators of Python and NumPy, which textattack draws from, and put their states back."""
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
    """Return a transformation that has changed a probe, so that what it wants is there before work starts."""
    load_textattack()
    from textattack import transformations
    from textattack.shared import AttackedText

    try:
        made = getattr(transformations, name)()
        with global_generators(random.Random(0)):
            made(AttackedText(_PROBE))
    except Exception as error:  # whatever it wants: arguments, WordNet, a model
        lines = [line.strip(" *") for line in str(error).splitlines() if line.strip(" *")]
        why = f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
        raise UsageError(
            f"perturbation {PREFIX}:{name} can't be used here ({why}); bring what it wants to this machine, "
            "or choose another one"
        ) from error
    return made


def _words(text: str, free: Sequence[Span]) -> Iterator[Word]:
    """Yield the words of a text that lie in its free pieces."""
    from textattack.shared import AttackedText

    line_start = 0
    for line in text.splitlines(keepends=True):
        line_end = line_start + len(line)
        around = [span for span in free if span[0] < line_end and line_start < span[1]] if line.strip() else []
        if around and _SPLIT_TOKEN not in line:
            attacked = AttackedText(line)
            for number, (start, end) in enumerate(word_spans(line, attacked.words)):
                for span in around:
                    if span[0] <= line_start + start and line_start + end <= span[1]:
                        yield Word(attacked, line_start, number, span)
        line_start = line_end


def _common(before: str, after: str) -> tuple[int, int]:
    """Return how many characters two texts share at their starts, and at their ends after that."""
    least = min(len(before), len(after))
    low = next((at for at in range(least) if before[at] != after[at]), least)
    high = next((at for at in range(least - low) if before[-1 - at] != after[-1 - at]), least - low)
    return low, high


def _placed(edits: Sequence[tuple[int, int, str]], segments: Sequence[Segment]) -> Iterator[Edit]:
    """Yield edits of a text, in order, as edits of the natural segments that they lie in."""
    at, index = 0, 0
    for start, end, text in edits:
        while not (segments[index].natural and end <= at + len(segments[index].text)):
            at += len(segments[index].text)
            index += 1
        yield Edit(index, start - at, end - at, text)
