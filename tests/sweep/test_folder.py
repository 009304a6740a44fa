"""A sweep's folder: when its name is free for another config, and files that a crash cut short."""

from __future__ import annotations

import dataclasses
import html
import json
import logging
import re
import shutil
from pathlib import Path

import pytest

from raysweep.cli.views.plan import print_plan
from raysweep.config.loading import load_config, to_yaml
from raysweep.errors import StoreError, UsageError
from raysweep.planning.planner import build_plan
from raysweep.rows.parquet import write_rows
from raysweep.sweep.folder import LogFile, SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.report.write import analyse
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO
from tests.sweep.few_problems import few


def run(storage: Path, **more) -> SweepResult:
    return run_sweep(few(**more), RunOptions(str(storage), "local"))


@pytest.fixture
def result(store_copy) -> SweepResult:
    """A finished sweep in a copy of the store, which a test may damage."""
    return run(store_copy)


def again(result: SweepResult, **more) -> SweepResult:
    return run(result.folder.store.root, **more)


def sorted_scores(result: SweepResult) -> list[str]:
    """The scores as text, since NaN is not equal to itself."""
    return sorted(map(repr, result.scores))


@pytest.mark.slow
def test_a_config_without_some_finished_results_of_the_name_is_refused(result):
    with pytest.raises(UsageError) as error:
        again(result, limit=1)
    message = str(error.value)
    assert message.startswith("2 finished evaluations of the sweep 's'")
    assert "are not in this config: evaluation.limit was 3 and is 1. Give this sweep another name" in message
    assert "(--set name=s-2; of `evaluate`: --sweep s-2)" in message and "another config" not in message


def test_plan_says_what_changed_and_offers_a_name_that_is_free(result, capsys):
    store = result.folder.store
    shutil.copytree(result.folder.path, result.folder.path.with_name("s-2"))
    facts = plan_facts(build_plan(few(limit=1, temperature=0.5, top_p=0.9, samples=2)), store)
    print_plan(facts, as_json=False)
    told = capsys.readouterr().out
    assert "evaluation.samples was 1 and is 2, evaluation.temperature was 0.0 and is 0.5" in told
    assert "0.9 and 1 more. Give" in told and "--set name=s-3" in told
    assert plan_facts(build_plan(few()), store).refusal == ""


def test_where_no_setting_changed_data_or_a_version_did(result):
    plan = build_plan(few())
    path = result.folder.path / "grid.parquet"
    (row, *others) = result.folder.grid()
    gone = dataclasses.replace(row, results_key="0" * 64)
    store = result.folder.store
    shutil.copytree(store.folder(row.results), store.folder(gone.results))
    write_rows(path, GridRow, [gone, *others], ["cell", "problem_set", "perturbation", "test_draw"])
    refusal = result.folder.refusal(plan)
    assert "no setting changed, so a data file, a model or a version did" in refusal
    assert result.folder.refusal(plan, lacks_inputs=True) == "", "keys of a plan without a compiler fit no results"
    assert "Give this sweep another name" in result.folder.refusal(build_plan(few(limit=1)), lacks_inputs=True)
    manifest = Path(store.folder(gone.results), "manifest.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "spec": {**content["spec"], "python": "3.9.1"}}))
    cause = r"a version did: of reference\.base on minicode \w+, python was '3\.9\.1' and is '3"
    assert re.search(cause, result.folder.refusal(plan))


@pytest.mark.slow
def test_pairs_without_results_do_not_reserve_the_name(result):
    store = result.folder.store
    for row in result.folder.grid():
        store.remove(row.results)
    assert again(result, limit=1).cells_run == 1
    assert {row.results_key for row in result.folder.grid() if store.has(row.results)}


def test_a_grid_that_a_crash_cut_short_is_written_again(result):
    path = result.folder.path / "grid.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"grid\.parquet can't be read.*the sweep's command writes it again"):
        result.folder.grid()
    assert again(result).cells_run == 0
    assert len(result.folder.grid()) == 2


def test_a_broken_line_of_runs_is_skipped_and_not_appended_to(result):
    path = result.folder.path / "runs.jsonl"
    complete = result.folder.runs()
    path.write_text(path.read_text() + '{"started": "2026-')
    assert result.folder.runs() == complete
    result.folder.add_run({"started": "later"})
    assert result.folder.runs() == [*complete, {"started": "later"}]


def test_the_log_has_escapes_for_what_a_terminal_that_shows_it_would_obey(tmp_path):
    log = LogFile(tmp_path / "raysweep.log")
    log.handle(logging.makeLogRecord({"msg": "lost \x1b]0;x\x07\nTraceback", "levelname": "ERROR"}))
    log.close()
    assert (tmp_path / "raysweep.log").read_text().endswith("ERROR lost \\x1b]0;x\\x07\nTraceback\n")


def test_tensors_that_a_model_leaves_out_are_in_the_report_of_later_runs_too(result):
    words = "its files hold 1 tensor, such as score.weight, without a place in transformers' X: left out"
    assert result.folder.left_out() == {}
    for left_out in ({"llama": words}, {}):
        result.folder.add_run({**result.folder.runs()[-1], "left_out": left_out})
    (result.folder.path / "analysed.json").unlink()
    analyse(result.folder, build_plan(few()), {})
    page = html.unescape((result.folder.path / "report.html").read_text())
    assert "weights of llama" in page and words in page


def test_a_run_repairs_torn_files(result):
    for name in ("scores.parquet", "grid.parquet", "runs.jsonl", "analysed.json"):
        path = result.folder.path / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert sorted_scores(again(result)) == sorted_scores(result)


def test_the_stored_config_is_read_unchanged_without_checking_its_files_again(tmp_path):
    from raysweep.storage.store import Store

    rows = tmp_path / "rows.jsonl"
    rows.write_text((json.dumps({"instruction": "Add one.", "output": "x + 1"}) + "\n") * 20)
    source = f"training.source={{name: jsonl, path: {rows}}}"
    loaded = load_config(NANO, [source, "evaluation.pairs={C1: [C1], base: [C1]}", "seeds=[1, 2]"])
    folder = SweepFolder(Store(tmp_path), "nano")
    folder.path.mkdir(parents=True)
    (folder.path / "config.yaml").write_text(to_yaml(loaded))
    rows.unlink()
    assert to_yaml(folder.config()) == to_yaml(loaded)
    assert folder.config().models[0].pretrain == loaded.models[0].pretrain


@pytest.mark.parametrize("content", ["", "name: x", "{", "name: [", "models: 3\nevaluation: 4\nrecipes: 5"])
def test_a_config_that_cannot_be_read_is_named(tmp_path, content):
    from raysweep.storage.store import Store

    folder = SweepFolder(Store(tmp_path), "x")
    folder.path.mkdir(parents=True)
    (folder.path / "config.yaml").write_text(content)
    with pytest.raises(StoreError, match=r"config\.yaml can't be read"):
        folder.config()
