"""Tables of signed-rank tests: the study's W, n, p and r, from RDs with these ranks."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from raysweep.records import Score
from tests.analysis.exhibits.examples import MIXES, STUDY, score, study, tables
from tests.conftest import shared_data

MODELS = STUDY.models
MISPRINTED = {("5", "character"), ("9", "character")}
"""Their p; see the notes on the printed numbers."""
OURS = {"character": "C", "word": "W", "sentence": "S", "mix_all": "mix_all"}


def printed(table: str) -> list[dict[str, str]]:
    rows = csv.DictReader(shared_data("paper", "signed_rank_tests.csv").open())
    return [row for row in rows if row["table"] == table]


def differences(n: int, w: int) -> Iterator[float]:
    """The numbers 1 to n, of which the positive ones add up to w, as thousandths."""
    signs = {}
    for rank in range(n, 0, -1):
        signs[rank] = 1 if rank <= w else -1
        w -= rank if rank <= w else 0
    assert w == 0
    return iter([signs[rank] * rank / 1000 for rank in range(1, n + 1)])


def with_ranks(rows: list[dict[str, str]], by: str) -> list[Score]:
    """RDs of a sweep with the W of each row; `by`: which of a pair's sets the row names."""
    scores = [score(model, "clean", test, "RD", 0.5) for model in MODELS for test in MIXES]
    for row in rows:
        found, own = differences(int(row["n"]), int(row["W"])), OURS[row["group"]]
        others = ["mix_all"] if row["n"] == "6" else MIXES
        for model in MODELS:
            for other in others:
                sets = (other, own) if by == "test set" else (own, other)
                scores.append(score(model, *sets, "RD", 0.5 + next(found)))
    return scores


@pytest.mark.parametrize(("number", "by"), [("5", "test set"), ("6", "training set"), ("9", "training set")])
def test_the_studys_tests_come_out_of_rds_with_its_ranks(number, by):
    rows = printed(number)
    table, sizes = tables(f"table-{number}", study(with_ranks(rows, by)))
    assert sizes.title.startswith("Size of RD after") and sizes.name == f"table-{number}-size-humaneval"
    found = {row.labels[0]: dict(zip((c.name for c in table.columns), row.cells, strict=True)) for row in table.rows}
    assert list(found) == list(OURS.values())
    for row in rows:
        cells = found[OURS[row["group"]]]
        assert (cells["n"].text, cells["W"].text, cells["method"].text) == (row["n"], row["W"], "exact")
        assert cells["r_z"].value == pytest.approx(float(row["printed_r"]), abs=0.0065)
        digits = len(row["printed_p"].partition(".")[2])
        if (number, row["group"]) not in MISPRINTED:
            assert f"{cells['p'].value:.{digits}f}" == row["printed_p"]


def test_the_tests_of_the_text_pair_every_fine_tuned_model_with_its_base():
    performance, robustness = printed("text")
    change = differences(30, int(performance["W"]))
    scores = [score(model, "base", test, "RD", 0.9) for model in MODELS for test in MIXES]
    scores += [score(model, "base", "clean", "pass@1", 0.3) for model in MODELS]
    size = iter(range(1, 121))
    for model in MODELS:
        for name in ("clean", *MIXES):
            scores.append(score(model, name, "clean", "pass@1", 0.3 - next(change)))
            scores += [score(model, name, test, "RD", 0.9 - next(size) / 1000) for test in MIXES]
    table, sizes = tables("tests-in-text", study(scores))
    assert sizes.rows[1].labels == table.rows[1].labels
    found = [dict(zip((c.name for c in table.columns), row.cells, strict=True)) for row in table.rows]
    for row, cells in zip((performance, robustness), found, strict=True):
        assert (cells["n"].text, cells["W"].text) == (row["n"], row["W"])
        assert cells["r_z"].value == pytest.approx(float(row["printed_r"]), abs=0.0065)
    assert f"{found[1]['p'].value:.2e}" == "1.97e-21" and found[1]["method"].text == "normal"
    assert found[0]["method"].text == "exact"  # the study took the normal approximation here
