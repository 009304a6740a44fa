"""Compiles tests for a judge that asks a program in another process: their code, and the names that they ask for."""

from __future__ import annotations

import ast
import importlib
import symtable
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from types import CodeType
from typing import Any

from raysweep.execution.python.outcomes import TESTS
from raysweep.execution.python.outside.batches import ends_of_batches
from raysweep.execution.python.outside.beside import Beside, beside_calls
from raysweep.execution.python.outside.codec import encoded
from raysweep.execution.python.screen import code_objects
from raysweep.execution.python.source_names import (
    BUILTINS,
    bound_names,
    declared_names,
    given_to,
    imported_modules,
    imported_names,
    names_in,
    root_of,
    single_imports,
    stated_names,
    tasks_named_as_builtins,
)
from raysweep.programs import Outcome

_CLOCKS = frozenset({"time", "datetime", "uuid"})
"""Modules that give tests something else each time: their verdict doesn't depend on the answers alone."""
MAX_CALLS_BYTES = 4 * 2**20  # of the calls of one problem
MAX_BATCHES = 50  # of the calls of one problem; asking call by call is faster than more
MAX_KNOWN = 200  # verdicts that are kept for one problem


Made = tuple[tuple[str, Any, Any], list[Any], list[Any]]
"""A call (name, arguments, options), its answer, and what stands beside it in the tests (beside.py), as plain data."""


@dataclass
class AskedTests:
    """Tests, compiled, with the names that they read from a candidate (`candidate._Program.wanted_names`).

    Once a candidate has passed, its calls are noted here. Later ones get them in as few messages as possible without
    telling an answer (batches.py); and as the verdict of tests depends on the answers alone, equal answers get the
    verdict that is kept here, without running the tests.
    """

    text: str
    code: CodeType
    wanted: tuple[list[str], list[str], list[str]]  # names of its own, those that tests bind later, built-in functions
    declared: Set[str]  # those of its own names that a candidate may define; the others may only be a library's
    imports: Mapping[str, str]  # for each name that an import at the top level binds, the statement that binds it
    calls: list[bytes] | None = None  # noted: (name, arguments, options) of each call, as text
    beside: Beside = field(default_factory=dict)  # what stands beside the calls
    ends: list[int] = field(default_factory=list)  # the number of calls up to the end of each batch
    is_live: bool = False  # the calls depend on the answers, or are too large to be sent ahead
    has_new_arguments: bool = False  # no argument is used again, so that changes of it reach no later call
    _known: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)  # by the hash of the answers
    _accepted: set[bytes] = field(default_factory=set)  # hashes of answers to the first batches
    _request_end: bytes = field(init=False)
    _live_request_end: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._request_end = self._live_request_end = self._end_of_request(b"null")

    def request(self, text: str, *, ahead: bool = True) -> bytes:
        """Return the request to run a program's text (candidate.py), with the first calls if they are known."""
        return b'["run",' + encoded(text) + (self._request_end if ahead else self._live_request_end)

    def batch(self, number: int) -> bytes:
        """Return the request to answer a batch of calls, not the first one, which `request` contains."""
        return b'["calls",%b]' % self._listed(number)

    def note(self, made: Sequence[Made] | None) -> int:
        """Keep the calls of a candidate that passed, unless they can't be sent ahead; return the bytes that it takes.

        `made`: None if it is known that they can't.
        """
        calls = [encoded(call) for call, _, _ in made or ()]
        names = {name for (name, _, _), _, _ in made or ()}
        self.is_live = True
        # of two functions, such as encode and decode, one's answers may be the other's arguments
        if made is None or len(names) != 1 or sum(map(len, calls)) > MAX_CALLS_BYTES:
            return 0
        try:
            ends = ends_of_batches(*zip(*made, strict=True))
        except RecursionError:
            return 0
        if len(ends) > MAX_BATCHES:
            return 0
        self.is_live = False
        self.calls, self.ends = calls, ends
        self._request_end = self._end_of_request(self._listed(0))
        return 2 * sum(map(len, calls))

    def _listed(self, number: int) -> bytes:
        assert self.calls is not None
        start = self.ends[number - 1] if number else 0
        return b"[%b]" % b",".join(self.calls[start : self.ends[number]])

    def known(self, answers: Sequence[bytes]) -> tuple[str, str, str] | None:
        """Return outcome, detail and the parts that passed for answers with which the tests ended before."""
        return self._known.get(_hash(answers))

    def accepted(self, answers: Sequence[bytes]) -> bool:
        """Return True if a candidate passed that gave the same answers to the first batches."""
        return _hash(answers) in self._accepted

    def know(self, answers: Sequence[bytes], verdict: tuple[str, str, str]) -> None:
        if len(self._known) < MAX_KNOWN:
            self._known[_hash(answers)] = verdict
            if verdict[0] == Outcome.PASSED:
                self._accepted.update(_hash(answers[: end + 1]) for end in self.ends[:-1])  # the first is to "run"

    def _end_of_request(self, calls: bytes) -> bytes:
        return b",%b,%b,%b]" % (encoded(self.wanted), encoded(self.imports), calls)


def _hash(answers: Sequence[bytes]) -> bytes:
    return sha256(b"\n".join(answers)).digest()


def compile_tests(text: str) -> AskedTests:
    tree = ast.parse(text)
    code = compile(text, TESTS, "exec", dont_inherit=True)
    builtin_names = BUILTINS - stated_names(tree)
    loaded = {name for part in code_objects(code) for name in part.co_names} - builtin_names
    loaded &= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}  # not attributes
    bound = frozenset(bound_names(tree.body))
    imports = {name: ast.unparse(module) for name, module in single_imports(tree)}
    common = (_read_before_bound(tree.body) & loaded & bound) - imports.keys()
    own = sorted(loaded - bound)
    wanted = own, sorted(common), [] if own else tasks_named_as_builtins(tree)
    not_candidates = builtin_names - set(wanted[2]) | imported_names(tree)
    for name in imported_modules(tree):  # now, so that the time doesn't count for a candidate
        with suppress(Exception):  # the tests will raise it again, for every program
            importlib.import_module(name)
    return AskedTests(
        text,
        code,
        wanted,
        declared_names(tree, loaded - bound),
        imports,
        is_live=not _CLOCKS.isdisjoint(imported_modules(tree))
        or _arguments_may_depend_on_answers(tree, not_candidates),
        has_new_arguments=_arguments_are_new(tree, not_candidates),
        beside=beside_calls(tree, _names_of_candidates(tree, not_candidates)),
    )


def _read_before_bound(statements: Sequence[ast.stmt]) -> set[str]:
    """Return the names that statements read before one binds them, such as ``f = timed(f)``.

    Other names that tests bind are their own: a candidate's `x` would stand for that of ``for x in f(1): pass`` if
    `f` returned nothing. What functions read counts as read later, and what compound statements bind as bound before.
    """
    read: set[str] = set()
    bound: set[str] = set()
    for statement in statements:
        binds = set(bound_names([statement]))
        if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Assert):
            nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            names = {node.id for node in nodes if isinstance(node.ctx, ast.Load)}
            read |= (names | (binds if isinstance(statement, ast.AugAssign) else set())) - bound
        bound |= binds
    return read


def _arguments_may_depend_on_answers(tree: ast.Module, own: Set[str]) -> bool:
    """Return True if tests may pass on to a candidate what it has answered, by names or in nested calls.

    Such calls must not be sent ahead: the later ones would tell a program the right answers to the earlier ones. A
    candidate's functions may only be called, or be passed to a function of the tests; everything else counts as doubt.

    `own`: names of built-in functions and of imports, which are no candidate's.
    """
    closed = _closed_functions(tree, own)
    own = own | {function.name for function in closed}
    tree = ast.Module([statement for statement in tree.body if statement not in closed], [])
    nodes = list(ast.walk(tree))
    defined = _parameters_of_functions(tree)
    askers = _names_of_candidates(tree, own)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    used = {id(call.func) for call in calls}
    used |= {id(given) for call in calls if root_of(call.func) in defined for given in given_to(call)}
    if any(isinstance(node, ast.Name) and node.id in askers and id(node) not in used for node in nodes):
        return True
    tainted: set[str] = set()

    def asks(node: ast.AST) -> bool:
        return any(
            (isinstance(part, ast.Name) and part.id in tainted)
            or (isinstance(part, ast.Call) and root_of(part.func) not in own)
            for part in ast.walk(node)
        )

    def taint(targets: Iterable[ast.AST]) -> None:
        tainted.update(name for target in targets for name in names_in(target) if name not in own | askers)

    before = -1
    while before < len(tainted):
        before = len(tainted)
        for node in nodes:
            taint(_targets_of_answers(node, asks))
            if isinstance(node, ast.ExceptHandler) and node.name:
                tainted.add(node.name)
            elif isinstance(node, ast.Call) and any(map(asks, given_to(node))):
                if root_of(node.func) not in askers:
                    # such as results.append(f(1)) or heappush(results, f(1))
                    taint([node.func, *(one for one in given_to(node) if not isinstance(one, ast.Call))])
                tainted |= defined.get(root_of(node.func), set())
    return any(any(map(asks, given_to(call))) for call in calls if root_of(call.func) not in own | defined.keys())


def _targets_of_answers(node: ast.AST, asks: Callable[[ast.AST], bool]) -> list[ast.AST]:
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
        targets: list[ast.AST] = [*node.targets] if isinstance(node, ast.Assign) else [node.target]
        return targets if node.value is not None and asks(node.value) else []
    if isinstance(node, ast.For | ast.comprehension):
        return [node.target] if asks(node.iter) else []
    if isinstance(node, ast.withitem) and node.optional_vars is not None:
        return [node.optional_vars] if asks(node.context_expr) else []
    return [node] if isinstance(node, ast.Match) and asks(node.subject) else []


def _closed_functions(tree: ast.Module, own: Set[str]) -> list[ast.FunctionDef]:
    """Return the functions of tests that can't call a candidate: to the analysis they are like functions of a library.

    They use only names of their own, `own`, constants and one another, and no call gives them a candidate's function.
    """
    stored = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    assigned = [one for one in tree.body if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant)]
    own = own | {name for one in assigned for name in names_in(one) if stored[name] == 1}
    closed = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    loaded = {function.name: _names_from_outside(function) - own for function in closed}
    while True:
        names = {function.name for function in closed}
        rest = ast.Module([statement for statement in tree.body if statement not in closed], [])
        askers = _names_of_candidates(rest, own | names)
        calls = [node for node in ast.walk(rest) if isinstance(node, ast.Call)]
        given_one = {root_of(call.func) for call in calls if askers & _plain_names(given_to(call))}
        kept = [one for one in closed if loaded[one.name] <= names and one.name not in given_one]
        if len(kept) == len(closed):
            return closed
        closed = kept


def _names_from_outside(function: ast.FunctionDef) -> set[str]:
    waiting = [symtable.symtable(ast.unparse(function), TESTS, "exec")]
    names = {symbol.get_name() for symbol in waiting[0].get_symbols()} - {function.name}
    while waiting:
        table = waiting.pop()
        names |= {
            symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and table.get_type() != "module"
        }
        waiting += table.get_children()
    return names


def _names_of_candidates(tree: ast.Module, own: Set[str]) -> set[str]:
    nodes = list(ast.walk(tree))
    defined = _parameters_of_functions(tree)
    loaded = {node.id for node in nodes if isinstance(node, ast.Name)}
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    askers = loaded - own - bound - defined.keys()
    before = -1
    while before < len(askers):
        before = len(askers)
        for node in nodes:
            if isinstance(node, ast.Call) and root_of(node.func) in defined and askers & _plain_names(given_to(node)):
                askers |= defined[root_of(node.func)]
    return askers


def _plain_names(nodes: Iterable[ast.expr]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _parameters_of_functions(tree: ast.Module) -> dict[str, set[str]]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {one.name: {part.arg for part in ast.walk(one.args) if isinstance(part, ast.arg)} for one in functions}


def _arguments_are_new(tree: ast.Module, own: Set[str]) -> bool:
    """Return True if no argument of a candidate is an object that tests use again: all consist of literals.

    Then no call passes on what a candidate changed in the arguments of an earlier one.
    """
    tests = own | _parameters_of_functions(tree).keys()
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and root_of(node.func) not in tests]
    parts = [part for call in calls for argument in given_to(call) for part in ast.walk(argument)]
    return not any(isinstance(part, ast.Name) and part.id not in own for part in parts)
