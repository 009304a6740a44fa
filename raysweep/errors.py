"""The errors raysweep raises on purpose; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RaysweepError(Exception):
    """Something went wrong while working. Its text names the place, the value and the way out."""

    exit_code = 1


class UsageError(RaysweepError):
    """Bad input (command line, config, data file), found before work starts."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that no registry entry, config entry or field has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(kind, name, sorted(known))  # as given, so that it can be pickled: workers raise it too

    def __str__(self) -> str:
        kind, name, known = self.args
        return f"unknown {kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"


class StoreError(RaysweepError):
    """The store can't be read or written."""


class ExecutionNotAllowed(UsageError):
    """Model-written programs were about to run without the user's permission."""

    def __str__(self) -> str:
        return (
            "this would run programs written by a language model on this machine; if you accept that, "
            "pass --allow-code-execution or set `allow_code_execution: true` in the config"
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or an empty string."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""
