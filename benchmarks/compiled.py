"""CPU time a program in Java and C++: raysweep with tests outside and inside, and a compiler and a process a program.

    python benchmarks/compiled.py --data FOLDER [--language java] [--programs 40] [--rounds 3] [--out FILE]

FOLDER has HumanEval-X's humaneval_java.jsonl.gz and humaneval_cpp.jsonl.gz. The programs are its reference solutions,
no two texts are equal, and the runners take turns. The first round starts raysweep's processes and isn't counted.
CPU time hardly depends on the machine's load; wall time isn't told. `plain` is what CodeGeeX's harness does: javac and
java, or g++ -O0 and the program.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peers import FAILED, PASSED, Run, cpu_seconds

from raysweep.execution.compiled.cpp.sources import libraries
from raysweep.execution.pool import Executor
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.programs import CPP, JAVA, Limits, Oracle, Outcome, Program, Sandbox

TIMEOUT = 10.0  # seconds


@dataclass
class Compiled:
    """raysweep's executor, with tests in one place."""

    oracle: Oracle
    executor: Executor = field(default_factory=lambda: Executor(1, Sandbox()))

    @property
    def name(self) -> str:
        """The runner's name."""
        return f"raysweep {self.oracle}"

    def go(self, programs: Sequence[Program]) -> list[str]:
        """Judge programs; return passed or failed for each."""
        placed = [replace(program, oracle=self.oracle) for program in programs]
        verdicts = self.executor.run(placed, Limits(timeout=TIMEOUT))
        return [PASSED if verdict.outcome is Outcome.PASSED else FAILED for verdict in verdicts]

    def close(self) -> None:
        """End the executor."""
        self.executor.close()


class Plain:
    """A compiler process and a process of the program, without any isolation; its exit code is the verdict."""

    name = "plain"

    def go(self, programs: Sequence[Program]) -> list[str]:
        """Judge programs; return passed or failed for each."""
        return [PASSED if _exits_with_0(program) else FAILED for program in programs]

    def close(self) -> None:
        """There is nothing to end."""


def _exits_with_0(program: Program) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        name = "Main.java" if program.language == JAVA else "program.cpp"
        Path(folder, name).write_text(program.source, encoding="utf-8")
        commands = [["javac", "-nowarn", name], ["java", "-cp", folder, "Main"]]
        if program.language == CPP:
            commands = [["g++", "-O0", "-w", name, *libraries(program.source)], [f"{folder}/a.out"]]
        for command in commands:
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, timeout=20 * TIMEOUT)
            except subprocess.TimeoutExpired:
                return False
            if done.returncode:
                return False
        return True


def measure(language: str, data: Path, count: int, rounds: int) -> dict[str, Any]:
    """Return CPU milliseconds a program in each round, by runner, and how many programs did not pass."""
    problems = HumanEvalX(str(data / f"humaneval_{language}.jsonl.gz"), language).problems()
    step = max(1, len(problems) // count)
    references = [problem.assemble(problem.reference or "") for problem in problems[::step]][:count]
    runners = [Compiled(Oracle.OUTSIDE), Compiled(Oracle.INSIDE), Plain()]
    runs: dict[str, list[Run]] = {runner.name: [] for runner in runners}
    try:
        for number in range(rounds + 1):
            programs = [replace(one, text=f"// {number}\n{one.text}") for one in references]
            for runner in runners[number % 3 :] + runners[: number % 3]:
                before = cpu_seconds()
                results = runner.go(programs)
                if number:
                    runs[runner.name].append(Run(0.0, cpu_seconds() - before, results))
    finally:
        for runner in runners:
            runner.close()
    return {
        name: {
            "cpu_ms": [round(1000 * run.cpu_seconds / len(run.results), 1) for run in of_runner],
            "not_passed": sum(result != PASSED for run in of_runner for result in run.results),
        }
        for name, of_runner in runs.items()
    }


def main() -> None:
    """Print a table for each language; --out also writes the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with HumanEval-X's files")
    parser.add_argument("--language", choices=(JAVA, CPP), action="append", help="one of them; both without it")
    parser.add_argument("--programs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file too")
    options = parser.parse_args()
    found = {}
    for language in options.language or (JAVA, CPP):
        found[language] = measure(language, options.data, options.programs, options.rounds)
        medians = {name: statistics.median(of_runner["cpu_ms"]) for name, of_runner in found[language].items()}
        print(f"\n{language}: {options.programs} programs a round\n| runner | CPU ms a program | plain / it | failed |")
        print("|---|---|---|---|")
        for name, one in medians.items():
            print(f"| {name} | {one:.0f} | {medians['plain'] / one:.2f} | {found[language][name]['not_passed']} |")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
