"""Measures which differences the tables of a sweep of the study's shape call sure after Holm's adjustment.

    python benchmarks/families.py [--models 4] [--sweeps 200] [--samples 40,10,1]

Verdicts are simulated; tests/analysis/families.py says how. Four models on one problem set are 1,436 pairs of a model
and a test set, of which 1,324 are compared with the same model fine-tuned on clean prompts. A row of the table has the
effects of .2 in pass@1 whose adjusted p is below .05, in sweeps of which one fine-tuned model in ten has an effect; and
of sweeps without any effect those with such a p in a family, and in any of the three families.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.analysis

from tests.analysis.families import simulated, study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--samples", default="40,10,1")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = study(options.models)
    print("| samples | effects found | families with a false one | sweeps with a false one |\n|---|---|---|---|")
    for samples in map(int, options.samples.split(",")):
        found = effects = 0
        for sweep in simulated(config, max(1, options.sweeps // 10), samples, 0.1, options.seed):
            found, effects = found + sweep.found, effects + len(sweep.affected)
        without = list(simulated(config, options.sweeps, samples, 0.0, options.seed))
        families = sum(len(sweep.families) for sweep in without)
        false = sum(sweep.false_families for sweep in without)
        sweeps = sum(sweep.false_families > 0 for sweep in without)
        print(
            f"| {samples} | {found:,} of {effects:,} ({100 * found / effects:.1f} %) | {false} of {families} "
            f"({100 * false / families:.1f} %) | {sweeps} of {len(without)} ({100 * sweeps / len(without):.1f} %) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
