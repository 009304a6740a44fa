"""Collects the records of a sweep that its report is made from.

`READERS` names a function for each record that costs reading: it is read if a section of the report asks for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from raysweep.analysis.exhibits.base import Drawn, Evidence, Exhibit
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.exhibits.edits import clusters_of
from raysweep.analysis.page.sample_viewer import choose_tasks, samples_shown
from raysweep.analysis.sections.base import PairSamples, Report, Section, ShownResult, ShownText
from raysweep.analysis.tables.frame import ALL_SEEDS, Failure, Number, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.analysis.tables.pooling import (
    EDITED,
    differences_over_seeds,
    have_several_seeds,
    is_transfer,
    over_pairs,
    scores_over_seeds,
    within_limits,
    without_pairs,
)
from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import StoreError
from raysweep.problems.base import PROBLEMS
from raysweep.quality.reports import LintedStratum
from raysweep.records import BASE, Difference, PromptRow, Score
from raysweep.rows.parquet import ROWS, count_rows, read_rows_of
from raysweep.sweep.folder import SweepFolder, capabilities_text
from raysweep.sweep.grid import GridArtefact, GridRow
from raysweep.sweep.report.answers import SweepAnswers
from raysweep.sweep.report.facts import (
    choices,
    costs,
    judged_inside,
    modules_by_recipe,
    pair_outcomes,
    reference_runs,
    rejected_lines,
    runtimes,
    sweep_signature,
    test_set_manifests,
    trainings,
)
from raysweep.sweep.report.languages import language_shares, training_languages
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import (
    Line,
    answer_lines,
    execution_lines,
    generation_lines,
    inside_lines,
    limit_text,
    modules_lines,
    problem_lines,
    reference_lines,
    runtime_lines,
    settings_lines,
    translation_lines,
)
from raysweep.sweep.report.quality import cell_reports, linted_strata
from raysweep.sweep.report.scoring import SweepNumbers, by_cell
from raysweep.sweep.samples import ShownPrompts
from raysweep.units import count

log = logging.getLogger("raysweep")


def report_of(
    folder: SweepFolder,
    config: SweepConfig,
    numbers: SweepNumbers,
    errors: Mapping[str, str],
    exhibits: Sequence[Exhibit],
    sections: Collection[Section],
    *,
    required: bool = False,
) -> Report:
    """Return the records of a sweep that some sections read.

    An artefact that is removed or found damaged meanwhile is left out, with a warning.

    `required`: whether an exhibit without any number is an error.

    Raises:
        UsageError: exhibits are required, and the sweep lacks what they show.
        StoreError: an artefact can't be read, nor left out.
    """
    known: set[str] = set()
    while True:
        try:
            return _collected(folder, config, numbers, errors, exhibits, sections, required=required)
        except StoreError as error:
            if str(error) in known:
                raise
            known.add(str(error))
            log.warning("the report leaves out what it can't read: %s", error)


def _collected(
    folder: SweepFolder,
    config: SweepConfig,
    numbers: SweepNumbers,
    errors: Mapping[str, str],
    exhibits: Sequence[Exhibit],
    sections: Collection[Section],
    *,
    required: bool,
) -> Report:
    order, is_linted = order_of(config), config.evaluation.quality is not None
    linted = cell_reports(folder) if is_linted else []
    strata = linted_strata(folder, linted) if is_linted else []
    cautions = [PROBLEMS.get(problems.name).caution for problems in config.evaluation.problems]
    failures = _failures(folder, errors)
    scores, differences, by_seed = _shown_numbers(config, numbers, order, failures)
    if len(set(order.languages.values())) > 1:
        scores = [*scores, *language_shares(scores, order, training_languages(folder))]
    report = Report(
        name=config.name,
        title=config.report.title or config.name,
        notice=config.report.notice or " ".join(dict.fromkeys(filter(None, cautions))),
        limit=limit_text(config),
        scores=scores,
        differences=differences,
        order=order,
        failures=failures,
        config_yaml=to_yaml(config),
        trainings=trainings(folder, config),
        choices=choices(folder),
        signature=sweep_signature(folder, linter=_linter(strata)),
        samples_per_pair=config.report.samples_per_pair,
        by_seed=by_seed,
        linted=linted,
        strata=strata,
    )
    drawn = _drawn(folder, exhibits, report, numbers, required=required)
    read = {name for section in sections for name in section.reads}
    records = {name: of(folder, config, numbers) for name, of in READERS.items() if name in read}
    whole = replace(report, drawn=drawn, **records)
    vars(whole)["frame"] = report.frame  # of the same scores; a large sweep's takes seconds to make
    return whole


def _shown_numbers(
    config: SweepConfig, numbers: SweepNumbers, order: Order, failures: Sequence[Failure]
) -> tuple[Sequence[Score], Sequence[Difference | Number], ScoreFrame | None]:
    """Return the scores and the differences that a report shows, and its `Report.by_seed`."""
    made = numbers.edits.made
    clusters = dict(zip((edit.cell for edit in made), clusters_of(made), strict=True))
    scores = over_pairs(numbers.scores, order.pairs, clusters)
    differences = without_pairs(numbers.differences, order.pairs)
    if config.report.each_seed or not have_several_seeds([*scores, *failures]):
        return within_limits(scores), differences, None
    by_seed = ScoreFrame.of(within_limits(scores), order, failures)
    pooled = within_limits(scores_over_seeds(scores, numbers.shared))
    return pooled, differences_over_seeds(differences, numbers.shared), by_seed


def _drawn(
    folder: SweepFolder, exhibits: Sequence[Exhibit], report: Report, numbers: SweepNumbers, *, required: bool
) -> Drawn:
    evidence = Evidence(
        report.frame,
        numbers.rates,
        report.trainings,
        report.linted,
        SweepAnswers(folder),
        numbers.edits,
        report.choices,
        report.by_seed,
    )
    drawn = draw(exhibits, evidence, required=required)
    return replace(drawn, figures=tuple(replace(figure, signature=report.signature) for figure in drawn.figures))


def signature_of(folder: SweepFolder) -> str:
    return sweep_signature(folder, linter=_linter(linted_strata(folder, cell_reports(folder))))


def _linter(strata: Sequence[LintedStratum]) -> str:
    return next((stratum.linter for stratum in strata if stratum.linter), "")


def _failures(folder: SweepFolder, errors: Mapping[str, str]) -> list[Failure]:
    firsts = {cell: rows[0] for cell, rows in by_cell(folder.grid()).items() if cell in errors}
    return [
        Failure(r.model, r.recipe, r.training_set, r.seed, errors[cell].removeprefix(f"{cell}: "))
        for cell, r in firsts.items()
    ]


def _samples(folder: SweepFolder, config: SweepConfig) -> list[PairSamples]:
    """Return the pairs with the samples that the page may show; all of a large sweep would take gigabytes."""
    if config.report.samples_per_pair == 0:
        return []
    store, samples = folder.store, []
    rows = [
        row
        for row in _sampled(folder.grid(), order_of(config).pairs)
        if all(map(store.has, (row.test_set, row.completions, row.results)))
    ]
    limit = samples_shown(len(rows), config.report.samples_per_pair)

    @cache
    def chosen(stage: str, key: str) -> tuple[Sequence[PromptRow], Sequence[str]]:
        prompts = store.rows(GridArtefact(stage, key, ""), PromptRow)
        return prompts, choose_tasks((prompt.task_id for prompt in prompts), limit)

    for row in rows:
        prompts, tasks = chosen(row.test_set_stage, row.test_set_key)
        results = store.use(row.results) / ROWS
        completions = store.use(row.completions) / ROWS
        of_pair = PairSamples(
            row.model,
            row.training_set,
            row.seed,
            row.recipe,
            row.problem_set,
            row.test_name.removeprefix(f"{row.problem_set} "),
            prompts,
            read_rows_of(completions, ShownText, "task_id", tasks),
            read_rows_of(results, ShownResult, "task_id", tasks),
            count_rows(results),
        )
        samples.append(of_pair)
    return samples


def _sampled(rows: Iterable[GridRow], pairs: Collection[str]) -> Iterator[GridRow]:
    """Yield the rows whose samples are shown: of edited models the first of each recipe and test set.

    `pairs`: the training sets that name an edit example. The page of a pair shows what each edit made of its problem.
    """
    shown: dict[tuple[str, str, int, str], str] = {}
    for row in rows:
        if row.training_set in pairs:
            name = (row.model, row.recipe, row.seed, row.test_name)
            if shown.setdefault(name, row.training_set) != row.training_set:
                continue
        yield row


def _settings(folder: SweepFolder, config: SweepConfig) -> list[Line]:
    leakage = folder.leakage()
    counts = _judged_counts(folder)
    return [
        *settings_lines(config),
        *translation_lines(test_set_manifests(folder, folder.grid())),
        *shown_prompts(folder),
        *modules_lines(modules_by_recipe(folder, config)),
        *((f"weights of {model}", words) for model, words in folder.left_out().items()),
        *([("leakage", leakage)] if leakage else []),
        *generation_facts(folder),
        *answer_lines(counts),
        *execution_lines(config.execution, counts),
        *runtime_lines(runtimes(folder)),
        *problem_facts(folder),
        *reference_lines(reference_runs(folder)),
        *inside_lines(judged_inside(folder, config)),
    ]


def shown_prompts(folder: SweepFolder) -> list[Line]:
    """Return a line with a prompt as it was shown, for each model that isn't shown prompts as they are."""
    examples = ShownPrompts(folder).examples()
    return [(f"shown to {model}", f"{task_id}, with its line breaks: {text!r}") for model, task_id, text in examples]


def generation_facts(folder: SweepFolder) -> list[Line]:
    distinct = {row.completions_key: row.completions for row in folder.grid()}
    return generation_lines([folder.store.counts(completions) for completions in distinct.values()])


def answer_facts(folder: SweepFolder) -> list[Line]:
    return answer_lines(_judged_counts(folder))


def problem_facts(folder: SweepFolder) -> list[Line]:
    return problem_lines(reference_runs(folder))


def _judged_counts(folder: SweepFolder) -> list[Mapping[str, Any]]:
    results = {row.results_key: row.results for row in folder.grid()}
    return [folder.store.counts(artefact) for artefact in results.values()]


def _outcomes(folder: SweepFolder, config: SweepConfig, numbers: SweepNumbers) -> list[PairOutcomes]:
    pairs = order_of(config).pairs
    together = len(config.seeds or ()) > 1 and not config.report.each_seed
    return [
        replace(
            outcomes,
            training_set=EDITED if outcomes.training_set in pairs else outcomes.training_set,
            seed=ALL_SEEDS if together and outcomes.training_set != BASE else outcomes.seed,
        )
        for outcomes in pair_outcomes(folder, known=numbers.outcomes)
        if not is_transfer(outcomes, pairs)
    ]


def _provenance(folder: SweepFolder) -> list[Line]:
    runs, rejected = folder.runs(), rejected_lines(folder)
    if not runs:
        return rejected
    last = runs[-1]
    working = [run for run in runs if run["cells"]]
    total = sum(run["wall_seconds"] for run in working)
    return [
        *([("trained on CPUs with", capabilities_text(cpus))] if (cpus := folder.cpu_capabilities()) else []),
        ("machine", f"{last['cpus']} CPUs, {last['machine']}, Python {last['python']}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in last["versions"].items())),
        ("storage", "artefacts by key, see grid.parquet in the sweep's folder"),
        ("wall time", f"{total / 60:.1f} min over {count(len(working), 'run')} ({last['engine']} engine)"),
        ("last run", str(last["started"])),
        *rejected,
    ]


READERS: Mapping[str, Callable[[SweepFolder, SweepConfig, SweepNumbers], Any]] = {
    "outcomes": _outcomes,
    "costs": lambda folder, config, numbers: costs(folder),
    "samples": lambda folder, config, numbers: _samples(folder, config),
    "settings": lambda folder, config, numbers: _settings(folder, config),
    "provenance": lambda folder, config, numbers: _provenance(folder),
}
"""Fields of `Report`, each with the function that reads it from a sweep's folder."""
