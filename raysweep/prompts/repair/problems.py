"""A problem whose answers are patches: a file with a faulty hunk, and tests that the file is to pass."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from raysweep.programs import PYTHON, Program
from raysweep.prompts.python_tokens import statement_at_margin
from raysweep.prompts.repair.code import end_of_block, normal, without_comments
from raysweep.prompts.repair.hunks import NO_HUNK, Hunk, HunkPlace, hunk_in
from raysweep.prompts.repair.styles import MASK, MASK_END, RepairAnswer
from raysweep.records import Problem


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of a file: the program to judge, and whether the patch is the published one."""

    program: Program
    is_exact: bool  # but for comments and layout, see `normal`


@dataclass(frozen=True, slots=True)
class RepairProblem(Problem):
    """A file with a faulty hunk.

    `prompt` is what models are shown of it, as one text with a marked hunk (hunks.py): the function, or the file.
    `reference` mends the hunk. `test` is as in `Problem` in Python, or statements that run as they are; in Java it is
    JUnit's tests or a class `Main`, in C++ a `main`. Without tests, a patch can only be an exact match.
    """

    hunk: Hunk = NO_HUNK  # in what the prompt shows, as the file has it: indented, with comments
    file_before: str = ""  # what the file has before that
    file_after: str = ""  # and behind it
    declaration: str = ""  # see `Program.declaration`
    is_script: bool = False  # Python: `test` runs as it is, without a call of ``check`` behind it

    @override
    def assemble(self, completion: str) -> Program:
        last = completion and not completion.endswith("\n") and not self.hunk.after and self.file_after
        return self._program(f"{self.hunk.patched(completion)}{chr(10) if last else ''}")

    def patch(self, answer: str, way: RepairAnswer) -> Patch | None:
        """Return the patch in what a model answered; None if there is none.

        Nothing in the place of lines takes them out. That is a patch where CodeT5 said what fills its mask: where the
        next mask or the end of the answer follows at once.
        """
        if way is RepairAnswer.REST:
            return self._patch_of_rest(answer)
        fixed, is_filled = answer, True
        if way is RepairAnswer.SPAN:
            span, next_mask, _ = answer.removeprefix(MASK).partition(MASK_END)
            fixed, is_filled = self._behind_indent(span), bool(next_mask) or not span
        if not fixed.strip() and not (is_filled and self.hunk.buggy.strip()):
            return None
        return Patch(self.assemble(fixed), self._is_exact(self.hunk.patched(fixed)))

    @property
    def place(self) -> HunkPlace:
        start = len(self.file_before) + len(self.hunk.before)
        file = f"{self.file_before}{self.hunk.code}{self.file_after}"
        return HunkPlace(file, start, start + len(self.hunk.buggy), self.language, self.hunk.indent)

    def patch_of_file(self, text: str) -> Patch | None:
        """Return the patch that a whole patched file is; None if the file is empty."""
        if not text.strip():
            return None
        mended = None if self.reference is None else normal(self.assemble(self.reference).text, self.language)
        return Patch(self.program(text), normal(text, self.language) == mended)

    def _is_exact(self, code: str) -> bool:
        if self.reference is None:
            return False
        return normal(code, self.language) == normal(self.hunk.patched(self.reference), self.language)

    def _behind_indent(self, span: str) -> str:
        """Return the text that fills a mask, behind the indent that the prompt shows before the mask.

        Where the hunk is empty, that indent is one of the code around, and a span that brings a deeper one keeps it.
        """
        indent, bare = self.hunk.indent, span.lstrip(" \t")
        if not bare.strip():
            return ""
        brought = span[: len(span) - len(bare)]
        is_deeper = len(brought.expandtabs()) > len(indent.expandtabs())
        return span if not indent or (is_deeper and not self.hunk.buggy.strip()) else f"{indent}{bare}"

    def _patch_of_rest(self, answer: str) -> Patch | None:
        """Return the patch of an answer that goes on where the hunk begins, up to the end of what the prompt shows.

        In Java that is the brace that closes the first one. In Python the rest ends before the next statement at the
        margin, and what the file has from there on stays.
        """
        if self.language == PYTHON:
            code = f"{self.hunk.before}{answer}"
            end = statement_at_margin(code, len(self.hunk.before) + len(answer.partition("\n")[0]) + 1)
            code = code[:end]
            if not code[len(self.hunk.before) :].strip():
                return None
            rest = statement_at_margin(self.hunk.code, len(self.hunk.before) + len(self.hunk.buggy))
            code += "" if code.endswith("\n") else "\n"
            code += "" if rest is None else self.hunk.code[rest:]  # such as other functions that it calls
        else:
            code = f"{hunk_in(self.prompt)[0].before}{answer}"
            end = end_of_block(code)
            if end is None:
                return None
            code = f"{without_comments(code[:end], self.language)}\n"
        return Patch(self._program(code), self._is_exact(code))

    def _program(self, function: str) -> Program:
        text = f"{self.file_before}{function}{self.file_after}"
        calls_check = self.language == PYTHON and self.test and not self.is_script
        test = f"{self.test}\ncheck({self.entry_point})" if calls_check else self.test
        return Program(text, test, self.language, declaration=self.declaration)
