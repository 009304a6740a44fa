"""Has an objective add to encoded rows what it needs of the untrained model, and keeps it for later trainings."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.hashing import canonical_json, text_sha
from raysweep.trainers.base import Row, Services, TrainJob
from raysweep.trainers.encoding import EncodedSet

if TYPE_CHECKING:
    import numpy as np
    import torch

Compute = Callable[[Mapping[str, "torch.Tensor"]], "torch.Tensor"]
"""Takes a batch and returns (rows of the batch, numbers of a row)."""
Passes = Callable[[EncodedSet], Iterator[tuple[list[int], Mapping[str, "torch.Tensor"]]]]
"""Yields the row numbers and the batch of each of this worker's forward passes over all rows of a set."""


@dataclass(frozen=True)
class NumbersOfRows:
    """Computes numbers of rows with the model as training starts; implements `raysweep.trainers.base.RowServices`.

    `passes`: the training loop's. `weights`: number format of the base's weights, which adapters keep in 16 bits where
    they train in 16 bits, and the training of all weights doesn't. Numbers are kept where the job names its base
    model's weights.
    """

    job: TrainJob
    data: EncodedSet
    services: Services
    passes: Passes
    weights: str = "float32"

    @property
    def rank(self) -> int:
        return self.services.rank

    @property
    def world_size(self) -> int:
        return self.services.world_size

    def of_rows(self, what: str, rows: Sequence[Row], compute: Compute) -> np.ndarray:
        """See `RowServices.of_rows`."""
        key = self._key(what, rows)
        kept = _array(self.services.kept(key), len(rows)) if key else None
        if kept is not None:
            return kept
        numbers = self.computed(dataclasses.replace(self.data, rows=rows), compute)
        if key and self.rank == 0:
            self.services.keep(key, _bytes(numbers))
        return numbers

    def computed(self, data: EncodedSet, compute: Compute) -> np.ndarray:
        """Compute numbers for all rows of a set with the model as it is, and keep nothing; see `of_rows`."""
        import numpy as np

        own: dict[int, list[float]] = {}
        for members, batch in self.passes(data):
            own |= dict(zip(members, compute(batch).double().tolist(), strict=True))
        parts: list[Any] = [own]
        if self.world_size > 1:
            import torch

            parts = [None] * self.world_size
            torch.distributed.all_gather_object(parts, own)
        of_rows = {row: numbers for part in parts for row, numbers in part.items()}
        return np.array([of_rows[row] for row in range(len(data.rows))], dtype=np.float64)

    def _key(self, what: str, rows: Sequence[Row]) -> str:
        """Return the hash of all that the numbers depend on; empty for a base whose weights nothing names.

        Token ids stand for rows, template and tokenizer.
        """
        if not self.job.base_key:
            return ""
        content = hashlib.sha256()
        for row in rows:
            for name, numbers in sorted(row.items()):
                content.update(f"{name} {numbers.dtype} {len(numbers)} ".encode() + numbers.tobytes())
        facts = {"base": self.job.base_key, "precision": self.job.recipe.precision, "rows": content.hexdigest()}
        if self.job.recipe.precision != "float32":
            facts["weights"] = self.weights
        return text_sha(canonical_json({**facts, "what": what}))


def _bytes(numbers: np.ndarray) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, numbers, allow_pickle=False)
    return file.getvalue()


def _array(content: bytes | None, rows: int) -> np.ndarray | None:
    import numpy as np

    if content is None:
        return None
    try:
        numbers: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    return numbers if numbers.ndim == 2 and len(numbers) == rows else None
