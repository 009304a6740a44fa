"""Programs per second on tasks of BigCodeBench's shape: raysweep beside the bigcodebench package's own checker.

    python benchmarks/bigcodebench.py --environment PYTHON [--samples 1] [--rounds 5]

Both run the programs in the environment of PYTHON, one at a time, and take turns. It needs numpy, pandas, matplotlib
and the package, which is only asked for its checker: `pip install --no-deps bigcodebench`. The tasks are the twenty of
tests/problems/bigcodebench_tasks.py; of their programs those run that come to an end, since the checker waits 240 s for
an endless one, for one that ends its process and for threads that are left. Each has `--samples` copies, whose texts
differ. Starts of raysweep's slot and of the checker's process are outside the clock; what raysweep imports for a task's
programs is inside. It also counts who is right, and names what they differ in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import cpu_seconds, quiet

from raysweep.execution.pool import Executor
from raysweep.problems.bigcodebench import BigCodeBench
from raysweep.programs import Limits, Outcome, Program, Sandbox
from tests.problems import bigcodebench_tasks

LIMITS = Limits(timeout=30, memory_mib=4096)
ENDLESS = {Outcome.TIMEOUT, Outcome.MEMORY, Outcome.OUTPUT_LIMIT, Outcome.KILLED}
NAMES = ("raysweep", "bigcodebench")
CHECKER = """
import json, sys
from bigcodebench.eval import untrusted_check
answers = sys.stdout
for line in sys.stdin:
    checked = [untrusted_check(text, tests, "task_func", 30 * 1024, 30 * 1024, 10) for text, tests in json.loads(line)]
    print(json.dumps([status == "pass" for status, _ in checked]), file=answers, flush=True)
"""


def main() -> None:
    """Measure both, print the figures, and write them to --out too."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        file = bigcodebench_tasks.write_rows(Path(folder, "tasks.jsonl"))
        problems = {one.task_id: one for one in BigCodeBench(file, environment="peer").problems()}
    ending = [one for one in bigcodebench_tasks.programs() if not (set(one.outcomes) & ENDLESS or "leaves" in one.name)]
    written = [one for one in ending for _ in range(options.samples)]
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    passed: dict[str, list[bool]] = {}
    command = [options.environment, "-W", "ignore", "-c", CHECKER]
    sandbox = Sandbox(environments=(("peer", options.environment),))
    with (
        Executor(1, sandbox) as executor,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as checker,
    ):
        executor.level()
        for number in range(options.rounds + 1):
            programs = [
                problems[one.task_id].assemble(f"{one.text}# {number} {at}\n") for at, one in enumerate(written)
            ]
            for name in NAMES[:: 1 if number % 2 else -1]:
                quiet(options.patience)
                cpu, began = cpu_seconds(), time.perf_counter()
                passed[name] = _run(executor, programs) if name == "raysweep" else _checked(checker, programs)
                seconds[name].append((time.perf_counter() - began, cpu_seconds() - cpu))
        assert checker.stdin is not None
        checker.stdin.close()
    turns = {name: figures[1:] for name, figures in seconds.items()}  # the first round only warms up
    right = [Outcome.PASSED in one.outcomes for one in written]
    figures: dict[str, Any] = {
        name: {
            "programs_per_second": round(len(right) / statistics.median(wall for wall, _ in turns[name]), 2),
            "cpu_seconds_each": round(statistics.median(cpu for _, cpu in turns[name]) / len(right), 4),
            "right": sum(a == b for a, b in zip(passed[name], right, strict=True)),
        }
        for name in NAMES
    }
    ratios = [peer / own for (own, _), (peer, _) in zip(*turns.values(), strict=True)]
    differ = [one for one, a, b in zip(written, *passed.values(), strict=True) if a != b]
    figures |= {"programs": len(right), "ratio": round(statistics.median(ratios), 2)}
    figures["differ"] = sorted({f"{one.task_id}, {one.name}" for one in differ})
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", required=True, metavar="PYTHON", help="the Python of both")
    parser.add_argument("--samples", type=int, default=1, help="copies of each program in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for an idle machine before a turn")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file too")
    return parser.parse_args()


def _run(executor: Executor, programs: Sequence[Program]) -> list[bool]:
    return [verdict.outcome is Outcome.PASSED for verdict in executor.run(programs, LIMITS)]


def _checked(checker: subprocess.Popen[str], programs: Sequence[Program]) -> list[bool]:
    assert checker.stdin is not None and checker.stdout is not None
    print(json.dumps([[one.text, one.tests] for one in programs]), file=checker.stdin, flush=True)
    passed: list[bool] = json.loads(checker.stdout.readline())
    return passed


if __name__ == "__main__":
    main()
