"""Measures how long the numbers of the whole study take: scores, verdicts by problem, differences, tests and tables.

    python benchmarks/analysis.py [--models 6]

The verdicts are random. Six models are the study's 204 cells, 4,308 evaluation pairs and 1.27 million results: one
completion for each of 161 and 427 problems. Reading the results is not part of the time, writing the numbers is.
Garbage is collected as seldom as by the command.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from raysweep.analysis.comparisons.pairing import Baselines
from raysweep.analysis.exhibits.base import COMPARISONS, SUMMARIES, TESTS, Evidence
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.cli.app import COLLECTED_AFTER
from raysweep.config.grid import Grid, build_grid
from raysweep.config.schema import SweepConfig
from raysweep.metrics.base import CellLabels
from raysweep.metrics.problem_scores import problem_scores
from raysweep.metrics.scores import scores_of
from raysweep.metrics.verdicts import Verdicts
from raysweep.programs import Outcome
from raysweep.records import Difference, ProblemScore, Result, Score
from raysweep.rows.parquet import RowWriter, write_rows
from raysweep.sweep.report.names import levels_of, order_of

CONFIG = Path(__file__).parent.parent / "configs" / "study.yaml"
SIZES = (161, 427)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=6)
    models = parser.parse_args().models
    gc.set_threshold(*COLLECTED_AFTER)
    config = SweepConfig.model_validate(yaml.safe_load(CONFIG.read_text()))
    config = config.model_copy(update={"models": config.models[:models]})
    grid, rng = build_grid(config), random.Random(0)
    problem_sets = dict(zip((one.label for one in config.evaluation.problems), SIZES, strict=True))
    with TemporaryDirectory() as folder:
        measure(config, grid, problem_sets, rng, Path(folder))


def measure(config: SweepConfig, grid: Grid, problem_sets: dict[str, int], rng: random.Random, folder: Path) -> None:
    """Make each cell's verdicts, time what is computed from them, and print the sums."""
    baselines, levels = Baselines(), levels_of(config)
    scores: list[Score] = []
    differences: list[Difference] = []
    seconds: dict[str, float] = {}
    results_there = 0

    def timed(what: str, started: float) -> float:
        seconds[what] = seconds.get(what, 0.0) + time.process_time() - started
        return time.process_time()

    with RowWriter(folder / "problems.parquet", ProblemScore) as writer:
        for cell in sorted(grid.cells, key=lambda cell: baselines.place_of(cell.training_set)):
            labels = CellLabels(cell.model, cell.recipe, cell.training_set, cell.seed)
            results = {
                (pair.problem_set, pair.perturbation): [
                    Result(f"task {n}", 0, rng.choice((Outcome.PASSED, Outcome.FAILED)), "", "", 0.1, "")
                    for n in range(problem_sets[pair.problem_set])
                ]
                for pair in grid.pairs_of(cell)
            }
            results_there += sum(map(len, results.values()))
            started = time.process_time()
            results = {name: Verdicts.of(rows) for name, rows in results.items()}
            scores += scores_of(labels, results, {}, levels=levels)
            started = timed("scores", started)
            problems = list(problem_scores(labels, {name: [rows] for name, rows in results.items()}))
            writer.add(problems)
            started = timed("verdicts by problem", started)
            differences += baselines.differences(labels, problems)
            timed("differences", started)
    started = time.process_time()
    write_rows(folder / "scores.parquet", Score, scores, ["model", "metric"])
    write_rows(folder / "differences.parquet", Difference, differences, ["model", "metric"])
    started = timed("writing", started)
    book = ScoreBook.of(scores, order_of(config))
    shown = [exhibit for exhibit in read_exhibits().values() if exhibit.group in (SUMMARIES, COMPARISONS, TESTS)]
    drawn = draw(shown, Evidence(book)).tables
    made = [*difference_tables(differences, book), *drawn]
    timed("tables and tests", started)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(grid.cells)} cells, {results_there:,} results, {len(scores):,} scores, {len(differences):,} differences"
    )
    print(f"{len(made)} tables; at most {mib:,.0f} MiB")
    for what, spent in [*seconds.items(), ("all", sum(seconds.values()))]:
        print(f"{what}: {spent:.1f} CPU s")


if __name__ == "__main__":
    main()
