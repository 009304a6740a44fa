"""The errors that raysweep raises on purpose, whose texts the command line prints without a traceback, and escapes."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Iterator

_OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
"""Characters in texts of files, models and programs that a terminal, a log or a page obeys, or can't hold: controls,
those without a width, those that turn the direction of writing, and lone surrogates."""
_IN_LINES, _IN_A_LINE = re.compile(f"[{_OBEYED}]"), re.compile(rf"[{_OBEYED}\t\n]")


class RaysweepError(Exception):
    """An error during work. Its text names the file or setting, the bad value, and how to go on."""

    exit_code = 1
    retry = True  # another attempt may succeed
    counts = True  # as a failed attempt, of which there are only some


class HopelessError(RaysweepError):
    """An error that another attempt would meet again, such as a loss that is not finite."""

    retry = False


class Stopped(HopelessError):
    """Work that raysweep itself has ended; another run goes on with it."""


class UnfitModel(HopelessError):
    """A model that a process can't run, while it can go on with others."""


class SmallerNext(RaysweepError):
    """Memory ran out, and the attempt begins again with half as much; that is no failed attempt."""

    counts = False


class UsageError(RaysweepError):
    """Bad input (command line, config, data file), detected before work starts."""

    exit_code = 2
    retry = False


class MissingInput(UsageError):
    """Something that a config names and that isn't here: a file, a model, a translator.

    A run is refused; a plan lists it and goes on. That a name resembles one that is here is said, and changes nothing:
    whether a plan ends with an error must not hang on a file's neighbours.
    """


class Doubt(str):
    """What settings say and hardly mean: a warning, which stops nothing."""


Finding = tuple[str, str | UsageError]
"""(key of a setting, what is wrong with it), which the `check` of a part yields: what is a `Doubt` only warns, and a
`MissingInput` names what isn't here, which a plan lists and a run is refused for."""


def findings_of(part: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a part's `check` yields. `part`: in words, such as ``trainer 'mine'``.

    Raises:
        UsageError: `check` itself is wrong; the text names the part.
    """
    way = "it must yield (key, text) for each setting that can't be followed; mend the part, or take another"
    try:
        found = list(check())
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the `check` of {part} failed with {type(error).__name__}: {error}; {way}") from error
    for finding in found:
        if not (isinstance(finding, tuple) and len(finding) == 2 and isinstance(finding[0], str)):
            raise UsageError(f"the `check` of {part} yielded {finding!r:.60}; {way}")
        if not isinstance(finding[1], str | UsageError):
            raise UsageError(f"the `check` of {part} yielded {finding!r:.60}; {way}")
    return found


def as_error(finding: Finding) -> UsageError:
    """Return a finding as an error that names its key, for where no config is read whose place could be named."""
    key, why = finding
    kind = MissingInput if isinstance(why, MissingInput) else UsageError
    return kind(f"`{key}`: {why}" if key else str(why))


class UnknownName(UsageError):
    """A name that isn't among the known names of its kind."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(kind, name, sorted(known))  # the arguments themselves, so that it can be pickled in workers

    def __str__(self) -> str:
        kind, name, known = self.args
        return f"unknown {kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"


class StoreError(RaysweepError):
    """The store can't be read or written."""

    has_waited = False  # as long as an outage is waited for


class WasAway(StoreError):
    """The store was out of reach for a while and is back: work that failed meanwhile begins again."""

    counts = False


class OtherSchema(StoreError):
    """Something in the store that another raysweep wrote, in a schema that this one can't read."""

    retry = False

    def __init__(self, path: str, its_schema: int, known_schema: int) -> None:
        super().__init__(path, its_schema, known_schema)

    def __str__(self) -> str:
        path, its_schema, known_schema = self.args
        age, way_out = ("a newer", "upgrade raysweep or ") if its_schema > known_schema else ("an older", "")
        return (
            f"{path} was written by {age} raysweep (schema {its_schema}, this one reads {known_schema}); "
            f"{way_out}give a new folder with --storage"
        )


class ExecutionNotAllowed(UsageError):
    """The user has not allowed model-written programs to run."""

    def __str__(self) -> str:
        return (
            "this would run programs written by a language model on this machine; if you accept that, "
            "pass --allow-code-execution (the config of a sweep may say `allow_code_execution: true` instead)"
        )


@contextlib.contextmanager
def unwritable_named(place: object, way_out: str) -> Iterator[None]:
    """Turn the OSError of a block that writes into a UsageError that names the place, and what to do."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{place} can't be written ({error.strerror}); {way_out}") from None


def escaped(text: str, *, in_a_line: bool = False) -> str:
    r"""Return a text with escapes such as ``\x1b`` for what is obeyed. `in_a_line`: for line ends and tabs, too."""
    return (_IN_A_LINE if in_a_line else _IN_LINES).sub(lambda match: ascii(match[0])[1:-1], text)


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text, which names the cause if the text has another process's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the most similar known name, or an empty string if none is similar."""
    by_fold = {_folded(candidate): candidate for candidate in known}
    longer = sorted((one for one in by_fold if len(name) > 2 and one.startswith(_folded(name))), key=len)
    near = longer or difflib.get_close_matches(_folded(name), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_")


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, KeyError) else (str(error).strip() or name).splitlines()[0]


def install_extra(name: str) -> str:
    """Return the command that installs the packages of an extra: raysweep itself is in no package index."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        needs = [Requirement(text) for text in requires("raysweep") or []]
    except PackageNotFoundError:  # a copy that isn't installed
        needs = []
    needs = [need for need in needs if need.marker and need.marker.evaluate({"extra": name})]
    packages = [f"'{str(need).partition(';')[0].strip()}'" for need in needs]
    return f"pip install {' '.join(packages) or f'with the packages of the extra {name}'}"
