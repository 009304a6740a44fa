"""What a mistake in a config is, and the rows that several checks look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Finding, UsageError, findings_of
from raysweep.records import SourceRow

Mistake = tuple[KeyPath, str | UsageError]
"""(where in the config, what is wrong), as parts say it (`raysweep.errors.Finding`) with the place of the part."""


def told_by(part: str, check: Callable[[], Iterable[Finding]], settings: KeyPath, place: KeyPath) -> Iterator[Mistake]:
    """Yield what a part's `check` says, each below `settings`; without a key, or what is wrong with it, at `place`."""
    try:
        yield from (((*settings, key) if key else place, why) for key, why in findings_of(part, check))
    except UsageError as error:
        yield place, error


def row_sources(config: SweepConfig) -> Iterator[tuple[KeyPath, SourceConfig, list[str]]]:
    """Yield each source of training and validation rows: its place, itself, and the recipes that read it."""
    for at, model in enumerate(config.models):
        if model.pretrain is not None:
            yield ("models", at, "pretrain", "source"), model.pretrain.source, [model.pretrain.recipe]
    for source in config.training.row_sources if config.training else ():
        used = config.recipes_of(source)
        yield source.place, source.rows, used
        if source.validation is not None:
            yield source.validation_place, source.validation, used


def first_rows(config: SweepConfig, rows: SourceConfig, number: int) -> Sequence[SourceRow]:
    """Return the first rows of a source; none where they can't be read, which the check of sources tells."""
    try:
        return list(islice(config.source(rows).rows(), number))
    except UsageError:
        return ()


def has_rejected(config: SweepConfig, source: SourceConfig) -> bool:
    """Return True unless a source names no way to rejected responses, and its first row can be read and has none."""
    if source.rejected is not None:
        return True  # they are made, or the source itself looks for the field
    return all(row.rejected is not None for row in first_rows(config, source, 1))
