"""Finds leaks: training rows that leak test problems.

Three rules find a row: it has the task id of an evaluated problem; its instruction, its function's name with the first
sentence, or its solution equals the problem's; or one run of 10-token shingles that both share covers over half of the
problem's docstring or solution. Of faults to be repaired, the functions before and after count as solutions, and
patches by the same projects' developers leak a set, whatever they mend (developer_patches.py). Words are compared in
lower case, without punctuation and blanks. Texts of fewer than ten words have no shingles, so only equality
finds them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from raysweep.problems.base import ProblemSet
from raysweep.problems.repair.humaneval_java import humaneval_number
from raysweep.prompts.repair.code import without_comments
from raysweep.prompts.repair.hunks import hunk_in, is_marked
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Leak, Problem, Segment, SourceRow
from raysweep.training_sets.developer_patches import DeveloperPatches

VERSION = 1
"""Version of the rules, part of keys.

It stayed when system texts and earlier turns were looked into: rows with such have keys of their own (`turns`).
"""
DEVELOPER_PATCH = "developer patch"
"""The rule that finds patches by developers of a problem set's projects, also those of no problem."""
SHINGLE = 10
"""Tokens in a shingle."""
SHARE = 0.5
"""A leak's run of shingles covers more than this share of the text's tokens."""
_WORD = re.compile(r"[^\W_]+")
_FENCED = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)^[ \t]*(?:```|~~~)", re.DOTALL | re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n\s*\n")
_BY_NAME = ("quixbugs", "defects4j", "minirepair", "humanevaljava")
"""What task ids of sets for repair begin with, whose problems have names; QuixBugs has the same in both languages."""
_HUMANEVAL = ("python", "java", "cpp", "go", "javascript", "js", "rust", "humaneval")
"""Prefixes of task ids that mean the same problems: HumanEval-X is HumanEval in other languages."""

Words = tuple[str, ...]
TokenSpan = tuple[int, str, int]
"""(number of the problem, "docstring" or "solution", index of the shingle's first token)"""


@dataclass
class _Index:
    """Test problems by the values that would leak them; a problem is given by its number."""

    ids: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    instructions: dict[Words, list[int]] = field(default_factory=lambda: defaultdict(list))
    openings: dict[tuple[str, Words], list[int]] = field(default_factory=lambda: defaultdict(list))
    solutions: dict[Words, list[int]] = field(default_factory=lambda: defaultdict(list))
    shingles: dict[Words, list[TokenSpan]] = field(default_factory=lambda: defaultdict(list))


class LeakFinder:
    """Finds rows that leak problems of the evaluated problem sets, which it gets by the names that leaks report."""

    def __init__(self, problem_sets: Mapping[str, ProblemSet]) -> None:
        self._problems: list[tuple[str, str]] = []
        self._lengths: dict[tuple[int, str], int] = {}
        self._index = _Index()
        self._patches = {name: DeveloperPatches([problem_set]) for name, problem_set in problem_sets.items()}
        for name, problem_set in problem_sets.items():
            for problem in problem_set.problems():
                self._add(name, problem, problem_set.segments(problem))

    def leaks(self, rows: Iterable[SourceRow]) -> Iterator[Leak]:
        """Yield the leaks of rows: for each row and problem at most one, with the strictest rule that finds it."""
        for row in rows:
            rules: dict[int, str] = {}
            for rule, number in chain.from_iterable(map(self._matches, (row, *_earlier(row)))):
                rules.setdefault(number, rule)
            for number in sorted(rules):
                yield Leak(row.row_id, *self._problems[number], rules[number])
            known = {self._problems[number] for number in rules}
            for name, patches in self._patches.items():
                if (found := patches.found(row)) and (name, found) not in known:
                    yield Leak(row.row_id, name, found, DEVELOPER_PATCH)

    def _add(self, name: str, problem: Problem, segments: Sequence[Segment]) -> None:
        number = len(self._problems)
        self._problems.append((name, problem.task_id))
        description = _description(segments)
        self._index.ids[_task(problem.task_id)].append(number)
        self._index.instructions[_words(description)].append(number)
        if opening := _first_sentence(description):
            self._index.openings[problem.entry_point, opening].append(number)
        codes = {"solution": problem.reference} if problem.reference else {}
        if isinstance(problem, RepairProblem):  # its function before and after
            codes = {"faulty code": problem.hunk.code}
            if problem.reference is not None:
                codes["solution"] = problem.hunk.patched(problem.reference)
            codes = {kind: _body(without_comments(code, problem.language)) for kind, code in codes.items()}
        for code in codes.values():
            self._index.solutions[_words(code)].append(number)
        for kind, text in {"docstring": description, **codes}.items():
            words = _words(text)
            self._lengths[number, kind] = len(words)
            for start in range(len(words) - SHINGLE + 1):
                self._index.shingles[words[start : start + SHINGLE]].append((number, kind, start))

    def _matches(self, row: SourceRow) -> Iterator[tuple[str, int]]:
        """Yield (rule, number of the problem), the strictest rule first."""
        index = self._index
        responses = [*_codes_in(row), *([row.rejected] if row.rejected else [])]
        if row.task_id:
            yield from (("task id", number) for number in index.ids.get(_task(row.task_id), ()))
        if instruction := _words(row.instruction):
            yield from (("instruction", number) for number in index.instructions.get(instruction, ()))
        for name in _names(row):
            opening = _first_sentence(row.instruction)
            yield from (("first sentence", number) for number in index.openings.get((name, opening), ()))
        for body in [*responses, *(body for response in responses for body in _FENCED.findall(response))]:
            if words := _words(_body(body)):
                yield from (("solution", number) for number in index.solutions.get(words, ()))
        yield from self._overlaps(_words("\n".join((row.instruction, row.input, *responses))))

    def _overlaps(self, words: Words) -> Iterator[tuple[str, int]]:
        """Yield (rule, number) of each problem with a text that one run of shared shingles covers by over half."""
        covered: dict[tuple[int, str], set[int]] = defaultdict(set)
        for start in range(len(words) - SHINGLE + 1):
            for number, kind, known_start in self._index.shingles.get(words[start : start + SHINGLE], ()):
                covered[number, kind].add(known_start)
        for (number, kind), starts in covered.items():
            if _longest_run(starts) + SHINGLE - 1 > SHARE * self._lengths[number, kind]:
                yield f"{kind} overlap", number


def _earlier(row: SourceRow) -> Iterator[SourceRow]:
    """Yield a row's system text, if it has one, and its earlier turns, each as a row of its own."""
    system = [(row.system, row.system)] if row.system else []  # it may hold questions and code
    for question, answer in [*system, *zip(row.history[::2], row.history[1::2], strict=True)]:
        yield replace(row, instruction=question, output=answer, input="", rejected=None, task_id="", history=())


def _codes_in(row: SourceRow) -> list[str]:
    """Return the response of a row; of a repair its function before and after, since the fix alone may be anyone's."""
    if not is_marked(row.instruction):
        return [row.output]
    hunk, _ = hunk_in(row.instruction)
    return [without_comments(code, row.language) for code in (hunk.patched(row.output), hunk.code)]


def _description(segments: Sequence[Segment]) -> str:
    """Return a prompt's natural language with the code in and beside it, from its first line to its last."""
    inside = [index for index, segment in enumerate(segments) if segment.natural]
    if not inside:
        return ""
    before, after = segments[: inside[0]], segments[inside[-1] + 1 :]
    head = re.search(r'[^"\n]*\Z', before[-1].text if before else "")
    tail = re.match(r'[^"\n]*', after[0].text if after else "")
    middle = "".join(segment.text for segment in segments[inside[0] : inside[-1] + 1])
    return f"{head[0] if head else ''}{middle}{tail[0] if tail else ''}"


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text.lower()))


def _task(task_id: str) -> tuple[str, str]:
    """Return (family, number) of a task id: HumanEval/0, openai_humaneval/0 and Java/0 are the same.

    Sets for repair have names in place of numbers; those of HumanEval-Java stand for HumanEval's problems.
    """
    prefix, _, title = task_id.lower().partition("/")
    written = "".join(_WORD.findall(prefix))
    if repairs := next((known for known in _BY_NAME if written.startswith(known)), ""):
        title = title.rpartition("/")[2]
        return ("humaneval", humaneval_number(title)) if repairs == "humanevaljava" else (repairs, title)
    family = re.match(r"[A-Za-z]*", task_id)
    number = re.search(r"\d+", task_id)
    name = family[0].lower() if family else ""
    published = next((known for known in ("humaneval", "mbpp") if known in task_id.lower()), name)
    return "humaneval" if name in _HUMANEVAL else published, number[0].lstrip("0") or "0" if number else task_id


def _first_sentence(text: str) -> Words:
    return _words(_SENTENCE_END.split(text.strip(), maxsplit=1)[0])


def _names(row: SourceRow) -> list[str]:
    return [row.entry_point] if row.entry_point else list(dict.fromkeys(re.findall(r"\bdef\s+(\w+)", row.output)))


def _body(code: str) -> str:
    function = re.match(r"\s*(?:(?:@|import\s|from\s)[^\n]*\n\s*)*def [^\n]*:\s*\n(.*)\Z", code, re.DOTALL)
    body = function[1] if function else code
    return re.sub(r"\A\s*(\"\"\"|''').*?\1", "", body, count=1, flags=re.DOTALL)


def _longest_run(numbers: set[int]) -> int:
    longest = 0
    for number in numbers:
        if number - 1 not in numbers:
            end = number
            while end in numbers:
                end += 1
            longest = max(longest, end - number)
    return longest
