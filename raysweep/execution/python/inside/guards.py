"""Removes access to other frames, the garbage collector and memory from an interpreter that runs untrusted programs.

This is a guard, not a boundary: it hides the tests and the report pipe from programs that search for them with Python's
own means; code that reads the process's memory still finds them. It is set up once for a slot, after the modules that
programs import most often, since importing those may need what the guards remove.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import types
from collections.abc import Callable
from typing import Any

from raysweep.execution.python.outcomes import PROGRAM, TESTS

HIDDEN = (TESTS, __file__.rsplit("/", 3)[0])
"""Prefixes of the file names of hidden code: the tests, and everything in the folder `raysweep/execution`."""
_FRAME_READERS = "_current_frames _current_exceptions monitoring _settraceallthreads _setprofileallthreads"
_CTYPES_MEMORY_FUNCTIONS = """
    CDLL PyDLL cdll pydll pythonapi PYFUNCTYPE cast string_at wstring_at memmove memset py_object _dlopen
"""


def set_up() -> Callable[[types.TracebackType], types.FrameType]:
    """Hide frames in the whole interpreter; return a function for the harness that still gets a traceback's frame."""
    frame_of: Callable[[types.TracebackType], types.FrameType] = types.TracebackType.__dict__["tb_frame"].__get__
    empty = _empty_frame()
    _hide_frames(empty, _empty_frame(), frame_of)
    _hide_names()
    _keep_code()
    # closures of the functions below hold the originals
    _set(types.FunctionType, "__closure__", property(lambda self: None))
    _limit_getframe(empty)
    for name in _FRAME_READERS.split():
        if hasattr(sys, name):
            delattr(sys, name)
    for name in ("settrace", "setprofile", "addaudithook"):
        setattr(sys, name, lambda function: None)
    sys.getrefcount = lambda value: 2
    for name in ("get_objects", "get_referrers", "get_referents"):
        setattr(gc, name, lambda *values, generation=None: [])
    _forbid_reloading()
    for name in _CTYPES_MEMORY_FUNCTIONS.split():
        if hasattr(ctypes, name):
            setattr(ctypes, name, _refuse)
    return frame_of


def _empty_frame() -> types.FrameType:
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
    """Show only the program's own frames in tracebacks (`empty` for others), and only `bottom` below any frame."""
    offset_of: Callable[[types.TracebackType], int] = types.TracebackType.__dict__["tb_lasti"].__get__

    def is_own(traceback: types.TracebackType) -> bool:
        return frame_of(traceback).f_code.co_filename == PROGRAM

    def shown(traceback: types.TracebackType) -> types.FrameType:
        return frame_of(traceback) if is_own(traceback) else empty

    _set(types.FrameType, "f_back", property(lambda self: None if self is bottom else bottom))
    _set(types.TracebackType, "tb_frame", property(shown))
    _set(types.TracebackType, "tb_lasti", property(lambda self: offset_of(self) if is_own(self) else 0))


def _hide_names() -> None:
    """Hide the global names of functions and frames of the tests: a program may get those as arguments."""
    for kind, code, hidden in (
        (types.FunctionType, "__code__", ("__globals__", "__builtins__")),
        (types.FrameType, "f_code", ("f_globals", "f_locals", "f_builtins")),
    ):
        code_of = kind.__dict__[code].__get__
        for name in hidden:
            _set(kind, name, property(_empty_if_hidden(code_of, kind.__dict__[name].__get__)))


def _empty_if_hidden(code_of: Callable[[Any], types.CodeType], get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda holder: {} if code_of(holder).co_filename.startswith(HIDDEN) else get(holder)


def _keep_code() -> None:
    """Forbid replacing the code of functions of libraries, except for its flags, which `types.coroutine` sets."""
    descriptor: Any = types.FunctionType.__dict__["__code__"]
    get, set_code = descriptor.__get__, descriptor.__set__

    def with_flags_of(old: types.CodeType, new: types.CodeType) -> types.CodeType | None:
        return new.replace(co_flags=old.co_flags) if new.co_filename == old.co_filename else None

    def replace(function: types.FunctionType, new: types.CodeType) -> None:
        old = get(function)
        if old.co_filename != PROGRAM and with_flags_of(old, new) != old:
            raise TypeError("the code of a library's function can't be replaced")
        set_code(function, new)

    _set(types.FunctionType, "__code__", property(lambda function: get(function), replace))


def _set(kind: type, name: str, value: object) -> None:
    """Set an attribute of a built-in type, which `setattr` refuses."""
    (attributes,) = [referent for referent in gc.get_referents(kind.__dict__) if isinstance(referent, dict)]
    attributes[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _limit_getframe(empty: types.FrameType) -> None:
    """Let `sys._getframe` return the calling frame of a program, and an empty frame in all other cases."""
    frame_below = sys._getframe

    def own_frame(depth: int = 0) -> types.FrameType:
        frame = frame_below(1)
        return frame if depth == 0 and frame.f_code.co_filename == PROGRAM else empty

    sys._getframe = own_frame


def _forbid_reloading() -> None:
    """Forbid a second instance of a guarded module, which would still have everything that was removed."""
    inner: Any = sys.modules["_imp"]
    guarded_modules = frozenset(("sys", "gc", "_imp"))
    for name in ("create_builtin", "create_dynamic"):
        setattr(inner, name, _loader_except(guarded_modules, getattr(inner, name)))


def _loader_except(
    guarded_modules: frozenset[str], load: Callable[..., types.ModuleType]
) -> Callable[..., types.ModuleType]:
    def load_other(spec: Any, *more: Any) -> types.ModuleType:
        name = spec.name
        if type(name) is not str or name in guarded_modules or name.rpartition(".")[2] in guarded_modules:
            raise ImportError(f"{name} can't be loaded again")
        return load(types.SimpleNamespace(name=name, origin=spec.origin), *more)

    return load_other


def _refuse(*arguments: object, **options: object) -> None:
    raise OSError("ctypes: loading libraries and reading memory is switched off for programs")
