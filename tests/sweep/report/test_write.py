"""Reports: the lines on settings and execution, results without prompts, metrics installed later."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import raysweep
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.sections.base import all_sections
from raysweep.config.loading import config_from, load_config
from raysweep.metrics.base import METRICS, Measurement, Metric
from raysweep.records import PromptRow
from raysweep.rows.parquet import ROWS
from raysweep.storage.artefacts import MANIFEST, folder_of
from raysweep.storage.store import Store
from raysweep.sweep.folder import open_folder
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.records import report_of
from raysweep.sweep.report.scoring import score
from raysweep.sweep.report.write import export
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO
from tests.sweep.few_problems import FEW_PROBLEMS, few

pytestmark = pytest.mark.slow


def rerun(storage: Path):
    return run_sweep(few(), RunOptions(str(storage), "local"))


def test_a_pair_without_its_test_set_is_scored_without_the_metrics_of_prompts(store_copy, tmp_path):
    result = rerun(store_copy)
    folder = result.folder
    perturbed = next(row for row in folder.grid() if row.perturbation == "C1")
    folder.store.remove(perturbed.test_set)
    after = {(s.perturbation, s.metric): repr(s.value) for s in score(folder).scores}  # a NaN is equal to itself here
    before = {(s.perturbation, s.metric): repr(s.value) for s in result.scores}
    assert after.items() < before.items()
    assert before.keys() - after.keys() == {
        ("C1", name)
        for name in ("rows_unchanged", "rows_not_compiling", "RD_changed", "pass@1_changed", "drop_changed")
    }


def test_a_report_is_written_without_the_test_sets(store_copy, tmp_path):
    folder = open_folder("s", str(store_copy))
    for row in folder.grid():
        folder.store.remove(row.test_set)
    report = Path(export(folder, "html", tmp_path / "out")).read_text()
    assert "pass@1" in report and "completions that were not run" in report and "required: partial" in report


def _gone(store, artefact):
    Store(store.root).remove(artefact)  # as another process does


def _damaged(store, artefact):
    rows = Path(store.folder(artefact)) / ROWS
    rows.write_bytes(rows.read_bytes()[::-1])


def _cut(store, artefact):
    store.files.write(f"{folder_of(artefact)}/{MANIFEST}", b"{")


@pytest.mark.parametrize("harm", [_gone, _damaged, _cut])
def test_a_report_leaves_out_what_goes_away_or_is_damaged_after_it_was_scored(store_copy, caplog, harm):
    folder = open_folder("s", str(store_copy))
    row = next(row for row in folder.grid() if row.perturbation == "C1")
    with folder.store.checking_once():
        numbers = score(folder)
        for artefact in (row.results, row.test_set):
            harm(folder.store, artefact)
        report = report_of(folder, folder.config(), numbers, {}, list(read_exhibits().values()), all_sections())
    assert {one.perturbation for one in report.samples} == {"clean"}
    assert "C1" in {one.perturbation for one in report.scores}
    assert ("leaves out" in caplog.text) == (harm is not _gone)


def test_a_report_with_other_scores_has_another_frame(store_copy):
    folder = open_folder("s", str(store_copy))
    report = report_of(folder, folder.config(), score(folder), {}, [], ())
    assert report.frame.scores() and not replace(report, scores=[]).frame.scores()


def test_tables_of_an_earlier_report_go_with_what_they_were_about(store_copy, tmp_path):
    folder = open_folder("s", str(store_copy))
    before = {path.name for path in (folder.path / "tables").iterdir()}
    assert before
    old, kept = folder.path / "tables" / "table-of-a-dropped-model.csv", tmp_path / "out" / "tables" / "mine.csv"
    kept.parent.mkdir(parents=True)
    for path in (old, kept):
        path.write_text("model\n")
    for out in (None, tmp_path / "out"):
        export(folder, "html", out)
    assert {path.name for path in old.parent.iterdir()} == before
    assert kept.exists(), "another folder may have files of the user's"


class Problems(Metric):
    """Counts the problems of a test set."""

    def measure(self, evaluation, cell):
        number = len(evaluation.results)
        return [Measurement("problems", number, number, number, number)]


def test_a_metric_that_is_installed_after_a_sweep_was_analysed_gets_its_numbers_in_the_next_run(
    store_copy, monkeypatch
):
    report = open_folder("s", str(store_copy)).path / "report.html"
    written = report.stat().st_mtime_ns
    assert "problems" not in set(raysweep.load_results("s", storage=str(store_copy)).metric)
    monkeypatch.setitem(METRICS._classes, "problems", Problems)
    assert rerun(store_copy).cells_run == 0 and report.stat().st_mtime_ns > written
    frame = raysweep.load_results("s", storage=str(store_copy))
    assert set(frame[frame.metric == "problems"].value) == {3}
    written = report.stat().st_mtime_ns
    assert rerun(store_copy).cells_run == 0 and report.stat().st_mtime_ns == written


@pytest.mark.slow
def test_scores_rows_config_and_tables_use_the_name_of_a_named_perturbation(tmp_path):
    value = {
        "name": "own",
        "allow_code_execution": True,
        "models": [{"name": "reference", "generator": "reference"}],
        "perturbations": {"typos": {"name": "mix", "members": ["C1", "C3"]}},
        "evaluation": {"problems": [FEW_PROBLEMS], "perturbations": ["typos"], "limit": 10},
    }
    result = run_sweep(config_from(value, "test"), RunOptions(str(tmp_path), "local"))
    assert {s.perturbation: s.value for s in result.scores if s.metric == "pass@1"} == {"clean": 1.0, "typos": 1.0}
    typos = next(row for row in result.folder.grid() if row.perturbation == "typos")
    assert {row.method for row in result.folder.store.rows(typos.test_set, PromptRow)} == {"C1", "C3"}
    assert result.folder.config().perturbation("typos").args["members"] == ["C1", "C3"]  # as it is stored
    text = export(result.folder, "md", None)
    assert text.startswith("Limited run: evaluated on the first 10 problems of every problem set, not on all.")
    assert "pass@1 (%) typos" in text
    assert "Codes: mix of neighbouring keys and changed case (typos)." in text


def test_a_report_on_minicode_begins_with_what_its_numbers_do_not_show_unless_the_config_says_something(store_copy):
    told = "its numbers say nothing about real models."
    for notice, shown in (("", told), ("Beware.", "Beware.")):
        config = few().model_copy(update={"report": few().report.model_copy(update={"notice": notice})})
        folder = run_sweep(config, RunOptions(str(store_copy), "local")).folder
        head, _, rest = (folder.path / "report.html").read_text().partition('<section id="findings"')
        assert rest and f"{shown}</aside>" in head


def test_the_order_puts_the_widest_mix_first_and_has_words_for_all_names():
    own = "perturbations={typos: {name: mix, members: [C1, C3]}, most: {name: mix, members: [C1, C2, C3, W1]}}"
    sets = "training.sets=[clean, C1, {name: half, perturbation: C, ratio: 0.5, size: 2}]"
    tests = "evaluation.perturbations=[C1, typos, most, C, C2]"
    order = order_of(load_config(NANO, [own, sets, tests, "evaluation.draws=3", "report.headline=C2"]))
    assert (order.mixes, order.headline, order.draws) == (("most", "C", "typos"), "C2", 3)
    assert order.test_label("most") == "mix of 4 methods (most)"
    assert order.test_label("C1") == "neighbouring keys (C1)" and order.test_label("clean") == "clean"
    assert order.training_label("half") == "50 % typos, 2 times the rows (half)"
    assert order.trained_with["half"] == "C"
    assert order.words["W1"] == "added synonyms"  # a member, which samples name


@pytest.mark.slow
def test_the_report_lists_the_problems_judged_inside_also_once_their_file_is_gone(tmp_path):
    fields = {"prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
    tests = {"T/1": "assert f() == 1", "T/2": "import inspect\nassert f() == 1"}
    rows = [{"task_id": name, "test": f"def check(f):\n    pass\n{text}", **fields} for name, text in tests.items()]
    problems = tmp_path / "p.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    value = {
        "name": "within",
        "allow_code_execution": True,
        "models": [{"name": "reference", "generator": "reference"}],
        "evaluation": {"problems": [{"name": "jsonl", "path": str(problems)}], "perturbations": ["clean"]},
    }
    result = run_sweep(config_from(value, "test"), RunOptions(str(tmp_path / "s"), "local"))
    samples = raysweep.load_samples("within", storage=str(tmp_path / "s"))
    assert dict(zip(samples.task_id, samples.oracle, strict=True)) == {"T/1": "outside", "T/2": "inside"}
    listed = re.compile(
        r"problem tested in the program&#39;s process, which is no boundary [^:]*: T/2( \(they import)?"
    )
    found = listed.search(Path(result.report).read_text())
    assert found and found[1]
    problems.unlink()
    assert listed.search(Path(export(result.folder, "html", None)).read_text())


@pytest.mark.slow
@pytest.mark.long
def test_the_report_says_which_training_rows_give_problems_away(tmp_path):
    """In small: test_leaked_rows_are_reported_and_kept_or_left_out."""
    rows = [{"instruction": f"Write the function number {n} of all.", "output": f"def f{n}(): pass"} for n in range(20)]
    rows[3]["task_id"] = "HumanEval/2"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = "training.source={name: jsonl, path: " + str(tmp_path / "rows.jsonl") + "}"
    small = ["evaluation.problems=[humaneval]", "evaluation.limit=3", "evaluation.perturbations=[clean]"]
    config = load_config(NANO, [source, *small, "name=leaky", "training.sets=[clean]"])
    result = run_sweep(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors
    report = Path(result.report).read_text()
    told = "1 of 20 training rows gives 1 evaluated problem away (rows by what they share with a problem: task id 1)"
    assert f"{told}; it is kept" in report
