"""Reads edits of a file out of an answer: diffs, SEARCH and REPLACE blocks, and patches of OpenAI's ``apply_patch``.

Lines are found by their text, wherever they are indented; line numbers and counts in the heads of a diff don't matter.
SEARCH and REPLACE are aider's (https://aider.chat/docs/more/edit-formats.html), also with the words of git's conflicts;
``*** Begin Patch`` is described in https://cookbook.openai.com/examples/gpt4-1_prompting_guide. Not covered: edits of
other files, which don't fit this one and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from raysweep.prompts.repair.hunks import HunkPlace, indent_of

MOST_EDITS = 100
"""Edits of an answer that are read."""

_OPENS = re.compile(r"[ \t]*(?:<{5,}[ \t]*(?:[A-Za-z]|$)|-{5,}[ \t]*SEARCH\b)")
_BASE, _TURNS = re.compile(r"[ \t]*\|{5,}"), re.compile(r"[ \t]*={5,}[ \t]*$")
_CLOSES = re.compile(r"[ \t]*(?:>{5,}|\+{5,}[ \t]*REPLACE\b)")
_SEARCH_HEAD = re.compile(r":(?:start|end)_line:|-{5,}[ \t]*$")
_HEAD = re.compile(r"@@(?: |$|@@)|\*\*\* (?:Begin Patch|Update File)")
_FILES = re.compile(r"^--- [^\n]*\n\+\+\+ ", re.MULTILINE)
_BETWEEN = re.compile(r"(?:diff --git |index [0-9a-f]|--- \S|\+\+\+ \S|\\ No newline|\*\*\* )")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_WORD = re.compile(r"\w")
_MARK = re.compile(rf"(?:{_OPENS.pattern}|{_HEAD.pattern}|--- \S)")
_TAG = re.compile(r"<(?:parameter(?: name)?=)?\"?(\w+)\"?>")
_OLD = re.compile(r"(?:old|search|original|find)(?:_?(?:str|string|text|code|lines?|content))?", re.IGNORECASE)
_NEW = re.compile(r"(?:new|replace|replacement|updated|patched)(?:_?(?:str|string|text|code|lines?|content))?", re.I)

Edit = Sequence[tuple[str, str]]
"""Lines without their ends, each with its sign: "-" is taken out, "+" is put in, and " " stays."""


def marked_lines(answer: str) -> list[int]:
    """Return the indexes of the lines that mark edits."""
    return [at for at, line in enumerate(answer.split("\n")) if _MARK.match(line)]


def edits_in(answer: str, place: HunkPlace) -> list[Edit]:
    """Return the edits of an answer; without any mark of them, lines that take out such of the hunk are one."""
    lines = answer.split("\n")
    if found := list(_searches(lines)):
        return found[:MOST_EDITS]
    known = {line.strip() for line in place.lines}
    if _FILES.search(answer) or any(map(_HEAD.match, lines)):
        sections = list(_sections(lines))[:MOST_EDITS]
        return [edit for section in sections if (edit := _signed(section, known))]
    own = {line.strip() for line in place.lines[place.first : place.end] if _WORD.search(line)}
    signed = [line for line in lines if line.strip()]
    removes = any(line[0] == "-" and line[1:].strip() in own for line in signed)
    only_adds = any(line[0] == "+" for line in signed) and all(line[0] in "+ " for line in signed)
    edit = _signed(lines, known) if removes or only_adds else []
    return [edit] if edit else []


def edits_of_call(text: str, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    """Return the edits that arguments of a tool are, which say what is old and new.

    `pairs`: names and texts of the JSON in the text; parameters in tags are looked for too.
    """
    tags = (tag for tag in _TAG.finditer(text) if _OLD.fullmatch(tag[1]) or _NEW.fullmatch(tag[1]))
    inner = [(tag[1], text[tag.end() :].partition("</")[0].strip("\n")) for tag in islice(tags, MOST_EDITS)]
    return [
        _replacing(old.split("\n"), new.split("\n"))
        for (name, old), (other, new) in pairwise([*pairs, *inner])
        if _OLD.fullmatch(name) and _NEW.fullmatch(other)
    ][:MOST_EDITS]


def with_edits(edits: Sequence[Edit], place: HunkPlace) -> str | None:
    """Return the file after edits; None if none of them fits.

    An edit that fits the file only without earlier ones corrects these.
    """
    lines: Sequence[str] = place.lines
    fitting: list[Edit] = []
    for edit in edits:
        if (changed := _edited(lines, edit, place)) is not None:
            lines, fitting = changed, [*fitting, edit]
        elif (changed := _edited(place.lines, edit, place)) is not None:
            earlier, lines, fitting = fitting, changed, [edit]
            for one in earlier:
                if (changed := _edited(lines, one, place)) is not None:
                    lines, fitting = changed, [*fitting, one]
    return "".join(lines) if fitting else None


def _searches(lines: Sequence[str]) -> Iterator[Edit]:
    parts: list[list[str]] = []
    for line in lines:
        if not parts and _OPENS.match(line):
            parts = [[]]
        elif len(parts) == 1 and _BASE.match(line):
            parts = [parts[0], []]  # git's third version, which a second divider follows
        elif parts and len(parts) < 3 and _TURNS.match(line):
            parts = [parts[0], [], []]
        elif len(parts) == 3 and _CLOSES.match(line):
            yield _replacing(_bare(parts[0]), _bare(parts[2]))
            parts = []
        elif parts:
            parts[-1].append(line)


def _bare(part: list[str]) -> list[str]:
    """Return a part without fences around it, and without the head that some tools have before it."""
    while part and _SEARCH_HEAD.match(part[0]):
        part = part[1:]
    return part[1:-1] if len(part) > 1 and _FENCE.match(part[0]) and _FENCE.match(part[-1]) else part


def _replacing(old: list[str], new: list[str]) -> Edit:
    while old and new and not old[0].strip() and not new[0].strip():
        old, new = old[1:], new[1:]
    while old and new and not old[-1].strip() and not new[-1].strip():
        old, new = old[:-1], new[:-1]
    return [*(("-", line) for line in old), *(("+", line) for line in new)]


def _sections(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield what stands below each head of a diff, up to the next one, a fence, or a line that names a file."""
    section: list[str] | None = None
    for line in [*lines, "@@"]:
        is_head = _HEAD.match(line) is not None or line.startswith("+++ ")
        if is_head or _BETWEEN.match(line) or _FENCE.match(line):
            if section:
                yield section
            section = [] if is_head or line.startswith("***") else None
        elif section is not None:
            section.append(line)


def _signed(lines: Sequence[str], known: set[str]) -> Edit:
    """Return lines of a diff from the first change to the last, with those around them that the file has (`known`).

    A line without a sign stays. One with a "-" that the file lacks is rather an item of a list, if no new line follows.
    """
    signed = [(line[0], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line) for line in lines]
    for at, (sign, text) in reversed([*enumerate(signed)]):
        goes_on = at + 1 < len(signed) and signed[at + 1][0] != " "
        if _FENCE.match(lines[at]) or (sign == "-" and not goes_on and text.strip() not in known):
            signed[at] = (" ", lines[at])
    changed = [at for at, (sign, _) in enumerate(signed) if sign != " "]
    if not changed:
        return []
    begin, end = changed[0], changed[-1] + 1
    while begin and signed[begin - 1][1].strip() in known:
        begin -= 1
    while end < len(signed) and signed[end][1].strip() in known:
        end += 1
    while signed[begin][0] == " " and not signed[begin][1].strip():
        begin += 1
    while signed[end - 1][0] == " " and not signed[end - 1][1].strip():
        end -= 1
    return signed[begin:end]


def _edited(file: Sequence[str], edit: Edit, place: HunkPlace) -> list[str] | None:
    """Return a file with the lines of an edit, nearest to the hunk; None if it doesn't fit or changes nothing.

    Where the lines around its changes aren't there in this order, the changes alone are looked for.
    """
    bare = [line.strip() for line in file]
    changed = [at for at, (sign, _) in enumerate(edit) if sign != " "]
    for part in (edit, edit[changed[0] : changed[-1] + 1]) if changed else ():
        old = [text.strip() for sign, text in part if sign != "+"]
        above = next((at for at, (sign, _) in enumerate(part) if sign != " "), 0)
        places = _places(bare, old) if old else [place.first] if place.first == place.end else []
        if places:
            return _with_lines(file, part, min(places, key=lambda at: abs(at + above - place.first)))
    return None


def _places(file: Sequence[str], old: Sequence[str]) -> list[int]:
    begins = (at for at, line in enumerate(file) if line == old[0])
    return [at for at in begins if file[at : at + len(old)] == old]


def _with_lines(file: Sequence[str], edit: Edit, begin: int) -> list[str]:
    removed, kept, at = list[tuple[str, str]](), list[tuple[str, str]](), begin
    for sign, text in edit:
        if sign != "+":
            theirs, ours = indent_of(text), indent_of(file[at])
            if text.strip() and (sign == "-" or ours != f"{theirs} "):  # else it lacks its sign, a blank
                (removed if sign == "-" else kept).append((theirs, ours))
            at += 1
    theirs, ours = [*removed, *kept, ("", "")][0]
    new, at = list[str](), begin
    for sign, text in edit:
        if sign == "+":
            new.append(f"{_indented(text, theirs, ours)}\n" if text.strip() else "\n")
            continue
        if sign == " ":
            new.append(file[at] if file[at].endswith("\n") else f"{file[at]}\n")
        at += 1
    return [*file[:begin], *new, *file[at:]]


def _indented(line: str, theirs: str, ours: str) -> str:
    if ours.startswith(theirs):
        return ours.removeprefix(theirs) + line
    surplus = theirs.removeprefix(ours) if theirs.startswith(ours) else ""
    return line.removeprefix(surplus)
