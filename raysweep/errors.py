"""The errors raysweep raises on purpose; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RaysweepError(Exception):
    """Something went wrong while working. Its text names the place, the value and the way out.

    `retry`: another attempt may do better.
    """

    exit_code = 1
    retry = True


class HopelessError(RaysweepError):
    """Something that goes wrong again however often it is tried, such as a loss that is not finite."""

    retry = False


class UsageError(RaysweepError):
    """Bad input (command line, config, data file), found before work starts."""

    exit_code = 2
    retry = False


class UnknownName(UsageError):
    """A name that no registry entry, config entry or field has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(kind, name, sorted(known))  # as given, so that it can be pickled: workers raise it too

    def __str__(self) -> str:
        kind, name, known = self.args
        return f"unknown {kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"


class StoreError(RaysweepError):
    """The store can't be read or written."""


class NewerStore(StoreError):
    """Something of a schema that this raysweep does not know; it is left alone."""

    retry = False

    def __init__(self, place: str, theirs: int, ours: int) -> None:
        super().__init__(place, theirs, ours)

    def __str__(self) -> str:
        place, theirs, ours = self.args
        return (
            f"{place} was written by a newer raysweep (schema {theirs}, this one reads {ours}); "
            "upgrade raysweep or give another --storage"
        )


class ExecutionNotAllowed(UsageError):
    """Model-written programs were about to run without the user's permission."""

    def __str__(self) -> str:
        return (
            "this would run programs written by a language model on this machine; if you accept that, "
            "pass --allow-code-execution or set `allow_code_execution: true` in the config"
        )


def last_line(error: BaseException) -> str:
    """Return the cause that a person looks for in an error, maybe from another process: its text's last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or an empty string."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""
