"""`raysweep report`: the tables and figures that files define, in each format, of a trained sweep; mistakes."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import raysweep
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.cli.app import app
from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report import write as report
from raysweep.sweep.report.languages import training_languages
from raysweep.sweep.report.scoring import score
from raysweep.sweep.report.write import export
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO

pytestmark = pytest.mark.slow

SETS = (
    "training.sets=[clean, C1, {name: a, perturbation: C1, ratio: 0.5, draw: 1}, "
    "{name: b, perturbation: C1, ratio: 0.5, draw: 2}, {name: short, perturbation: C1, ratio: 0.5, size: 0.5}]"
)
TESTED = ("evaluation.perturbations=[clean, C1, C2, C3]", "report.headline=C1")
OWN = "{id: own, title: Mine, kind: scores, rows: [test set], columns: [training set], training_sets: [base, clean], "
OWN += "test_sets: [clean], quantities: {pass@1: 2}}"


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    """A sweep with ratios and sizes, judged on more than the headline's prompts."""
    storage = str(tmp_path_factory.mktemp("store"))
    assert not run_sweep(load_config(NANO, [SETS, *TESTED]), RunOptions(storage, "local")).errors
    return storage


@pytest.fixture
def folder(storage) -> SweepFolder:
    return open_folder("nano", storage)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.partition("\n")[2].splitlines()))


def test_a_curves_table_has_the_numbers_that_its_verdicts_by_problem_give(folder, storage):
    problems = raysweep.load_problems("nano", storage=storage)
    rates = problems.groupby(["training_set", "perturbation"])[["passed", "n"]].sum()
    share = 100 * rates.passed / rates.n
    clean, perturbed = rows(export(folder, "csv", None, only=["figure-3"]))
    for row, test in ((clean, "clean"), (perturbed, "C1")):
        assert float(row["perturbed rows 0 %"]) == pytest.approx(share["clean", test])
        assert float(row["perturbed rows 50 %"]) == pytest.approx((share["a", test] + share["b", test]) / 2)
        assert float(row["perturbed rows 100 %"]) == pytest.approx(share["C1", test])
        assert row["best"] != ""
    (*_, steps) = rows(export(folder, "csv", None, only=["figure-5"]))
    assert (steps["quantity"], steps["rows, as a multiple of the source's ×0.5"]) == ("optimizer steps", "2")


def test_the_rows_of_each_training_set_are_counted_by_language(folder):
    counts = training_languages(folder)
    assert set(counts) == {"clean", "C1", "a", "b", "short"}
    assert set().union(*counts.values()) == {"python"}
    assert sum(counts["short"].values()) < sum(counts["clean"].values()) == sum(counts["a"].values())


def test_a_run_writes_tables_and_figures_into_the_sweeps_folder(folder):
    tables = {path.name for path in (folder.path / "tables").iterdir()}
    assert {"rd-on-minicode.md", "table-10-llama-minicode.csv", "figure-3-minicode.md"} <= tables
    assert "table-2-minicode.md" not in tables, "it compares mixes, of which this sweep has none"
    figures = {path.name for path in (folder.path / "figures").iterdir()}
    assert {"figure-3-minicode.svg", "figure-5-minicode.svg"} <= figures


def test_all_tables_of_a_sweep_are_printed_with_those_of_the_study(folder):
    text = export(folder, "md", None)
    for title in ("### pass@1 clean on minicode (%)", "### RD on minicode", "### Trainings"):
        assert title in text
    latex = export(folder, "latex", None)
    assert latex.count(r"\begin{table") == latex.count(r"\end{table")
    assert latex.count(r"\begin{table") == text.count("### ")


def test_figures_say_in_their_metadata_what_their_numbers_rest_on(folder, tmp_path):
    words = ("1 sample for each prompt", "completions by transformers")
    assert all(word in SavedNumbers(folder).signature() for word in words)
    for path in (folder.path / "figure.svg", *(folder.path / "figures").glob("*.svg")):
        (described,) = ElementTree.parse(path).iter("{http://purl.org/dc/elements/1.1/}description")
        assert described.text == SavedNumbers(folder).signature()
    assert export(folder, "pdf", tmp_path) == str(tmp_path)
    assert {"figure.pdf", "figure-3-minicode.pdf"} <= {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"%PDF")
        assert all(word.encode() in path.read_bytes() for word in words), path
    assert "<metadata>" not in (folder.path / "report.html").read_text()


def test_figures_that_a_sweep_no_longer_has_are_removed_and_ones_own_stay(storage, tmp_path):
    folder = open_folder("nano", str(shutil.copytree(storage, tmp_path / "store")))
    figures = folder.path / "figures"
    drawn = {path.name for path in figures.iterdir()}
    gone, others = ("figure-3-gone.svg", "figure-3-minicode.pdf", "figure-7.svg", "figure.pdf"), {"mine-a.svg"}
    for name in (*gone, *others):
        (figures / name).write_text("old")
    export(folder, "html", None)
    assert {path.name for path in figures.iterdir()} == drawn | others


def test_chosen_tables_go_into_files_of_a_folder(folder, tmp_path):
    export(folder, "latex", tmp_path, only=["table-2", "table-7"])
    assert {path.name for path in tmp_path.iterdir()} == {"table-2-minicode.tex", "table-7-llama-minicode.tex"}


def test_a_file_of_ones_own_is_drawn_from_the_command_line(storage, tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    arguments = ["report", "nano", "--storage", storage, "--exhibits", str(tmp_path), "--only", "own", "--format", "md"]
    done = CliRunner().invoke(app, arguments)
    assert done.output.startswith("### Mine, llama, minicode (%)") and "| clean | 0.00" in done.output


OTHER_PROMPTS = {  # kinds that read verdicts by problem, of models and on prompts that no exhibit of raysweep's reads
    "levels": "kind: friedman, levels: {C: [C1, C2, C3]}, training_sets: [C1]",
    "curve": "kind: curves, along: ratio, test_sets: [C3], quantities: {pass@1: 1}",
}


def test_tables_of_ones_own_read_verdicts_by_problem_on_any_prompts(folder, tmp_path):
    for name, keys in OTHER_PROMPTS.items():
        (tmp_path / f"{name}.yaml").write_text(f"{{id: {name}, title: Mine, {keys}}}")
    levels, curve = (rows(export(folder, "csv", None, only=[name], exhibits=[tmp_path])) for name in OTHER_PROMPTS)
    assert [(line["training set"], float(line["methods"])) for line in levels] == [("C1", 3)]
    assert curve[0]["best"] != ""


def test_of_verdicts_by_problem_only_those_that_are_read_stay_in_memory(folder, tmp_path):
    def kept(*exhibits: str) -> dict[str, set[str]]:
        found = score(folder, [read_exhibits([tmp_path])[id] for id in exhibits]).rates
        return {cell.training_set: {name for _, name in rates} for cell, rates in found.items()}

    (tmp_path / "own.yaml").write_text(f"{{id: own, title: Mine, {OTHER_PROMPTS['levels']}}}")
    by_default = {name: {"clean", "C1"} for name in ("C1", "a", "b", "short")}
    by_default |= {name: {"clean", "C1", "C2", "C3"} for name in ("base", "clean")}
    assert kept("table-2") == by_default
    assert kept("own") == by_default | {"C1": {"clean", "C1", "C2", "C3"}}


@pytest.mark.parametrize(
    ("format", "only", "exhibits", "said"),
    [
        ("md", ["tabel-4"], [], r"unknown table, figure or section 'tabel-4' \(did you mean 'table-4'\?\)"),
        ("html", ["table-4"], [], "--only and --exhibits don't change the page; add --format md or csv"),
        ("pdf", ["figure-3", "table-4"], [], "table-4 has no figure to write as pdf; give --format md or csv or latex"),
        ("csv", ["figure-7"], [], "figure-7 has no table to write as csv; give --format svg or pdf"),
        ("md", ["heat-map"], [], "heat-map has no table to write as md"),
        ("pgf", [], [], "unknown format 'pgf'"),
        ("md", [], ["nowhere.yaml"], "nowhere.yaml doesn't exist"),
    ],
)
def test_mistakes_are_refused_before_anything_is_scored(folder, monkeypatch, format, only, exhibits, said):
    monkeypatch.setattr(report, "score", None)
    with pytest.raises(UsageError, match=said):
        export(folder, format, None, only, [Path(path) for path in exhibits])


def test_a_table_that_the_sweep_can_not_fill_says_what_is_lacking(folder):
    with pytest.raises(UsageError, match="nothing to show in table-5: a test needs two models"):
        export(folder, "md", None, only=["table-5"])
