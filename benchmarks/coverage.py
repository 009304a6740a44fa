"""Measures how often 95 % intervals hold in simulated sweeps, and how wide they are, in Markdown tables.

    python benchmarks/coverage.py [--sweeps 2000] [--problems 161,427] [--samples 1,40]
    python benchmarks/coverage.py --changes [--sweeps 2000] [--problems 161,427]
    python benchmarks/coverage.py --seeds [--sweeps 2000] [--problems 161]

The populations are stated in tests/stats/coverage.py. A cell of the first table shows the coverage in %, as the mean
over four populations with the lowest one in brackets; of the second the mean width. Brackets around RD's cells mark
levels at which fewer than 10 clean passes are expected: reports call the interval rough there, and the last lines
leave them out. With --changes: the coverage of a change of few verdicts, as that of clean pass@1 after edits, by
the shares of problems that are lost and won, for one edit and the mean of fifteen. With --seeds: the coverage of means
over 3 and 5 seeds, by how much seeds differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.stats

from tests.stats.coverage import (
    CONCENTRATIONS,
    LEVELS,
    Coverage,
    Population,
    change_coverage,
    coverages,
    seeds_coverages,
)

LOST, WON = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1), (0.0, 0.005, 0.01, 0.02, 0.05)
"""Shares of problems that are lost, and that are won."""
Found = dict[tuple[str, int, int], dict[float, list[Coverage]]]
"""For each quantity, number of problems and number of samples: by level, the coverage in each population."""


def main() -> None:
    """Simulate all populations and print both tables and a summary of each quantity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=2000, help="simulated sweeps of each population")
    parser.add_argument("--problems", default="161,427")
    parser.add_argument("--samples", default="1,40")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--changes", action="store_true", help="simulate changes of few verdicts instead")
    parser.add_argument("--seeds", action="store_true", help="simulate means over several seeds instead")
    options = parser.parse_args()
    if options.seeds:
        print_seeds([int(problems) for problems in options.problems.split(",")], options.sweeps, options.seed)
        return
    if options.changes:
        print_changes([int(problems) for problems in options.problems.split(",")], options.sweeps, options.seed)
        return
    started = time.process_time()
    found: Found = defaultdict(lambda: defaultdict(list))
    for problems in map(int, options.problems.split(",")):
        for samples in map(int, options.samples.split(",")):
            for level in LEVELS:
                for concentration in CONCENTRATIONS:
                    population = Population(level, concentration, problems, samples)
                    for coverage in coverages(population, options.sweeps, options.seed):
                        found[coverage.quantity, problems, samples][level].append(coverage)
            seconds = time.process_time() - started
            print(f"{problems} problems, {samples} samples: {seconds:.0f} s of CPU so far", file=sys.stderr)
    print_table("coverage, %", found, coverage_text)
    print_table("mean width", found, lambda cells: f"{mean([cell.width for cell in cells]):.3f}")
    print_summary(found)


def print_changes(problems: list[int], sweeps: int, seed: int) -> None:
    """Print the coverage of changes, in %, a row for each number of problems, lost share and number of edits."""
    print("| problems | edits | lost \\ won | " + " | ".join(f"{won:g}" for won in WON) + " |")
    print("|---" * (3 + len(WON)) + "|")
    for number, edits, lost in product(problems, (1, 15), LOST):
        shares = [change_coverage(number, lost, won, edits, sweeps, seed).share for won in WON if won <= lost]
        cells = [f"{100 * share:.1f}" for share in shares] + [""] * (len(WON) - len(shares))
        print(f"| {number} | {edits} | {lost:g} | {' | '.join(cells)} |", flush=True)


def print_seeds(problems: list[int], sweeps: int, seed: int) -> None:
    """Print the coverage of means over seeds, in %, and their intervals' mean width, a row for each population."""
    print("| seeds | problems | level | concentration | samples | spread | pass@1 | drop | RD | two models |")
    print("|---" * 10 + "|")
    populations = product((3, 5), problems, ((0.3, 1.0), (0.5, 0.1)), (1, 40), (0.0, 0.15, 0.35))
    for seeds, number, (level, concentration), samples, spread in populations:
        population = Population(level, concentration, number, samples)
        found = seeds_coverages(population, seeds, spread, sweeps, seed)
        cells = [f"{100 * one.share:.1f} ({one.width:.3f})" for one in found]
        place = [seeds, number, f"{level:g}", f"{concentration:g}", samples, f"{spread:g}", *cells]
        print(f"| {' | '.join(map(str, place))} |", flush=True)


def print_table(title: str, found: Found, text) -> None:
    print(f"\n| {title} | problems | samples | " + " | ".join(f"{level:g}" for level in LEVELS) + " |")
    print("|---" * (3 + len(LEVELS)) + "|")
    for (quantity, problems, samples), by_level in sorted(found.items()):
        cells = [text(cells) if cells[0].counts else f"({text(cells)})" for cells in by_level.values()]
        print(f"| {quantity} | {problems} | {samples} | {' | '.join(cells)} |")


def coverage_text(cells: list[Coverage]) -> str:
    shares = [100 * cell.share for cell in cells]
    return f"{mean(shares):.1f} ({min(shares):.1f})"


def print_summary(found: Found) -> None:
    """Print each quantity's lowest and mean coverage over everything that counts, and where the lowest is."""
    print()
    for quantity in sorted({name for name, _, _ in found}):
        shares = {
            (problems, samples, level, concentration): 100 * cell.share
            for (name, problems, samples), by_level in found.items()
            for level, cells in by_level.items()
            for concentration, cell in zip(CONCENTRATIONS, cells, strict=True)
            if name == quantity and cell.counts
        }
        problems, samples, level, concentration = min(shares, key=lambda place: shares[place])
        print(
            f"{quantity}: mean {mean(list(shares.values())):.1f} %, lowest {min(shares.values()):.1f} % "
            f"({problems} problems, {samples} samples, level {level:g}, concentration {concentration:g})"
        )


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
