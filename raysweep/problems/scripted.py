"""Problems whose tests are statements that need no call: SafeCoder's and MBPP's asserts.

Their description ends before "Test examples:" and before the first assert, whatever that calls (study.md section 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.perturbations.regions import merge
from raysweep.problems.jsonl import FileProblem
from raysweep.programs import Program
from raysweep.records import Segment

_EXAMPLES = re.compile(r"\s*^[ \t]*(?:Test examples:|assert\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ScriptedProblem(FileProblem):
    """A problem whose `test` is run as it stands."""

    def assemble(self, completion: str) -> Program:
        """Return prompt + completion + a line break + tests, as SafeCoder and MultiPL-E run them.

        Source: https://github.com/eth-sri/SafeCoder/blob/main/scripts/func_eval_exec.py
        """
        return Program(f"{self.prompt}{completion}", self.test, self.language)


def without_examples(segments: Sequence[Segment]) -> list[Segment]:
    """Return a prompt's segments with everything verbatim from its first line of test examples on."""
    prompt = "".join(segment.text for segment in segments)
    found = _EXAMPLES.search(prompt)
    end = found.start() if found else len(prompt)
    made: list[Segment] = []
    at = 0
    for segment in segments:
        here = max(0, min(len(segment.text), end - at))
        made += [Segment(segment.text[:here], segment.natural), Segment(segment.text[here:], False)]
        at += len(segment.text)
    return merge(made)
