"""Training-set source `pyx`: PyX, on which SemCoder was trained, as it is published (https://arxiv.org/abs/2406.01006).

A row asks in one of three columns: `nl` describes code to write, `fwd_mnl` has a function and an input whose output is
to be found, and `bwd_mnl` one and an output whose input is to be found. `response` has the answer. The last two are
asked as SemCoder's own training asks them (https://github.com/ARiSE-Lab/SemCoder, src/prompts.py and src/dataset.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.prompts.templates import DEDUCE, SIMULATE
from raysweep.records import SourceRow
from raysweep.rows.hub import CachedRows, DataSetRef, fetch
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.base import SOURCES, TrainingSource, checked_size

TASKS = {"nl": "", "fwd_mnl": f"{SIMULATE}\n", "bwd_mnl": f"{DEDUCE}\n"}
"""What stands before the question in each column."""
RESPONSE = "response"


@SOURCES.register("pyx")
class PyxRows(TrainingSource):
    """The rows of PyX; a row's id is its number, from 0, in seven digits.

    Args:
        path: its hub id, or a folder or file that `datasets.load_dataset` takes.
        split: the rows to read, in the notation of `datasets`.
        revision: a branch, tag or commit on the hub; only a commit never changes.
    """

    origin = "https://huggingface.co/datasets/semcoder/PyX"

    def __init__(self, path: str = "semcoder/PyX", split: str = "train", revision: str | None = None) -> None:
        self._wanted = DataSetRef(path, split, None, revision)
        self.size: int | None = None  # number of rows, counted by `check`

    @override
    def rows(self) -> Iterator[SourceRow]:
        return (row for *_, row in self._placed_rows())

    def _placed_rows(self) -> Iterator[tuple[str, str, SourceRow]]:
        for number, row in enumerate(self._kept.stream()):
            read = SourceRow(f"{number:07d}", _question(row), row.text(RESPONSE), language="python")
            yield row.place, RESPONSE, read

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return self._kept.fingerprint()

    @override
    def check(self) -> None:
        self.size = checked_size(self._placed_rows())

    @cached_property
    def _kept(self) -> CachedRows:
        kept = fetch(self._wanted)
        if lacking := [name for name in (*TASKS, RESPONSE) if name not in kept.columns]:
            raise UsageError(
                f"data set {kept.path} has no column {lacking[0]!r} as PyX has; it has {', '.join(kept.columns)}: read "
                "it by `name: hf`, which takes other columns by `instruction_column` and `output_column`"
            )
        return kept


def _question(row: JsonRow) -> str:
    asked = {name: text for name in TASKS if (text := row.text(name, "")).strip()}
    if len(asked) != 1:
        raise UsageError(
            f"{row.place}: exactly one of {', '.join(f'`{name}`' for name in TASKS)} must have a text, not "
            f"{' and '.join(asked) or 'none'}; remove the row"
        )
    [(name, text)] = asked.items()
    return TASKS[name] + text
