"""The numbers in the folder of a sweep: scores, verdicts by problem, differences, what linters said.

`raysweep report` writes them; they rest on the artefacts that the grid names, and on what signature.txt says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.engine.ledger import GPU_HOURS
from raysweep.errors import UsageError
from raysweep.metrics.base import CellLabels
from raysweep.quality.reports import LintedFile, LintedMessage
from raysweep.records import Difference, ProblemScore, Score
from raysweep.rows.parquet import RowWriter, block_count, frame_of, read_block, read_rows, write_rows
from raysweep.storage.backends import write_atomically
from raysweep.sweep.folder import SweepFolder

if TYPE_CHECKING:
    import pandas

SIGNATURE = "signature.txt"
SCORES, PROBLEMS, DIFFERENCES = NUMBERS = ("scores.parquet", "problems.parquet", "differences.parquet")
"""Files with a sweep's numbers: scores, verdicts by problem, differences of cells to their baselines."""
QUALITY, QUALITY_MESSAGES = "quality.parquet", "quality_messages.parquet"
"""Files with what a linter said of a sweep's completions, if its config asks for that: its files, its messages."""
_LABELS = attrgetter(*(field.name for field in dataclasses.fields(CellLabels)))
UNKNOWN = (math.nan, math.nan)
"""An interval that nothing is known of."""


class SavedNumbers:
    """The numbers in a sweep's folder."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder, self._path = folder, folder.path

    @property
    def files(self) -> list[Path]:
        linted = (QUALITY, QUALITY_MESSAGES) if self._folder.config().evaluation.quality is not None else ()
        return [self._path / name for name in (*NUMBERS, *linted)]

    def scores(self) -> list[Score]:
        """Return the scores of the last analysis; there are none before the first."""
        path = self._path / SCORES
        return read_rows(path, Score) if path.is_file() else []

    def frame(self) -> pandas.DataFrame:
        import pandas

        hours = self._folder.ledger().all_hours()
        cells = self._folder.grid_by_cell() if hours else {}
        of_gpus = [
            Score(row.model, row.recipe, row.training_set, row.seed, "", "", GPU_HOURS, hours[name], *UNKNOWN, n=0)
            for name, (row, _) in sorted(cells.items())
            if name in hours
        ]
        scores = [dataclasses.asdict(score) for score in [*self.scores(), *of_gpus]]
        return self._signed(pandas.DataFrame(scores, columns=[field.name for field in dataclasses.fields(Score)]))

    def signature(self) -> str:
        """Return what the numbers of the last report rest on: settings and versions; empty before the first."""
        path = self._path / SIGNATURE
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""

    def write_signature(self, signature: str) -> None:
        write_atomically(self._path / SIGNATURE, f"{signature}\n")

    def _signed(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        frame.attrs["signature"] = self.signature()
        return frame

    def write_scores(self, scores: Iterable[Score]) -> None:
        keys = ["model", "recipe", "training_set", "seed", "problem_set", "perturbation", "metric"]
        write_rows(self._path / SCORES, Score, scores, keys)

    def write_differences(self, differences: Iterable[Difference]) -> None:
        keys = ["model", "recipe", "training_set", "seed", "against", "problem_set", "perturbation", "metric"]
        write_rows(self._path / DIFFERENCES, Difference, differences, keys)

    @contextlib.contextmanager
    def writing_problems(self) -> Iterator[RowWriter[ProblemScore]]:
        """Give what writes the verdicts by problem, cell by cell; the file appears when the block ends well."""
        draft = self._path / f".{PROBLEMS}.{uuid.uuid4().hex[:8]}"
        try:
            with RowWriter(draft, ProblemScore) as writer:
                yield writer
            draft.replace(self._path / PROBLEMS)
        finally:
            draft.unlink(missing_ok=True)

    def problems_by_cell(self) -> Iterator[list[ProblemScore]]:
        """Yield the verdicts by problem of each cell, whatever row groups the file has; none before the first analysis.

        Raises:
            UsageError: rows of one cell stand in two places, as in a file that something else has sorted.
        """
        path = self._path / PROBLEMS
        blocks = range(block_count(path) if path.is_file() else 0)
        rows = chain.from_iterable(read_block(path, ProblemScore, index) for index in blocks)
        yielded: set[CellLabels] = set()
        for cell, of_cell in groupby(rows, key=lambda row: CellLabels(*_LABELS(row))):
            if cell in yielded:
                name = ", ".join(map(str, _LABELS(cell)))
                raise UsageError(
                    f"{path} has rows of one cell ({name}) in two places; `raysweep report {self._folder.name}` writes "
                    "it again"
                )
            yielded.add(cell)
            yield list(of_cell)

    def problems_frame(self) -> pandas.DataFrame:
        return self._analysed(PROBLEMS)

    def differences_frame(self) -> pandas.DataFrame:
        return self._analysed(DIFFERENCES)

    def _analysed(self, name: str) -> pandas.DataFrame:
        path = self._path / name
        if not path.is_file():
            raise UsageError(
                f"the sweep {self._folder.name!r} has no {name} yet; `raysweep report {self._folder.name}` writes it"
            )
        return self._signed(frame_of(path))

    def write_quality(self, files: Iterable[LintedFile], messages: Iterable[LintedMessage]) -> None:
        keys = ["model", "recipe", "training_set", "seed", "problem_set", "task_id"]
        write_rows(self._path / QUALITY, LintedFile, files, keys)
        write_rows(self._path / QUALITY_MESSAGES, LintedMessage, messages, [*keys, "line", "column", "code"])

    def quality_frame(self, *, messages: bool = False) -> pandas.DataFrame:
        if self._folder.config().evaluation.quality is None:
            raise UsageError(
                f"the sweep {self._folder.name!r} lints no completions; run it with `quality: {{}}` under `evaluation:`"
            )
        return self._analysed(QUALITY_MESSAGES if messages else QUALITY)

    def require(self) -> None:
        """Raise UnreadableTable if a file with numbers is missing or damaged."""
        for path in self.files:
            block_count(path)
