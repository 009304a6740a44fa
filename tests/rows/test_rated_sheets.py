"""Rated sheets: which texts most raters found valid, and one clear error where there is no sheet."""

import json
from pathlib import Path

import pytest

from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.rows.rated_sheets import KEY, SHEET, read_rated
from tests.paths import NANO

LINES = {"ann": ["1,yes,yes", "2,no,yes"], "bob": ["1,yes,yes", "2,yes,yes"], "eve": ["1,no,no", "2,yes,yes"]}


@pytest.fixture
def folder(tmp_path) -> Path:
    key = [{"id": n, "method": "W2", "row_id": f"T/{n}", "clean": "a", "text": f"text {n}"} for n in (1, 2)]
    (tmp_path / KEY).write_text(json.dumps(key))
    (tmp_path / SHEET).write_text("id,clean,perturbed,same_task,readable\n1,a,text 1,,\n2,a,text 2,,\n")
    for rater, lines in LINES.items():
        (tmp_path / f"{rater}.csv").write_text("\n".join(["id,same_task,readable", *lines]) + "\n")
    return tmp_path


def test_a_file_is_one_raters_view_and_a_folder_the_majoritys(folder):
    assert read_rated(folder / "ann.csv") == {("T/1", "text 1"): True, ("T/2", "text 2"): False}
    assert read_rated(folder) == {("T/1", "text 1"): True, ("T/2", "text 2"): True}
    with pytest.raises(UsageError, match="answer yes or no"):
        read_rated(folder / SHEET)


def test_a_config_takes_a_rated_sheet_and_its_path_becomes_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_config(NANO, ["evaluation.audit=ann.csv"]).evaluation.audit == str(folder / "ann.csv")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.csv", "doesn't exist"),
        ("empty", "has no answers of a rater"),
        ("apart/a.csv", f"has no {KEY} of a sheet"),
    ],
)
def test_a_missing_or_wrong_file_is_one_error_before_work(folder, name, reason):
    for other in ("empty", "apart"):
        (folder / other).mkdir()
    (folder / "apart" / "a.csv").write_text("id,same_task,readable\n1,yes,yes\n")
    with pytest.raises(UsageError, match=reason) as raised:
        load_config(NANO, [f"evaluation.audit={folder / name}"])
    assert "evaluation.audit" in str(raised.value) and str(raised.value).count(reason) == 1
