"""Tables of code quality: groups of files, numbers that equal a plain count, and words where there is no file."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import QUALITY, Evidence, NothingToDraw
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.quality_tables import (
    NOT_LINTED,
    FileGroup,
    linted_models,
    quality_tables,
    training_groups,
)
from raysweep.analysis.tables.table import Table, to_csv, to_markdown
from raysweep.errors import UsageError
from raysweep.quality.reports import FileReport, LintMessage
from tests.analysis.exhibits.examples import EXHIBITS, in_group
from tests.analysis.linted import ORDER, STRATA, linted_cells

CELLS = linted_cells()
CUT = "C0114"


def rows_of(table: Table) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the lines of a table's CSV by their labels."""
    lines = csv.DictReader(to_csv(table).splitlines())
    return {tuple(line[name] for name in table.stub): line for line in lines}


def counted(
    problems: str, model: str, training_sets: Sequence[str]
) -> tuple[list[FileReport], list[LintMessage], list[FileReport]]:
    """Return the files, messages and linted files of a group, picked one by one."""
    own = [
        cell.reports
        for cell in CELLS
        if cell.problem_set == problems and cell.training_set in training_sets and model in (cell.model, "all models")
    ]
    files = [file for reports in own for file in reports.files]
    messages = [message for reports in own for message in reports.messages]
    return files, messages, [file for file in files if file.outcome == "linted"]


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    studys = draw(in_group(QUALITY), Evidence(ScoreFrame.of([], ORDER), linted=CELLS)).tables
    return {table.label or table.name: table for table in [*quality_tables(CELLS, STRATA, ORDER), *studys]}


def test_each_problem_set_has_scores_tiers_and_the_studys_three_tables(tables):
    assert list(tables) == [
        *(
            name
            for problems in ("humaneval", "mbpp")
            for name in (f"code-quality-on-{problems}", f"pylint-messages-by-tier-on-{problems}-per-100-files")
        ),
        *(f"table-{number}-{problems}" for number in (14, 15, 16) for problems in ("humaneval", "mbpp")),
    ]
    assert quality_tables([], STRATA, ORDER) == []


@pytest.mark.parametrize("problems", ["humaneval", "mbpp"])
def test_scores_and_severities_equal_a_plain_count(tables, problems):
    lines = rows_of(tables[f"code-quality-on-{problems}"])
    assert len(lines) == 4 + (1 + 7 + 1) + (1 + 5 + 1)
    groups = {"perturbed": [name for name in ORDER.trained_with if name != "clean"]}
    groups["all fine-tuned"] = [*groups["perturbed"], "clean"]
    for (model, label), line in lines.items():
        files, messages, linted = counted(problems, model, groups.get(label, [label]))
        scores = [file.score for file in linted if file.score is not None]
        assert int(float(line["files"])) == len(files)
        assert float(line["no score"]) == len(files) - len(scores)
        assert float(line["mean score"]) == pytest.approx(statistics.mean(scores))
        for letter, severity in zip("FEWRCI", ("fatal", "error", "warning", "refactor", "convention"), strict=False):
            number = sum(message.code[0] == letter and message.code != CUT for message in messages)
            assert float(line[f"messages per 100 files {severity}"]) == pytest.approx(100 * number / len(linted))
        cut = sum(message.code == CUT for message in messages)
        assert float(line["messages per 100 files by cutting"]) == pytest.approx(100 * cut / len(linted))


def test_codes_equal_a_plain_count_and_a_group_without_files_has_a_dash(tables):
    lines = rows_of(tables["table-15-mbpp"])
    sets = {"0 %": ["clean"], "10 %": ["C10a", "C10b"], "60 %": ["C60"], "100 %": ["C"]}
    shown = 0
    for (model, code, _), line in lines.items():
        for heading, training_sets in sets.items():
            files, messages, linted = counted("mbpp", model, training_sets)
            if code == "files":
                assert float(line[heading]) == len(files)
            elif code != "mean score" and linted:
                number = sum(message.code == code for message in messages)
                assert float(line[heading]) == pytest.approx(100 * number / len(linted))
                shown += 1
            elif code != "mean score":
                assert line[heading] == "" and model == "large"
    assert shown > 40
    assert "no completion of it is in the sample" in lines["large", "W0613", "warning, Tier 2 (moderate)"]["notes"]


def test_files_that_the_linter_could_not_end_with_are_not_said_to_be_missing():
    ended = []
    for cell in CELLS:
        files = [replace(one, outcome="timed out") for one in cell.reports.files]
        ended.append(replace(cell, reports=replace(cell.reports, files=files)))
    notes = {cell.note for table in quality_tables(ended, STRATA, ORDER) for row in table.rows for cell in row.cells}
    assert NOT_LINTED in notes


def test_tiers_add_up_to_severities(tables):
    scores, tiers = (rows_of(tables[name]) for name in list(tables)[:2])
    for labels, line in tiers.items():
        for severity in ("error", "warning", "refactor", "convention"):
            parts = [float(value) for name, value in line.items() if name.startswith(f"{severity} ")]
            assert sum(parts) == pytest.approx(float(scores[labels][f"messages per 100 files {severity}"]))


def test_the_caption_says_how_large_the_sample_is_and_what_linted_it(tables):
    text = to_markdown(tables["code-quality-on-humaneval"])
    assert "380 of 31,878 completions of fine-tuned models and 380 of 966 completions of base models" in text
    assert "of 2 cells no file could be linted. Linted by pylint 4.1.4." in text
    assert "C0114: a completion continues a prompt" in to_markdown(tables["table-14-humaneval"])


def test_the_columns_of_tables_14_to_16():
    assert [group.name for group in training_groups(ORDER)] == ["base", "clean", "C", "perturbed"]
    assert training_groups(ORDER)[3].training_sets == ("C1", "C", "C10a", "C10b", "C60half", "C60")
    found = {id: drawn(id, ORDER)[0] for id in ("table-14", "table-15", "table-16")}
    assert {id: [column.name for column in table.columns] for id, table in found.items()} == {
        "table-14": ["base", "clean", "C", "perturbed"],
        "table-15": ["0 %", "10 %", "60 %", "100 %"],
        "table-16": ["×0.5", "×1"],
    }
    assert [table.label for table in drawn("table-15", ORDER)] == ["table-15-humaneval", "table-15-mbpp"]


def test_a_sweep_without_ratios_sizes_or_mixes_has_table_14_alone():
    order = Order(models=("small",), trained_with={"clean": "clean", "C1": "C1"})
    assert [group.name for group in training_groups(order)] == ["base", "clean", "perturbed"]
    for id, lacking in (("table-15", "only a part is perturbed"), ("table-16", "another number of rows")):
        with pytest.raises(NothingToDraw, match=lacking):
            drawn(id, order)
    alone = drawn("table-14", Order())[0]
    assert [column.name for column in alone.columns] == ["base"] and "perturbed" not in alone.caption
    with pytest.raises(UsageError, match=r"evaluation\.quality"):
        draw([EXHIBITS["table-14"]], Evidence(ScoreFrame.of([], ORDER)), required=True)


def drawn(id, order):
    return EXHIBITS[id].draw(Evidence(ScoreFrame.of([], order), linted=CELLS)).tables


def test_seeds_are_together_and_recipes_apart():
    first = next(cell for cell in CELLS if (cell.model, cell.training_set) == ("small", "C1"))
    seeds = [*CELLS, replace(first, seed=43)]
    assert [model.label for model in linted_models(seeds, "humaneval", ORDER)] == ["all models", "small", "large"]
    [_, small, _] = linted_models(seeds, "humaneval", ORDER)
    assert small.summary(FileGroup("C1", ("C1",))).files == 6
    recipes = linted_models([*CELLS, replace(first, recipe="lora")], "humaneval", ORDER)
    assert [model.label for model in recipes] == ["all models", "small · full", "small · lora", "large"]
    assert [model.summary(FileGroup("base", ("base",))).files for model in recipes] == [18, 9, 9, 9]
    assert recipes[2].summary(FileGroup("C1", ("C1",))).files == 3
