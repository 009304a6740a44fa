"""`raysweep sets`: training and test sets without models, exported for `datasets`."""

import dataclasses
import json

import pytest
import yaml

from raysweep.cli import main
from raysweep.config_file import load_config
from raysweep.data_sets import export, make_data_sets
from raysweep.document import ConfigError
from raysweep.making import RunOptions
from raysweep.progress import ProgressFile
from raysweep.records import PromptRow, SourceRow, TrainingRow
from raysweep.tables import ROWS, read_rows
from tests.test_planning import NANO

SIZED = "{name: some, perturbation: C, ratio: 0.5}, {name: x2, perturbation: C, ratio: 0.6, size: 2}"
SETS = f"training.sets=[clean, C1, W, {SIZED}]"


def make(storage, *overrides, engine="local"):
    config = load_config(NANO, [SETS, *overrides], with_models=False)
    return make_data_sets(config, RunOptions(str(storage), engine))


def rows_of(made, name):
    (one,) = [one for one in made.sets if one.name == name]
    record = TrainingRow if name.startswith("training-") else PromptRow
    return read_rows(made.store.use(one.node) / ROWS, record)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("store"))


def test_all_sets_of_a_config_are_made_and_counted(made):
    assert not made.errors
    assert {one.name: one.rows for one in made.sets} == {
        **{f"training-{name}": 64 for name in ("clean", "C1", "W", "some")},
        "training-x2": 128,
        "minicode-clean": 6,
        "minicode-C1": 6,
    }
    for one in made.sets:
        rows = rows_of(made, one.name)
        assert len(rows) == one.rows
        assert sum(getattr(row, "perturbed", None) or getattr(row, "changed", False) for row in rows) == one.perturbed


def test_sets_share_their_texts(made):
    single = {row.source_id: row.instruction for row in rows_of(made, "training-C1")}
    clean = {row.source_id: row.instruction for row in rows_of(made, "training-clean")}
    for name in ("training-some", "training-x2"):
        rows = rows_of(made, name)
        assert all(row.instruction == single[row.source_id] for row in rows if row.method == "C1")
        assert all(row.instruction == clean[row.source_id] for row in rows if row.method == "clean")
    methods = [row.method for row in rows_of(made, "training-some")]
    assert methods.count("clean") == 32 and set(methods) == {"clean", "C1", "C2", "C3"}


def test_the_rows_of_a_set_are_in_its_sources_order(made):
    source = [row.source_id for row in rows_of(made, "training-clean")]
    assert [int(name.rpartition("-")[2]) for name in source] == list(range(64))
    assert [row.source_id for row in rows_of(made, "training-some")] == source


def test_a_second_time_nothing_is_made(made, monkeypatch):
    monkeypatch.setattr("raysweep.data_sets.make", lambda *given: pytest.fail("something was made"))
    again = make(made.store.root)
    assert [one.node.key for one in again.sets] == [one.node.key for one in made.sets]


def test_ray_makes_the_same_bytes(made, tmp_path):
    other = make(tmp_path, engine="ray")
    assert not other.errors
    for one in made.sets:
        assert rows_of(other, one.name) == rows_of(made, one.name), one.name


def test_what_a_killed_run_had_perturbed_is_not_made_again(tmp_path, monkeypatch):
    from raysweep import training_set_stage
    from raysweep.engine import local

    monkeypatch.setattr(training_set_stage, "BLOCK_ROWS", 10)
    done: list[int] = []
    perturbed = local.perturbed_block

    def dies_at_the_fourth(job, at):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(at)
        return perturbed(job, at)

    monkeypatch.setattr(local, "perturbed_block", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert done == [0, 1, 2]
    monkeypatch.setattr(local, "perturbed_block", lambda job, at: done.append(at) or perturbed(job, at))
    assert not make(tmp_path).errors
    assert done == [0, 1, 2, 3, 4, 5, 6]


def test_the_export_is_read_by_datasets(made, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    export(made, tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), "training-x2", cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == 128 and loaded["row_id"] == [row.row_id for row in rows_of(made, "training-x2")]
    tests = datasets.load_dataset(str(tmp_path / "out"), "minicode-C1", cache_dir=str(tmp_path / "cache"))["train"]
    assert tests["prompt"] == [row.prompt for row in rows_of(made, "minicode-C1")]


def test_the_command_prints_and_exports(tmp_path, capsys):
    arguments = ["sets", str(NANO), "--engine", "local", "--storage", str(tmp_path / "s"), "--out", str(tmp_path / "o")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--json", "--quiet"])
    assert not end.value.code
    shown = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in shown["sets"]} == {file.stem for file in (tmp_path / "o").glob("*.parquet")}


def test_no_model_is_looked_for(tmp_path):
    config = load_config(NANO, ["models=[{name: far, path: nobody/nothing, recipes: [tiny]}]"], with_models=False)
    assert len(make_data_sets(config, RunOptions(str(tmp_path), "local")).sets) == 3


def test_clean_sets_of_other_sizes_are_others(tmp_path):
    sizes = "training.sets=[clean, {name: x2, perturbation: clean, size: 2}, {name: none, perturbation: C, ratio: 0}]"
    made = make(tmp_path / "store", sizes, "evaluation.perturbations=[clean]")
    rows = {one.name: (one.rows, one.perturbed, one.node.key) for one in made.sets}
    plain, double, none = rows["training-clean"], rows["training-x2"], rows["training-none"]
    assert double[:2] == (2 * plain[0], 0) and double[2] != plain[2] and none == plain


def test_models_may_be_left_out_of_the_config(tmp_path):
    document = yaml.safe_load(NANO.read_text())
    del document["models"]
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(document))
    config = load_config(tmp_path / "sets.yaml", with_models=False)
    assert len(make_data_sets(config, RunOptions(str(tmp_path / "store"), "local")).sets) == 3
    with pytest.raises(ConfigError, match="models: this key is missing"):
        load_config(tmp_path / "sets.yaml")


def test_a_set_that_can_not_be_so_large_is_refused_before_any_is_made():
    sets = "training.sets=[{name: ten, perturbation: C2, size: 10}, {name: all, perturbation: C, ratio: 0.6, size: 5}]"
    with pytest.raises(ConfigError) as caught:
        load_config(NANO, [sets], with_models=False)
    assert "training.sets.0.size: 10 times the source's rows" in str(caught.value)
    assert "give a size of at most 1" in str(caught.value) and len(caught.value.findings) == 1


def test_a_method_that_changes_no_row_is_told(tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(ProgressFile, "note", lambda self, text: notes.append(text))
    (tmp_path / "rows.jsonl").write_text('{"instruction": "123", "output": ""}\n' * 5)
    source = f"training.source={{name: jsonl, path: {tmp_path / 'rows.jsonl'}}}"
    config = load_config(NANO, [source, "training.sets=[clean, C1]"], with_models=False)
    made = make_data_sets(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not made.errors and notes == ["C1 changes none of the 5 rows that it was to perturb"]


def test_names_that_datasets_can_not_have_are_made_so(tmp_path):
    made = make(tmp_path / "store", "evaluation.perturbations=[clean]")
    odd = dataclasses.replace(made, sets=[dataclasses.replace(made.sets[0], name="humaneval-textattack:Word")])
    export(odd, tmp_path / "out")
    assert (tmp_path / "out" / "humaneval-textattack-Word.parquet").is_file()
    assert "config_name: humaneval-textattack-Word" in (tmp_path / "out" / "README.md").read_text()


def test_source_rows_are_stored_once_in_blocks(made):
    (folder,) = (made.store.scratch / "artefacts/source_rows").glob("*/*")
    assert len(read_rows(folder / ROWS, SourceRow)) == 64


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
    )


def test_rows_that_leak_are_told_and_kept_or_left_out(tmp_path):
    overrides = rows_with_a_leak(tmp_path)
    kept = make(tmp_path / "store", *overrides)
    assert "2 of 40 training rows give 2 evaluated problems away (2 by solution)" in kept.leakage
    assert "they are kept" in kept.leakage and len(rows_of(kept, "training-C1")) == 40
    left = make(tmp_path / "store", *overrides, "training.decontaminate=drop")
    assert "they are left out" in left.leakage
    ids = {row.source_id for row in rows_of(left, "training-C1")}
    assert len(ids) == 38 and len(rows_of(left, "training-some")) == 38 and len(rows_of(left, "training-x2")) == 76
    whole = {row.source_id: row.instruction for row in rows_of(kept, "training-C1")}
    assert all(whole[row.source_id] == row.instruction for row in rows_of(left, "training-C1"))


def test_a_world_that_keeps_its_problems_apart_is_not_looked_at(made):
    assert made.leakage == ""
