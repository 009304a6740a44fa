"""Takes the patch of a file out of what a chat wrote: lines in the hunk's place, edits, or definitions around the hunk.

What can be read as lines in the hunk's place is such lines. Else reasoning, marks and calls of tools are left out; of
blocks of code, one that is an edit, or a function, class or file around the hunk, comes before others, and later ones
come before earlier ones. What repeats the faulty code is a quotation.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.programs import PYTHON
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.markdown import code_blocks, code_spans
from raysweep.prompts.answers.marks import fenced, has_marks, is_marked, with_plain_tags, without_end
from raysweep.prompts.answers.readers import READERS
from raysweep.prompts.answers.reasoning import without_reasoning
from raysweep.prompts.answers.tool_calls import argument_pairs, is_named
from raysweep.prompts.repair.definitions import is_readable, names_around, text_lines, with_definitions
from raysweep.prompts.repair.edits import Edit, edits_in, edits_of_call, marked_lines, with_edits
from raysweep.prompts.repair.hunks import HunkPlace, indent_of
from raysweep.prompts.repair.problems import RepairProblem

_CODE = re.compile(r"[\n=(){};]|\b(?:return|raise|break|continue|pass|import)\b")
"""What a text has that is code of some lines, rather than a value."""
_MARK = re.compile(r"\s*(?:<|\[/?[A-Z][A-Z_ ]+\])")


@dataclass(frozen=True, slots=True)
class ReadPatch:
    """What a chat's answer is read as. `text`: the lines, or the whole file.

    `kind`: LINES, EDITS or WHOLE; NO_PATCH where it has reasoning alone, or edits that don't fit the file.
    """

    text: str = ""
    kind: Found = Found.NO_PATCH

    def is_written(self, answer: str) -> bool:
        """Return True if the lines are the answer, but for its indent."""
        return self.text.split() == answer.split()


def read_patch(problem: RepairProblem, answer: str) -> ReadPatch:
    place = problem.place
    is_code = is_marked(answer) and _is_code(answer, place)
    if (is_code or not is_marked(answer)) and not _calls(answer, place):
        read = _file_of(answer, place)
        if read is not None and read.text:
            return read
        is_plain = not any(sign in answer for sign in (*names_around(place), "`")) and not marked_lines(answer)
        if read is None and (is_code or is_plain or _is_code(answer, place)):
            return ReadPatch(_indented(answer, place), Found.LINES)
    said = _without_reasoning(problem, answer)
    if not said.strip():
        return ReadPatch()
    text = fenced(said) if has_marks(said) else said
    named = _edited(edits_of_call(said, argument_pairs(said)), place)
    files = [named] if named.text else list(_files(text, place))
    new = [read for read in files if read.text.split() != place.file.split()]
    lines = _lines(text, place)
    if not new and lines is not None and not (files and lines == text):
        return ReadPatch(_indented(lines, place), Found.LINES)
    return [*new, *files, ReadPatch()][0]  # what repeats the faulty code is rather a quotation


def file_in(problem: RepairProblem, answer: str) -> str:
    """Return the whole patched file that an answer is: its last block of code, or all of it."""
    if not is_marked(answer):
        return answer
    said = _without_reasoning(problem, answer)
    text = fenced(said) if has_marks(said) else said
    return [text, *(block.readings[0] for block in code_blocks(text))][-1]


def _without_reasoning(problem: RepairProblem, answer: str) -> str:
    if not is_marked(answer):
        return answer
    reader = READERS[problem.language]("", "")
    return with_plain_tags(without_reasoning(without_end(answer.replace("\r\n", "\n")), reader.is_code))


def _is_code(text: str, place: HunkPlace) -> bool:
    """Return True if a text can be read, alone or in the hunk's place, so that all marks are in its strings."""
    codes = (place.filled(_indented(text, place)), textwrap.dedent(text))
    return not _MARK.match(text) and any(is_readable(code, place.language) for code in codes)


def _file_of(text: str, place: HunkPlace) -> ReadPatch | None:
    """Return the file after the edits of a text, or with its definitions; None if it has neither."""
    edits = edits_in(text, place)
    if edits and not _are_in_texts(text, place):
        code, file = _defined(text, place)
        is_of_code = len(marked_lines(code)) == len(marked_lines(text)) and _are_in_texts(code, place)
        if not is_of_code or file is None:
            return _edited(edits, place)
        return ReadPatch(file, Found.WHOLE)
    is_of_text = edits and place.first in (text_lines(place.file, place.language) or ())  # the hunk is of a string
    if is_of_text and (read := _edited(edits, place)).text:
        return read
    file = _defined(text, place)[1]
    return None if file is None else ReadPatch(file, Found.WHOLE)


def _edited(edits: Sequence[Edit], place: HunkPlace) -> ReadPatch:
    file = with_edits(edits, place)
    return ReadPatch() if file is None else ReadPatch(file, Found.EDITS)


def _defined(text: str, place: HunkPlace) -> tuple[str, str | None]:
    """Return the code of a text, also beside prose, that defines what is around the hunk, and the file with it."""
    names = [name for name in names_around(place) if name in text]
    file = with_definitions(text, place) if names else None
    if file is not None or not names or (place.language == PYTHON and _is_code(text, place)):
        return text, file
    for name in names if place.language == PYTHON else names[::-1]:
        piece = READERS[place.language]("", name).in_text(text)
        file = with_definitions(piece.text, place) if piece is not None else None
        if piece is not None and file is not None and not _are_in_texts(text, place, piece.text):
            return piece.text, file
    return text, None


def _marks(text: str) -> list[int]:
    """Return the indexes of the lines that mark edits; without any, of those that begin with a sign."""
    return marked_lines(text) or [at for at, line in enumerate(text.split("\n")) if line[:1] in ("+", "-")]


def _are_in_texts(text: str, place: HunkPlace, code: str = "") -> bool:
    """Return True if all that marks edits, or else `code`, stands in strings or comments of what a text is."""
    marks = [text[: max(text.find(code), 0)].count("\n")] if code else _marks(text)
    for whole, first in ((textwrap.dedent(text), 0), (place.filled(text), place.first)):
        inside = text_lines(whole, place.language)
        if inside is not None and all(at + first in inside for at in marks):
            return True
    return False


def _files(text: str, place: HunkPlace) -> Iterator[ReadPatch]:
    """Yield the files that edits and definitions in a text make, the likeliest first."""
    pairs, blocks = argument_pairs(text), code_blocks(text)
    inner = [code for name, code in pairs if is_named(name) or _is_edit(code, place)]
    called: list[tuple[str, ...]] = [(code,) for code in inner]
    written = [block.readings for block in blocks]
    is_call = not written or bool(argument_pairs(written[-1][0]))  # else an answer stands behind it
    codes = [*written, *called] if is_call else [*called, *written]
    edits = [edit for readings in codes if _is_edit(readings[0], place) for edit in edits_in(readings[0], place)]
    found: list[ReadPatch | None] = []
    for readings in [(_beside_texts(text, place),), *codes][::-1]:
        code = next((code for code in readings if _is_code(code, place)), readings[0])
        is_edit = edits and _is_edit(readings[0], place)
        found.append(_edited(edits, place) if is_edit else _file_of(code, place))
    yield from (read for read in found if read is not None and read.text)


def _beside_texts(text: str, place: HunkPlace) -> str:
    """Return a text without blocks of code, or all, whose strings hold what marks edits."""
    for code in (text, *(block.readings[0] for block in code_blocks(text))):
        if marked_lines(code) and _are_in_texts(code, place):
            text = text.replace(code, "")
    return text


def _is_edit(text: str, place: HunkPlace) -> bool:
    return bool(edits_in(text, place)) and not _are_in_texts(text, place)


def _calls(text: str, place: HunkPlace) -> list[str]:
    """Return the code that a text which is JSON holds, unless the hunk begins like that."""
    if text.lstrip()[:1] not in ("{", "[") or place.hunk.lstrip()[:1] in ("{", "["):
        return []
    pairs = argument_pairs(text)
    codes = [code for name, code in pairs if is_named(name) and _CODE.search(code)]
    return codes or [new for _, new in pairs if edits_of_call("", pairs) or _is_edit(new, place)]


def _lines(text: str, place: HunkPlace) -> str | None:
    """Return the lines for the hunk's place: of the last block, or all; None if they are edits that don't fit."""
    calls = _calls(text, place)
    blocks: list[tuple[str, ...]] = [(code,) for code in calls]
    blocks = blocks or [block.readings for block in code_blocks(text)]
    if not blocks and not _is_code(text, place):  # prose, which may quote a line
        blocks = [(span,) for span in code_spans(text) if _CODE.search(span)]
    blocks = blocks or [(text,)]
    edits = [readings[0] for readings in blocks if _is_edit(readings[0], place)]
    if edits or marked_lines(_beside_texts(text, place)):
        return None
    new = [one for one in blocks if one[0].split() != place.hunk.split()] or blocks
    called = re.compile(rf"\b(?:{'|'.join(map(re.escape, names_around(place)))})\b")
    if not called.search(place.hunk):  # what calls the code is an example of its use
        new = [one for one in new if not called.search(one[0])] or new
    codes: list[str] = []
    for readings in new:
        if not any(readings[0].strip() in code for code in codes):  # what others hold is a part of them, or of a string
            codes += [code for code in readings if _is_code(code, place)][:1]
    return [new[-1][0], *codes][-1]


def _indented(answer: str, place: HunkPlace) -> str:
    """Return lines in Python with the hunk's indent, if all of them or the first one lost it; others as they are."""
    indent = place.indent
    if place.language != PYTHON or len(indent_of(answer)) >= len(indent) or not answer.strip():
        return answer
    for lines in (textwrap.indent(textwrap.dedent(answer.strip("\n")), indent), f"{indent}{answer.lstrip()}"):
        if is_readable(place.filled(lines), PYTHON):
            return lines
    return answer
