"""Problem sets `safecoder-humaneval` (161) and `safecoder-mbpp` (427): SafeCoder's YAML files, which the study uses.

A file holds name, prompt, tests, stop_tokens and no reference solution. Prompts and tests are MultiPL-E's: HumanEval
without three problems and with rewritten doctests, and sanitised MBPP with its asserts in the docstring. A few prompts
of MBPP begin a helper, while the tests call another function, which a completion must define too; they stay.
Source: https://github.com/eth-sri/SafeCoder, folder data_eval. Any release works, since keys hold a hash of its files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from typing_extensions import override

from raysweep.errors import MissingInput, UsageError
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.file_problems import (
    STUDY_STOP,
    check_tests,
    full_path,
    multipl_e_problem,
    problems_of,
)
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow

RESULTS = ".results.yaml"
"""Ending of the result files that SafeCoder's own evaluation writes beside the problems."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SafeCoderProblems(ProblemSet):
    """The problems of a folder of YAML files, in the order of their numbers.

    Args:
        path: SafeCoder's checkout, its data_eval folder, or the folder with the YAML files.

    Raises:
        MissingInput: none of these holds problems.
    """

    origin = "https://github.com/eth-sri/SafeCoder"
    folder: ClassVar[str]  # its name below data_eval
    prefix: ClassVar[str]  # start of the files' names

    def __init__(self, path: str) -> None:
        self._files = self._find(full_path(path))

    @override
    def problems(self) -> Sequence[Problem]:
        return problems_of(map(_read, self._files), lambda row: multipl_e_problem(row, STUDY_STOP))

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return {"sha256": digest.hexdigest()}

    @override
    def check(self, *, judged: bool = False) -> None:
        problems = self.problems()
        if judged:
            check_tests(problems, str(self._files[0].parent))

    def _find(self, path: Path) -> list[Path]:
        places = [path / "data_eval" / self.folder, path / self.folder, path]
        for place in places:
            files = [file for file in place.glob(f"{self.prefix}_*.yaml") if not file.name.endswith(RESULTS)]
            if files:
                return sorted(files, key=lambda file: (int((re.findall(r"\d+", file.name) or [-1])[0]), file.name))
        looked = ", ".join(str(place) for place in places)
        raise MissingInput(
            f"problem set {self.name}: no {self.prefix}_*.yaml in {looked}; give `path:` SafeCoder's checkout, its "
            f"data_eval folder or the folder {self.folder} in it"
        )


@PROBLEMS.register("safecoder-humaneval")
class SafeCoderHumanEval(SafeCoderProblems):
    """HumanEval as SafeCoder and the study use it: 161 problems."""

    licence = "MIT"
    folder = "human_eval"
    prefix = "HumanEval"


@PROBLEMS.register("safecoder-mbpp")
class SafeCoderMbpp(SafeCoderProblems):
    """MBPP as SafeCoder and the study use it: 427 problems."""

    licence = "MIT AND CC-BY-4.0"
    folder = "mbpp"
    prefix = "mbpp"


def _read(file: Path) -> JsonRow:
    try:
        value = yaml.load(file.read_bytes(), _LOADER)  # both loaders are safe
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(
            f"{file}: can't be read ({str(error).splitlines()[0]}); take it from SafeCoder again"
        ) from None
    if not isinstance(value, dict):
        raise UsageError(f"{file}: is no mapping of keys; take it from SafeCoder again")
    return JsonRow(str(file), value)
