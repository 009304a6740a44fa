"""Runs untrusted programs, isolated from the machine and from each other, without Ray.

Begin with pool.py; ``from raysweep.execution import execute`` is all that a script needs.

    pool.py          runs programs in several slots and returns their verdicts in order: `execute`, `Executor`
    stream.py        hands programs in requests to idle slots, yields their verdicts, with few programs in memory
    runtimes.py      names what runs programs, for keys: a compiler, or an environment's Python and packages
    environments.py  finds the Python environments beside raysweep's own, and which modules they lack
    slot.py          starts the process that runs programs, sends it programs and reads verdicts
    endings.py       tells how a slot's process ended, with its last lines on stderr and the way out
    messages.py      writes and reads the messages between a slot and its process
    oracle.py        finds out where tests can run: outside the program's process or only inside it, and why
    board.py         numbers in memory that a slot's processes share: whose turn it is, for how long
    isolation/       what restricts a program, watches it, and removes what it leaves
    compiled/        the code of a slot's processes for Java and C++
    python/          the code of a slot's processes, which judge Python programs in forks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.execution.pool import Executor, execute

__all__ = ["Executor", "execute"]


def __getattr__(name: str) -> Any:
    """Import the pool on first use only: a slot's process imports this package too and must stay small."""
    if name in __all__:
        from raysweep.execution import pool

        return getattr(pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
