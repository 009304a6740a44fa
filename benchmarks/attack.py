"""Measures models under random and greedy attacks at several budgets, and prints the table of docs/attack.md.

    python benchmarks/attack.py base=FOLDER C=FOLDER --storage STORE

After `raysweep run configs/quickstart.yaml`, `raysweep status quickstart` prints each FOLDER. The problems are
MiniCode's test problems of world 42.
"""

from __future__ import annotations

import argparse
import time

from raysweep.cli.views.console import new_console
from raysweep.cli.views.progress import counting
from raysweep.problems.base import PROBLEMS
from raysweep.records import Spec
from raysweep.storage.store import Store
from raysweep.tools.attack.run import AttackJob, rates_of, run_attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--methods", default="C1,C2,C3")
    parser.add_argument("--max-changed", type=float, default=0.1)
    parser.add_argument("--budgets", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--limit", type=int, default=60)
    options = parser.parse_args()
    print("| model | budget | clean | random | greedy | failures: random, greedy | queries: random, greedy |")
    print("|---|---|---|---|---|---|---|")
    for model in options.models:
        for budget in options.budgets:
            print(line(*model.split("=", 1), budget, options), flush=True)


def line(name: str, folder: str, budget: int, options: argparse.Namespace) -> str:
    job = AttackJob(
        model=folder,
        problem_set=PROBLEMS.create(Spec("minicode", {"world": 42})),
        methods=tuple(Spec(method) for method in options.methods.split(",")),
        budget=budget,
        max_changed=options.max_changed,
        template="raw",
        max_new_tokens=64,
        limit=options.limit,
    )
    started = time.perf_counter()
    with counting(name, options.limit) as report:
        rates = rates_of(run_attack(job, Store(options.storage), report))
    new_console(stderr=True).print(f"{name}, budget {budget}: {time.perf_counter() - started:.0f} s")
    cells = [f"{rate.value:.2f} ({rate.low:.2f}-{rate.high:.2f})" for rate in rates]
    _, random, greedy = rates
    failures, queries = f"{random.failures}, {greedy.failures}", f"{random.queries:,}, {greedy.queries:,}"
    return f"| {name} | {budget} | {' | '.join(cells)} | {failures} | {queries} |"


if __name__ == "__main__":
    main()
