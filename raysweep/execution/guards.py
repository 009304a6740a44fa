"""Takes the ways to look at other frames out of an interpreter that runs untrusted programs.

A guard, not a boundary: it hides the tests and the report from programs that look for them with what Python offers;
code that reads memory finds them still. Set once for a slot, after what programs import most has been imported, which
may need what is taken away.
"""

from __future__ import annotations

import ctypes
import gc
import signal  # noqa: F401  # makes _signal
import sys
import types
from collections.abc import Callable
from typing import Any

from raysweep.execution.tested import PROGRAM, TESTS

HIDDEN = (TESTS, __file__.rpartition("/")[0])
"""How the file names of code begin whose names are hidden: tests, and this package."""
_REFUSED = ("_lsprof", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters")
_FRAME_READERS = "_current_frames _current_exceptions monitoring _settraceallthreads _setprofileallthreads"
_REACHES_MEMORY = """
    CDLL PyDLL cdll pydll pythonapi PYFUNCTYPE cast string_at wstring_at memmove memset py_object _dlopen
"""
_REACHES_MEMORY_INSIDE = "dlopen dlsym dlclose call_function call_cdeclfunction PyObj_FromPtr Py_INCREF buffer_info"


def set_up() -> Callable[[types.TracebackType], types.FrameType]:
    """Hide frames from everything in this interpreter; return the one way to a traceback's frame that is left."""
    frame_of: Callable[[types.TracebackType], types.FrameType] = types.TracebackType.__dict__["tb_frame"].__get__
    empty = _empty_frame()
    _hide_frames(empty, _empty_frame(), frame_of)
    _hide_names()
    _keep_code()
    _hide(types.FunctionType, "__closure__", None)  # where the functions below keep what they replace
    _leave_own_frame(empty)
    if hasattr(sys, "_getframemodulename"):
        sys._getframemodulename = lambda depth=0: None
    for name in _FRAME_READERS.split():
        if hasattr(sys, name):
            delattr(sys, name)
    for name in ("settrace", "setprofile", "addaudithook"):
        setattr(sys, name, lambda function: None)
    sys.getrefcount = lambda value: 2
    for name in ("gettrace", "getprofile"):
        setattr(sys, name, lambda: None)
    for name in ("get_objects", "get_referrers", "get_referents"):
        setattr(gc, name, lambda *values, generation=None: [])
    _wrap_signal_handlers(empty)
    _refuse_to_load_again()
    _trim_ctypes()
    for name in _REFUSED:
        sys.modules[name] = None  # type: ignore[assignment]  # as sys.modules says "can't be imported"
    return frame_of


def _empty_frame() -> types.FrameType:
    """Return the frame of a call that has ended and knew nothing."""
    names: dict[str, Any] = {"__builtins__": {}, "__name__": "builtins"}
    try:
        exec(compile("None[0]", PROGRAM, "exec"), names)
    except TypeError as error:
        assert error.__traceback__ is not None and error.__traceback__.tb_next is not None
        return error.__traceback__.tb_next.tb_frame
    raise AssertionError


def _hide_frames(
    empty: types.FrameType, bottom: types.FrameType, frame_of: Callable[[types.TracebackType], types.FrameType]
) -> None:
    """Let tracebacks show the program's own frames only, and frames nothing below them but an empty one (`bottom`)."""
    offset_of: Callable[[types.TracebackType], int] = types.TracebackType.__dict__["tb_lasti"].__get__

    def is_own(traceback: types.TracebackType) -> bool:
        return frame_of(traceback).f_code.co_filename == PROGRAM

    def shown(traceback: types.TracebackType) -> types.FrameType:
        return frame_of(traceback) if is_own(traceback) else empty

    _set(types.FrameType, "f_back", property(lambda self: None if self is bottom else bottom))
    _set(types.TracebackType, "tb_frame", property(shown))
    _set(types.TracebackType, "tb_lasti", property(lambda self: offset_of(self) if is_own(self) else 0))


def _hide_names() -> None:
    """Let functions and frames of the tests, which a program may be handed, show nothing of the names around them."""
    for kind, code, hidden in (
        (types.FunctionType, "__code__", ("__globals__", "__builtins__")),
        (types.FrameType, "f_code", ("f_globals", "f_locals", "f_builtins")),
    ):
        code_of = kind.__dict__[code].__get__
        for name in hidden:
            _set(kind, name, property(_unless_of_tests(code_of, kind.__dict__[name].__get__)))


def _unless_of_tests(code_of: Callable[[Any], types.CodeType], get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda one: {} if code_of(one).co_filename.startswith(HIDDEN) else get(one)


def _keep_code() -> None:
    """Let functions of libraries keep their code; `types.coroutine` may set its flags."""
    descriptor: Any = types.FunctionType.__dict__["__code__"]
    get, set_code = descriptor.__get__, descriptor.__set__

    def same(new: types.CodeType, old: types.CodeType) -> types.CodeType | None:
        return new.replace(co_flags=old.co_flags) if new.co_filename == old.co_filename else None

    def replace(function: types.FunctionType, new: types.CodeType) -> None:
        old = get(function)
        if old.co_filename != PROGRAM and same(new, old) != old:
            raise TypeError("the code of a library's function can't be replaced")
        set_code(function, new)

    _set(types.FunctionType, "__code__", property(lambda function: get(function), replace))


def _hide(kind: type, name: str, value: object) -> None:
    """Let an attribute of a built-in type have one value for all its objects."""
    _set(kind, name, property(lambda self: value))


def _set(kind: type, name: str, value: object) -> None:
    (attributes,) = [one for one in gc.get_referents(kind.__dict__) if isinstance(one, dict)]
    attributes[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _leave_own_frame(empty: types.FrameType) -> None:
    """Let a program see the frame that it asks from, and no other."""
    frame_below = sys._getframe

    def own_frame(depth: int = 0) -> types.FrameType:
        frame = frame_below(1)
        return frame if depth == 0 and frame.f_code.co_filename == PROGRAM else empty

    sys._getframe = own_frame


def _wrap_signal_handlers(empty: types.FrameType) -> None:
    """Give handlers the empty frame in place of the one that they interrupt."""
    inner: Any = sys.modules["_signal"]
    set_handler = inner.signal

    def set_wrapped(number: int, handler: Any) -> Any:
        own = callable(handler) and handler is not inner.default_int_handler
        return set_handler(number, (lambda number, frame: handler(number, empty)) if own else handler)

    inner.signal = set_wrapped


def _trim_ctypes() -> None:
    """Leave ctypes its types, for libraries that name them, and take away what loads, calls and reads memory."""
    inner = sys.modules["_ctypes"]
    for name in _REACHES_MEMORY_INSIDE.split():
        if hasattr(inner, name):
            setattr(inner, name, _refuse)
    for name in _REACHES_MEMORY.split():
        if hasattr(ctypes, name):
            setattr(ctypes, name, _refuse)
    for kind in (ctypes.c_int, ctypes.Structure, ctypes.Array, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)):
        for name in ("from_address", "in_dll"):
            attributes = [one for one in gc.get_referents(type(kind).__dict__) if isinstance(one, dict)]
            if attributes:
                attributes[0].pop(name, None)


def _refuse_to_load_again() -> None:
    """Refuse a second instance of a guarded module: it would come with everything that was taken away."""
    inner: Any = sys.modules["_imp"]
    guarded = frozenset(("sys", "gc", "_ctypes", "_signal", "_imp", *_REFUSED))
    for name in ("create_builtin", "create_dynamic"):
        setattr(inner, name, _unless(guarded, getattr(inner, name)))


def _unless(guarded: frozenset[str], load: Callable[..., types.ModuleType]) -> Callable[..., types.ModuleType]:
    def load_other(spec: Any, *more: Any) -> types.ModuleType:
        name = spec.name
        if type(name) is not str or name in guarded or name.rpartition(".")[2] in guarded:
            raise ImportError(f"{name} can't be loaded again")
        return load(types.SimpleNamespace(name=name, origin=spec.origin), *more)

    return load_other


def _refuse(*arguments: object, **options: object) -> None:
    raise OSError("ctypes: loading libraries and reading memory is switched off for programs")
