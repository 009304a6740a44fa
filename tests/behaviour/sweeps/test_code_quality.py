"""Code quality in whole small sweeps: pylint's own numbers, nothing linted twice, kills and failures cost little."""

from __future__ import annotations

import csv
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

import raysweep
from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.engine.base import Work
from raysweep.errors import HopelessError, UsageError
from raysweep.pipeline import MAKERS
from raysweep.planning import quality as planning
from raysweep.planning.plan import CompletionsPlan
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.quality import linting
from raysweep.quality.files import SourceFile
from raysweep.quality.linting import lint
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING
from raysweep.records import Spec
from raysweep.stages import quality as stage
from raysweep.storage.store import Store
from raysweep.sweep.export.replication import replicate
from raysweep.sweep.folder import open_folder
from raysweep.sweep.gc import open_for_gc, survey
from raysweep.sweep.report.quality import cell_reports, linted_strata
from raysweep.sweep.report.write import export
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.quality.alone import alone
from tests.storage.stores import written

pytestmark = pytest.mark.slow

SOLVER = {"name": "solver", "generator": {"name": "fake", "share": 0.4}}
BETTER = {"name": "better", "generator": {"name": "fake", "share": 0.9}}


def config(*models: dict[str, Any], allowed: bool = True, **evaluation: Any) -> SweepConfig:
    drawn = {"temperature": 0.8, "samples": 2, "limit": 4}
    judged = {"problems": ["humaneval"], "perturbations": ["C1"], "quality": {}, **drawn, **evaluation}
    value = {"name": "s", "models": [SOLVER, BETTER, *models], "evaluation": judged, "recovery": {"retries": 0}}
    return config_from({**value, "allow_code_execution": allowed}, "test")


def run(root: Path, wanted: SweepConfig) -> SweepResult:
    return run_sweep(wanted, RunOptions(str(root), "local"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A store with a finished sweep of two models whose completions were linted."""
    root = tmp_path_factory.mktemp("finished")
    assert not run(root, config()).errors
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    """A copy of this store."""
    return Path(shutil.copytree(finished, tmp_path / "store"))


@pytest.fixture
def linted(monkeypatch) -> list[int]:
    """The number of files of each call of the linter."""
    calls: list[int] = []

    def counted(files, **options):
        calls.append(len(files))
        return lint(files, **options)

    monkeypatch.setattr(linting, "lint", counted)
    return calls


def test_every_number_is_what_pylint_prints_of_the_file_alone(finished, tmp_path):
    files = raysweep.load_quality("s", str(finished)).set_index(["model", "task_id"])
    messages = raysweep.load_quality("s", str(finished), messages=True)
    samples = raysweep.load_samples("s", str(finished))
    chosen = samples[(samples.perturbation == "clean") & (samples["sample"] == 0)]
    prompts = {one.task_id: one.prompt for one in PROBLEMS.create(Spec("humaneval")).problems()}
    assert len(files) == len(chosen) == 8 and set(files.recipe) == {"none"} and set(files.training_set) == {"base"}
    for row in chosen.iloc[::3].itertuples():
        text = prompts[row.task_id] + row.completion
        score, found = alone(SourceFile("f", text), tmp_path / f"{row.model}-{row.task_id.replace('/', '-')}")
        file = files.loc[row.model, row.task_id]
        own = messages[(messages.model == row.model) & (messages.task_id == row.task_id)]
        assert (f"{file.score:.2f}", file.outcome) == (score, "linted")
        assert sorted(zip(own.code, own.symbol, own.line, own.column, strict=True)) == list(found)
        codes = [code for code, *_ in found if code not in CAUSED_BY_CUTTING]
        counted = (file.fatal, file.error, file.warning, file.refactor, file.convention, file.information)
        assert counted == tuple(sum(code.startswith(letter) for code in codes) for letter in "FEWRCI")
        assert file.caused_by_cutting == len(found) - len(codes)


def test_the_tables_and_the_figure_have_these_numbers(finished):
    folder = finished / "sweeps" / "s"
    files = raysweep.load_quality("s", str(finished))
    messages = raysweep.load_quality("s", str(finished), messages=True)
    lines = list(csv.DictReader((folder / "tables" / "code-quality-on-humaneval.csv").open()))
    assert [(line["model"], line["training set"]) for line in lines] == [
        (name, "base") for name in ("all models", "solver", "better")
    ]
    for line in lines:
        own = files if line["model"] == "all models" else files[files.model == line["model"]]
        assert float(line["files"]) == len(own) and float(line["mean score"]) == pytest.approx(own.score.mean())
        for severity in ("error", "warning", "convention"):
            assert float(line[f"messages per 100 files {severity}"]) == pytest.approx(100 * own[severity].mean())
    table = folder / "tables" / "table-14-humaneval.csv"
    codes = {(line["model"], line["code"]): line for line in csv.DictReader(table.open())}
    for code, count in messages.code.value_counts().items():
        assert float(codes["all models", code]["base"]) == pytest.approx(100 * count / len(files))
    page = (folder / "report.html").read_text()
    store, grid = Store(finished), open_folder("s", str(finished)).grid()
    counts = [store.counts(row.quality) for row in grid if row.quality]
    assert sum(one["messages"] for one in counts) == len(messages)
    assert all((one["rows"], one["outcomes"]) == (4, {"linted": 4}) for one in counts)
    assert "8 of 8 completions of base models" in page and "Linted by pylint 4." in page
    assert (folder / "figures" / "figure-7.svg").read_text().startswith("<?xml")


def test_a_run_again_lints_nothing_and_uses_all_that_is_there(root, linted):
    before = written(root)
    assert not run(root, config()).cells_run
    assert not linted and written(root) == before
    assert not survey(open_for_gc(Store(root))).unused


def test_a_finished_sweep_gets_its_code_quality_without_running_a_program(tmp_path, linted):
    assert not run(tmp_path, config(quality=None)).errors
    with pytest.raises(UsageError, match="sweep 's' lints no completions; run it with `quality"):
        raysweep.load_quality("s", str(tmp_path))
    before = written(tmp_path)
    result = run(tmp_path, config(allowed=False))
    assert not result.errors and not result.cells_run and linted == [8]
    after = written(tmp_path)
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} == {"quality"}
    assert {name: after[name] for name in before} == before


def test_a_larger_grid_lints_what_is_new_to_the_sample(root, linted):
    assert not run(root, config({**SOLVER, "name": "third", "generator": {"name": "fake", "share": 0.6}})).errors
    assert linted == [4]
    assert len(raysweep.load_quality("s", str(root))) == 12


def killed(root: str) -> None:
    """Run the sweep with a file for each batch, and kill this process in the second batch."""
    planning.BATCH_FILES = 4
    calls = []

    def first(files, **options):
        calls.append(len(files))
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return lint(files, **options)

    linting.lint = first
    run(Path(root), config())


def test_a_sweep_that_was_killed_goes_on_with_the_next_batch(finished, tmp_path, linted):
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(str(tmp_path),))
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    assert not run(tmp_path, config()).errors
    assert linted == [4]
    ours, theirs = (raysweep.load_quality("s", str(place)) for place in (tmp_path, finished))
    assert ours.equals(theirs)


def test_a_failed_cell_costs_its_own_files_only(tmp_path, monkeypatch):
    generate = MAKERS[CompletionsPlan]

    def broken(plans: list[CompletionsPlan], work: Work) -> None:
        if plans[0].cell.cell.model == "better":
            raise HopelessError("no memory")
        generate(plans, work)

    monkeypatch.setitem(MAKERS, CompletionsPlan, broken)
    result = run(tmp_path, config())
    assert list(result.errors) == ["better.base"]
    assert set(raysweep.load_quality("s", str(tmp_path)).model) == {"solver"}
    folder = open_folder("s", str(tmp_path))
    [bases] = linted_strata(folder, cell_reports(folder))
    assert (bases.name, bases.population, bases.files, bases.cells_without) == ("bases", 8, 4, 1)


def test_a_node_with_another_linter_is_named(tmp_path, monkeypatch):
    plan = build_plan(config())
    monkeypatch.setattr(linting, "versions", lambda names: {"pylint": "4.0.0", "astroid": "4.0.0"})
    with pytest.raises(HopelessError, match=r"this node lints with pylint 4\.0\.0, planned with 4\.\d"):
        stage.lint_completions(plan.quality, Work(None, None, None, None))  # type: ignore[arg-type]


def test_a_linted_sweep_is_reported_and_packed_again_from_its_stored_config(finished, tmp_path):
    folder = open_folder("s", str(finished))
    assert Path(export(folder, "html", tmp_path / "page")).is_file()
    assert "linted by pylint 4." in export(folder, "md", None, ["table-14"])
    packed = replicate(folder, tmp_path / "package")
    assert any("quality" in name for name in packed.files)
    assert export(open_folder("s", str(tmp_path / "package" / "store")), "md", None, ["table-14"]).count("C0") > 0
