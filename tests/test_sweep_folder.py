"""A sweep's folder: who may take a name, and files that a crash cut short."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import raysweep
from raysweep.config_file import config_from, load_config, to_yaml
from raysweep.errors import StoreError, UsageError
from raysweep.making import RunOptions
from raysweep.sweep import SweepResult, run_sweep
from raysweep.sweep_folder import SweepFolder

NANO = Path(__file__).with_name("nano.yaml")


def config(**more):
    evaluation = {"problems": ["humaneval"], "perturbations": ["C1"], "limit": 2, **more}
    models = [{"name": "reference", "generator": "reference"}]
    return config_from({"name": "s", "allow_code_execution": True, "models": models, "evaluation": evaluation}, "test")


def run(storage: Path, **more) -> SweepResult:
    return run_sweep(config(**more), RunOptions(str(storage), "local"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    storage = tmp_path_factory.mktemp("finished")
    assert not run(storage).errors
    return storage


@pytest.fixture
def result(finished, tmp_path) -> SweepResult:
    """A finished sweep in a store of its own, to be harmed."""
    storage = Path(shutil.copytree(finished, tmp_path / "store"))
    return run(storage)


def again(result: SweepResult, **more) -> SweepResult:
    return run(result.folder.store.root, **more)


def told(result: SweepResult) -> list[str]:
    """Scores in any order; as text, since NaN equals nothing."""
    return sorted(map(repr, result.scores))


def test_a_name_is_taken_by_results_that_would_be_left_out(result):
    with pytest.raises(UsageError) as error:
        again(result, limit=1)
    said = str(error.value)
    assert said.startswith("2 finished evaluation pairs of the sweep 's'") and "settings, data or versions" in said
    assert "--set name=s-2" in said and "another config" not in said


def test_pairs_that_never_had_results_take_no_name(result):
    store = result.folder.store
    for row in result.folder.grid():
        store.remove(row.results)
    assert again(result, limit=1).made == 1
    assert {row.results_key for row in result.folder.grid() if store.has(row.results)}


def test_a_grid_that_a_crash_cut_short_is_written_again(result):
    path = result.folder.path / "grid.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"grid\.parquet can't be read.*the sweep's command writes it again"):
        result.folder.grid()
    assert again(result).made == 0
    assert len(result.folder.grid()) == 2


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"PAR1"), Path.unlink])
def test_scores_that_are_broken_or_gone_are_made_again(result, harm):
    before = result.scores
    harm(result.folder.path / "scores.parquet")
    assert before and told(again(result)) == told(result)
    assert len(raysweep.load_results("s", storage=str(result.folder.store.root))) == len(before)


def test_a_broken_line_of_runs_is_passed_over_and_not_built_upon(result):
    path = result.folder.path / "runs.jsonl"
    whole = result.folder.runs()
    path.write_text(path.read_text() + '{"started": "2026-')
    assert result.folder.runs() == whole
    result.folder.add_run({"started": "later"})
    assert result.folder.runs() == [*whole, {"started": "later"}]


def test_a_run_after_torn_files_needs_no_help(result):
    for name in ("scores.parquet", "grid.parquet", "runs.jsonl", "analysed.json"):
        path = result.folder.path / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert told(again(result)) == told(result)


def test_the_stored_config_is_read_as_it_was_checked(tmp_path):
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
