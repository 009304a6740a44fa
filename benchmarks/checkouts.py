"""Compares `raysweep execute` of two checkouts of raysweep on one samples file, in turns: seconds, CPU time, memory.

    python benchmarks/checkouts.py OTHER [--rows 1000000] [--distinct 1000] [--turns 2] [--no-programs]

OTHER is the root of another checkout; this one is the second. CPU time is user and system time of the command and of
all processes that it waited for, so neighbours on the machine distort it less than they distort the seconds.
--no-programs: nothing is executed, every program gets a made-up verdict at once. This leaves what `execute` itself does
for each row, and makes a file with many distinct programs affordable. --interrupted: the command is also stopped by
Ctrl-C after 98 % of the programs and given again, to measure the resume (with --no-programs only).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks import humaneval

HERE = Path(__file__).resolve().parents[1]
STOP_AFTER = "BENCHMARK_STOP_AFTER"
"""Environment variable of a command without programs: the number of verdicts after which Ctrl-C comes."""


def main() -> None:
    """Run the command of each checkout in turns and print one JSON line a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="root of another checkout")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, default=1000, help="distinct programs among the rows")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--no-programs", action="store_true", help="execute nothing")
    parser.add_argument("--interrupted", action="store_true", help="measure a resume as well")
    parser.add_argument("--as-command", action="store_true", help=argparse.SUPPRESS)
    options, arguments = parser.parse_known_args()
    if options.as_command:
        sys.exit(_without_programs(arguments))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_samples(folder / "samples.jsonl", options.rows, options.distinct)
        for _ in range(options.turns):
            for label, root in (("other", options.other.resolve()), ("this", HERE)):
                print(json.dumps({"checkout": label, **_run(folder, root, options.no_programs)}), flush=True)
                if options.no_programs and options.interrupted:
                    _run(folder, root, True, stop_after=options.distinct * 98 // 100)
                    print(json.dumps({"checkout": label, "resumed": True, **_run(folder, root, True)}), flush=True)


def _write_samples(path: Path, rows: int, distinct: int) -> None:
    tasks = humaneval()
    with path.open("w") as file:
        for row in range(rows):
            number, index = divmod(row % distinct, len(tasks))
            solution = f"{tasks[index].text}\n# sample {number}\n"
            file.write(json.dumps({"task_id": tasks[index].task_id, "solution": solution}) + "\n")


def _run(folder: Path, root: Path, no_programs: bool, stop_after: int = 0) -> dict[str, Any]:
    """Run the command of one checkout; return what it used and the counts that it printed."""
    start = [__file__, str(root), "--as-command"] if no_programs else ["-m", "raysweep"]
    command = [sys.executable, *start, "execute", str(folder / "samples.jsonl"), "--workers", "2", "--json"]
    command += ["--out", str(folder / f"results-{root.name}.jsonl"), "--allow-code-execution"]
    environment = {**os.environ, "PYTHONPATH": str(root), STOP_AFTER: str(stop_after)}
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    scores = json.loads(printed or "{}")
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib_of_the_largest_process": used.ru_maxrss >> 10,
        "exit_code": process.returncode,
        **{name: scores.get(name) for name in ("samples", "programs", "kept")},
        "load": round(os.getloadavg()[0], 1),
    }


def _without_programs(arguments: list[str]) -> int:
    """Run raysweep's command line with an executor that executes nothing."""
    import raysweep.tools.samples.run as run
    from raysweep.cli.app import main as command_line

    run.Executor = _NoExecutor  # type: ignore[misc, assignment]
    sys.argv = ["raysweep", *arguments]
    return command_line()


class _NoExecutor:
    """Gives each program a made-up verdict: three in five passed, the others failed with one of 2,000 reasons."""

    def __init__(self, slots: int, sandbox: object) -> None:
        self._stop_after = int(os.environ[STOP_AFTER])

    def __enter__(self) -> _NoExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def stream(self, work: Iterable[tuple[Any, Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield a key and a verdict for each program."""
        from raysweep.programs import Outcome, Verdict

        for number, (key, _, limits) in enumerate(work):
            if self._stop_after and number == self._stop_after:
                raise KeyboardInterrupt
            outcome, detail = (Outcome.PASSED, "") if number % 5 < 3 else (Outcome.FAILED, f"f({number % 5000}) == 1")
            yield key, Verdict(outcome, detail, "", 0.001 + number * 1e-9, limits.timeout, "strong", "shared")


if __name__ == "__main__":
    main()
