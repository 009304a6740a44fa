"""Perturbing the rows of a set: on which of seed, source, method and row a text depends."""

import pytest

from raysweep.perturbations.apply import Perturber, RowText, available_perturbations
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.clean import Clean
from raysweep.records import Segment, Spec
from raysweep.seeding import python_rng

TEXT = [Segment("Return the largest of several ", True), Segment("numbers", False), Segment(" please, now.", True)]
IDS = [f"row-{n}" for n in range(60)]


def rows(name, *, seed=42, source_id="training/x", ids=IDS, **args):
    perturber = Perturber(Spec(name, args), seed=seed, source_id=source_id)
    return {row_id: perturber.perturb_all([RowText(TEXT, frozenset(), row_id)])[0] for row_id in ids}


def test_a_rows_text_does_not_depend_on_the_rows_before_it():
    assert rows("C", ids=IDS[::-1]) == rows("C")
    assert rows("C", ids=IDS[7:8]) == {IDS[7]: rows("C")[IDS[7]]}


def test_an_aggregates_row_equals_the_row_of_its_members_set():
    singles = {name: rows(name) for name in ("C1", "C2", "C3")}
    mixed = rows("C")
    assert {row.method for row in mixed.values()} == set(singles)
    for row_id, row in mixed.items():
        assert row == singles[row.method][row_id]
    stronger = rows("C", strengths={"C1": 3, "C2": 3, "C3": 2})  # which doesn't change a row's member
    assert {i: row.method for i, row in stronger.items()} == {i: row.method for i, row in mixed.items()}


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C"])
def test_seed_and_source_change_the_texts_and_rows_with_the_same_text_get_different_noise(name):
    texts = [row.text for row in rows(name).values()]
    assert len(set(texts)) > 10
    for other in ({"seed": 43}, {"source_id": "problems/x"}):
        assert texts != [row.text for row in rows(name, **other).values()]


def test_the_parts_of_a_row_share_the_method_but_not_the_noise():
    perturber = Perturber(Spec("C"), seed=1, source_id="x")
    pairs = [perturber.perturb_all([RowText(TEXT, frozenset(), i, part) for part in ("", "input")]) for i in IDS]
    assert all(one.method == other.method for one, other in pairs)
    assert any(one.text != other.text for one, other in pairs)


def test_the_text_comes_from_seed_source_method_and_row():
    rng = python_rng(42, "text", "training/x", "C1", "row-0")
    segments = PERTURBATIONS.create(Spec("C1")).perturb(TEXT, rng, frozenset())
    assert rows("C1")["row-0"].text == "".join(segment.text for segment in segments)


def test_changed_tells_whether_the_text_differs():
    clean = "".join(segment.text for segment in TEXT)
    for row in [*rows("C2").values(), *rows("clean").values(), *rows("C1", strength=0).values()]:
        assert row.changed is (row.text != clean)
    assert {(row.method, row.changed) for row in rows("clean", strength=20).values()} == {("clean", False)}
    assert Clean().perturb_recode("Any text", 7) == "Any text"


def test_perturbations_that_do_not_work_on_this_machine_are_left_out_and_logged(monkeypatch, caplog):
    from raysweep.language.translation import base

    monkeypatch.setattr(base, "_PREFERRED", ())
    assert set(available_perturbations()) == set(PERTURBATIONS.names()) - {"S1", "S", "mix_all", "mix", "nlperturbator"}
    assert "left out" in caplog.text and "apt install apertium" in caplog.text
