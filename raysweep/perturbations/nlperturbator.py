"""NLPerturbator's published prompts (Chen et al. 2024): HumanEval-R and MBPP-R, 18 categories and three mixes.

They are ready texts, so nothing is drawn: a description that NLPerturbator perturbed is replaced by what it made of it,
in any problem set that has that description. `humaneval` then gives HumanEval-R's prompts byte for byte; SafeCoder's
sets have the same descriptions (HumanEval's, and MBPP's up to a URL). Other texts come back as they are and are counted
as unchanged. Identifiers may change too, since NLPerturbator protects none, and line breaks may move.
Source: https://github.com/iCSawyer/NLPerturbator, folder Dataset.

Not covered: extra_space_among_words, for which no prompts were published, and `compat`, since nothing is made here.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from raysweep.errors import UsageError, did_you_mean
from raysweep.jsonrows import content_sha, read_content
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.records import Segment

FOLDERS = {"HumanEval-R": "humaneval_", "MBPP-R": "mbpp_"}
"""Folder: what its files' names begin with, before the category."""
_URL = re.compile(r"\s*https?://.*", re.DOTALL)
_FUNCTION = re.compile(r"\bdef\s+(\w+)")


@dataclass(frozen=True, slots=True)
class Ready:
    """A description before and after. `names`: the functions of its problem, where several share a description."""

    clean: str
    perturbed: str
    names: frozenset[str]


@PERTURBATIONS.register("nlperturbator")
class NLPerturbator(Perturbation):
    """Replaces descriptions by those that NLPerturbator published; the strength is always theirs.

    Args:
        path: NLPerturbator's checkout, or the folder with HumanEval-R, MBPP-R or both.
        category: such as ``keyboard_typo``; c1, c2 and c3 are NLPerturbator's mixes and not the study's methods.

    Raises:
        UsageError: no such folder or category, one without any changed prompt, or a file of another shape.
    """

    title = "NLPerturbator"
    level = "mixed"

    def __init__(self, path: str, category: str) -> None:
        super().__init__()
        self._category = category
        self._files = _find(Path(path).expanduser().absolute(), category)
        self._texts = [text for file in self._files for text in _read(file, file.stat().st_mtime_ns)]
        if not self._texts:
            shown = ", ".join(str(file) for file in self._files)
            raise UsageError(f"perturbation nlperturbator: no prompt of category {category!r} is changed in {shown}")

    def fingerprint(self) -> Mapping[str, str]:
        """Return the sha256 of each file."""
        return {file.parent.name: content_sha(file) for file in self._files}

    def rate_text(self) -> str:
        """Return the category, and how many prompts of it there are."""
        return f"{self._category}: {len(self._texts)} published descriptions"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return `text` with its description replaced."""
        return "".join(segment.text for segment in self.perturb([Segment(text, True)], rng, protected))

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the text with its description replaced; what stands around it is untouched."""
        text = "".join(segment.text for segment in segments)
        found = [ready for ready in self._texts if ready.clean in text]
        if not found:
            return list(segments)
        words = frozenset(re.findall(r"\w+", text))
        ready = max(found, key=lambda each: (bool(each.names & words), len(each.clean)))
        before, _, after = text.partition(ready.clean)
        return [Segment(before, False), Segment(ready.perturbed, True), Segment(after, False)]


def _find(path: Path, category: str) -> list[Path]:
    """Return a category's files, one or none in each folder."""
    there: dict[str, list[Path]] = {}
    for place in (path / "Dataset", path):
        for folder, prefix in FOLDERS.items():
            for file in sorted((place / folder).glob(f"{prefix}*.csv*")):
                there.setdefault(file.name.removeprefix(prefix).split(".csv")[0], []).append(file)
    if not there:
        raise UsageError(
            f"perturbation nlperturbator: no {' or '.join(FOLDERS)} in {path} or in its folder Dataset; give `path:` "
            "NLPerturbator's checkout"
        )
    if category not in there:
        near = did_you_mean(category, there)
        raise UsageError(
            f"perturbation nlperturbator: {path} has no category {category!r}{near}; it has {', '.join(sorted(there))}"
        )
    return list({file.parent.name: file for file in there[category]}.values())


@lru_cache(maxsize=64)
def _read(file: Path, mtime_ns: int) -> tuple[Ready, ...]:
    """Return the changed descriptions of a file; empty where it holds no prompts."""
    try:
        rows = [
            row for row in csv.DictReader(io.StringIO(read_content(file).decode(), newline="")) if row.get("prompt")
        ]
        ready = _mbpp(rows) if file.parent.name == "MBPP-R" else _humaneval(rows)
    except (ValueError, KeyError, csv.Error) as error:
        raise UsageError(
            f"{file}: is not as NLPerturbator published it ({error!r}); take it from there again"
        ) from None
    return tuple(text for text in ready if text.clean != text.perturbed)


def _mbpp(rows: Sequence[Mapping[str, str]]) -> list[Ready]:
    """Cut both sentences at a URL, which only some sets have."""
    return [
        Ready(
            _URL.sub("", row["original_prompt"]), _URL.sub("", row["prompt"]), frozenset(_FUNCTION.findall(row["code"]))
        )
        for row in rows
    ]


def _humaneval(rows: Sequence[Mapping[str, str]]) -> list[Ready]:
    """Cut both prompts to the description, or further where they differ outside it.

    The originals are HumanEval's: one category has none in its file, another a wrong one.
    """
    from raysweep.problems.humaneval import HumanEval  # it imports what perturbs

    problems = HumanEval()
    clean = {problem.task_id: problem for problem in problems.problems()}
    ready = []
    for row in rows:
        problem, perturbed = clean[row["task_id"]], row["prompt"]
        segments = problems.segments(problem)
        first, last = len(segments[0].text) * (not segments[0].natural), len(segments[-1].text)
        start = min(first, _common(problem.prompt, perturbed))
        behind = min(last, _common(problem.prompt[:start:-1], perturbed[:start:-1]))
        end = len(problem.prompt) - behind
        text = perturbed[start : len(perturbed) - behind]
        ready.append(Ready(problem.prompt[start:end], text, frozenset([problem.entry_point])))
    return ready


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
