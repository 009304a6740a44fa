"""Problem set `defects4j`: 217 single hunks of Defects4J, as clm's prompts hold them (Just et al. 2014).

There are no tests: they need checkouts, old JDKs and a network. So a patch can only be an exact match of the
developers'. Where the developers added lines and took none out, the hunk is the line behind them, as in clm.
Sources: https://github.com/rjust/defects4j and https://github.com/lin-tan/clm
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import full_path
from raysweep.problems.repair.base import FILE, RepairSet, positions_in, repair_problem
from raysweep.programs import JAVA
from raysweep.prompts.comments import entry_point_of
from raysweep.prompts.repair.hunks import Fault, Hunk, lines_of
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows

_PROMPT = re.compile(
    r"(?P<before>.*?)// buggy lines start:\n(?P<buggy>.*?)// buggy lines end:\n(?P<after>.*)// fixed lines: ?\n",
    re.DOTALL,
)
_POSITION = re.compile(r"(\w+)\t(\w+)\t(\S+)\t(\d+)-(\d+)\t(\d+)-(\d+)")
_SECTION = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")

WITHOUT_FIX = frozenset({("Closure", "46"), ("Closure", "77")})
"""Bugs whose fix is no text in the hunk's place, so that no patch matches it.

The developers took the whole method of Closure 46 out, and added a line to Closure 77 one line before clm's hunk.
"""


class _Section(NamedTuple):
    """What stands together in a patch that takes a fix out: ``-`` before lines of the fix, ``+`` before the fault's."""

    header: str  # ends with the path of the file
    first: int  # number of the first line in the faulty file
    lines: list[str]


@PROBLEMS.register("defects4j")
class Defects4J(RepairSet):
    """Single hunks of Defects4J, without tests.

    Args:
        path: clm's prompts for fine-tuned models, defects4j/codegen_finetune_result/codegen_input.json.
        positions: clm's lines of the hunks, defects4j_loc.txt.
        patches: Defects4J's patches, PROJECT/patches/ID.src.patch: a folder with them, or a tar file.

    Raises:
        UsageError: a file that doesn't exist.
    """

    language = JAVA
    licence = "MIT AND BSD-3-Clause"
    origin = "https://github.com/rjust/defects4j"

    def __init__(self, path: str, positions: str, patches: str) -> None:
        super().__init__(path, FILE)
        self._positions, self._patches = full_path(positions), full_path(patches)
        check_file(self._positions)
        if not self._patches.is_dir():
            check_file(self._patches)

    @override
    def rows(self) -> Iterator[JsonRow]:
        try:
            prompts = read_json_rows(self.path)[0].fields["data"]
        except KeyError:
            raise UsageError(f"{self.path}: this is no file of clm's prompts; it needs `data`") from None
        for key, prompt in prompts.items():
            yield JsonRow(f"{self.path}: prompt {key}", {**prompt, "key": key})

    @override
    def developer_patches(self) -> Iterator[tuple[str, Fault]]:
        """Of all patches, also those that are no problem here; an id has one for each change."""
        for (project, number), patch in _read_patches(self._patches):
            for fault in _changes(patch):
                yield f"Defects4J/{project}-{number}", fault

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        patches = text_sha(canonical_json([[*name, text] for name, text in sorted(_read_patches(self._patches))]))
        return {**super().fingerprint(), "positions": content_sha(self._positions), "patches": patches}

    @cached_property
    def _sources(self) -> tuple[Mapping[tuple[str, str], tuple[str, int]], Mapping[tuple[str, str], str]]:
        """By project and number the path and first line of each hunk, and the patches."""
        means = "is PROJECT, ID, FILE, FIRST-END, FIRST-END, with tabs"
        found = (found for _, found in positions_in(self._positions, _POSITION, means))
        positions = {(one[1], one[2]): (one[3], int(one[4])) for one in found}
        return positions, dict(_read_patches(self._patches))

    @override
    def problem(self, row: JsonRow) -> Problem:
        project, number = row.fields["key"].split("_")[:2]
        parts = _PROMPT.fullmatch(str(row.fields.get("input", "")))
        if parts is None:
            raise UsageError(f"{row.place}: its `input` marks no buggy lines; take the prompts for fine-tuned models")
        positions, patches = self._sources
        if (project, number) not in positions or (project, number) not in patches:
            where = self._positions if (project, number) not in positions else self._patches
            raise UsageError(f"{row.place}: {where} has nothing on {project} {number}")
        is_known, fixed = (project, number) not in WITHOUT_FIX, ""
        if is_known:
            path, first = positions[project, number]
            end, source = first + len(lines_of(parts["buggy"])), f"{self._patches}: {project} {number}"
            fixed = _mended_lines(patches[project, number], path, first, end, source)
        fault = Fault(Hunk(parts["before"], parts["buggy"], parts["after"]), fixed)
        problem = repair_problem(
            f"Defects4J/{project}-{number}",
            fault.hunk.code,
            fault,
            language=JAVA,
            test="",
            context=FILE,
            entry_point=entry_point_of(parts["before"]),
        )
        return problem if is_known else replace(problem, reference=None)


def _read_patches(path: Path) -> Iterator[tuple[tuple[str, str], str]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.src.patch")):
            yield (file.parent.parent.name, file.name.partition(".")[0]), file.read_text(errors="replace")
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".src.patch") and (content := archive.extractfile(member)):
                    project, _, name = Path(member.name).parts[-3:]
                    yield (project, name.partition(".")[0]), content.read().decode("utf-8", "replace")
    except tarfile.TarError as error:
        raise UsageError(f"{path}: this is no tar file of patches ({error})") from None


def _changes(patch: str) -> Iterator[Fault]:
    """Yield the changes of a patch, each with the faulty lines around it that the patch shows."""
    for section in _sections(patch):
        at = 0
        for is_change, group in groupby(section.lines, lambda line: line[:1] in ("-", "+")):
            changed = list(group)
            end = at + len(changed)
            if is_change:
                buggy, fixed = ("".join(f"{line[1:]}\n" for line in changed if line[:1] == kind) for kind in "+-")
                around = (section.lines[:at], section.lines[end:])
                before, after = ("".join(f"{line[1:]}\n" for line in part if line[:1] != "-") for part in around)
                yield Fault(Hunk(before, buggy, after), fixed)
            at = end


def _sections(patch: str) -> Iterator[_Section]:
    header, section = "", None
    for line in [*patch.splitlines(), "diff "]:
        start = _SECTION.match(line)
        if start or line.startswith(("diff ", "--- ", "+++ ", "index ")):
            if section is not None:
                yield section
            header = header if start or line.startswith("index ") else line.rstrip()
            section = _Section(header, int(start[1]), []) if start else None
        elif section is not None and line[:1] in ("-", "+", " ", ""):
            section.lines.append(line)


def _mended_lines(patch: str, path: str, first: int, end: int, place: str) -> str:
    """Return the mended file's lines in the place of a hunk, which is the lines from `first` to before `end` of a file.

    The lines of the hunk that the patch leaves stay, each at its own place.

    Raises:
        UsageError: the patch doesn't reach all lines of the hunk, or changes none of them.
    """
    missing, is_changed, mended = set(range(first, end)), False, ""
    for section in _sections(patch):
        number = section.first
        for line in section.lines if section.header.endswith(path) else ():
            kind = line[:1] or " "
            if kind != "-":
                missing.discard(number)
            if first <= number < end + (kind == "-"):
                is_changed |= kind != " "
                mended += "" if kind == "+" else f"{line[1:]}\n"
            number += kind != "-"
    if missing or not is_changed:
        lacks = f"lacks lines {', '.join(map(str, sorted(missing)))}" if missing else f"changes nothing at line {first}"
        raise UsageError(f"{place}: the hunk lies outside of the patch of {path}, which {lacks}")
    return mended
