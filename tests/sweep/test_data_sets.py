"""`raysweep sets`: training and test sets without models, exported for `datasets`."""

import dataclasses
import json
import subprocess
import sys

import pytest
import yaml

from raysweep.cli.app import main
from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config
from raysweep.engine.progress import ProgressFile
from raysweep.records import PromptRow, SourceRow, TrainingRow
from raysweep.rows.parquet import ROWS, read_rows
from raysweep.sweep.data_sets import export, make_data_sets
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO

SIZED = "{name: some, perturbation: C, ratio: 0.5}, {name: x2, perturbation: C, ratio: 0.6, size: 2}"
SETS = f"training.sets=[clean, C1, W, {SIZED}]"


def make(storage, *overrides):
    config = load_config(NANO, [SETS, *overrides], with_models=False)
    return make_data_sets(config, RunOptions(str(storage), "local"))


def rows_of(data_sets, name):
    (data_set,) = [data_set for data_set in data_sets.sets if data_set.name == name]
    record = TrainingRow if name.startswith("training-") else PromptRow
    return read_rows(data_sets.store.use(data_set.node) / ROWS, record)


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory):
    return make(tmp_path_factory.mktemp("store"))


@pytest.mark.slow
def test_all_sets_of_a_config_are_made_and_counted(data_sets):
    assert not data_sets.errors and data_sets.leakage == "", "the source never contains the problems"
    assert {each.name: each.rows for each in data_sets.sets} == {
        **{f"training-{name}": 64 for name in ("clean", "C1", "W", "some")},
        "training-x2": 128,
        "minicode-clean": 6,
        "minicode-C1": 6,
    }
    for each in data_sets.sets:
        rows = rows_of(data_sets, each.name)
        assert len(rows) == each.rows
        assert sum(getattr(row, "perturbed", None) or getattr(row, "changed", False) for row in rows) == each.perturbed
    (source,) = (data_sets.store.scratch / "artefacts/source_rows").glob("*/*")
    assert len(read_rows(source / ROWS, SourceRow)) == 64, "stored once"


@pytest.mark.slow
def test_sets_share_their_texts(data_sets):
    single = {row.source_id: row.instruction for row in rows_of(data_sets, "training-C1")}
    clean = {row.source_id: row.instruction for row in rows_of(data_sets, "training-clean")}
    for name in ("training-some", "training-x2"):
        rows = rows_of(data_sets, name)
        assert all(row.instruction == single[row.source_id] for row in rows if row.method == "C1")
        assert all(row.instruction == clean[row.source_id] for row in rows if row.method == "clean")
    methods = [row.method for row in rows_of(data_sets, "training-some")]
    assert methods.count("clean") == 32 and set(methods) == {"clean", "C1", "C2", "C3"}


def test_the_rows_of_a_set_are_in_its_sources_order(data_sets):
    source = [row.source_id for row in rows_of(data_sets, "training-clean")]
    assert [int(name.rpartition("-")[2]) for name in source] == list(range(64))
    assert [row.source_id for row in rows_of(data_sets, "training-some")] == source


def test_a_second_run_makes_nothing(data_sets, monkeypatch):
    monkeypatch.setattr("raysweep.sweep.data_sets.make", lambda *arguments: pytest.fail("something was made"))
    again = make(data_sets.store.root)
    assert [each.node.key for each in again.sets] == [each.node.key for each in data_sets.sets]


@pytest.mark.slow
def test_blocks_that_a_killed_run_had_perturbed_are_not_perturbed_again(tmp_path, monkeypatch):
    from raysweep.engine import local
    from raysweep.stages import training_sets as training_set_stage

    monkeypatch.setattr(training_set_stage, "BLOCK_ROWS", 10)
    done: list[int] = []
    perturbed = local.perturb_block

    def dies_at_the_fourth(job, block):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(block)
        return perturbed(job, block)

    monkeypatch.setattr(local, "perturb_block", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert done == [0, 1, 2]
    monkeypatch.setattr(local, "perturb_block", lambda job, block: done.append(block) or perturbed(job, block))
    assert not make(tmp_path).errors
    assert done == [0, 1, 2, 3, 4, 5, 6]


def test_a_damaged_dependency_is_made_again_too(tmp_path, caplog):
    storage = tmp_path / "store"
    make(storage)
    (rows,) = (storage / "artefacts" / "source_rows").rglob("rows.parquet")
    before = rows.read_bytes()
    rows.write_bytes(before[:-1])
    assert not make(storage).errors
    assert "source rows" in caplog.text and "was damaged" in caplog.text
    assert rows.read_bytes() == before


@pytest.mark.slow
def test_the_export_is_read_by_datasets(data_sets, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    export(data_sets, tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), "training-x2", cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == 128 and loaded["row_id"] == [row.row_id for row in rows_of(data_sets, "training-x2")]
    tests = datasets.load_dataset(str(tmp_path / "out"), "minicode-C1", cache_dir=str(tmp_path / "cache"))["train"]
    assert tests["prompt"] == [row.prompt for row in rows_of(data_sets, "minicode-C1")]


def test_the_command_prints_and_exports(data_sets, tmp_path, capsys):
    where = ["--engine", "local", "--storage", str(data_sets.store.root), "--out", str(tmp_path / "o")]
    with pytest.raises(SystemExit) as end:
        main(["sets", str(NANO), "--set", SETS, *where, "--json", "--quiet"])
    assert not end.value.code
    output = json.loads(capsys.readouterr().out)
    assert {data_set["name"] for data_set in output["sets"]} == {
        file.stem for file in (tmp_path / "o").glob("*.parquet")
    }


def test_a_clean_set_of_another_size_is_another_set_and_a_ratio_of_0_is_the_clean_set(tmp_path):
    sizes = "training.sets=[clean, {name: x2, perturbation: clean, size: 2}, {name: none, perturbation: C, ratio: 0}]"
    data_sets = make(tmp_path / "store", sizes, "evaluation.perturbations=[clean]")
    rows = {each.name: (each.rows, each.perturbed, each.node.key) for each in data_sets.sets}
    plain, double, none = rows["training-clean"], rows["training-x2"], rows["training-none"]
    assert double[:2] == (2 * plain[0], 0) and double[2] != plain[2] and none == plain


def test_models_may_be_far_away_or_left_out_of_the_config(data_sets, tmp_path):
    far = load_config(NANO, ["models=[{name: far, path: nobody/nothing, recipes: [tiny]}]"], with_models=False)
    assert len(make_data_sets(far, RunOptions(str(data_sets.store.root), "local")).sets) == 3
    document = yaml.safe_load(NANO.read_text())
    del document["models"]
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(document))
    config = load_config(tmp_path / "sets.yaml", with_models=False)
    assert len(make_data_sets(config, RunOptions(str(data_sets.store.root), "local")).sets) == 3
    with pytest.raises(ConfigError, match="models: this key is missing"):
        load_config(tmp_path / "sets.yaml")


def test_a_method_that_changes_no_row_is_reported(tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(ProgressFile, "note", lambda self, text: notes.append(text))
    (tmp_path / "rows.jsonl").write_text('{"instruction": "123", "output": "456"}\n' * 5)
    source = f"training.source={{name: jsonl, path: {tmp_path / 'rows.jsonl'}}}"
    config = load_config(NANO, [source, "training.sets=[clean, C1]"], with_models=False)
    data_sets = make_data_sets(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not data_sets.errors and notes == ["C1 changes none of the 5 rows chosen for it"]


def test_names_that_datasets_does_not_allow_are_replaced(data_sets, tmp_path):
    odd = dataclasses.replace(
        data_sets, sets=[dataclasses.replace(data_sets.sets[0], name="humaneval-textattack:Word")]
    )
    export(odd, tmp_path / "out")
    assert (tmp_path / "out" / "humaneval-textattack-Word.parquet").is_file()
    assert "config_name: humaneval-textattack-Word" in (tmp_path / "out" / "README.md").read_text()


def rows_with_a_leak(tmp_path):
    """A source of 40 rows, two of which are HumanEval's problems 0 and 1."""
    from raysweep.problems.humaneval import HumanEval

    rows = [{"instruction": f"Write the function number {n} of all.", "output": f"def f{n}(): pass"} for n in range(40)]
    for problem in HumanEval().problems()[:2]:
        rows[7 + len(problem.task_id) % 2 + int(problem.task_id[-1])]["output"] = str(problem.reference)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (
        "training.source={name: jsonl, path: " + str(tmp_path / "rows.jsonl") + "}",
        "evaluation.problems=[humaneval]",
        f"training.sets=[C1, {SIZED}]",
    )


@pytest.mark.slow
def test_leaked_rows_are_reported_and_kept_or_left_out(tmp_path):
    overrides = rows_with_a_leak(tmp_path)
    kept = make(tmp_path / "store", *overrides)
    shared = "(rows by what they share with a problem: solution 2)"
    assert f"2 of 40 training rows give 2 evaluated problems away {shared}" in kept.leakage
    limited = make(tmp_path / "store", *overrides, "evaluation.limit=1")
    assert "1 of 40 training rows gives 1 evaluated problem away" in limited.leakage
    assert "they are kept" in kept.leakage and len(rows_of(kept, "training-C1")) == 40
    left = make(tmp_path / "store", *overrides, "training.decontaminate=drop")
    assert "they are left out" in left.leakage
    ids = {row.source_id for row in rows_of(left, "training-C1")}
    assert len(ids) == 38 and len(rows_of(left, "training-some")) == 38 and len(rows_of(left, "training-x2")) == 76
    instructions = {row.source_id: row.instruction for row in rows_of(kept, "training-C1")}
    assert all(instructions[row.source_id] == row.instruction for row in rows_of(left, "training-C1"))


@pytest.mark.long
@pytest.mark.ray
def test_ray_makes_the_same_rows_and_asks_for_nothing_that_only_models_need(
    data_sets, shared_ray, tmp_path, monkeypatch
):
    """In a process of its own: a process that was connected to one Ray can't use the actors of the next one.

    In small: test_all_sets_of_a_config_are_made_and_counted.
    """
    too_much = ["--set", "resources.gpus=8", "--set", "resources.memory_gib=9000"]
    where = ["--address", shared_ray.address, "--storage", str(tmp_path), "--json", "--quiet"]
    command = [sys.executable, "-m", "raysweep", "sets", str(NANO), "--set", SETS, *too_much, *where]
    done = subprocess.run(command, capture_output=True, text=True, env=shared_ray.environment)
    assert done.returncode == 0, done.stderr
    assert {one["name"] for one in json.loads(done.stdout)["sets"]} == {one.name for one in data_sets.sets}
    monkeypatch.setattr("raysweep.sweep.data_sets.make", lambda *given: pytest.fail("something was missing"))
    other = make(tmp_path)
    for each in data_sets.sets:
        assert rows_of(other, each.name) == rows_of(data_sets, each.name), each.name
