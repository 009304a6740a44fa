"""Programs in Java and C++: what each costs in CPU time, and whether verdicts stay the same on a busy machine.

`python benchmarks/execution.py --compiled FOLDER` runs both in one go; apart, and with other numbers:

    python benchmarks/compiled.py --data FOLDER [--language java] [--programs 40] [--rounds 3] [--out FILE]
    python benchmarks/compiled.py --data FOLDER --busy 8 [--programs 100] [--out FILE]
    python benchmarks/compiled.py --data FOLDER --samples [--mxeval FOLDER] [--programs 20] [--rounds 3] [--out FILE]

FOLDER has HumanEval-X's humaneval_java.jsonl.gz and humaneval_cpp.jsonl.gz; that of --mxeval is data/mbxp of
https://github.com/amazon-science/mxeval, with mbcpp_release_v1.2.jsonl, examples/mbcpp_samples.jsonl and those of mbjp.

CPU time: raysweep with tests outside and inside, and a compiler and a process a program. The programs are reference
solutions, no two texts are equal, and the runners take turns. The first round starts raysweep's processes and compiles
the tests of its problems; it is told apart. CPU time hardly depends on the machine's load; wall time isn't told.
`plain` is what CodeGeeX's harness does: javac and java, or g++ -O0 and the program.
--samples: problems that raysweep hasn't seen, with one sample each and a quarter of them with ten, beside the plain
compilers, which have a text with the tests in it for each sample. What starts with raysweep is not in the numbers, what
it compiles for a problem is. The samples are references, or mxeval's published ones; equal ones differ by a comment.
--busy N: of each language, half as many references as --programs and one mutant of each are judged by two slots, on the
machine as it is and beside N busy processes, with limits of 1 s; the verdicts that flip are told with their seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peers import FAILED, PASSED, Run, cpu_seconds
from verdicts import busy

from raysweep.execution.compiled.cpp.sources import libraries
from raysweep.execution.pool import Executor
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.problems.jsonl import read_problems
from raysweep.programs import COMPILED, CPP, JAVA, Limits, Oracle, Outcome, Program, Sandbox, Verdict
from raysweep.records import Problem

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.execution

from tests.execution.compiled.problems import mutants

TIMEOUT = 10.0  # seconds
LIMIT = 1.0  # seconds, of programs whose verdicts may flip; the least limit of `execution.reference_factor`
SLOTS = 2
SAMPLES = 1, 10  # of a problem
FEW = 20  # problems with one sample each
WANTED = {CPP: (1.5, 0.6), JAVA: (1.0, 1.0)}
"""CPU seconds beside the plain compilers', with so many samples."""
PROGRAMS, ROUNDS = 40, 3  # of each language in a round
JUDGED = 100  # programs of each language whose verdicts may flip
FOUR_TIMES = 4 * SLOTS  # busy processes


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


def problems_of(data: Path, language: str, count: int) -> list[Problem]:
    """Return so many of HumanEval-X's problems, spread over all of them."""
    problems = HumanEvalX(str(data / f"humaneval_{language}.jsonl.gz"), language).problems()
    step = max(1, len(problems) // count)
    return list(problems[::step])[:count]


def measure(language: str, data: Path, count: int, rounds: int) -> dict[str, Any]:
    """Return CPU milliseconds a program in each round, by runner, and how many programs did not pass."""
    problems = problems_of(data, language, count)
    references = [problem.assemble(problem.reference or "") for problem in problems]
    runners = [Compiled(Oracle.OUTSIDE), Compiled(Oracle.INSIDE), Plain()]
    runs: dict[str, list[Run]] = {runner.name: [] for runner in runners}
    try:
        for number in range(rounds + 1):
            programs = [replace(one, text=f"// {number}\n{one.text}") for one in references]
            for runner in runners[number % 3 :] + runners[: number % 3]:
                before = cpu_seconds()
                results = runner.go(programs)
                runs[runner.name].append(Run(0.0, cpu_seconds() - before, results))
    finally:
        for runner in runners:
            runner.close()
    return {
        name: {
            "first_cpu_ms": _cpu_ms(of_runner[0]),
            "cpu_ms": [_cpu_ms(run) for run in of_runner[1:]],
            "not_passed": sum(result != PASSED for run in of_runner for result in run.results),
        }
        for name, of_runner in runs.items()
    }


def texts_of(data: Path, mxeval: Path | None, language: str, count: int) -> list[tuple[Problem, str]]:
    """Return so many problems, each with a completion: the reference, or the one that mxeval published."""
    if mxeval is None:
        return [(problem, problem.reference or "") for problem in problems_of(data, language, count)]
    name = {CPP: "mbcpp", JAVA: "mbjp"}[language]
    rows = [json.loads(line) for line in (mxeval / f"{name}_release_v1.2.jsonl").read_text().splitlines()]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(
            json.dumps(row | {"canonical_solution": row["canonical_solution"] or ""}) + "\n" for row in rows
        )
        file.flush()
        problems = {problem.task_id: problem for problem in read_problems(Path(file.name))}
    samples = [json.loads(line) for line in (mxeval / "examples" / f"{name}_samples.jsonl").read_text().splitlines()]
    return [(problems[one["task_id"]], one["completion"]) for one in samples[:: len(samples) // count]][:count]


def by_samples(texts: Sequence[tuple[Problem, str]], rounds: int) -> dict[str, Any]:
    """Return, for each number of samples a problem, CPU seconds a sample of raysweep and of the plain compiler."""
    first, *others = [problem.assemble(text) for problem, text in texts]
    found: dict[str, Any] = {}
    for samples in SAMPLES:
        some = others if samples == 1 else others[::4]
        pairs, differing = [], 0
        for number in range(rounds):
            copies = range(samples)
            programs = [replace(one, text=f"// {number} {copy}\n{one.text}") for one in some for copy in copies]
            runs = [_started(first, programs), _run(Plain(), programs)]
            pairs.append([round(run.cpu_seconds / len(programs), 3) for run in runs])
            differing += sum(one != other for one, other in zip(runs[0].results, runs[1].results, strict=True))
        ratios = [round(mine / plain, 2) for mine, plain in pairs]
        found[str(samples)] = {"problems": len(some), "cpu_seconds": pairs, "ratios": ratios, "differing": differing}
    return found


def _started(first: Program, programs: Sequence[Program]) -> Run:
    """Run programs with processes that have started with another one."""
    with Executor(1, Sandbox()) as executor:
        executor.run([first], Limits(timeout=TIMEOUT))
        before = cpu_seconds()
        verdicts = executor.run(programs, Limits(timeout=TIMEOUT))
        used = cpu_seconds() - before
    return Run(0.0, used, [PASSED if verdict.outcome is Outcome.PASSED else FAILED for verdict in verdicts])


def _run(runner: Plain, programs: Sequence[Program]) -> Run:
    before = cpu_seconds()
    results = runner.go(programs)
    return Run(0.0, cpu_seconds() - before, results)


def table_of_samples(language: str, found: dict[str, Any]) -> str:
    """Return a Markdown table of the medians."""
    head = "| samples a problem | problems | CPU seconds a sample | plain | it / plain | wanted | other verdicts |"
    rows = []
    for (samples, one), wanted in zip(found.items(), WANTED[language], strict=True):
        mine, plain = (statistics.median(numbers) for numbers in zip(*one["cpu_seconds"], strict=True))
        ratio = statistics.median(one["ratios"])
        numbers = f"{mine:.3f} | {plain:.3f} | {ratio:.2f} | {wanted:g}"
        rows.append(f"| {samples} | {one['problems']} | {numbers} | {one['differing']} |")
    return "\n".join([f"\n{language}", head, "|---|---|---|---|---|---|---|", *rows])


def _cpu_ms(run: Run) -> float:
    return round(1000 * run.cpu_seconds / len(run.results), 1)


def flips(language: str, data: Path, count: int, processes: int) -> dict[str, Any]:
    """Judge references and mutants on the machine as it is and beside busy processes; return what changed."""
    programs: list[Program] = []
    for problem in problems_of(data, language, 2 * count):
        reference = problem.reference or ""
        changed = mutants(reference, directives=language == CPP, count=1)
        if changed and len(programs) < count:
            programs += [problem.assemble(reference), problem.assemble(changed[0])]
    with Executor(SLOTS, Sandbox()) as executor:
        before = executor.run(programs, Limits(timeout=LIMIT))
    with busy(processes), Executor(SLOTS, Sandbox()) as executor:
        beside = executor.run(programs, Limits(timeout=LIMIT))
    return {
        "programs": len(programs),
        "outcomes": {name: sum(v.outcome == name for v in before) for name in sorted({v.outcome for v in before})},
        "longest": {"idle": _longest(before), "busy": _longest(beside)},
        "flips": [
            f"{number}: {one.outcome} ({one.seconds:g} s) -> {other.outcome} ({other.seconds:g} s)"
            for number, (one, other) in enumerate(zip(before, beside, strict=True))
            if one.outcome is not other.outcome
        ],
    }


def _longest(verdicts: Sequence[Verdict]) -> float:
    """Return the most effective seconds of a program that ended within its limit."""
    return max(verdict.seconds for verdict in verdicts if verdict.outcome is not Outcome.TIMEOUT)


def main() -> None:
    """Print a table for each language, or the flips; --out also writes the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with HumanEval-X's files")
    parser.add_argument("--language", choices=(JAVA, CPP), action="append", help="one of them; both without it")
    parser.add_argument("--programs", type=int, help=f"of each language; {PROGRAMS}, with --busy {JUDGED}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--busy", type=int, metavar="N", help="judge programs again beside N busy processes")
    parser.add_argument("--samples", action="store_true", help="one and ten samples of problems that it hasn't seen")
    parser.add_argument("--mxeval", type=Path, help="with --samples: folder with mxeval's problems and samples")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file too")
    options = parser.parse_args()
    languages = options.language or COMPILED
    if options.samples:
        found = {}
        for language in languages:
            texts = texts_of(options.data, options.mxeval, language, (options.programs or FEW) + 1)
            found[language] = by_samples(texts, options.rounds)
            print(table_of_samples(language, found[language]), flush=True)
    elif options.busy:
        found = all_flips(options.data, options.programs or JUDGED, options.busy, languages)
    else:
        found = costs(options.data, options.programs or PROGRAMS, options.rounds, languages)
    found["load"] = round(os.getloadavg()[0], 1)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def costs(data: Path, count: int, rounds: int, languages: Sequence[str] = COMPILED) -> dict[str, Any]:
    """Measure each language and print its table; return what `measure` does, by language."""
    found = {}
    for language in languages:
        found[language] = measure(language, data, count, rounds)
        print(table(language, count, found[language]), flush=True)
    return found


def all_flips(data: Path, count: int, processes: int, languages: Sequence[str] = COMPILED) -> dict[str, Any]:
    """Judge each language's programs on the idle and on the busy machine; print and return what `flips` does."""
    found = {}
    for language in languages:
        found[language] = flips(language, data, count, processes)
        print(json.dumps({language: found[language]}, indent=1), flush=True)
    return found


def table(language: str, count: int, of_runner: dict[str, Any]) -> str:
    """Return a Markdown table of a language's medians."""
    medians = {name: statistics.median(one["cpu_ms"]) for name, one in of_runner.items()}
    head = "| runner | CPU ms a program | plain / it | in the first round | not passed |\n|---|---|---|---|---|"
    rows = [
        f"| {name} | {one:.0f} | {medians['plain'] / one:.2f} | {of_runner[name]['first_cpu_ms']:.0f} "
        f"| {of_runner[name]['not_passed']} |"
        for name, one in medians.items()
    ]
    share = medians["raysweep inside"] / medians["raysweep outside"]
    return "\n".join([f"\n{language}: {count} programs a round, inside / outside {share:.2f}", head, *rows])


if __name__ == "__main__":
    main()
