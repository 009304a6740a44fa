"""`raysweep compare`: two sweeps, printed numbers, and what can't be compared."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet
import pytest
import yaml
from typer.testing import CliRunner

import raysweep
from raysweep.analysis.comparisons.base import rates_of
from raysweep.analysis.published.reference import published_scores
from raysweep.analysis.tables.table import to_csv, to_markdown
from raysweep.cli.app import app
from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.records import ProblemScore, Score
from raysweep.rows.parquet import write_rows
from raysweep.storage.store import open_store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report.compare import compared, same_problems
from tests.paths import CONFIGS

MODEL = {"name": "a", "path": "/models/a", "recipes": ["plain", "other"]}
CONFIG = {
    "name": "mine",
    "models": [MODEL, {**MODEL, "name": "half", "dtype": "float16"}],
    "recipes": {"plain": {}, "other": {"lr": 0.5}},
    "training": {"source": {"name": "jsonl", "path": "rows.jsonl"}, "sets": ["C1"]},
    "evaluation": {"problems": ["minicode"], "perturbations": ["clean", "C1"]},
}
VERDICTS = {  # (model, recipe, training set), perhaps with a seed -> verdicts on clean and on perturbed prompts
    ("a", "none", "base"): ("++++----", "++------"),
    ("a", "plain", "C1"): ("+++++---", "++++----"),
    ("a", "other", "C1"): ("+++++---", "++-++---"),
    ("half", "plain", "C1"): ("++------", "+-------"),
}


def sweep(storage, name, verdicts=VERDICTS, problems="minicode", models=None, recipes=None, seed=42, **evaluation):
    """A sweep's folder with a config and these verdicts."""
    folder = SweepFolder(open_store(str(storage)), name)
    folder.path.mkdir(parents=True)
    models = models or CONFIG["models"]
    config = {**CONFIG, "name": name, "models": models, "evaluation": {**CONFIG["evaluation"], **evaluation}}
    config["recipes"] = recipes or CONFIG["recipes"]
    (folder.path / "config.yaml").write_text(to_yaml(SweepConfig.model_validate(config)))
    write_rows(folder.path / "grid.parquet", GridRow, [], ["cell"])
    with SavedNumbers(folder).writing_problems() as writer:
        for (model, recipe, training_set, *own), signs in verdicts.items():
            cell = (model, recipe, training_set, own[0] if own else seed, problems)
            by_set = zip(("clean", "C1"), signs, strict=True)
            found = [(name, f"t{task}", int(sign == "+")) for name, row in by_set for task, sign in enumerate(row)]
            writer.add([ProblemScore(*cell, name, 0, task, 1, passed, 0) for name, task, passed in found])
    return folder


def rows(table) -> list[dict[str, str]]:
    return list(csv.DictReader(to_csv(table).splitlines()))


FLIPPED = {**VERDICTS, ("a", "plain", "C1"): ("+++++---", "----++++")}
LESS = {**FLIPPED, ("a", "other", "C1"): ("++------", "--------")}
CASES = {
    "flips come first": {"verdicts": FLIPPED},
    "flips come first in the table of RD, too": {"verdicts": LESS},
    "settings that differ are named": {"temperature": 0.8},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_sweeps_stand_side_by_side(case, tmp_path, snapshot):
    sweep(tmp_path, "mine")
    sweep(tmp_path, "theirs", **CASES[case])
    assert "\n\n".join(map(to_markdown, compared("mine", "theirs", str(tmp_path)))) == snapshot


@pytest.mark.parametrize("group_rows", [1, 3, 1000])
def test_verdicts_by_problem_are_read_alike_whatever_row_groups_their_file_has(tmp_path, group_rows):
    numbers = SavedNumbers(sweep(tmp_path, "mine"))
    cells = list(numbers.problems_by_cell())
    file = tmp_path / "sweeps" / "mine" / "problems.parquet"
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table, file, row_group_size=group_rows)
    assert list(numbers.problems_by_cell()) == cells and len(cells) == len(VERDICTS)
    pyarrow.parquet.write_table(table.sort_by("task_id"), file)
    with pytest.raises(
        UsageError, match=r"has rows of one cell \(a, none, base, 42\) in two places; `raysweep report mine`"
    ):
        list(numbers.problems_by_cell())


def test_the_tables_say_what_the_numbers_of_both_sweeps_rest_on(tmp_path):
    for name, signature in (("mine", "1 sample"), ("theirs", "40 samples")):
        SavedNumbers(sweep(tmp_path, name)).write_signature(signature)
    passing, _ = compared("mine", "theirs", str(tmp_path))
    assert "Signature: mine: 1 sample. theirs: 40 samples." in passing.full_caption
    assert raysweep.load_problems("theirs", str(tmp_path)).attrs["signature"] == "40 samples"


def test_sweeps_without_a_common_cell_or_problem_say_what_each_has(tmp_path):
    sweep(tmp_path, "mine")
    sweep(tmp_path, "others", {("b", "none", "base"): ("+-", "--")}, models=[{**MODEL, "name": "b"}])
    with pytest.raises(
        UsageError, match=r"no cell .* in common: mine has the models a, half on .*; others has .* b on"
    ):
        compared("mine", "others", str(tmp_path))
    sweep(tmp_path, "later", {("a", "plain", "C1"): VERDICTS["a", "plain", "C1"]}, seed=43)
    only_tuned = {cell: signs for cell, signs in VERDICTS.items() if cell[1] != "none"}
    sweep(tmp_path, "sooner", only_tuned)
    with pytest.raises(
        UsageError, match=r"C1, fine-tuned by plain, other with seed 42; later has .* by plain with seed 43"
    ):
        compared("sooner", "later", str(tmp_path))
    sweep(tmp_path, "elsewhere", problems="mbpp")
    with pytest.raises(UsageError, match=r"no problem in common: mine has minicode \(8 problems\); elsewhere has mbpp"):
        compared("mine", "elsewhere", str(tmp_path))


def test_a_sweep_stands_beside_the_printed_numbers_with_surprises_first(tmp_path):
    folder = sweep(tmp_path, "mine")
    printed = published_scores("paper")[:2]
    for_score = [("full" if one.training_set != "base" else "none", one) for one in printed]
    values = (printed[0].value, printed[1].value + 0.2)
    SavedNumbers(folder).write_scores(
        Score(one.model, recipe, one.training_set, 42, one.problem_set, one.perturbation, one.metric, value,
              value - 0.05, value + 0.05, 161)
        for (recipe, one), value in zip(for_score, values, strict=True)
    )  # fmt: skip
    (table,) = compared("mine", "paper", str(tmp_path))
    outside, inside = rows(table)
    assert (outside["training set"], outside["inside the interval"]) == ("clean", "no")
    assert float(outside["difference (points)"]) == pytest.approx(20)
    assert table.rows[0].cells[2].interval == "[+15.0, +25.0]" and not table.rows[0].cells[2].note
    assert (inside["printed (%)"], inside["inside the interval"], inside["table"]) == ("15.3", "yes", "2")
    assert (outside["recipe"], outside["seed"]) == ("full", "42")
    assert "Liu, Foundjem, Wu, Li, Khomh (2026)" in table.caption and not table.footnotes


@pytest.mark.parametrize(("problem_set", "n", "said"), [("safecoder-humaneval", 161, False), ("humaneval", 164, True)])
def test_the_studys_config_is_compared_and_another_number_of_problems_is_said(tmp_path, problem_set, n, said):
    folder = sweep(tmp_path, "mine")
    study = yaml.safe_load((CONFIGS / "study.yaml").read_text())
    assert study["evaluation"]["problems"][0]["name"] == "safecoder-humaneval"
    numbers = {"clean": {"pass@1": 0.25}, "mix_all": {"pass@1": 0.05, "RD": 0.8}}
    SavedNumbers(folder).write_scores(
        Score("starcoderbase-1b", "none", "base", 42, problem_set, test, metric, value, value - 0.01, value + 0.01, n)
        for test, found in numbers.items()
        for metric, value in found.items()
    )
    (table,) = compared("mine", "paper", str(tmp_path))
    assert {(row["problems"], float(row["printed (%)"])) for row in rows(table)} == {
        (problem_set, float(one.percent))
        for one in published_scores("paper")
        if (one.model, one.training_set) == ("starcoderbase-1b", "base") and one.perturbation in numbers
    }
    assert bool(table.footnotes) == said
    assert "over 164 problems; the printed number is over 161" in table.footnotes or not said
    (rd,) = (row for row in rows(table) if row["metric"] == "RD")
    assert float(rd["perturbed pass@1 (%)"]) == 5
    (passing,) = (row for row in rows(table) if row["metric"] == "pass@1" and row["test prompts"] == "mix_all")
    assert rd["perturbed pass@1, difference (points)"] == passing["difference (points)"]


def test_printed_numbers_of_several_recipes_stand_beside_the_same_recipe(tmp_path):
    folder = sweep(tmp_path, "fait")
    cells = [("none", "base", 0.768), ("sft", "evol", 0.5), ("fait", "evol", 0.77)]
    SavedNumbers(folder).write_scores(
        Score(
            "magicoder-s-ds", recipe, trained, 42, "humaneval-plus", "clean", "pass@1 base", v, v - 0.01, v + 0.01, 164
        )
        for recipe, trained, v in (*cells, ("lora", "evol", 0.9))
    )
    (table,) = compared("fait", "fait", str(tmp_path))
    found = {row["recipe"]: (row["printed (%)"], row["inside the interval"], row["table"]) for row in rows(table)}
    assert found == {"none": ("76.8", "yes", "1"), "sft": ("75.6", "no", "1"), "fait": ("77.4", "yes", "1")}
    assert "perturbed pass@1 (%)" not in rows(table)[0] and "Beside an RD" not in table.caption
    assert "FAIT: Fault-Aware Fine-Tuning" in table.caption


def test_what_can_not_be_compared_is_refused_with_the_way_out(tmp_path):
    folder = sweep(tmp_path, "mine")
    sweep(tmp_path, "theirs")
    for *given, said in (
        ("mine", "paper", "has a name that the study uses: expected the models"),
        ("mine", "fait", "mbpp-plus, or fine-tuned by fait or fait-line or fait-token or sft; found"),
        ("mine", "mine", "'mine' is compared with itself"),
        ("mien", "paper", "unknown sweep 'mien'"),
        ("mine", "papr", r"unknown sweep 'papr' \(did you mean 'paper'\?\)"),
    ):
        with pytest.raises(UsageError, match=said):
            compared(*given, str(tmp_path))
    (folder.path / "problems.parquet").unlink()
    with pytest.raises(UsageError, match="`raysweep report mine` writes those"):
        compared("mine", "theirs", str(tmp_path))


def test_the_command_prints_markdown_or_csv(tmp_path):
    sweep(tmp_path, "mine")
    sweep(tmp_path, "theirs")
    command = ["compare", "mine", "theirs", "--storage", str(tmp_path)]
    assert CliRunner().invoke(app, command).stdout.startswith("### pass@1: mine and theirs\n")
    assert "cell,test set,mine (%),theirs (%)" in CliRunner().invoke(app, [*command, "--format", "csv"]).stdout
    assert isinstance(CliRunner().invoke(app, [*command, "--format", "xml"]).exception, UnknownName)
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    tables = compared("mine", "theirs", str(tmp_path))
    assert [one["title"] for one in found] == [table.title for table in tables]
    assert [row["labels"] for row in found[0]["rows"]] == [
        {name: row[name] for name in tables[0].stub} for row in rows(tables[0])
    ]


def test_problems_of_one_id_that_are_other_problems_are_left_out(tmp_path):
    cell = rates_of(row for rows_of in SavedNumbers(sweep(tmp_path, "mine")).problems_by_cell() for row in rows_of)
    ours, theirs = {"minicode": {"t0": "a", "t1": "b"}}, {"minicode": {"t0": "a", "t1": "other"}}
    kept = same_problems(cell, ours, theirs)["minicode", "C1"]
    assert "t0" in kept.rates and "t1" not in kept.rates and "t1" not in kept.clean
    assert same_problems(cell, ours, {}) == cell


def test_verdicts_that_are_older_than_the_config_are_refused(tmp_path):
    folder = sweep(tmp_path, "mine")
    sweep(tmp_path, "theirs")
    config = (folder.path / "config.yaml").read_text()
    (folder.path / "config.yaml").write_text(config.replace("other", "another"))
    with pytest.raises(UsageError, match="no longer has the model a with the recipe other"):
        compared("mine", "theirs", str(tmp_path))


def test_cells_that_differ_in_the_seed_only_have_one_row_and_each_its_own_on_demand(tmp_path):
    mine = (("++++----", "++------"), ("++++----", "+++-----"), ("++++----", "+-------"))
    theirs = (("+++++---", "++++----"), ("++++++--", "++++----"), ("+++++++-", "++------"))
    for name, verdicts in (("mine", mine), ("theirs", theirs)):
        by_seed = dict(zip((42, 43, 44), verdicts, strict=True))
        sweep(tmp_path, name, {("a", "plain", "C1", seed): signs for seed, signs in by_seed.items()})
    passing, rd = compared("mine", "theirs", str(tmp_path))
    clean = next(row for row in rows(passing) if row["test set"] == "minicode clean")
    assert [row["cell"] for row in rows(passing)] == ["a · plain · C1"] * 2 and len(rd.rows) == 1
    assert [float(clean[name]) for name in ("mine (%)", "theirs (%)", "difference (points) SD")] == [50, 75, 12.5]
    each, _ = compared("mine", "theirs", str(tmp_path), each_seed=True)
    assert sorted({row["cell"] for row in rows(each)}) == [f"a · plain · C1 · seed {seed}" for seed in (42, 43, 44)]
    done = CliRunner().invoke(app, ["compare", "mine", "theirs", "--storage", str(tmp_path), "--each-seed"])
    assert done.exit_code == 0 and "a · plain · C1 · seed 43" in done.stdout


def test_over_seeds_a_change_of_rd_is_the_difference_of_the_rds_and_a_base_lacks_no_seed(tmp_path):
    mine = (("++------", "+-------"), ("++++++--", "++++++--"), ("--------", "--------"))
    theirs = (("+++++---", "++++----"), ("++------", "++++----"), ("+++++++-", "++------"))
    for name, verdicts in (("mine", mine), ("theirs", theirs)):
        by_seed = dict(zip((42, 43, 44), verdicts, strict=True))
        cells = {("a", "plain", "C1", seed): signs for seed, signs in by_seed.items()}
        sweep(tmp_path, name, {("a", "none", "base", 42): VERDICTS["a", "none", "base"], **cells})
    passing, rd = compared("mine", "theirs", str(tmp_path))
    assert "over problems and seeds" in passing.caption
    noted = {row.labels[0]: sum("2 of 3 seeds" in cell.note for cell in row.cells) for row in rd.rows}
    assert noted == {"a · base": 0, "a · plain · C1": 5}, "both RDs, the change and its parts"
    assert not any("of 3 seeds" in cell.note for row in passing.rows for cell in row.cells)
    cells = {row.labels[0]: [cell.value for cell in row.cells] for row in rd.rows}
    before, after, change, perturbed, clean, *_ = cells["a · plain · C1"]
    assert (before, after) == (pytest.approx(25), pytest.approx(-40))
    assert change == pytest.approx(after - before) and change == pytest.approx(perturbed + clean)
