"""Finds out from tests where they can run: outside the program's process, or only inside it.

The functions that a problem declares tell it of tests in Java and C++ (compiled/splitting.py), and of those in Python
the tests themselves. Outside, tests get proxies of the candidate's functions and exchange plain data with them
(python/outside/session.py). Tests that look at the program itself can't work there: those that inspect its source or
frames, patch it, read its output or files, seed its random numbers, hand it functions or classes of their own, or are
unittest cases. Where a problem has a reference solution, that is judged outside too, before any other program: if its
outcome is another one inside, the problem is judged inside (`judge_references`).
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import lru_cache

from raysweep.execution.compiled.splitting import split
from raysweep.execution.python.source_names import given_to, imported_names
from raysweep.programs import COMPILED, Oracle, Outcome, Program, Verdict

_MODULES = frozenset(
    """
    abc base64 bisect cmath collections colorsys copy datetime decimal enum fractions functools hashlib heapq itertools
    json math numbers numpy operator random re statistics string struct textwrap time typing unicodedata uuid zlib
    """.split()  # noqa: SIM905  # shorter
)
"""Modules that tests may import outside: they compute, and don't look at the program or its surroundings."""
_INSIDE_NAMES = frozenset(
    """
    eval exec compile globals locals vars dir open input __import__ setattr delattr getattr hasattr help breakpoint
    memoryview super setcontext seterr seterrcall set_printoptions
    """.split()  # noqa: SIM905  # shorter
)
_INSIDE_ATTRIBUTES = frozenset(
    """
    seed setstate getstate __code__ __dict__ __class__ __globals__ setcontext seterr seterrcall set_printoptions
    """.split()  # noqa: SIM905  # shorter
)
NO_BOUNDARY = "which is no boundary against a program that wants to pass"
"""What is said wherever problems are named that are judged inside."""
BY_REFERENCE = "its reference solution has another outcome with out-of-process tests"
"""Why a problem's tests run in-process though nothing in their text asks for it."""
BY_CASES = "they are unittest cases in the program's own module"
"""Why those of all problems of BigCodeBench do."""


def oracle_of(program: Program) -> Oracle:
    """Return where a program's tests run, as far as they alone tell. Without tests, nothing is to be judged outside."""
    return Oracle.INSIDE if reason_for_inside(program) else Oracle.OUTSIDE


def reason_for_inside(program: Program) -> str:
    """Return why a program's tests have to run in its process; "" if they can run outside."""
    if not program.tests.strip():
        return "there are no tests"
    if program.cases:
        return BY_CASES
    if program.language in COMPILED:
        return split(program.language, program.declaration, program.tests).reason
    return _reason_of_python(program.tests)


@lru_cache(maxsize=4096)
def _reason_of_python(tests: str) -> str:
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "they can't be parsed"
    try:
        return next(_reasons(tree), "")
    except RecursionError:
        return "they are nested too deeply"


def judging(reference: Program) -> Generator[Program, Verdict, tuple[Verdict, Oracle]]:
    """Find where a problem's tests run: yield its reference solution with a place, once for each verdict it is sent."""
    found = oracle_of(reference)
    verdict = yield dataclasses.replace(reference, oracle=found)
    if verdict.outcome is Outcome.HARNESS_ERROR:  # perhaps the machine's: it counts if it repeats
        verdict = yield dataclasses.replace(reference, oracle=found)
    if verdict.outcome is Outcome.PASSED or found is Oracle.INSIDE:
        return verdict, found
    inside = yield dataclasses.replace(reference, oracle=Oracle.INSIDE)
    return (verdict, found) if inside.outcome is verdict.outcome else (inside, Oracle.INSIDE)


def judge_references(
    programs: Sequence[Program], run: Callable[[Sequence[Program]], list[Verdict]]
) -> list[tuple[Verdict, Oracle]]:
    """`programs`: the reference solutions with their tests. `run`: judges programs, in order."""
    judged: dict[int, tuple[Verdict, Oracle]] = {}
    unclear = {index: judging(program) for index, program in enumerate(programs)}
    asked = {index: next(one) for index, one in unclear.items()}
    while asked:
        verdicts, before, asked = run(list(asked.values())), list(asked), {}
        for index, verdict in zip(before, verdicts, strict=True):
            try:
                asked[index] = unclear[index].send(verdict)
            except StopIteration as end:
                judged[index] = end.value
    return [judged[index] for index in range(len(programs))]


def with_reasons(reasons: Mapping[str, str], most: int) -> str:
    listed = [f"{name} ({reason})" if reason else name for name, reason in reasons.items()]
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def inside_refused(reasons: Mapping[str, str]) -> str:
    return (
        f"the tests of {with_reasons(reasons, 5)} have to run in the program's process, and require_oracle is outside, "
        "which refuses in-process tests; leave these problems out, or set execution.require_oracle (--require-oracle) "
        "to inside"
    )


def _reasons(tree: ast.Module) -> Iterator[str]:
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    imported, modules = imported_names(tree), imported_names(tree, modules_only=True)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"they import {alias.name}" for alias in node.names if _is_inside(alias.name))
        elif isinstance(node, ast.ImportFrom) and (node.level or _is_inside(node.module or "")):
            yield f"they import {node.module}"
        elif isinstance(node, ast.Name) and node.id in _INSIDE_NAMES:
            yield f"they use {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in _INSIDE_ATTRIBUTES:
            yield f"they use .{node.attr}"
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield f"they set .{node.attr}"
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id not in own | imported | bound
            and not hasattr(builtins, node.value.id)
        ):
            yield f"they use .{node.attr} of the candidate"
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield "they are asynchronous"
        elif isinstance(node, ast.Call) and _hands_functions(node, own | modules, imported | own, bound):
            yield f"they hand a function to {ast.unparse(node.func)[:60]}"


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] not in _MODULES


def _hands_functions(call: ast.Call, handed: set[str], trusted: set[str], bound: set[str]) -> bool:
    """Return True if a call of the candidate's has a function as an argument, or one of the names in `handed`."""
    called = call.func
    is_method = isinstance(called, ast.Attribute)
    while isinstance(called, ast.Attribute):
        called = called.value
    if not isinstance(called, ast.Name) or called.id in trusted or hasattr(builtins, called.id):
        return False
    if is_method and called.id in bound:  # such as `names.sort(key=len)`
        return False
    return any(
        isinstance(one, ast.Lambda) or (isinstance(one, ast.Name) and one.id in handed) for one in given_to(call)
    )
