"""Problem set `defects4j`: 217 single hunks of Defects4J, as clm's prompts hold them (Just et al. 2014).

There are no tests: they need checkouts, old JDKs and a network. So a patch can only be an exact match of the
developers'. Where the developers added lines and took none out, the hunk is the line behind them, as in clm.
Sources: https://github.com/rjust/defects4j and https://github.com/lin-tan/clm
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.problems.base import PROBLEMS
from raysweep.problems.repair.base import FILE, RepairSet, repair_problem
from raysweep.programs import JAVA
from raysweep.prompts.comments import entry_point_of
from raysweep.prompts.repair.hunks import Fault, Hunk, lines_of
from raysweep.records import Problem
from raysweep.rows.json_files import check_file, content_sha, read_content

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


class _Position(NamedTuple):
    """Lines of a hunk in the faulty file: the first, and the one behind the last."""

    path: str
    buggy: tuple[int, int]


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
        self._positions = Path(positions).expanduser().absolute()
        self._patches = Path(patches).expanduser().absolute()
        check_file(self._positions)
        if not self._patches.is_dir():
            check_file(self._patches)

    @override
    def problems(self) -> Sequence[Problem]:
        try:
            prompts = json.loads(read_content(self.path))["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: this is no file of clm's prompts ({error!r}); it needs `data`") from None
        positions = dict(_read_positions(self._positions))
        patches = dict(_read_patches(self._patches))
        return [self._problem(key, prompt, positions, patches) for key, prompt in prompts.items()]

    def developer_patches(self) -> Iterator[tuple[str, Fault]]:
        """Yield each change of all patches, also of those that are no problem here; an id has one for each change."""
        for (project, number), patch in _read_patches(self._patches):
            for fault in _changes(patch):
                yield f"Defects4J/{project}-{number}", fault

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        patches = text_sha(canonical_json([[*name, text] for name, text in sorted(_read_patches(self._patches))]))
        return {**super().fingerprint(), "positions": content_sha(self._positions), "patches": patches}

    def _problem(
        self,
        key: str,
        prompt: Mapping[str, Any],
        positions: Mapping[tuple[str, str], _Position],
        patches: Mapping[tuple[str, str], str],
    ) -> Problem:
        name: tuple[str, str] = (key.split("_")[0], key.split("_")[1])
        place, text = f"{self.path}: prompt {key}", str(prompt.get("input", ""))
        parts = _PROMPT.fullmatch(text)
        if parts is None:
            raise UsageError(f"{place}: its `input` marks no buggy lines; take the prompts for fine-tuned models")
        if name not in positions or name not in patches:
            where = self._positions if name not in positions else self._patches
            raise UsageError(f"{place}: {where} has nothing on {name[0]} {name[1]}")
        position = positions[name]
        is_known = name not in WITHOUT_FIX
        count = len(lines_of(parts["buggy"]))
        source = f"{self._patches}: {name[0]} {name[1]}"
        fixed = _mended_lines(patches[name], position, count, source) if is_known else ""
        fault = Fault(Hunk(parts["before"], parts["buggy"], parts["after"]), fixed)
        problem = repair_problem(
            f"Defects4J/{name[0]}-{name[1]}",
            fault.hunk.code,
            fault,
            language=JAVA,
            test="",
            context=FILE,
            entry_point=entry_point_of(parts["before"]),
        )
        return problem if is_known else replace(problem, reference=None)


def _read_positions(path: Path) -> Iterator[tuple[tuple[str, str], _Position]]:
    for number, line in enumerate(read_content(path).decode("utf-8", "replace").splitlines(), 1):
        found = _POSITION.fullmatch(line.strip())
        if found is None:
            raise UsageError(
                f"{path}:{number}: a position is PROJECT, ID, FILE, FIRST-END, FIRST-END, with tabs, not {line:.60}"
            )
        yield (found[1], found[2]), _Position(found[3], (int(found[4]), int(found[5])))


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
    """Yield the changes of a patch that takes a fix out, each with the faulty lines around it that the patch shows."""
    for section in _sections(patch):
        kinds = [line[:1] for line in section]
        at = 0
        while at < len(section):
            if kinds[at] not in ("-", "+"):
                at += 1
                continue
            end = next((place for place in range(at, len(section)) if kinds[place] not in ("-", "+")), len(section))
            changed = section[at:end]
            buggy, fixed = ("".join(f"{line[1:]}\n" for line in changed if line[:1] == kind) for kind in "+-")
            faulty = ([line for line in lines if line[:1] != "-"] for lines in (section[:at], section[end:]))
            before, after = ("".join(f"{line[1:]}\n" for line in lines) for lines in faulty)
            yield Fault(Hunk(before, buggy, after), fixed)
            at = end


def _sections(patch: str) -> Iterator[list[str]]:
    lines: list[str] | None = None
    for line in [*patch.splitlines(), "diff "]:
        if line.startswith(("diff ", "--- ", "+++ ", "index ")) or _SECTION.match(line):
            if lines:
                yield lines
            lines = [] if _SECTION.match(line) else None
        elif lines is not None and line[:1] in ("-", "+", " ", ""):
            lines.append(line)


def _mended_lines(patch: str, position: _Position, shown: int, place: str) -> str:
    """Return the mended file's lines in a hunk's place, of a patch that takes the fix out.

    ``-`` marks lines of the fix, ``+`` those of the fault; the other lines of the hunk stay, each at its own place.

    `shown`: how many lines the prompt marks. Some positions of lines that the developers added hold none.

    Raises:
        UsageError: the patch doesn't reach all lines of the hunk, or changes none of them.
    """
    first, end = position.buggy[0], position.buggy[0] + shown
    missing, is_changed, mended = set(range(first, end)), False, ""
    for kind, number, line in _numbered_lines(patch, position.path):
        if kind != "-":
            missing.discard(number)
        if first <= number < end + (kind == "-"):
            is_changed |= kind != " "
            mended += "" if kind == "+" else line
    if missing or not is_changed:
        lacks = f"lacks lines {', '.join(map(str, sorted(missing)))}" if missing else f"changes nothing at line {first}"
        raise UsageError(f"{place}: the hunk lies outside of the patch of {position.path}, which {lacks}")
    return mended


def _numbered_lines(patch: str, path: str) -> Iterator[tuple[str, int, str]]:
    """Yield kind, number in the faulty file and text of a patch's lines; the fix has the number of the line behind."""
    number, is_inside = 0, False
    for line in patch.splitlines():
        if line.startswith(("diff ", "--- ", "+++ ")):
            is_inside = line.rstrip().endswith(path)
        elif section := _SECTION.match(line):
            number = int(section[1])
        elif is_inside and line[:1] in ("-", "+", " ", ""):
            yield line[:1] or " ", number, f"{line[1:]}\n"
            number += line[:1] != "-"
