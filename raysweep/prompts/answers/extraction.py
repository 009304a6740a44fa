"""Makes a program of an answer: what a model, a server or a samples file gives, and the prompt that it answers.

A completion continues its prompt, and is not looked at unless the config asks for it. A chat's answer may hold prose,
reasoning, several blocks of code, a whole program or a body alone. Of its candidates the one counts that parses and
defines the entry point. `extracted` is the only place where this is decided, for every generator and command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from raysweep.programs import Program
from raysweep.prompts.answers.evalplus import sanitized
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.markdown import after_fences, before_fences, code_blocks, code_spans, has_fences
from raysweep.prompts.answers.marks import (
    behind_calls,
    fenced,
    has_marks,
    insides,
    is_marked,
    mark_spans,
    with_plain_tags,
    without_brackets,
    without_end,
)
from raysweep.prompts.answers.patches import ReadPatch, file_in, read_patch
from raysweep.prompts.answers.python import PythonReader
from raysweep.prompts.answers.readers import READERS, CodePiece, Reader
from raysweep.prompts.answers.reasoning import reasoning_spans, without_reasoning
from raysweep.prompts.answers.tool_calls import argument_texts
from raysweep.prompts.answers.ways import PATCHES, Extract
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.prompts.repair.styles import RepairAnswer
from raysweep.records import Problem

LONGEST = 200_000
"""Characters of an answer that are looked at; a longer one is judged as it is written."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer's program, and where it was."""

    program: Program
    found: Found = Found.WRITTEN
    is_exact: bool | None = None  # whether it is the published patch; None: no patch was asked for
    opening: str = ""  # of the program: what its problem puts before every one (`Problem.opening`)

    @property
    def text(self) -> str:
        """The program without what no model wrote."""
        return self.program.text.removeprefix(self.opening)


def extracted(problem: Problem, answer: str | None, way: Extract, *, alone: bool = False) -> Extracted:
    """Return the program of an answer to a problem.

    `problem`: with the clean prompt, whatever the model was shown. `answer`: as it was written; None: there is none,
    since the prompt was too long for the model. An empty one takes a hunk out, and none is no patch. `alone`: the
    answer is a program of its own, and the prompt is no part of it, such as EvalPlus's ``solution``; for repair, the
    whole patched file. So are all answers to a prompt that isn't code (`Problem.begins_program`).
    """
    if isinstance(problem, RepairProblem):
        return _patched(problem, answer, way, is_file=alone)
    answer, alone = answer or "", alone or not problem.begins_program
    if way is Extract.NONE and not alone:
        return Extracted(problem.assemble(answer), opening=problem.opening)
    if way in (Extract.NONE, Extract.STUDY):
        text = answer if way is Extract.NONE else _cut(answer, problem.stop, problem.entry_point if alone else "")
        program = problem.program(text) if alone else problem.assemble(text)
        return Extracted(program, opening=problem.opening)
    prompt = "" if alone else problem.prompt
    text, found = _program(answer, way, prompt, problem.entry_point, problem.stop, problem.language)
    return Extracted(problem.program(text), found, opening=problem.opening)


def _patched(problem: RepairProblem, answer: str | None, way: Extract, *, is_file: bool) -> Extracted:
    """`Extract.AUTO` takes a patch out of what a chat wrote.

    Templates for repair, and so all sweeps, never ask for it: there, an answer is the lines in the hunk's place as it
    is written, and what looks like more is named.
    """
    asked = RepairAnswer(way.value) if way in PATCHES else RepairAnswer.HUNK
    patch, found = None, Found.PATCH
    if answer is not None and is_file:
        patch = problem.patch_of_file(file_in(problem, answer) if way is Extract.AUTO else answer)
    elif answer is not None:
        is_read = asked is RepairAnswer.HUNK and len(answer) <= LONGEST
        read = read_patch(problem, answer) if is_read else ReadPatch(answer, Found.LINES)
        if way is not Extract.AUTO or not is_read:
            patch = problem.patch(answer, asked)
            is_lines = read.kind is Found.LINES and read.is_written(answer)
            found = Found.PATCH if is_lines else Found.MISPLACED
        elif read.kind is Found.LINES:
            patch = problem.patch(read.text, asked)
            found = Found.PATCH if read.text == answer else Found.LINES
        elif read.kind is not Found.NO_PATCH:
            patch, found = problem.patch_of_file(read.text), read.kind
    if patch is None:
        return Extracted(problem.program(""), Found.NO_PATCH, False)
    return Extracted(patch.program, found, patch.is_exact)


@lru_cache(maxsize=1024)
def _program(
    answer: str, way: Extract, prompt: str, entry_point: str, stop: tuple[str, ...], language: str
) -> tuple[str, Found]:
    """Return the text of an answer's program, and where it was. Equal answers mostly follow one another."""
    if language in READERS and len(answer) <= LONGEST:
        candidates = _Candidates(answer, READERS[language](prompt, entry_point), stop)
        found = next(candidates.of(way), None)
        if found is not None:
            return found
    return f"{prompt}{_cut(answer, stop) if prompt else answer}", Found.NOTHING


class _Candidates:
    """The candidates of one answer, the likeliest first."""

    def __init__(self, answer: str, reader: Reader[Any], stop: tuple[str, ...]) -> None:
        self._answer, self._reader, self._stop = answer, reader, stop

    def of(self, way: Extract) -> Iterator[tuple[str, Found]]:
        """Yield (program, where it was)."""
        is_prose = is_marked(self._answer)
        if way is Extract.AUTO and not is_prose and self._reader.is_body(self._answer):
            yield f"{self._reader.prompt}{_cut(self._answer, self._stop)}", Found.BODY
            return
        text = self._answer.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        text = without_end(text)
        if is_prose and not self._is_answer(text):
            is_code = self._reader.is_code
            text = without_reasoning(text, lambda code: any(map(is_code, without_brackets(code))), self._is_answer)
            text = with_plain_tags(text)
        if way is Extract.EVALPLUS:
            yield from self._as_evalplus(text)
        elif way is Extract.AUTO:
            if has_marks(after_fences(text)):  # a call behind all blocks
                yield from self._in_calls(after_fences(text))
            for written in self._writings(text):
                yield from self._any(written)
        else:
            whole = fenced(text) if has_marks(text) and not has_fences(text) else text
            yield from self._block(whole, first=way is Extract.FIRST)

    def _is_answer(self, text: str) -> bool:
        """Return True if a text is or holds a program that all marks of reasoning in it are part of."""
        return self._is_as_written(text) or self._holds(text, reasoning_spans(text))

    def _is_as_written(self, text: str) -> bool:
        """Return True if a text is a program, or goes on with the prompt, so that all marks are in its strings."""
        reader = self._reader
        return reader.whole(text) is not None or (
            reader.prompt != "" and reader.whole(f"{reader.prompt}{text}") is not None
        )

    def _writings(self, text: str) -> Iterator[str]:
        """Yield a text as it is and with fences in the place of marks; first what is code as it is written."""
        if not has_marks(text):
            yield text
            return
        if self._is_as_written(text) or self._holds(text, mark_spans(text)):
            yield text
        if behind := behind_calls(text):
            yield behind
        for inside in insides(text):
            if self._reader.whole(inside) is not None:
                yield inside if has_fences(inside) else f"```\n{inside}\n```"
        yield fenced(text)
        yield text

    def _holds(self, text: str, marks: Sequence[tuple[int, int]]) -> bool:
        """Return True if beside prose, without fences, there is a program that all marks of a text are in."""
        if has_fences(text) or not marks:
            return False
        piece = self._reader.in_text(text)
        programs = [piece.text] if piece is not None and self._reader.is_code(piece.text) else []
        programs += [inside for inside in insides(text) if self._reader.whole(inside) is not None]
        starts = [(start, start + len(code)) for code in programs if (start := text.find(code)) >= 0]
        return any(start <= marks[0][0] and marks[-1][1] <= end for start, end in starts)

    def _any(self, text: str) -> Iterator[tuple[str, Found]]:
        reader, opening = self._reader, before_fences(text)
        is_body = reader.begins_as_body(opening) and reader.whole(opening) is None
        if is_body and (program := reader.continued(opening, self._stop)):
            yield program, Found.BODY
        blocks = [_variants(block.readings) for block in code_blocks(text)]
        every = [_variants((opening,)), *blocks]
        if pieces := [piece for readings in every if (piece := self._piece(readings))]:
            others = [one for readings in every for one in without_brackets(readings[0])]
            whole = next(piece for at, piece in reversed([*enumerate(pieces)]) if not _is_excerpt(piece, pieces[:at]))
            yield self._program(whole, others), Found.FENCE if blocks else Found.TEXT
        if piece := reader.in_text(after_fences(text)):
            yield self._program(piece), Found.TEXT
        yield from self._in_calls(text)
        for readings in blocks:
            for reading in readings:
                if program := reader.continued(reading, self._stop):
                    yield program, Found.FENCE
        if opening != text and (piece := reader.in_text(text)):
            yield self._program(piece), Found.TEXT
        for span in code_spans(text):
            for code in dict.fromkeys([span, span.partition(" ")[2]]):
                if piece := reader.whole(code):
                    yield self._program(piece), Found.TEXT
        if program := reader.continued(text, self._stop):
            yield program, Found.BODY

    def _in_calls(self, text: str) -> Iterator[tuple[str, Found]]:
        arguments = argument_texts(text)
        for argument in arguments:
            code = [*(block.readings for block in reversed(code_blocks(argument))), (argument,)]
            for piece in filter(None, map(self._piece, code)):
                yield self._program(piece), Found.CALL
        for argument in arguments:
            if self._reader.begins_as_body(argument) and (program := self._reader.continued(argument, self._stop)):
                yield program, Found.CALL

    def _program(self, piece: CodePiece, others: Iterable[str] = ()) -> str:
        return self._reader.program(self._reader.without_examples(piece), others)

    def _piece(self, readings: tuple[str, ...]) -> CodePiece | None:
        for reading in readings:
            piece: CodePiece | None = self._reader.whole(reading)
            if piece:
                return piece
        pieces: list[CodePiece | None] = [self._reader.in_text(text) for text in without_brackets(readings[0])]
        return next((piece for piece in pieces if piece and self._reader.is_code(piece.text)), pieces[-1])

    def _block(self, text: str, *, first: bool) -> Iterator[tuple[str, Found]]:
        blocks = code_blocks(text)
        readings = _variants((blocks[0] if first else blocks[-1]).readings if blocks else (text,))
        found = Found.FENCE if blocks else Found.TEXT
        for reading in readings:
            if piece := self._reader.whole(reading):
                yield self._reader.program(piece), found
        for reading in readings:
            if program := self._reader.continued(reading, self._stop):
                yield program, found if blocks else Found.BODY

    def _as_evalplus(self, text: str) -> Iterator[tuple[str, Found]]:
        """Yield what EvalPlus keeps: of prompt and answer where that continues the prompt, else of the answer."""
        reader = self._reader
        if not isinstance(reader, PythonReader):  # EvalPlus reads no other language
            return
        joined = [f"{reader.prompt}\n{text}"] if reader.prompt else []
        for code in [*joined, text] if reader.begins_as_body(text) else [text, *joined]:
            kept = sanitized(code, reader.entry_point, reader.parsed)
            if reader.whole(kept) is not None:
                yield f"{kept}\n", Found.FENCE if has_fences(text) else Found.TEXT


def _cut(answer: str, stop: tuple[str, ...], defined: str = "") -> str:
    """Return an answer up to its first stop string; `defined`: only after the first line that defines this function."""
    definition = re.search(rf"\bdef +{re.escape(defined)}\b.*", answer) if defined else None
    start = definition.end() if definition else 0
    return answer[: min((at for text in stop if (at := answer.find(text, start)) >= 0), default=len(answer))]


def _variants(readings: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for reading in readings for one in without_brackets(reading)))


def _is_excerpt(piece: CodePiece, others: Sequence[CodePiece]) -> bool:
    lines = [line.strip() for line in piece.text.splitlines() if line.strip()]
    for other in others:
        every = [line.strip() for line in other.text.splitlines() if line.strip()]
        if any(every[at : at + len(lines)] == lines for at in range(len(every) - len(lines) + 1)):
            return True
    return False
