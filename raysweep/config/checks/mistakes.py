"""What a mistake in a config is, and the rows that several checks look at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.records import SourceRow


class Doubt(str):
    """What a config says and hardly means: a warning, which stops nothing."""


Mistake = tuple[KeyPath, str | UsageError]
"""(where in the config, what is wrong). What is missing (`MissingInput`), and doubts, are recognised by their class."""


def first_rows(config: SweepConfig, rows: SourceConfig, number: int) -> Sequence[SourceRow]:
    """Return the first rows of a source; none where they can't be read, which the check of sources tells."""
    try:
        return list(islice(config.source(rows).rows(), number))
    except UsageError:
        return ()
