"""A judge's session with one program: asks the program's process, and gives the tests proxies of its functions.

A proxy looks to tests like the candidate's function: a call writes the arguments as plain data (plain.py), waits for
the answer and reads it. Arguments that the program changed are changed here too. Whatever a program sends can at most
end its session: with `killed` if the text is malformed, or as its process ended.
"""

from __future__ import annotations

import builtins
import math
import select
import socket
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.isolation.watch import OutcomeAndDetail
from raysweep.execution.python.outcomes import DETAIL_CHARACTERS
from raysweep.execution.python.outside.ahead import SIZE as AHEAD_SIZE
from raysweep.execution.python.outside.ahead import Ahead, records
from raysweep.execution.python.outside.asked_tests import AskedTests, Made
from raysweep.execution.python.outside.beside import MAX_BESIDE, Beside, values_beside
from raysweep.execution.python.outside.changes import replace_items
from raysweep.execution.python.outside.codec import BYTES, Malformed, decoded, encoded
from raysweep.execution.python.outside.kinds import plain_data, read_library
from raysweep.execution.python.outside.plain import CALLABLE, ITERATOR, NotPlain, Plain
from raysweep.execution.python.outside.set_order import SetOrder
from raysweep.execution.python.processes import NEEDS_OWN_PROCESS
from raysweep.programs import Outcome

MAX_HANDLES = 100_000
MAX_CALLS = 10_000  # that are noted to be sent ahead
QUICK_SECONDS = 0.005  # a program that needs longer for all calls is judged by the answers that it has given so far
POLL_SECONDS = 0.002  # between two looks for the next answer of such a program
_ERROR_OUTCOMES = (Outcome.FAILED, Outcome.EXCEPTION, Outcome.MEMORY, Outcome.KILLED)
_END_OUTCOMES = (*_ERROR_OUTCOMES, Outcome.SYNTAX_ERROR, NEEDS_OWN_PROCESS)  # that a program's text may have
_RECEIVE_BYTES = 2**16
_ERRORS = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


class SessionEnded(BaseException):
    """The program can't answer any more: its process has ended, or it sent something malformed.

    Not an `Exception`, so that tests which catch errors of a candidate don't catch it.
    """


class Diverged(BaseException):
    """The tests call something else than what was sent ahead, or there was no room for an answer."""


class Session:
    """Asks the process of one program, or of several one after another.

    `channel`: the socket to the process. `control`: the launcher's; it becomes readable when the process has ended.
    """

    def __init__(self, channel: socket.socket, control: socket.socket, board: Board, ahead: Ahead) -> None:
        self._channel, self._control, self._board, self._ahead = channel, control, board, ahead
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(control, select.POLLIN)
        self._data = bytearray()
        self.cpu_seconds = 0.0  # of the program's process, as it says
        self.malformed = ""  # what was wrong with the program's answer
        self.received = 0  # bytes of answers
        self.has_ended = False
        self._begin(None)

    def _begin(self, tests: AskedTests | None) -> None:
        self.parts = ""  # of the tests that passed, comma separated
        self._sets = SetOrder()
        self._proxies: dict[int, Any] = {}  # by the number of their handle
        self._names: dict[int, str] = {}  # of functions, by the number of their handle
        self._described: dict[int, tuple[BaseException, str, str]] = {}  # by id of an error that the program raised
        self._tests, self._calls = tests, (tests.calls if tests else None) or []
        self._received_before = self.received
        self._batches = 0  # of calls that were sent ahead so far
        self._next_call = 0
        self.made: list[Made] | None = None if tests else []  # None: later programs can't get these calls ahead
        self._room_beside = MAX_BESIDE
        self._beside: Beside = {}
        self._first_answer: list[Any] = []  # to "run", when no calls were sent ahead
        self._records: list[bytes] = []  # otherwise the first of them
        self._taken_before = 0  # records of earlier batches
        self._is_done = not self._calls  # no more records will come for the batches that were sent
        self._left_nothing: bool | None = None
        self.is_live = not self._calls  # something was asked that was not sent ahead
        self.has_changed_arguments = False
        self.was_interrupted = False  # a call of the tests, or what came before them, raised SessionEnded
        self.has_diverged = False  # a call of the tests raised Diverged

    def run(self, text: str, tests: AskedTests, *, ahead: bool) -> None:
        """`ahead`: send calls ahead, if known. Raise SessionEnded if the process ended or answered malformed."""
        if not ahead or tests.calls is None:
            self._begin(None)
            self.made = None if tests.is_live or tests.calls is not None else []
            self._beside = tests.beside
            self._first_answer = self._ask(tests.request(text, ahead=False))
            return
        self._begin(tests)
        until = monotonic() + QUICK_SECONDS
        self._send_ahead(tests.request(text))
        while (seconds := until - monotonic()) > 0:
            self._await_done(seconds)
            answers = self.answers()
            if answers is None or not tests.accepted(answers) or not self._send_next_batch():
                break

    def names(self, tests: AskedTests) -> tuple[dict[str, Any], OutcomeAndDetail | None]:
        """Return the values of the names that tests want, and outcome and detail if the program has ended.

        Raises SessionEnded; or Diverged, if the calls were sent ahead, but the answer has no room for the names.
        """
        return self._read_names(self._next_record() if self._calls else self._first_answer, tests)

    def answers(self) -> list[bytes] | None:
        """Return the answers so far to calls that were sent ahead; None if more come or something else was asked."""
        if self.is_live or not self._is_done or self.has_ended or self._tests is None:
            return None
        return self._records.copy()

    def finish(self) -> bool:
        """End a program's part of a shared process; return True if another one may follow it there."""
        while not self.is_idle():
            self._await_done(None)
        if self.has_ended:
            raise SessionEnded
        if self._left_nothing is False or (self._left_nothing and not self.is_live):
            return self._left_nothing
        answer = self._ask(encoded(["finish"]))
        if len(answer) != 2 or answer[0] != "finished":
            self._end("not the end of a program")
        return answer[1] is True

    def call(self, number: int, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Call a function of the program; raise what it raises, SessionEnded, or Diverged.

        A StopIteration becomes a RuntimeError, as in generators (PEP 479): in tests it would end a ``map(f, cases)``
        and leave out the cases that are left.
        """
        try:
            return self._call(number, arguments, options)
        except StopIteration as error:
            raised = RuntimeError("the program raised StopIteration")
            self._describe(raised, *self._described[id(error)][1:])
            raise raised from error
        except SessionEnded:
            self.was_interrupted = True
            raise
        except Diverged:
            self.has_diverged = True
            raise

    def _call(self, number: int, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        plain = self._plain()
        parts = plain.write_items(arguments, 0), plain.write(dict(options)) if options else None
        name = self._names.get(number)
        if self._next_call < len(self._calls):
            if self._calls[self._next_call] != encoded((name or "", *parts)):
                raise Diverged
            self._next_call += 1
            return self._answered(plain, self._next_record())
        beside: list[Any] = []
        if self.made is not None:
            beside = list(islice(values_beside(sys._getframe(), self._beside), self._room_beside + 1))
            self._room_beside -= len(beside)
        answer = self._ask(encoded(["call", number, *parts]))
        if self.made is not None:
            is_much = len(self.made) >= MAX_CALLS or self._room_beside < 0 or self.has_long_answers()
            if name is None or is_much:
                self.made = None
            else:
                self.made.append(((name, *parts), answer, beside))
        return self._answered(plain, answer)

    def next_item(self, number: int) -> Any:
        """Return the next item of an iterator of the program; raise what that raises, or SessionEnded."""
        self.made = None
        try:
            return self._answered(self._plain(), self._ask(encoded(["next", number])))
        except SessionEnded:
            self.was_interrupted = True
            raise

    def has_long_answers(self) -> bool:
        """Return True if the program has sent so much that answers might not fit `Ahead` and be computed twice."""
        return self.received - self._received_before > AHEAD_SIZE // 2

    def is_idle(self) -> bool:
        return self._is_done or self.has_ended

    def description_of(self, error: BaseException) -> OutcomeAndDetail | None:
        description = self._described.get(id(error))
        return description[1:] if description and description[0] is error else None

    # ------------------------------------------------------------------------------------------------ answers

    def _read_names(self, answer: list[Any], tests: AskedTests) -> tuple[dict[str, Any], OutcomeAndDetail | None]:
        own, common, builtin_names = map(set, tests.wanted)
        try:
            if answer[0] == "ended":
                _, outcome, detail = answer
                if (type(outcome), type(detail)) != (str, str) or outcome not in _END_OUTCOMES:
                    raise Malformed("not an end of a program")
                return {}, (outcome, detail[:DETAIL_CHARACTERS])
            kind, pairs = answer
            if kind != "ready":
                raise Malformed("neither ready nor ended")
            defined = {name for name, _ in pairs}
            # Checked here too: otherwise a program that defines the function could replace `set` for the tests.
            accepted = own | common if defined & own else own | common | builtin_names
            plain = self._plain()
            pairs = [(name, node) for name, node in pairs if name in accepted]
            # read before some are left out, since later ones may refer to them
            read = [
                (name, read_library(name, node["l"]) if _is_library(node) else plain.read(node), _is_library(node))
                for name, node in pairs
            ]
            names = {
                name: value for name, value, library in read if library or name not in own or name in tests.declared
            }
        except (ValueError, TypeError, LookupError, ImportError) as error:  # there may be no numpy, or no memory for it
            self._end(f"not the names of a program: {error}")
        self._names = {value._number: name for name, value in names.items() if type(value) is Function}
        return names, None

    def _answered(self, plain: Plain, answer: list[Any]) -> Any:
        sent = len(plain.objects)
        try:
            kind, changes, node = answer
            self.has_changed_arguments = self.has_changed_arguments or bool(changes)
            for number, content in changes:
                if type(number) is not int or not 0 <= number < sent:
                    raise Malformed("a change of nothing")
                replace_items(plain.objects[number], plain.read(content), self._sets)
            if kind == "result":
                return plain.read(node)
            if kind != "error":
                raise Malformed("neither a result nor an error")
            error = self._read_error(node)
        except (ValueError, TypeError, LookupError, BufferError) as problem:
            self._end(str(problem))
        raise error

    def _read_error(self, node: Any) -> BaseException:
        kind, arguments, outcome, detail, line = node
        made = _ERRORS.get(kind)
        if made is None or {type(outcome), type(detail), type(line)} != {str} or outcome not in _ERROR_OUTCOMES:
            raise Malformed("not an error")
        values = self._plain().read(arguments)
        try:
            error: BaseException = made(*values)
        except Exception:  # such as a UnicodeDecodeError with other arguments
            error = RuntimeError() if issubclass(made, BaseExceptionGroup) else made.__new__(made)
        detail = line or detail if outcome == Outcome.FAILED else detail
        if outcome == Outcome.KILLED:
            detail = f"{detail}, before the tests ended"
        self._describe(error, outcome, detail[:DETAIL_CHARACTERS])
        return error

    def _describe(self, error: BaseException, outcome: str, detail: str) -> None:
        self._described[id(error)] = (error, outcome, detail)

    def _plain(self) -> Plain:
        return plain_data(self._handle_of_proxy, self._proxy, self._sets)

    def _handle_of_proxy(self, value: Any) -> list[Any]:
        self.made = None  # another program's handle may have another number
        return _handle_of_proxy(value)

    def _proxy(self, number: int, kind: str, truth: bool, name: str) -> Any:
        proxy = self._proxies.get(number)
        if proxy is None:
            if len(self._proxies) >= MAX_HANDLES:
                raise Malformed("too many handles")
            made = Function if kind == CALLABLE else Items if kind == ITERATOR else Opaque
            proxy = self._proxies[number] = made(self, number, truth, name)
        return proxy

    # ------------------------------------------------------------------------------------------------ transport

    def _send_ahead(self, request: bytes) -> None:
        self._ahead.begin()
        self._taken_before = len(self._records)
        self._board.begin_programs_turn()
        self._is_done = False
        self._batches += 1
        self._send(request)

    def _send_next_batch(self) -> bool:
        """Send the next batch of calls; return False if there is none, or the one before isn't answered completely.

        The answers that were taken stay as they were, so that calls of this batch can't tell the program a better one.
        An iterator among them could still give better items. So a batch is sent when tests ask for one of its calls,
        or at once if the answers so far are those of a program that passed.
        """
        if not self._is_done or self.has_ended or self._tests is None or self._batches == len(self._tests.ends):
            return False
        if len(self._records) <= self._tests.ends[self._batches - 1]:  # one more is the first
            return False
        self._send_ahead(self._tests.batch(self._batches))
        return True

    def _next_record(self) -> list[Any]:
        """Return the next answer that was put ahead; raise Diverged if there was no room for it."""
        index = self._next_call
        while len(self._records) <= index:
            if self._ahead.count() > len(self._records) - self._taken_before and self._add_records():
                continue
            if self.has_ended:
                raise SessionEnded
            if self._is_done and not self._send_next_batch():
                raise Diverged
            self._board.begin_programs_turn()
            self._await_done(POLL_SECONDS)
        self._board.begin_judges_turn()  # maybe the program works on later answers, but the judge's time is limited too
        try:
            answer = decoded(self._records[index])
        except Malformed as error:
            self._end(str(error))
        if type(answer) is not list:
            self._end("not an answer")
        return answer

    def _add_records(self) -> bool:
        """Take the answers that have come since the last look; return False if there are none.

        Those that were taken stay as they were, so that the verdict depends on what `answers` returns.
        """
        new_records = records(self._ahead.copied())[len(self._records) - self._taken_before :]
        self._records += new_records
        return bool(new_records)

    def _await_done(self, seconds: float | None) -> None:
        try:
            answer = self._receive(seconds)
        except SessionEnded:
            if self.malformed:
                raise
            return
        if answer is not None:
            self._board.begin_judges_turn()
            self._take_seconds(answer)
            if len(answer) != 2 or answer[0] != "done":
                self._end("not an answer")
            self._is_done = True
            self._add_records()
            self._left_nothing = answer[1] is True

    def _ask(self, request: bytes) -> list[Any]:
        """Send a request and return the answer without its last field, the process's CPU seconds."""
        while not self.is_idle():
            self._await_done(None)
        if self.has_ended:
            raise SessionEnded
        self.is_live = True
        self._board.begin_programs_turn()
        self._send(request)
        answer = self._receive(None)
        self._board.begin_judges_turn()
        self._take_seconds(answer)
        return answer  # type: ignore[no-any-return]

    def _take_seconds(self, answer: Any) -> None:
        """Take the process's CPU seconds off an answer's end; end the session if they can't be those."""
        if type(answer) is not list or not answer or type(answer[-1]) is not float:
            self._end("not an answer")
        if not self.cpu_seconds <= answer[-1] < math.inf:
            self._end("not a time")
        self.cpu_seconds = answer.pop()

    def _send(self, data: bytes) -> None:
        try:
            self._channel.sendall(len(data).to_bytes(4, "big") + data)
        except OSError:
            self._end()

    def _receive(self, seconds: float | None) -> Any:
        """Wait for one message, or for the end of the process; return None if there is none after `seconds`."""
        while True:
            if len(self._data) >= 4:
                size = int.from_bytes(self._data[:4], "big")
                if size > BYTES:
                    self._end("an answer that is too long")
                if len(self._data) > size + 4:
                    self._end("more than one answer")
                if len(self._data) == size + 4:
                    break
            ready = {descriptor for descriptor, _ in self._poll.poll(None if seconds is None else 1000 * seconds)}
            if not ready:
                return None
            more = b""
            if self._channel.fileno() in ready:
                try:
                    more = self._channel.recv(_RECEIVE_BYTES)
                except OSError:
                    more = b""
            if not more:
                self._end()
            self._data += more
            self.received += len(more)
        data = bytes(self._data[4:])
        self._data.clear()
        try:
            return decoded(data)
        except Malformed as error:
            self._end(str(error))

    def _end(self, malformed: str = "") -> NoReturn:
        self._board.begin_judges_turn()
        self.has_ended = True
        self.malformed = malformed
        raise SessionEnded


def _is_library(node: Any) -> bool:
    return type(node) is dict and "l" in node


def _handle_of_proxy(value: Any) -> list[Any]:
    if isinstance(value, Opaque):
        return [value._number, "", value._truth, ""]
    raise NotPlain(f"an object of {type(value).__name__} can't be passed to a program in another process")


class Opaque:
    """An object of a program that has no plain form: equal to itself only, with a truth value and a class name."""

    __slots__ = ("_name", "_number", "_session", "_truth")

    def __init__(self, session: Session, number: int, truth: bool, name: str) -> None:
        self._session, self._number, self._truth, self._name = session, number, truth, name

    def __bool__(self) -> bool:
        return self._truth

    def __repr__(self) -> str:
        return f"<{self._name} of the program>"


class Function(Opaque):
    """A function, or another object that can be called."""

    __slots__ = ()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._session.call(self._number, arguments, options)


class Items(Opaque):
    """An iterator."""

    __slots__ = ()

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Any:
        return self._session.next_item(self._number)
