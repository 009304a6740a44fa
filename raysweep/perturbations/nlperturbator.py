"""NLPerturbator's published prompts (Chen et al. 2024): HumanEval-R and MBPP-R, 18 categories and three mixes.

The texts are published ones, so nothing is drawn: each description that NLPerturbator perturbed is replaced by its
published version, in any problem set that has the description. `humaneval` then gives HumanEval-R's prompts byte for
byte; SafeCoder's sets have the same descriptions (HumanEval's, and MBPP's except for URLs). Other texts come back as
they are and count as unchanged. Unlike other methods, this one may change identifiers and move line breaks, since
NLPerturbator does.
Source: https://github.com/iCSawyer/NLPerturbator, folder Dataset.

Not covered: extra_space_among_words, for which no prompts were published, and `compat: recode`.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.problems.humaneval import HumanEval
from raysweep.records import Segment
from raysweep.rows.json_files import content_sha, read_content

FOLDERS = {"HumanEval-R": "humaneval_", "MBPP-R": "mbpp_"}
"""Folders and the prefix of their files' names, which ends with the category."""
_URL = re.compile(r"\s*https?://.*", re.DOTALL)
_FUNCTION = re.compile(r"\bdef\s+(\w+)")


class PublishedText(NamedTuple):
    """A description before and after. `names`: the functions of its problem, to tell equal descriptions apart."""

    clean: str
    perturbed: str
    names: frozenset[str]


@PERTURBATIONS.register("nlperturbator")
class NLPerturbator(Perturbation):
    """Replaces descriptions by the versions that NLPerturbator published; there is no strength to set.

    Args:
        path: NLPerturbator's checkout, or the folder with HumanEval-R, MBPP-R or both.
        category: such as ``keyboard_typo``; c1, c2 and c3 are NLPerturbator's mixes, not the study's methods.

    Raises:
        UsageError: the folder or the category is missing, the category changes no prompt, or a file is not in
            NLPerturbator's format.
    """

    title = "NLPerturbator"
    licence = "MIT"
    origin = "https://github.com/iCSawyer/NLPerturbator"
    words = "published prompts"
    level = "mixed"
    keeps_segments = False

    def __init__(self, path: str, category: str) -> None:
        super().__init__()
        self._category = category
        self._files = _files_of(Path(path).expanduser().absolute(), category)
        self._texts = [text for file in self._files for text in _read(file, file.stat().st_mtime_ns)]
        if not self._texts:
            shown = ", ".join(str(file) for file in self._files)
            raise UsageError(f"perturbation nlperturbator: no prompt of category {category!r} is changed in {shown}")

    @property
    @override
    def deterministic(self) -> bool:
        """The texts are published ones."""
        return True

    @override
    def fingerprint(self) -> Mapping[str, str]:
        return {file.parent.name: content_sha(file) for file in self._files}

    @override
    def rate_text(self) -> str:
        return f"{self._category}: {len(self._texts)} published descriptions"

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        text = "".join(segment.text for segment in segments)
        candidates = [published for published in self._texts if published.clean in text]
        if not candidates:
            return list(segments)
        words = frozenset(re.findall(r"\w+", text))
        best = max(candidates, key=lambda published: (bool(published.names & words), len(published.clean)))
        before, _, after = text.partition(best.clean)
        return [Segment(before, False), Segment(best.perturbed, True), Segment(after, False)]


def _files_of(path: Path, category: str) -> list[Path]:
    by_category: dict[str, list[Path]] = {}
    for parent in (path / "Dataset", path):
        for folder, prefix in FOLDERS.items():
            for file in sorted((parent / folder).glob(f"{prefix}*.csv*")):
                by_category.setdefault(file.name.removeprefix(prefix).split(".csv")[0], []).append(file)
    if not by_category:
        raise UsageError(
            f"perturbation nlperturbator: no {' or '.join(FOLDERS)} in {path} or in its folder Dataset; give `path:` "
            "NLPerturbator's checkout, or that folder"
        )
    if category not in by_category:
        near = did_you_mean(category, by_category)
        raise UsageError(
            f"perturbation nlperturbator: {path} has no category {category!r}{near}; it has "
            f"{', '.join(sorted(by_category))}"
        )
    return list({file.parent.name: file for file in by_category[category]}.values())


@lru_cache(maxsize=64)
def _read(file: Path, mtime_ns: int) -> tuple[PublishedText, ...]:
    try:
        table = csv.DictReader(io.StringIO(read_content(file).decode(), newline=""))
        rows = [row for row in table if row.get("prompt")]
        if file.parent.name != "MBPP-R":
            texts = _humaneval(rows)
        else:  # both descriptions are cut at a URL, which only some problem sets have
            texts = [
                PublishedText(_URL.sub("", row["original_prompt"]), _URL.sub("", row["prompt"]), names)
                for row in rows
                for names in [frozenset(_FUNCTION.findall(row["code"]))]
            ]
    except (ValueError, KeyError, csv.Error) as error:
        raise UsageError(
            f"{file}: is not as NLPerturbator published it ({error!r}); take it from there again"
        ) from None
    return tuple(text for text in texts if text.clean != text.perturbed)


def _humaneval(rows: Sequence[Mapping[str, str]]) -> list[PublishedText]:
    """Cut both prompts to the description and to any differences outside it.

    The clean prompts come from HumanEval: one category's file has none, and another's are wrong.
    """
    problems = HumanEval()
    clean = {problem.task_id: problem for problem in problems.problems()}
    texts = []
    for row in rows:
        problem, perturbed = clean[row["task_id"]], row["prompt"]
        segments = problems.segments(problem)
        first, last = len(segments[0].text) * (not segments[0].natural), len(segments[-1].text)
        start = min(first, _common_length(problem.prompt, perturbed))
        behind = min(last, _common_length(problem.prompt[:start:-1], perturbed[:start:-1]))
        end = len(problem.prompt) - behind
        text = perturbed[start : len(perturbed) - behind]
        texts.append(PublishedText(problem.prompt[start:end], text, frozenset([problem.entry_point])))
    return texts


def _common_length(first: str, second: str) -> int:
    shorter = min(len(first), len(second))
    return next((index for index in range(shorter) if first[index] != second[index]), shorter)
