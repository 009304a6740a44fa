"""A problem whose answers are patches: a file with a faulty hunk, and tests that the file is to pass."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysweep.programs import PYTHON, Program
from raysweep.prompts.repair.code import end_of_block, normal, without_comments
from raysweep.prompts.repair.hunks import NO_HUNK, Hunk, hunk_in
from raysweep.prompts.repair.styles import MASK, MASK_END, RepairAnswer
from raysweep.records import Problem

_NEXT_STATEMENT = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of a file: the program to judge, and whether the patch is the published one."""

    program: Program
    is_exact: bool  # but for comments and white space


@dataclass(frozen=True, slots=True)
class RepairProblem(Problem):
    """A file with a faulty hunk.

    `prompt` is what models are shown of it, as one text with a marked hunk (hunks.py): the function, or the file.
    `reference` mends the hunk. `test` is as in `Problem` in Python, and the tests of JUnit in Java. Without tests, a
    patch can only be an exact match.
    """

    hunk: Hunk = NO_HUNK  # in what the prompt shows, as the file has it: indented, with comments
    file_before: str = ""  # what the file has before that
    file_after: str = ""  # and behind it
    declaration: str = ""  # see `Program.declaration`

    def assemble(self, completion: str) -> Program:
        """Return the program of the file with a text in the hunk's place."""
        last = completion and not completion.endswith("\n") and not self.hunk.after and self.file_after
        return self._program(f"{self.hunk.patched(completion)}{chr(10) if last else ''}")

    def patch(self, answer: str, way: RepairAnswer) -> Patch | None:
        """Return the patch in what a model answered; None if there is none.

        Nothing in the place of lines takes them out. That is a patch where CodeT5 said what fills its mask: where the
        next mask or the end of the answer follows at once.

        Args:
            answer: as it was written.
            way: what the model was asked for.
        """
        if way is RepairAnswer.REST:
            return self._patch_of_rest(answer)
        fixed, is_filled = answer, True
        if way is RepairAnswer.SPAN:
            span, next_mask, _ = answer.removeprefix(MASK).partition(MASK_END)
            fixed, is_filled = self._behind_indent(span), bool(next_mask) or not span
        if not fixed.strip() and not (is_filled and self.hunk.buggy.strip()):
            return None
        is_exact = self.reference is not None and self._normal(fixed) == self._normal(self.reference)
        return Patch(self.assemble(fixed), is_exact)

    def _behind_indent(self, span: str) -> str:
        """Return the text that fills a mask, behind the indent that the prompt shows before the mask."""
        indent = self.hunk.indent
        if not span.strip():
            return ""
        return f"{indent}{span.lstrip(' ' + chr(9))}" if indent else span

    def _patch_of_rest(self, answer: str) -> Patch | None:
        """Return the patch of an answer that goes on where the hunk begins, up to the end of what the prompt shows.

        In Java that is the brace that closes the first one. In Python the rest ends before the next line at the margin,
        and what the file has from there on stays.
        """
        shown = hunk_in(self.prompt)[0]
        if self.language == PYTHON:
            found = _NEXT_STATEMENT.search(answer, len(answer.partition("\n")[0]) + 1)
            rest = answer[: found.start()] if found else answer
            code = self.hunk.before + rest + ("" if rest.endswith("\n") else "\n")
            if not rest.strip():
                return None
            code = self._with_the_rest_of_the_file(code)
        else:
            code = shown.before + answer
            end = end_of_block(code)
            if end is None:
                return None
            code = f"{without_comments(code[:end], self.language)}\n"
        right = None if self.reference is None else self._normal(self.hunk.patched(self.reference))
        return Patch(self._program(code), self._normal(code) == right)

    def _with_the_rest_of_the_file(self, code: str) -> str:
        """Return a function in Python with what the prompt's file has behind it, such as others that it calls."""
        found = _NEXT_STATEMENT.search(self.hunk.after)
        if found is None:
            return code
        return f"{code}{self.hunk.after[found.start() :]}"

    def _normal(self, code: str) -> str:
        return normal(code, self.language)

    def _program(self, function: str) -> Program:
        text = f"{self.file_before}{function}{self.file_after}"
        test = f"{self.test}\ncheck({self.entry_point})" if self.language == PYTHON and self.test else self.test
        return Program(text, test, self.language, declaration=self.declaration)
