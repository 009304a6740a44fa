"""Says why samples of a file don't compile, and which option helps.

The usual reasons are answers of a chat, with prose and fences around the code, whole programs where a completion is
expected, and bodies that have lost their indentation.
"""

from __future__ import annotations

from collections import Counter

from raysweep.programs import PYTHON
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.marks import is_marked
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Problem
from raysweep.tools.samples.format import Sample
from raysweep.units import count

MOST = 0.5
"""Share of the samples above which it is said that they don't compile, also where no option helps."""
TRIED = 200
"""Samples that are tried with the option; more tell nothing new."""
FENCED, WHOLE, INDENT = "fenced code (```) or tags", "a repeated signature", "no indentation"
BODY = "a body as `solution` (the whole program) in place of `completion`"


class Uncompiled:
    """Counts samples that don't compile. `extract`: how programs were taken out of them."""

    def __init__(self, extract: Extract) -> None:
        self._extract = extract
        self._samples = 0
        self._reasons: Counter[str] = Counter()
        self._tried = 0
        self._helped = 0

    def add(self, sample: Sample, problem: Problem) -> None:
        self._samples += 1
        if reason := _reason(sample, problem):
            self._reasons[reason] += 1
        if self._tried < TRIED and self._extract is not Extract.AUTO:
            self._tried += 1
            taken = extracted(problem, sample.text, Extract.AUTO, alone=sample.whole)
            judged = extracted(problem, sample.text, self._extract, alone=sample.whole)
            self._helped += taken.found is not Found.NOTHING and _differ(
                taken.program.text, judged.program.text, problem.language
            )

    def advice(self, samples: int) -> str:
        """Return a sentence, or "" if no option helps and most of the `samples` of the file compile."""
        if not self._helped and self._samples <= MOST * samples:
            return ""
        text = f"{self._samples:,} of {count(samples, 'sample')} {'do' if self._samples > 1 else 'does'}n't compile"
        if self._reasons:
            text += f": {', '.join(f'{reason} in {number:,}' for reason, number in self._reasons.most_common())}"
        if self._extract is Extract.AUTO:
            return f"{text}; --extract auto found no program in them"
        if self._helped:
            of = "of them" if self._tried == self._samples else f"of the first {self._tried:,}"
            text += f"; --extract auto finds a program in {self._helped:,} {of}"
        return text


def _differ(taken: str, judged: str, language: str) -> bool:
    return taken != judged if language == PYTHON else taken.split() != judged.split()  # blanks don't help a compiler


def _reason(sample: Sample, problem: Problem) -> str:
    if is_marked(sample.text):
        return FENCED
    is_indented = sample.text.lstrip("\n")[:1].isspace()
    if sample.whole or not problem.begins_program:
        return BODY if is_indented and sample.whole else ""
    if problem.language != PYTHON:
        opening = problem.prompt.rstrip().splitlines()[-1]  # of the function
        return WHOLE if "".join(opening.split()) in "".join(sample.text.split()) else ""
    if f"def {problem.entry_point}" in sample.text:
        return WHOLE
    return "" if is_indented else INDENT
