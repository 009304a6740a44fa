"""Problems made from rows of files: two shapes of tests, checks of rows and tests, and the way back to a row.

The problem sets that read files share this module: jsonl, humaneval, humaneval-x, mbpp, repair, and those of EvalPlus
and SafeCoder.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.python.source_names import bound_names, declared_names, tasks_named_as_builtins
from raysweep.problems.base import ProblemSet
from raysweep.programs import CPP, JAVA, LANGUAGE_WORDS, LANGUAGES, PYTHON, Program
from raysweep.records import Problem
from raysweep.rows.hub import CachedRows, DataSetRef, fetch
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows, stream_json_rows

STUDY_STOP = ("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n")
"""Strings that end a Python completion in the study: SafeCoder's, then the paper's two."""
STOP = (*STUDY_STOP, "\n```")
"""Strings that end a Python completion: the study's, and the fence that closes a block of code, after which models
explain it. A problem set that takes other ones than before raises its `stops`."""

_NAMES = {"py": PYTHON, "python3": PYTHON, "c++": "cpp"}
"""Other names of languages in files."""
_DEFINITION = re.compile(r"\bdef\b\s*(\w*)")
_TOP_LEVEL = re.compile(r"^(?:def|class) +(\w+)|^(\w+) *=[^=]", re.MULTILINE)
_TESTS_IN = {
    JAVA: re.compile(r"^\s*(public\s+)?(final\s+)?class\s+\w+[^:;()]*\{|\bpublic static void main\(", re.MULTILINE),
    CPP: re.compile(r"^\s*int\s+main\s*\(|^\s*#\s*include\s*[<\"]", re.MULTILINE),
}
"""What tests in a compiled language have, and none in Python."""
_IMPORTS = (ast.Import, ast.ImportFrom)
_HELPERS = (*_IMPORTS, ast.FunctionDef)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NO_CASES = (
    "it defines no class that derives from unittest.TestCase and has a method whose name begins with test; add one"
)


@dataclass(frozen=True, slots=True)
class FileProblem(Problem):
    """A problem that keeps the row of its file. Its `test` defines ``check``, which the program calls at its end."""

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def prompt_field(self) -> str:
        """The name of the field that holds the prompt."""
        return "prompt"


@dataclass(frozen=True, slots=True)
class ScriptedProblem(FileProblem):
    """A problem whose `test` consists of statements that run as they are, such as SafeCoder's and MBPP's asserts."""

    def assemble(self, completion: str) -> Program:
        """Return prompt + completion + a line break + tests, as SafeCoder and MultiPL-E run them.

        Source: https://github.com/eth-sri/SafeCoder/blob/main/scripts/func_eval_exec.py
        """
        return Program(f"{self.prompt}{completion}", self.test, self.language, environment=self.environment)


class FileSet(ProblemSet):
    """A set whose problems are the rows of a file; without one, of the hub's set, which this machine's cache keeps.

    Raises:
        UsageError: the file doesn't exist.
    """

    file: ClassVar[str] = ""  # which files may be given in place of the hub's set

    def __init__(self, path: Path | None, hub_set: DataSetRef | None = None) -> None:
        self.path, self._hub_set = path, hub_set
        if path is not None:
            check_file(path)

    @abstractmethod
    def problem(self, row: JsonRow) -> Problem:
        """Return the problem in a row; raise UsageError (file, line) for an unusable one."""

    @override
    def problems(self) -> Sequence[Problem]:
        return problems_of(self.rows(), lambda row: replace(self.problem(row), environment=self.environment))

    def rows(self) -> Iterable[JsonRow]:
        return self._cached.stream() if self.path is None else read_json_rows(self.path)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return self._cached.fingerprint() if self.path is None else {"sha256": content_sha(self.path)}

    @override
    def check(self, *, judged: bool = False) -> None:
        problems = self.problems()
        if judged:
            check_tests(problems, str(self.path or (self._hub_set and self._hub_set.path)))

    @cached_property
    def _cached(self) -> CachedRows:
        assert self._hub_set is not None
        try:
            return fetch(self._hub_set)
        except UsageError as error:
            raise type(error)(f"problem set {self.name}: {error}; or give `path:` {self.file}") from error


def full_path(path: str) -> Path:
    """Return a path that holds in other working folders too, such as workers'."""
    return Path(path).expanduser().absolute()


def with_helpers(prompt: str, entry_point: str, test: str) -> str:
    """Return tests with what they use of a Python prompt: functions, beside the one to write, and imports.

    HumanEval/38 asks to decode what the prompt's `encode_cyclic` encodes, and its tests call that function. They must
    call the prompt's: a candidate could define another one, for which decoding is trivial.
    """
    if "import" not in prompt and _DEFINITION.findall(prompt) == [entry_point]:
        return test  # most prompts: parsing them takes longer than reading all files
    used = set(re.findall(r"\w+", test)) - {entry_point}
    try:
        statements = [node for node in ast.parse(f"{prompt.rstrip()}\n    pass").body if isinstance(node, _HELPERS)]
        if any(used & _bound_by(node) for node in statements):
            imported = (node for node in ast.parse(test).body if isinstance(node, _IMPORTS))
            used = used.difference(*map(_bound_by, imported))
    except (SyntaxError, ValueError):
        return test
    if not any(used & _bound_by(node) for node in statements):
        return test
    imports = [node for node in statements if isinstance(node, _IMPORTS)]
    helpers = [node for node in statements if not isinstance(node, _IMPORTS) and used & _bound_by(node)]
    return "\n".join([*map(ast.unparse, [*imports, *helpers]), test])


def with_names(code: str, entry_point: str | None, test: str) -> str:
    """Return tests, with ``global a, b`` before them if they read names that a prompt or reference defines.

    Judges take no other names from a candidate than the one to write and those that tests state in this way: MBPP/927
    asks for the height of a tree `root`, which only the reference solution defines.

    `entry_point`: the name to write; None for tests that run as they are: they ask for the names that they read, and
    state those beside them that a library or Python has too, such as `Counter` or `max`.
    """
    defined = {name for names in _TOP_LEVEL.findall(code) for name in names} - {entry_point}
    if not defined & set(re.findall(r"\w+", test)):
        return test
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError):
        return test
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound = bound.union(*(_bound_by(node) for node in nodes if isinstance(node, (*_HELPERS, ast.ClassDef))))
    read = {node.id for node in names} - bound
    stated = read & defined
    if entry_point is None:
        own = {name for name in read if not hasattr(builtins, name)}
        stated -= declared_names(tree, own) if own else {*tasks_named_as_builtins(tree)}
    if not stated:
        return test
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    lines = test.split("\n")
    lines.insert(futures[-1].end_lineno or 0 if futures else 0, f"global {', '.join(sorted(stated))}")
    return "\n".join(lines)


def _bound_by(node: ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}


def problems_of(rows: Iterable[JsonRow], make: Callable[[JsonRow], Problem]) -> list[Problem]:
    """Return the problem that `make` builds from each row; raise UsageError (file, line) where a task id repeats."""
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for row in rows:
        problem = make(row)
        if problem.task_id in places:
            first = places[problem.task_id]
            raise UsageError(f"{row.place}: task_id {problem.task_id!r} is already at {first}; task ids must differ")
        places[problem.task_id] = row.place
        problems.append(problem)
    return problems


def language_name(written: str) -> str:
    """Return a language as files may name it, in one word for all its names: ``python`` for ``Py``."""
    name = written.strip().lower()
    return _NAMES.get(name, name)


def language_of(row: JsonRow, default: str = PYTHON) -> str:
    """Return a row's `language`, or the default; raise UsageError (its place) if programs in it can't be run."""
    written = row.text("language", default)
    language = language_name(written)
    if language not in LANGUAGES:
        near = did_you_mean(language, LANGUAGES)
        raise UsageError(
            f"{row.place}: programs in the `language` {written!r}{near} can't be run; known: {', '.join(LANGUAGES)}"
        )
    return language


def first_language(path: Path, of: Callable[[JsonRow], str]) -> str:
    """Return the language of a file's first row; Python where it can't be told, since reading problems says why."""
    with suppress(UsageError):
        return of(next(stream_json_rows(path)))
    return PYTHON


def row_language(row: JsonRow, tests: str, expected: str | None, default: str | None = None) -> str:
    """Return the language of a row of a user's file.

    `expected`: that of the file's first row; None: a file's rows may be in several languages. `default`: that of rows
    without the field, if the user has named it; None: Python.

    Raises:
        UsageError: programs in that language can't be run, it is another than the expected one, or the tests can be in
            no language but one that nobody has named; with the row's place.
    """
    if default is None and row.fields.get("language") is None and (likely := _likely_language(tests)):
        raise UsageError(
            f"{row.place}: the row has no `language`, which stands for Python, and its tests are in "
            f'{LANGUAGE_WORDS[likely]}; add "language": "{likely}" to each row'
        )
    language = language_of(row, default or PYTHON)
    if expected is not None and language != expected:
        raise UsageError(
            f"{row.place}: its `language` is {language}, and the first row's is {expected}; give each language a file "
            "(only `raysweep execute` takes several in one)"
        )
    return language


def _likely_language(tests: str) -> str:
    likely = next((language for language, sign in _TESTS_IN.items() if sign.search(tests)), "")
    if likely:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            ast.parse(tests)
            return ""  # texts of Python's
    return likely


def reference_of(row: JsonRow) -> str | None:
    """Return a row's `canonical_solution`; None where it is null, as for most of mxeval's problems."""
    is_null = "canonical_solution" in row.fields and row.fields["canonical_solution"] is None
    return None if is_null else row.text("canonical_solution")


def check_tests(problems: Iterable[Problem], place: str) -> None:
    """Raise UsageError (place, task) for the first problem without tests, or with tests that don't compile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape sequence gives a SyntaxWarning and compiles
        for problem in problems:
            if not problem.test.strip():
                raise UsageError(f"{place}: problem {problem.task_id!r} has no `test`, so its programs can't be tested")
            if problem.language == PYTHON and (reason := _test_error(problem) or _lacks_tests(problem)):
                raise UsageError(f"{place}: the `test` of problem {problem.task_id!r} can't be run: {reason}")


def multipl_e_problem(row: JsonRow, stop: Sequence[str]) -> Problem:
    """Return the problem in a row of MultiPL-E: name, prompt, tests, stop_tokens, and no reference solution.

    `stop`: strings that end a completion, beside the row's own.

    Raises:
        UsageError: a field is missing or wrong, or the language is another one; with the row's place.
    """
    if row.text("language", "py") != "py":
        raise UsageError(
            f"{row.place}: `language` is {row.text('language')!r}; of MultiPL-E's problems only those in py are read; "
            "judge others with MultiPL-E, or give HumanEval-X's file for Java or C++"
        )
    prompt, own = row.text("prompt"), row.fields.get("stop_tokens") or []
    functions = re.findall(r"^def +(\w+)", prompt, re.MULTILINE)
    if not functions:
        raise UsageError(f"{row.place}: `prompt` opens no function")
    if not isinstance(own, list) or not all(isinstance(token, str) and token for token in own):
        raise UsageError(f"{row.place}: `stop_tokens` must be a list of texts, not {own!r:.60}")
    return ScriptedProblem(
        task_id=row.text("name"),
        prompt=prompt,
        entry_point=functions[-1],
        test=with_names(prompt, None, with_helpers(prompt, functions[-1], row.text("tests", ""))),
        stop=tuple(dict.fromkeys([*own, *stop])),
        fields=row.fields,
    )


def problem_fields(problem: Problem) -> dict[str, Any]:
    """Return a problem as a row of a problem file: its own row, or HumanEval's fields where it came from no file."""
    if isinstance(problem, FileProblem):
        return dict(problem.fields)
    fields = {"task_id": problem.task_id, "prompt": problem.prompt, "entry_point": problem.entry_point}
    if problem.reference is not None:
        fields["canonical_solution"] = problem.reference
    return fields | {"test": problem.test}


def perturbed_fields(problem: Problem, prompt: str) -> dict[str, Any]:
    """Return a problem as a row of a problem file (`problem_fields`) with another prompt."""
    name = problem.prompt_field if isinstance(problem, FileProblem) else "prompt"
    return problem_fields(problem) | {name: prompt}


def _lacks_tests(problem: Problem) -> str:
    """Return why tests that are unittest cases hold none, or those called as ``check`` don't define it, or ""."""
    program = problem.assemble("")
    if program.cases:
        return "" if _has_cases(ast.parse(program.tests)) else _NO_CASES
    called = f"\ncheck({problem.entry_point})"
    if not program.tests.endswith(called) or {"check", "*"} & {*bound_names(_outer(ast.parse(problem.test)))}:
        return ""
    way = "def check(candidate): pass` behind its asserts"
    if cases := re.search(r"^class (\w+)\(.*TestCase\)", problem.test, re.MULTILINE):
        way = (
            "def check(candidate): result = unittest.TestResult(); unittest.defaultTestLoader.loadTestsFromTestCase("
            f"{cases[1]}).run(result); assert result.wasSuccessful()`"
        )
    return f"it defines no function `check`, which is called with the candidate; add `{way}"


def _outer(tests: ast.Module) -> list[ast.stmt]:
    """Return the statements outside of functions and classes, and these with their heads."""
    flat = [one for one in tests.body if isinstance(one, _DEFINITIONS)]
    nested = (node for one in tests.body if not isinstance(one, _DEFINITIONS) for node in ast.walk(one))
    return [*flat, *(node for node in nested if isinstance(node, ast.stmt))]


def _has_cases(tests: ast.Module) -> bool:
    """Return True if a class that derives from a TestCase has a test method, or both through other classes."""
    cases, with_methods = set[str](), set[str]()
    for node in [node for node in ast.walk(tests) if isinstance(node, ast.ClassDef)]:
        bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        if bases & cases or any(base.endswith("TestCase") for base in bases):
            cases.add(node.name)
        if bases & with_methods or any(name.startswith("test") for name in methods):
            with_methods.add(node.name)
    return bool(cases & with_methods)


def _test_error(problem: Problem) -> str:
    """Return why a problem's tests, or the call of its entry point, don't compile, or "". Runs nothing."""
    tests = problem.assemble("").tests
    try:
        compile(tests, "<test>", "exec", dont_inherit=True)
    except SyntaxError as error:
        if (error.lineno or 0) > len(problem.test.split("\n")):
            return f"check({problem.entry_point}) is no call; correct `entry_point`"
        return f"{error.msg} in its line {error.lineno}; correct it"
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        return f"it does not compile ({error}); correct it"
    return ""
