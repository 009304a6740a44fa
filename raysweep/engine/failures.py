"""Errors of a worker of Ray Data as data: raised there, Ray Data would bury them, and lose their kind."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from raysweep.errors import HopelessError, RaysweepError


@dataclass(frozen=True)
class Failure:
    """Why a batch could not be made."""

    text: str
    retry: bool
    trace: str

    @staticmethod
    def of(error: Exception) -> Failure:
        """Describe an error."""
        text = str(error) if isinstance(error, RaysweepError) else f"{type(error).__name__}: {error}"
        return Failure(text, bool(getattr(error, "retry", True)), traceback.format_exc())

    @property
    def error(self) -> RaysweepError:
        """An error to raise instead."""
        error = RaysweepError(self.text) if self.retry else HopelessError(self.text)
        error.add_note(self.trace)
        return error
