"""Blind sheets and the answers to them."""

import csv
import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.records import PromptRow, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.rows.rated_sheets import KEY, PAIRS, SHEET, read_answers, read_key, read_rated, read_raters
from raysweep.tools.audit.agreement import validity
from raysweep.tools.audit.sheet import PAGE, draw_items, write_sheet
from tests.patience import PATIENCE


def row(n: int, method: str, changed: bool = True) -> TrainingRow:
    text = f"Task {n}, perturbed <b>by</b> it" if changed else f"Task {n}"
    return TrainingRow(f"r{n}-{method}", f"r{n}", text, "", "x", "", method, changed, f"Task {n}", "")


@pytest.fixture
def training(tmp_path) -> Path:
    rows = [row(n, method) for n in range(30) for method in ("C1", "W1")]
    rows += [row(n, "S2") for n in range(4)] + [row(n, "clean", changed=False) for n in range(30)]
    path = tmp_path / "sets/training-x.parquet"
    path.parent.mkdir()
    write_rows(path, TrainingRow, rows, ["row_id"])
    return path


def test_methods_are_drawn_alike_as_far_as_they_have_rows_and_clean_rows_never(training):
    items = draw_items(training, 24, 1)
    assert Counter(item.method for item in items) == {"C1": 10, "W1": 10, "S2": 4}
    assert [item.id for item in items] == list(range(1, 25))
    assert len({(item.method, item.row_id) for item in items}) == 24
    assert items == draw_items(training.parent, 24, 1) != draw_items(training, 24, 2)
    assert len(draw_items(training, 1000, 1)) == 64
    shutil.copyfile(training, training.with_name("two.parquet"))
    assert len(draw_items(training.parent, 1000, 1)) == 64, "a text that stands in two sets is judged once"


def test_test_sets_are_judged_by_their_prompts(tmp_path):
    rows = [PromptRow(f"T/{n}", f"perturbed {n}", f"clean {n}", "C1", n > 0, True) for n in range(3)]
    write_rows(tmp_path / "x.parquet", PromptRow, rows, ["task_id"])
    assert {(i.row_id, i.clean, i.text) for i in draw_items(tmp_path, 9, 1)} == {
        (f"T/{n}", f"clean {n}", f"perturbed {n}") for n in (1, 2)
    }


def test_sets_that_one_method_makes_differently_are_judged_apart(tmp_path):
    for name, text in (("p-W2", "any"), ("p-W2-draw-1", "other"), ("p-plain", "plain")):
        rows = [PromptRow(f"T/{n}", f"{text} {n}", f"clean {n}", "W2", True, True) for n in range(3)]
        write_rows(tmp_path / f"{name}.parquet", PromptRow, rows, ["task_id"])
    assert Counter(item.method for item in draw_items(tmp_path, 99, 1)) == {"W2": 6, "W2 (p-plain)": 3}


def test_raters_see_no_method_and_no_row(training, tmp_path):
    items = draw_items(training, 12, 1)
    write_sheet(items, tmp_path / "out")
    for name in (SHEET, PAGE):
        text = (tmp_path / "out" / name).read_text()
        assert not any(word in text for word in ("C1", "W1", "S2", "r0", "r1-"))
        assert name == SHEET or "perturbed <b>by</b>" not in text
    assert read_key(tmp_path / "out") == items
    with pytest.raises(UsageError, match="holds a sheet already"):
        write_sheet(items, tmp_path / "out")


def answered(items, path, answer="yes"):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "same_task", "readable"])
        writer.writerows([item.id, answer, "n"] for item in items)
    return path


def test_answers_come_back_and_bad_ones_are_refused_with_their_row(training, tmp_path):
    items = draw_items(training, 4, 1)
    assert read_answers(answered(items, tmp_path / "a.csv"), items)[3] == {"same_task": True, "readable": False}
    for answers, answer, sheet, message in (
        (items, "maybe", items, "a.csv:2: same_task is 'maybe'; answer yes or no"),
        (items[:3], "yes", items, "1 of 4 items have no row, the first is 4"),
        ([*items, items[0]], "yes", items, "appears twice"),
        (items, "yes", items[:3], "item 4 is not on this sheet of 3; these answers are for another sheet"),
    ):
        with pytest.raises(UsageError, match=message):
            read_answers(answered(answers, tmp_path / "a.csv", answer), sheet)
    with pytest.raises(UsageError, match="doesn't exist"):
        read_answers(tmp_path / "none.csv", items)
    path = answered(items, tmp_path / "a.csv")
    path.write_text(path.read_text().replace(",", ";"))
    with pytest.raises(UsageError, match=r"a.csv:1: commas separate columns here, not semicolons; save the file with"):
        read_answers(path, items)
    path.write_text(path.read_text().replace(";", ","))
    assert len(read_answers(path, items)) == 4
    (tmp_path / "again").mkdir()
    with pytest.raises(UsageError, match="two files of the rater 'a'"):
        read_raters([tmp_path / "a.csv", answered(items, tmp_path / "again" / "a.csv")], items)


def test_rejected_responses_are_judged_blind_beside_the_responses(tmp_path):
    meta = [json.dumps({"rejected": name}) for name in ("off by one", "swapped arguments")]
    rows = [
        replace(row(n, method), output=f"return {n}", source_id=f"s{n}", rejected=f"return -{n}", meta=meta[n % 2])
        for n in range(8)
        for method in ("C1", "W1")
    ]
    write_rows(tmp_path / "training-C1.parquet", TrainingRow, [*rows, row(9, "C1")], ["row_id"])
    items = draw_items(tmp_path, 5, 1, PAIRS)
    assert sorted(Counter(item.method for item in items).values()) == [2, 3]
    assert len(draw_items(tmp_path, 99, 1, PAIRS)) == 8  # each source row once
    write_sheet(items, tmp_path / "out")
    assert read_key(tmp_path / "out") == items
    page, table = ((tmp_path / "out" / name).read_text() for name in (PAGE, SHEET))
    assert table.splitlines()[0] == "id,task,response,rejected,similar,wrong"
    assert "Similar?" in page and 'id,similar,wrong"' in page and "perturbed" not in page
    assert not any(word in page + table for word in ("off by", "swapped", "s1,"))
    lines = ["id,similar,wrong", *(f"{item.id},{'yes' if item.id > 1 else 'no'},yes" for item in items)]
    (tmp_path / "out" / "ann.csv").write_text("\n".join(lines))
    raters = read_raters([tmp_path / "out" / "ann.csv"], items)
    shares = {(one.question, one.method): (one.judged, one.valid) for one in validity(items, raters)}
    assert shares["similar", "all"] == (5, 4) and shares["wrong", "all"] == (5, 5) and len(shares) == 6
    with pytest.raises(UsageError, match="is a sheet of rejected responses; give one of perturbed texts"):
        read_rated(tmp_path / "out")
    write_rows(tmp_path / "training-C1.parquet", TrainingRow, [row(9, "C1")], ["row_id"])
    with pytest.raises(UsageError, match="no row has a rejected response, so there is nothing to rate"):
        draw_items(tmp_path, 5, 1, PAIRS)


def test_files_that_are_not_sets_are_refused(training, tmp_path):
    for path, message in [(tmp_path / "none.parquet", "doesn't exist"), (tmp_path, "contains no Parquet file")]:
        with pytest.raises(UsageError, match=message):
            draw_items(path, 5, 1)
    with pytest.raises(UsageError, match=f"has no {KEY}"):
        read_key(tmp_path)
    write_rows(training, TrainingRow, [row(1, "clean", changed=False)], ["row_id"])
    with pytest.raises(UsageError, match="nothing to rate"):
        draw_items(training, 5, 1)


@pytest.mark.slow
def test_the_page_lays_itself_out_in_a_browser(training, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium isn't installed")
    write_sheet(draw_items(training, 6, 1), tmp_path / "out")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    command = [browser, *options, (tmp_path / "out" / PAGE).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert "12 answers left" in done.stdout and done.stdout.count('type="radio"') == 24
    assert "&lt;b&gt;by&lt;/b&gt;" in done.stdout, "texts are text"


def test_the_command_writes_a_sheet_and_reads_answers_back(training, tmp_path, capsys):
    from raysweep.cli.app import main

    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        main(["audit", str(training), "--n", "10", "--out", str(out)])
    assert not end.value.code and "10 texts of 3 methods" in capsys.readouterr().out
    raters = [answered(read_key(out), tmp_path / f"{name}.csv") for name in ("ann", "bob")]
    with pytest.raises(SystemExit) as end:
        main(["audit", str(out), *map(str, raters), "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert not end.value.code and shown["raters"] == ["ann", "bob"] and shown["valid"][-1]["valid"] == 0
    assert [one["kappa"] for one in shown["kappa"]] == [None, None]
