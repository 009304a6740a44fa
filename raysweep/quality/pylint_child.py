"""The process in which pylint runs: sets it up once, and forks for each file.

`linting.py` starts this file as a script, and nothing imports it. It needs pylint and the standard library only.

A fork begins with nothing but pylint's set-up and the syntax trees of some modules of the standard library, so a file
never meets what another file left: names, inferred types, caches, statistics, options switched by a comment. It then
makes the calls that the command ``pylint completion.py`` makes, in the file's own folder. A file can take neither
the time nor the memory of another one, and can't end another one's linting.

Input on stdin is one JSON object: {folder, count, arguments, file_name, cpu_seconds, wall_seconds, memory_bytes}. File
number i is ``folder/i/file_name``. Output on stdout is a JSON object a line: first {"ready": true}, then one for each
file, in order: {outcome, score, statements, messages: [[code, symbol, line, column], ...], seconds}. With the argument
``describe``, it is one object of pylint's messages: {code: [symbol, text, description]}.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pylint.lint import PyLinter, Run

WARM = (
    *("builtins", "typing", "math", "re", "collections", "itertools", "functools", "heapq", "hashlib", "string"),
    *("sys", "os", "random", "datetime", "bisect", "operator", "copy", "statistics"),
)
"""Modules whose syntax trees a fork inherits; a file that imports them is linted without building them again."""
OUT_OF_MEMORY = 87
"""Exit status of a fork in which memory ran out."""
NEARLY = 0.9
"""Share of the limit of memory from which on a file counts as beyond it.

pylint goes on after many a MemoryError as if the file couldn't be understood at that place, which would make its report
another one.
"""
_READ_SIZE = 2**16
_LIKELY_VICTIM = "1000"  # of the kernel, when the machine's memory runs out


def main(arguments: Sequence[str]) -> None:
    """Lint the files that stdin names, or describe pylint's messages."""
    if list(arguments) == ["describe"]:
        _describe()
        return
    from pylint.reporters import CollectingReporter

    job = json.load(sys.stdin)
    reporter = CollectingReporter()
    reporter.job = job  # type: ignore[attr-defined]  # for the linter, which pylint makes itself
    _forking_run()([*job["arguments"], job["file_name"]], reporter=reporter, exit=False)


def _forking_run() -> type[Run]:
    """Return pylint's command with a linter that forks for each file where the command's linter checks one."""
    from pylint.lint import PyLinter, Run

    class ForkingLinter(PyLinter):
        """Checks each file of the job in a fork of its own."""

        def check(self, files_or_modules: Sequence[str]) -> None:
            """Check the files one after another; ends the process after the last one."""
            job = self.reporter.job  # type: ignore[union-attr]
            _warm()
            _say({"ready": True})
            for number in range(job["count"]):
                reader, writer = os.pipe()
                if not (fork := os.fork()):
                    os.close(reader)
                    _enter(Path(job["folder"], str(number)), job)
                    _check_in_fork(self, lambda: super(ForkingLinter, self).check(files_or_modules), job, writer)
                os.close(writer)
                _say(_outcome(fork, reader, time.monotonic() + job["wall_seconds"]))
            sys.stdout.flush()
            os._exit(0)

        def add_message(self, msgid: str, *args: Any, **options: Any) -> None:
            """End the fork where pylint would report its own lack of memory as an error of the file."""
            if _ran_out_of_memory(sys.exc_info()[1]):
                os._exit(OUT_OF_MEMORY)
            super().add_message(msgid, *args, **options)

    class ForkingRun(Run):
        """pylint's command with that linter."""

        LinterClass = ForkingLinter

    return ForkingRun


def _check_in_fork(linter: PyLinter, check: Callable[[], None], job: dict[str, Any], writer: int) -> NoReturn:
    """Do in a fork what pylint's command does after its set-up, write the result and end the fork."""
    try:
        check()
        score = linter.generate_reports()
        result = {
            "score": score,
            "statements": linter.stats.statement,
            "messages": [[m.msg_id, m.symbol, m.line or 0, m.column or 0] for m in linter.reporter.messages],
        }
        if _peak_bytes() > NEARLY * job["memory_bytes"]:
            os._exit(OUT_OF_MEMORY)
        with open(writer, "w", encoding="utf-8") as pipe:
            json.dump(result, pipe)
    except BaseException as error:  # the command would end with a traceback
        os._exit(OUT_OF_MEMORY if _ran_out_of_memory(error) else 1)
    os._exit(0)


def _warm() -> None:
    """Build the syntax trees of `WARM`, load isort, and keep the garbage collector from writing to what forks share."""
    import isort  # pylint loads it for each file
    from astroid import MANAGER

    for name in WARM:
        MANAGER.ast_from_module_name(name)
    isort.place_module(WARM[0], config=isort.Config())  # compiles its patterns, one for each standard module
    gc.collect()
    gc.freeze()


def _enter(folder: Path, job: dict[str, Any]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(folder)
    seconds = int(job["cpu_seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Path("/proc/self/oom_score_adj").write_text(_LIKELY_VICTIM, encoding="ascii")


def _outcome(fork: int, reader: int, deadline: float) -> dict[str, Any]:
    content = b""
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not (part := os.read(reader, _READ_SIZE)):
            late = False
            break
        content += part
    else:
        late = True
        os.kill(fork, signal.SIGKILL)
    os.close(reader)
    _, status, used = os.wait4(fork, 0)
    code = os.waitstatus_to_exitcode(status)
    seconds = {"seconds": used.ru_utime + used.ru_stime}
    if code == 0 and content and not late:
        return {**seconds, "outcome": "linted", **json.loads(content)}
    if late or code == -signal.SIGXCPU:
        return {**seconds, "outcome": "timeout"}
    return {**seconds, "outcome": "memory" if code == OUT_OF_MEMORY else "crashed"}


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmPeak:"))


def _ran_out_of_memory(error: BaseException | None) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MemoryError):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _describe() -> None:
    from pylint.lint import PyLinter

    linter = PyLinter()
    linter.load_default_plugins()
    _say({m.msgid: [m.symbol, m.msg, m.description] for m in linter.msgs_store.messages})
    sys.stdout.flush()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
