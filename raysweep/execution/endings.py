"""Tells how a slot's process ended: its exit code or signal, the last lines of its stderr, and the way out.

The process and its forks write why they end to a file that the slot reads. They keep a descriptor of their own for it:
their standard streams are a program's, or /dev/null, as soon as they run programs. No program gets that descriptor.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

WORDS = 15  # the descriptor, which isn't inherited by what they execute
LINES = 3  # of stderr that an error shows
LINE_CHARACTERS = 300
_WAYS_OUT = {
    "SIGSYS": (
        "a seccomp profile (a container's, a service's) ends whoever makes a system call that raysweep needs, such as "
        "unshare, mount or seccomp; start it with another profile"
    ),
    "No module named 'encodings'": "this interpreter lacks its standard library; start raysweep with another one",
    **dict.fromkeys(
        ("No module named", "No such file or directory", "file not found"),
        "this installation of raysweep or of Python is incomplete; install it again",
    ),
    "Operation not permitted": (
        "the kernel, or a container's seccomp profile, forbids what the last line names; allow it there"
    ),
}
_NO_MEMORY = "it got no memory; allow more (`ulimit -v`, the limit of the container, service or job)"
_LACK = ("MemoryError", "Cannot allocate memory", "failed to map segment", "Could not allocate", "Could not reserve")
_WAYS_OUT |= dict.fromkeys(_LACK, _NO_MEMORY)
_WAYS_OUT["SIGKILL"] = "most often the kernel does that for want of memory; allow more (the container, service or job)"
_NO_WAY_OUT = "nothing of that is expected; please report these lines"


def run(main: Callable[[], None]) -> NoReturn:
    """Run the `main` of a slot's process; it and its forks tell an error before they end with exit code 1."""
    os.dup2(2, WORDS, inheritable=False)
    try:
        main()
    except BaseException:
        import traceback  # here, since most processes never need it

        tell(traceback.format_exc())
    os._exit(1)


def tell(text: str) -> None:
    with suppress(OSError):
        os.write(WORDS, f"{text.rstrip()}\n".encode(errors="replace"))


def tell_end(name: str, status: int) -> None:
    """Tell how another process ended, unless its exit code is 0; `status`: as `os.waitpid` returns it."""
    code = os.waitstatus_to_exitcode(status)
    if code:
        tell(f"{name} ended with {ending(code)}")


def ending(code: int) -> str:
    """Return an exit code, or for a negative one the signal, in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"


def close_others(first: int) -> None:
    """Close the descriptors from the first one on, and keep WORDS."""
    os.closerange(first, WORDS)
    os.closerange(WORDS + 1, 256)


def how_ended(code: int | None, words: str) -> str:
    """`code`: exit code, or minus the number of the signal; None if it goes on. `words`: what it wrote to stderr."""
    end = "it goes on without answering" if code is None else f"it ended with {ending(code)}"
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    shown = " | ".join(line[:LINE_CHARACTERS] for line in lines[-LINES:])
    return f"{end}, and the last lines of its stderr are: {shown}" if shown else f"{end} and said nothing"


def why_ended(code: int | None, words: str) -> str:
    """Return how a process ended before it was up, and the way out; see `how_ended`."""
    said = how_ended(code, words)
    way = next((way for sign, way in _WAYS_OUT.items() if sign in f"{said} {words}"), _NO_WAY_OUT)
    return f"{said}; {way.replace('; ', ', ')}"
