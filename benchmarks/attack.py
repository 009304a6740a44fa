"""Compares an attack with the same number of random perturbations at several budgets, in a table and a figure.

    python benchmarks/attack.py base=FOLDER C=FOLDER --storage STORE --figure docs/attack.png

After `raysweep run configs/minicode.yaml`, `raysweep status minicode` prints each FOLDER. The problems are
MiniCode's test problems of world 42. One run at the largest budget gives the results at the smaller budgets too.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from raysweep.cli.views.console import new_console
from raysweep.cli.views.progress import counting
from raysweep.problems.base import PROBLEMS
from raysweep.records import Spec
from raysweep.storage.store import Store
from raysweep.tools.attack.queries import AttackLimits, AttackResult
from raysweep.tools.attack.run import AttackJob, failures_under, rate_of_one_draw, rate_under, run_attack
from raysweep.tools.attack.search import RANDOM

BUDGETS = (10, 50, 200)
INK, MUTED, RULE, COLOURS = "#1c1b1a", "#66635e", "#dcd8d0", {RANDOM: "#0072b2", "greedy": "#c2410c"}  # Okabe and Ito's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--methods", default="C1,C2,C3")
    parser.add_argument("--max-changed", type=float, default=0.1)
    parser.add_argument("--max-characters", type=float)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    by_model = {}
    print("| model | budget | clean | one draw | random | greedy attack | failures: random, attack | ratio | at most |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, _, folder in (model.partition("=") for model in options.models):
        started = time.perf_counter()
        by_model[name] = rows = attack(folder, options)
        print(*(line(name, rows, budget) for budget in BUDGETS), sep="\n", flush=True)
        new_console(stderr=True).print(f"{name}: {time.perf_counter() - started:.0f} s")
    if options.figure:
        draw(by_model, options.figure)


def attack(folder: str, options: argparse.Namespace) -> dict[str, list[AttackResult]]:
    job = AttackJob(
        model=folder,
        problem_set=PROBLEMS.create(Spec("minicode", {"world": 42})),
        methods=tuple(Spec(name) for name in options.methods.split(",")),
        limits=AttackLimits(max(BUDGETS), options.max_changed, options.max_characters),
        search="greedy",
        template="raw",
        max_new_tokens=64,
        limit=options.limit,
    )
    with counting(folder, options.limit) as report:
        rows = run_attack(job, Store(options.storage), report)
    return {name: [row for row in rows if row.strategy == name] for name in (RANDOM, "greedy")}


def line(name: str, rows: dict[str, list[AttackResult]], budget: int) -> str:
    clean, one_draw = rate_under(rows[RANDOM], 0), rate_of_one_draw(rows[RANDOM], max(BUDGETS))
    cells = [f"{rate.value:.2f} ({rate.low:.2f}-{rate.high:.2f})" for rate in (clean, one_draw, *rates(rows, budget))]
    random, greedy = (failures_under(rows[strategy], budget) for strategy in (RANDOM, "greedy"))
    solved = round(clean.value * len(rows[RANDOM]))
    ratio, highest = (f"{failures / random:.2f}" if random else "-" for failures in (greedy, solved))
    return f"| {name} | {budget} | {' | '.join(cells)} | {random}, {greedy} | {ratio} | {highest} |"


def rates(rows: dict[str, list[AttackResult]], budget: int):
    return [rate_under(rows[strategy], budget) for strategy in (RANDOM, "greedy")]


def draw(by_model: dict[str, dict[str, list[AttackResult]]], path: Path) -> None:
    """Draw pass@1 over the budget: one panel per model, one line per strategy with a band for its 95 % interval."""
    steps = sorted({1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200})
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(4.6 * len(by_model), 3.6), dpi=150)
        for number, (name, rows) in enumerate(by_model.items(), 1):
            axes = figure.add_subplot(1, len(by_model), number)
            for strategy, label in ((RANDOM, "random perturbations"), ("greedy", "greedy attack")):
                points = [rate_under(rows[strategy], step) for step in steps]
                colour = COLOURS[strategy]
                axes.plot(steps, [100 * p.value for p in points], "o-", color=colour, markersize=4, label=label)
                low, high = [100 * p.low for p in points], [100 * p.high for p in points]
                axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.set(xscale="log", xlim=(1, max(steps)), ylim=(0, 100))
            axes.set_xticks([1, 2, 10, 50, 200], labels=["1", "2", "10", "50", "200"])
            axes.minorticks_off()
            axes.set_xlabel("queries a problem (1: clean, 2: one changed)", color=MUTED)
            axes.set_ylabel("pass@1, %" if number == 1 else "", color=MUTED)
            axes.set_title(name, loc="left", fontsize=12, fontweight="bold")
            axes.grid(color=RULE, linewidth=0.8)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            if number == 1:
                axes.legend(frameon=False, loc="upper right")
        figure.tight_layout(w_pad=2)
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
