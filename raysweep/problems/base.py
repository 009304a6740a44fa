"""The contract of a problem set: programming tasks with their tests."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from raysweep.errors import UsageError, did_you_mean
from raysweep.programs import COMPILED, PYTHON, Limits
from raysweep.prompts.comments import protected_in_comments
from raysweep.prompts.regions import protected_words, split_prompt
from raysweep.prompts.repair.hunks import Fault
from raysweep.records import Problem, Segment, Spec
from raysweep.registry import Registry
from raysweep.rows.json_files import stream_json_rows


class ProblemSet(ABC):
    """A named list of problems. Every process that needs it builds it from its spec.

    The constructor is cheap and raises UsageError for arguments that can't work. `problems` may read files or generate.
    `check` runs before any work and raises UsageError (file, line, what is wrong) for unusable data.
    `fingerprint` is cheap and changes whenever `problems` would, since it is part of the keys of all that depends on
    the set.

    Tests that are not a function ``check(candidate)`` need a subclass of `raysweep.records.Problem` that overrides
    `assemble`, as ``ScriptedProblem`` in raysweep/problems/ does. A set in Java or C++ says so with `language`
    (``java``, ``cpp``), as its problems do, and their `assemble` gives the program a `declaration`: the functions that
    tests call, as the problem declares them. Without it tests run in the program's process.

    `licence`, `origin` and `hub` stand in what ``raysweep export`` writes.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits] = Limits()
    """Time and memory of one program."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Names of the parts that the tests consist of, such as ``("base", "plus")``, if they report them: tests begin with
    ``PARTS_PASSED = []`` and append each part's name once it has passed. The last one completes the tests; each other
    one gets a pass@k of its own."""
    stops: ClassVar[int] = 1
    """Raise it when equal data gives other stop strings: then completions are written again, and models stay."""
    licence: ClassVar[str] = ""
    """Under which the data is published, as SPDX has it, with the data that it derives from; empty: not known."""
    origin: ClassVar[str] = ""
    """The address at which the data is published; empty: not known, as of a user's file."""
    words: int = 1
    """Raise it when other words of equal prompts may be perturbed: then perturbed prompts are made again."""
    language: str = PYTHON
    """Of its problems' programs, which `Problem.language` says too."""
    environment: str = ""
    """Name of the Python environment that runs its problems' programs (`execution.environments`); empty: raysweep's."""
    languages: ClassVar[tuple[str, ...]] = ()
    """What its argument `language` may be, where one file holds the problems in several."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Arguments by the word that stands for them behind the set's name on a command line: ``bigcodebench-hard``."""
    asks: bool = False
    """Whether its prompts ask for a program in words (`Problem.begins_program` is False), which need a template."""
    least_timeout: ClassVar[float] = 1.0
    """Seconds below which no problem's time limit falls where it follows its reference's time: more where importing
    libraries takes most of a program's time."""
    cases: ClassVar[bool] = False
    """Whether tests are unittest cases in the program's module (`Program.cases`), which always run in isolated mode."""
    requirements: ClassVar[Path | None] = None
    """A file for pip with the packages that its programs may import, for their environment; None: it needs none."""
    repair: ClassVar[bool] = False
    """Whether its problems are code to be repaired, which only templates for repair and `raw` show."""
    caution: ClassVar[str] = ""
    """What numbers on it don't show, which reports say first; empty: nothing to beware of."""
    hub: ClassVar[str] = ""
    """The id of the data set on the Hugging Face hub; empty: it has none."""
    is_mixed: bool = False
    """Whether it has the rows of all languages of its file; see `mixed`."""

    @abstractmethod
    def problems(self) -> Sequence[Problem]:
        """Return the problems in a fixed order. Task ids are unique."""

    @abstractmethod
    def fingerprint(self) -> Mapping[str, Any]:
        """Return all that the problems depend on as JSON: a hash of the data or a generator's version, never a path."""

    def check(self, *, judged: bool = False) -> None:
        """Raise UsageError if the problems can't be read or, when `judged`, if one has no usable tests.

        Sets that read files override this.
        """

    @property
    def runtime(self) -> str:
        """What runs its programs: an environment, or a language."""
        return self.environment or self.language

    def mixed(self) -> ProblemSet:
        """Return this set with the rows of all languages that its file has.

        Only what judges programs one by one reads such a set: a sweep has one compiler, and one number, a set. Sets
        whose files have one language don't look at `is_mixed`.
        """
        one = copy.copy(self)
        one.is_mixed = True
        return one

    @classmethod
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        """Return True if a file's first row can only be one of this set, which the file's path then names."""
        return False

    def developer_patches(self) -> Iterable[tuple[str, Fault]]:
        """Return patches that nobody may be trained on who is judged on the set, with their ids, beside its problems.

        They are the fixes of developers of the projects that its problems are from, also of other bugs.
        """
        return ()

    def segments(self, problem: Problem) -> list[Segment]:
        """Split a prompt into natural language and verbatim text, losslessly.

        A set whose prompts have another shape than HumanEval's overrides it.
        """
        return split_prompt(problem.prompt, problem.entry_point)

    def protected(self, problem: Problem) -> frozenset[str]:
        """Return the words of a prompt that no perturbation may change."""
        if problem.language in COMPILED:
            return protected_in_comments(problem.prompt, problem.language)
        return protected_words(problem.prompt)


JSONL = "jsonl"
"""Name of the source and of the problem set that read a file of the user's."""
ENVIRONMENT = "environment"
"""The argument of sets whose programs may run in another Python environment: its name."""
GIVEN = "given"
"""Name of the environment that a command line gives."""
PROBLEMS: Registry[ProblemSet] = Registry("problem set", "raysweep.problems", ProblemSet)


def problems_entry(text: str, seed: int) -> dict[str, Any]:
    """Return the entry of a config for a problem set that a command line names.

    Args:
        text: a registered name; a JSONL file, or one whose rows a set recognises; ``NAME=PATH``, where NAME is a
            registered set with files, one with a language behind it, such as ``quixbugs-java``, or the name that
            results get for a file. A registered name may have a variant behind it, such as ``bigcodebench-hard``.
        seed: the seed of a generated world, for sets that have one.

    Raises:
        UsageError: the text is neither a registered name nor a file, or names a set that reads a file.
    """
    name, equals, path = text.partition("=")
    if (variant := _variant(name)) and not Path(text).is_file():
        return {**variant, "path": path} if equals else variant
    if equals and not Path(text).exists():
        if name in PROBLEMS.names():
            return {"name": name, "path": path}
        registered, _, language = name.rpartition("-")
        if registered in PROBLEMS.names() and language in PROBLEMS.get(registered).languages:
            return {"name": registered, "path": path, "language": language, "as": name}
        _refuse_near_variant(name)
        return {**_file_entry(path), "as": name}
    if text in PROBLEMS.names() and not Path(text).is_file():
        if "path" in PROBLEMS.required_arguments(text):
            origin = PROBLEMS.get(text).origin
            source = f"; it is from {origin}" if origin else ""
            raise UsageError(f"problem set {text} reads a file: give {text}=PATH{source}")
        return {"name": text, "world": seed} if "world" in PROBLEMS.parameters(text) else {"name": text}
    if Path(text).suffix or Path(text).exists():
        return _file_entry(text)
    PROBLEMS.get(text)  # raises UsageError, which suggests the nearest name
    raise AssertionError(text)


def names_problems(text: str) -> bool:
    """Return True if a text is a registered name, with or without a variant or a path, or a file."""
    name = text.partition("=")[0]
    return name in PROBLEMS.names() or _variant(name) is not None or Path(text).expanduser().is_file()


def _refuse_near_variant(name: str) -> None:
    """Raise UsageError for a name that is nearly a set's with a variant: its file would be read as another one."""
    for registered in PROBLEMS.names():
        known = [f"{registered}-{variant}" for variant in PROBLEMS.get(registered).variants]
        if name.startswith(f"{registered}-") and (near := did_you_mean(name, known)):
            raise UsageError(f"no problem set is called {name!r}{near}; known: {', '.join(known)}")


def in_environment(entries: Sequence[Mapping[str, Any]], environment: str) -> list[dict[str, Any]]:
    """Return entries of problem sets; those of sets that take an environment name it.

    Raises:
        UsageError: none does.
    """
    takes = [ENVIRONMENT in PROBLEMS.parameters(entry["name"]) for entry in entries]
    if not any(takes):
        names = ", ".join(dict.fromkeys(entry["name"] for entry in entries))
        known = ", ".join(name for name in PROBLEMS.names() if ENVIRONMENT in PROBLEMS.parameters(name))
        raise UsageError(f"--environment: programs on {names} run in raysweep's own Python; others may on {known}")
    named = {ENVIRONMENT: environment}
    return [{**entry, **(named if does else {})} for entry, does in zip(entries, takes, strict=True)]


def _variant(name: str) -> dict[str, Any] | None:
    """Return the entry of a set's variant, such as ``bigcodebench-hard``; None where a name is no such one."""
    for registered in PROBLEMS.names():
        arguments = PROBLEMS.get(registered).variants.get(name.removeprefix(f"{registered}-"))
        if arguments is not None and name.startswith(f"{registered}-"):
            return {"name": registered, **arguments, "as": name}
    return None


def _file_entry(path: str) -> dict[str, Any]:
    """Return the entry of a file: of the one set that recognises its first row, else of `JSONL`."""
    try:
        fields = next(stream_json_rows(Path(path).expanduser())).fields
    except UsageError:  # the set's own check says what is wrong
        return {"name": JSONL, "path": path}
    names = [name for name in PROBLEMS.names() if PROBLEMS.get(name).recognises(fields)]
    return {"name": names[0] if len(names) == 1 else JSONL, "path": path}


def problem_set_of(
    text: str, seed: int, *, judged: bool, mixed: bool = False, environment: str = ""
) -> tuple[ProblemSet, dict[str, Any]]:
    """Return the problem set that a command line names, and its entry; see `problems_entry`.

    `judged`: programs will be judged, so every problem needs tests. `mixed`: problems may be in several languages.
    `environment`: name of the one that runs programs; empty: raysweep's own.

    Raises:
        UsageError: the text is neither a registered name nor a file, or the file is unusable; the set takes no
            environment.
    """
    entry = problems_entry(text, seed)
    if environment:
        (entry,) = in_environment([entry], environment)
    args = {key: value for key, value in entry.items() if key not in ("name", "as")}
    problem_set = PROBLEMS.create(Spec(entry["name"], args))
    problem_set = problem_set.mixed() if mixed else problem_set
    problem_set.check(judged=judged)
    return problem_set, entry
