"""Compiles tests for a judge that asks a program in another process: their code, and the names that they ask for."""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from types import CodeType

from raysweep.execution.python.outcomes import TESTS
from raysweep.execution.python.outside.plain import encoded
from raysweep.execution.python.screen import code_objects
from raysweep.execution.python.source_names import bound_names, imported_modules, imported_names, single_imports

_BUILTINS = frozenset(vars(builtins))
MAX_CALLS_BYTES = 4 * 2**20  # of the calls of one problem
MAX_KNOWN = 200  # verdicts that are kept for one problem


@dataclass
class AskedTests:
    """Tests, compiled, with the names that they read from a candidate (`candidate._Program.wanted_names`).

    Once a candidate has passed, its calls are noted here. Later ones get them all in one message; and as the verdict
    of tests depends on the answers alone, equal answers get the verdict that is kept here, without running the tests.
    """

    text: str
    code: CodeType
    wanted: tuple[list[str], list[str], list[str]]  # names of its own, names that tests bind too, built-in functions
    imports: Mapping[str, str]  # for each name that an import at the top level binds, the statement that binds it
    calls: list[bytes] | None = None  # noted: (name, arguments, options) of each call, as text
    is_live: bool = False  # the calls depend on the answers, or are too large to be sent ahead
    has_new_arguments: bool = False  # each call makes its arguments: what a candidate changes in them is not seen again
    _known: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)  # by the hash of all answers
    _request_end: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._end_request(b"null")

    def request(self, text: str) -> bytes:
        """Return the request to run a program's text (candidate.py)."""
        return b'["run",' + encoded(text) + self._request_end

    def note(self, calls: list[bytes] | None) -> int:
        """Keep the calls of a candidate that passed; None: they can't be sent ahead. Return the bytes that it takes."""
        if not calls or sum(map(len, calls)) > MAX_CALLS_BYTES:
            self.is_live = True
            return 0
        self.calls = calls
        self._end_request(b"[" + b",".join(calls) + b"]")
        return 2 * len(self._request_end)

    def stay_live(self) -> None:
        """Note no calls any more, since a candidate's answers have led to other ones."""
        self.calls, self.is_live = None, True
        self._known.clear()
        self._end_request(b"null")

    def known(self, answers: bytes) -> tuple[str, str, str] | None:
        """Return outcome, detail and the parts that passed for answers that another candidate gave too."""
        return self._known.get(sha256(answers).digest())

    def know(self, answers: bytes, verdict: tuple[str, str, str]) -> None:
        """Keep outcome, detail and the parts that passed for answers."""
        if len(self._known) < MAX_KNOWN:
            self._known[sha256(answers).digest()] = verdict

    def _end_request(self, calls: bytes) -> None:
        self._request_end = b",%b,%b,%b]" % (encoded(self.wanted), encoded(self.imports), calls)


def compile_tests(text: str) -> AskedTests:
    """Compile tests; raise SyntaxError or ValueError if they aren't valid Python."""
    tree = ast.parse(text)
    code = compile(text, TESTS, "exec", dont_inherit=True)
    loaded = {name for part in code_objects(code) for name in part.co_names} - _BUILTINS
    bound = frozenset(bound_names(tree.body))
    imports = {name: ast.unparse(module) for name, module in single_imports(tree)}
    common = (loaded & bound) - imports.keys()
    wanted = sorted(loaded - bound), sorted(common), sorted(frozenset(code.co_names) & _BUILTINS)
    for name in imported_modules(tree):  # now, so that the time doesn't count for a candidate
        with suppress(Exception):  # the tests will raise it again, for every program
            importlib.import_module(name)
    return AskedTests(
        text,
        code,
        wanted,
        imports,
        is_live=_arguments_may_depend_on_answers(tree),
        has_new_arguments=_arguments_are_new(tree),
    )


def _arguments_may_depend_on_answers(tree: ast.Module) -> bool:
    """Return True if tests may pass on to a candidate what it has answered, by names or in nested calls.

    Such calls must not be sent ahead: the later ones would tell a program the right answers to the earlier ones.
    """
    computing = _BUILTINS | imported_names(tree)
    nodes = list(ast.walk(tree))
    defined = {node.name: node.args for node in nodes if isinstance(node, ast.FunctionDef)}
    tainted: set[str] = set()

    def asks(node: ast.AST) -> bool:
        """Return True if an expression contains an answer, or a call that may return one."""
        return any(
            (isinstance(part, ast.Name) and part.id in tainted)
            or (isinstance(part, ast.Call) and _root(part.func) not in computing)
            for part in ast.walk(node)
        )

    while True:
        before = len(tainted)
        for node in nodes:
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                if asks(node.value):
                    tainted.update(_names(node.targets if isinstance(node, ast.Assign) else [node.target]))
            elif isinstance(node, ast.For | ast.comprehension):
                if asks(node.iter):
                    tainted.update(_names([node.target]))
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                if asks(node.context_expr):
                    tainted.update(_names([node.optional_vars]))
            elif isinstance(node, ast.ExceptHandler) and node.name:
                tainted.add(node.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and any(map(asks, _given(node))):
                tainted.add(_root(node.func))  # such as results.append(candidate(1))
            elif isinstance(node, ast.Call) and _root(node.func) in defined and any(map(asks, _given(node))):
                tainted.update(part.arg for part in ast.walk(defined[_root(node.func)]) if isinstance(part, ast.arg))
        if len(tainted) == before:
            break
    calls = [node for node in nodes if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute)]
    return any(any(map(asks, _given(call))) for call in calls if _root(call.func) not in computing | defined.keys())


def _arguments_are_new(tree: ast.Module) -> bool:
    """Return True if the arguments of all calls of a candidate consist of literals, maybe computed with."""
    own = _BUILTINS | imported_names(tree)
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _root(node.func) not in own | defined]
    parts = [part for call in calls for argument in _given(call) for part in ast.walk(argument)]
    return not any(isinstance(part, ast.Name) and part.id not in own for part in parts)


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _names(targets: Iterable[ast.expr]) -> set[str]:
    """Return the names that targets of an assignment bind or change."""
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def _root(node: ast.expr) -> str:
    """Return the name that an expression like ``a.b[c].d`` begins with; "" if it begins with something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
