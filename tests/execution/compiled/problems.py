"""HumanEval-X's rows, for tests of compiled languages."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping

from tests.conftest import shared_data


def rows(language: str) -> list[dict[str, str]]:
    """Return the published problems in order; skip the test where the data are absent."""
    with gzip.open(shared_data("humaneval_x", f"humaneval_{language}.jsonl.gz"), "rt") as file:
        return [json.loads(line) for line in file]


def reference(row: Mapping[str, str]) -> str:
    """Return a problem's reference solution as a candidate."""
    return row["prompt"] + row["canonical_solution"]
