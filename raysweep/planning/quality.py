"""Plans code quality: draws the sample of completions to lint, and puts its files into batches.

The population of a problem set is sample 0 of each of its problems by each fine-tuned model, on clean prompts; the base
models are a stratum of the same size (`raysweep.quality.sampling`). A problem is drawn by its place in its set, so that
planning needs only the number of problems, since making a generated world takes seconds. The problem from which a model
was edited is known once its base was judged: where it is drawn, there is one file less.

The draw depends on the sweep's seed, the names of cells and the sizes of the strata. A cell that joins the grid changes
the sizes and takes the place of some files; the others stay in the sample, and what is linted stays in the store.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.config.grid import Cell
from raysweep.config.schema import SweepConfig
from raysweep.errors import MissingInput
from raysweep.planning.plan import CellPlan, QualityPlan, keys_of
from raysweep.planning.predictions.sizes import is_in_python, problem_count
from raysweep.quality.linting import DEFAULT_LIMITS, fingerprint
from raysweep.quality.sampling import Sampled, Stratum, cochran_size, draw_strata
from raysweep.records import BASE, CLEAN, Spec
from raysweep.storage.artefacts import Node, SharedSpec

BATCH_FILES = 200
"""Files that one process lints, about: starting it takes as long as linting fifty, and a kill loses what it has."""


def quality_plans(config: SweepConfig, cells: Sequence[CellPlan], *, tolerant: bool = False) -> tuple[QualityPlan, ...]:
    """Return the plan of each cell and problem set that has files in the sample; none if the config asks for none.

    `tolerant`: where pylint isn't installed, keys get a stand-in for it.

    Raises:
        MissingInput: pylint isn't installed.
    """
    quality = config.evaluation.quality
    if quality is None:
        return ()
    try:
        versions: Mapping[str, Any] = fingerprint()
    except MissingInput:
        if not tolerant:
            raise
        versions = {"missing": "a linter"}
    linted = {"linter": quality.linter, **versions, "limits": dataclasses.asdict(DEFAULT_LIMITS), "sample": 0}
    plans: list[QualityPlan] = []
    for problem_set in (problems.label for problems in config.evaluation.problems):
        on_set = [(cell, pair) for cell in cells for pair in cell.pairs if pair.pair.problem_set == problem_set]
        clean = [(cell, pair) for cell, pair in on_set if pair.pair.perturbation == CLEAN]
        if not clean or not (count := _problem_count(config, clean[0][1].test_set.problem_set)):
            continue
        drawn: dict[str, list[int]] = defaultdict(list)  # the places of problems, by cell
        evaluated = [cell.cell for cell, _ in clean]
        for stratum in sample(evaluated, count, problem_set, margin=quality.margin, seed=config.seed):
            for unit in stratum.units:
                drawn[unit.cell].append(int(unit.task_id))
        for cell, pair in clean:
            if problems := tuple(sorted(drawn[cell.cell.id])):
                spec = SharedSpec({**linted, "problems": list(problems), **pair.extract.key})
                label = f"code quality of {cell.cell.id} on {pair.pair.test_set}"
                node = Node("quality", 1, spec, keys_of(pair.completions), label)
                plans.append(QualityPlan(node, cell, pair, problems, batch=""))
    return _in_batches(plans)


def sample(cells: Sequence[Cell], problems: int, problem_set: str, *, margin: float, seed: int) -> list[Stratum]:
    """Draw strata of (id of a cell, place of a problem in its set). `margin`: of error, at 95 % confidence."""
    tuned, bases = (
        [
            Sampled(cell.id, str(number))
            for cell in cells
            if (cell.training_set == BASE) is is_base
            for number in range(problems)
        ]
        for is_base in (False, True)
    )
    size = cochran_size(max(len(tuned), len(bases)), margin)
    return draw_strata(tuned, bases, problem_set, size=size, seed=seed)


def _problem_count(config: SweepConfig, problem_set: Spec) -> int:
    if not is_in_python(config, problem_set):
        return 0
    count = problem_count(config, problem_set)
    return min(count, config.evaluation.limit or count)


def _in_batches(plans: Sequence[QualityPlan]) -> tuple[QualityPlan, ...]:
    """Name the batch of each plan, so that batches have about as many files each."""
    files = sum(len(plan.problems) for plan in plans)
    batches = math.ceil(files / BATCH_FILES)
    before, named = 0, []
    for plan in plans:
        named.append(dataclasses.replace(plan, batch=f"code-quality-{before * batches // files + 1}"))
        before += len(plan.problems)
    return tuple(named)
