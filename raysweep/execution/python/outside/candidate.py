"""Runs a candidate in a forked process and answers the calls of a judge, which has the tests in a process of its own.

The two talk over a socket pair in frames: four bytes that hold the length, then JSON (codec.py). This side reads
requests and answers each of them, until the judge closes the socket:

    ["run", text, wanted, imports, calls]   -> ["ready", names] | ["ended", outcome, detail]
    ["call", number, arguments, options]    -> ["result", changes, value] | ["error", changes, error]
    ["next", number]                        -> likewise
    ["calls", calls]                        -> see below
    ["finish"]                              -> ["finished", left nothing]; the next request is another "run"

Each answer ends with this process's CPU seconds. With `calls`, a list of (name, arguments, options), the answer to
"run" and those to the calls are put where ahead.py says, and what is sent is ["done", left nothing]; "calls" asks for
more of them. "Left nothing" means that another program may share the process.

Nothing in this process is worth stealing: it has neither tests nor expected values, and the judge believes none of its
answers to be right. So programs may read and change everything here; only their own answers can become wrong by it.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from os import _exit, getpid, read, write
from time import process_time
from types import FunctionType
from typing import Any

from raysweep.execution.python.libraries import library_name
from raysweep.execution.python.outcomes import PROGRAM, compiled, describe, failing_line, outcome_of
from raysweep.execution.python.outside.ahead import Ahead
from raysweep.execution.python.outside.changes import changed_items, copied, is_changed
from raysweep.execution.python.outside.codec import BYTES, decoded, encoded
from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.plain import CALLABLE, ITERATOR, OPAQUE, Plain
from raysweep.execution.python.outside.set_order import SetOrder
from raysweep.execution.python.processes import (
    NEEDS_OWN_PROCESS,
    PROGRAM_BUILTINS,
    flush,
    forget_equal_keys,
    frame_of,
    has_grown,
    names_used,
    prepare_process,
    reseed,
    wrote_little,
)
from raysweep.execution.python.screen import is_pure

REHEARSALS = 20  # more than CPython 3.11 needs to adapt code to the types that it meets
_EXCEPTIONS = {value: name for name, value in vars(builtins).items() if isinstance(value, type)}


def serve(channel: int, ahead: Ahead, together: bool, output_bytes: int) -> None:
    """Answer a judge's requests until it closes the channel, then end this process.

    `channel`: descriptor of the socket to the judge. `together`: several programs will share this process; programs
    that aren't pure are refused. `output_bytes`: limit of stdout, for programs that share a process.
    """
    end_process, streams = _exit, (sys.stdout, sys.stderr)
    largest = prepare_process()
    program = _Program({}, "")

    def fits() -> bool:
        """Return True if the program left nothing that affects a later one: much output, or memory that is kept."""
        return wrote_little(output_bytes) and not has_grown(largest)

    while True:
        request = _receive(channel)
        if request is None:
            break
        kind = request[0]
        if kind == "run":
            if together:
                reseed()
                forget_equal_keys()
            text, wanted, imports, calls = request[1:]
            program, answer = _run(text, wanted, imports, together)
            if calls is not None:
                if ahead.put(_encoded(answer)) and answer[0] == "ready":
                    program.answer_ahead(calls, ahead)
                answer = ["done", together and fits()]
        elif kind == "calls":
            program.answer_ahead(request[1], ahead)
            answer = ["done", together and fits()]
        elif kind == "finish":
            answer = ["finished", fits()]
        else:
            answer = program.answer(request)
        _send(channel, [*answer, process_time()])
    flush(streams)
    end_process(0)


def rehearse() -> None:
    """Run a small program a few times: the interpreter adapts this code to its use, from which all forks profit."""
    for number in range(REHEARSALS):
        program, answer = _run(f"def f(x):\n    return [x, {number}]\n", [["f"], [], []], {}, together=True)
        call = decoded(_encoded([[1, {"t": ["a", 2.0]}, [None]], 0]))
        _encoded(answer)
        _encoded(program.answer(["call", 0, *call]))


def _receive(channel: int) -> Any:
    head = _read(channel, 4)
    return None if head is None else decoded(_read(channel, int.from_bytes(head, "big")) or b"")


def _read(channel: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            more = read(channel, size - len(data))
        except OSError:
            more = b""
        if not more:
            return None
        data += more
    return bytes(data)


def _encoded(message: list[Any]) -> bytes:
    try:
        data = encoded(message)
        if len(data) <= BYTES:
            return data
        error: BaseException = MemoryError(f"an answer of {len(data)} bytes")
    except BaseException as raised:
        error = raised
    return encoded(["error", [], _plain_error(error, {}), *message[3:]])


def _send(channel: int, message: list[Any]) -> None:
    data = _encoded(message)
    rest = memoryview(len(data).to_bytes(4, "big") + data)
    while rest:
        rest = rest[write(channel, rest) :]


def _run(
    text: str, wanted: Sequence[Sequence[str]], imports: Mapping[str, str], together: bool
) -> tuple[_Program, list[Any]]:
    """Run a program's text; return the program, and the names that the judge wants or how the program ended."""
    code, detail = compiled(text)
    if isinstance(code, str):
        return _Program({}, text), ["ended", NEEDS_OWN_PROCESS if together and code == "memory" else code, detail]
    used = names_used(code, imports.keys())
    if together and (used or not is_pure(code, text)):
        return _Program({}, text), ["ended", NEEDS_OWN_PROCESS, ""]
    names: dict[str, Any] = {"__builtins__": PROGRAM_BUILTINS.__dict__}
    program = _Program(names, text)
    try:
        exec(code, names)
        program.end_forks()
        for name in used:
            if name not in names:
                exec(imports[name], names)
        return program, ["ready", program.wanted_names(*wanted)]
    except BaseException as error:
        program.end_forks()
        return program, ["ended", *outcome_of(error, {PROGRAM: text}, frame_of)]


class _Program:
    """A program that has run, and the objects that the judge has handles of."""

    def __init__(self, names: dict[str, Any], text: str) -> None:
        self._names, self._sources = names, {PROGRAM: text}
        self._objects: list[Any] = []  # by the number of the handle
        self._numbers: dict[int, int] = {}  # by id
        self._sets = SetOrder()
        self._pid = getpid()

    def end_forks(self) -> None:
        """End this process if it is a fork that the program made: only the process that was asked answers."""
        if getpid() != self._pid:
            _exit(0)

    def wanted_names(self, own: Sequence[str], common: Sequence[str], builtin_names: Sequence[str]) -> list[list[Any]]:
        """Return (name, value) of the names that the tests read and this program defines.

        A name of a built-in function is taken only if the program defines none of `own`: then the task asks for a
        function of that name. Otherwise a program's `abs` might return 0 for everything.

        `own`: names that tests read and don't bind themselves. `common`: names that tests read and also bind.
        `builtin_names`: names of built-in functions that tests read.
        """
        names = [name for name in (*own, *common) if name in self._names]
        if not any(name in self._names for name in own):
            names += [name for name in builtin_names if name in self._names]
        if all(type(self._names[name]) is FunctionType for name in names):
            return [[name, {"h": self._handle_of(self._names[name])}] for name in names]
        plain = self._plain()
        libraries = {name: library_name(name, self._names[name]) for name in names}
        return [
            [name, {"l": library} if library else self._write(plain, self._names[name])]
            for name, library in libraries.items()
        ]

    def answer_ahead(self, calls: Sequence[tuple[str, Any, Any]], ahead: Ahead) -> None:
        for name, arguments, options in calls:
            number = self._numbers.get(id(self._names.get(name)))
            if number is None or not ahead.put(_encoded(self.answer(["call", number, arguments, options]))):
                return

    def answer(self, request: list[Any]) -> list[Any]:
        plain = self._plain()
        kind, number = request[0], request[1]
        if kind == "call":
            arguments, options = plain.read_items(request[2], 0), plain.read(request[3]) if request[3] else {}
            called: Callable[..., Any] = self._objects[number]
        else:
            arguments, options, called = [self._objects[number]], {}, next
        plain.number_what_was_read()
        before_call = [
            (index, value, before)
            for index, value in enumerate(plain.objects)
            if (before := changed_items(value)) is not None
        ]
        try:
            value = called(*arguments, **options)
            self.end_forks()
        except BaseException as error:
            self.end_forks()
            changes = self._changes(plain, before_call)
            return ["error", changes, _plain_error(error, self._sources)]
        changes = self._changes(plain, before_call)
        return ["result", changes, self._write(plain, value)]

    def _changes(self, plain: Plain, before_call: list[tuple[int, Any, Any]]) -> list[list[Any]]:
        changed = [(index, value) for index, value, before in before_call if is_changed(value, before)]
        return [[index, self._write(plain, copied(value, self._sets))] for index, value in changed]

    def _write(self, plain: Plain, value: Any) -> Any:
        mark = len(plain.objects)
        try:
            return plain.write(value)
        except BaseException:  # NotPlain, or whatever methods of the program's own classes raise
            plain.reset(mark)
            return {"h": self._handle_of(value)}

    def _plain(self) -> Plain:
        return plain_data(self._handle_of, self._object_of, self._sets)

    def _handle_of(self, value: Any) -> list[Any]:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        kind = type(value)
        if kind is FunctionType:
            return [number, CALLABLE, True, "function"]
        use = ITERATOR if hasattr(kind, "__next__") else CALLABLE if callable(value) else OPAQUE
        try:
            truth = bool(value)
        except BaseException:
            truth = True
        return [number, use, truth, str(kind.__name__)[:100]]

    def _object_of(self, number: int, kind: str, truth: bool, name: str) -> Any:
        return self._objects[number]


def _plain_error(error: BaseException, sources: dict[str, str]) -> list[Any]:
    """Return an error as: its first built-in class, its plain arguments, outcome, detail, and the failing line."""
    traceback = error.__traceback__
    line = failing_line(traceback, sources, frame_of) if isinstance(error, AssertionError) else ""
    outcome, _ = outcome_of(error, {}, frame_of)
    kind = next(_EXCEPTIONS[base] for base in type(error).__mro__ if base in _EXCEPTIONS)
    try:
        arguments = plain_data().write(list(error.args))
        encoded(arguments)
    except BaseException:
        arguments = []
    return [kind, arguments, outcome, describe(error), line]
