"""Computes from the results in the public package of CREME's authors what their paper says, by raysweep's formulas.

    git clone https://github.com/AyushGupta-Code/CREME-Not-Every-Layer-Counts package
    git -C package checkout f68a356
    python benchmarks/creme_package.py --from package/results

The package has no licence, so that nothing of it is here. A table, a row for each model and problem set: edit examples,
G-RIR by task (mean over the edits of a category, then over the 20 categories), and of the edited prompts themselves the
relative gain of their mean pass rate, and L-RIR. Where an edit was made twice, all its rows count.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from statistics import fmean

from raysweep.errors import UsageError
from raysweep.metrics.restoration import relative_gain, restored_by_task

HEADS = "model and problem set", "edit examples", "G-RIR by task", "own prompt: gain", "L-RIR"


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


def edits_of(category: Path) -> Mapping[str, Sequence[Mapping[str, float]]]:
    """Return by edited task the pass rates by task of each of its edits: a task that comes again is another edit's."""
    open_edits: dict[str, list[dict[str, float]]] = {}
    for row in rows_of(category / "edit_result.csv"):
        made = open_edits.setdefault(row["edit_task"], [{}])
        unfilled = next((edit for edit in made if row["task_id"] not in edit), None)
        if unfilled is None:
            made.append(unfilled := {})
        unfilled[row["task_id"]] = float(row["pass_ratio"])
    return open_edits


def numbers_of(folder: Path) -> tuple[str, ...]:
    of_categories, own, count = [], [], 0
    for category in sorted(file.parent for file in folder.glob("*/edit_result.csv")):
        rates = rows_of(folder / "diff" / f"{category.name}_pass_rate_differences.csv")
        original, perturbed = (
            {row["task_id"]: float(row[f"file{number}_pass_rate"]) / 100 for row in rates} for number in (1, 2)
        )
        shares = []
        for task, edits in edits_of(category).items():
            found = [restored_by_task(original, perturbed, repaired, [task]) for repaired in edits]
            known = [one for one in found if not isnan(one.value)]
            count += 1
            shares += [fmean([one.value for one in known], [one.n for one in known])] if known else []
            own += [
                (original[task], perturbed[task], edit[task]) for edit in edits if task in edit and task in original
            ]
        of_categories.append(fmean(shares))
    _, before, after = (fmean(rates) for rates in zip(*own, strict=True))
    restored = fmean((repaired - was) / (original - was + 1e-5) for original, was, repaired in own if original > was)
    gain = f"{100 * relative_gain(before, after).value:.0f} %"
    return folder.name, str(count), f"{fmean(of_categories):.3f}", gain, f"{restored:.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="the package's folder `results`")
    folder = parser.parse_args().folder
    sets = sorted({file.parent.parent for file in folder.glob("*/*/edit_result.csv")})
    if not sets:
        raise UsageError(f"--from {folder} has no */*/edit_result.csv; name the folder `results` of the package")
    for cells in (HEADS, ["---"] * len(HEADS), *map(numbers_of, sets)):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
