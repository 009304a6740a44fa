"""Training sets: which rows are perturbed, and what stays."""

import pytest

from raysweep.errors import UsageError
from raysweep.records import SourceRow, Spec
from raysweep.training_sets.base import TrainingSource
from raysweep.training_sets.build import build_training_set
from raysweep.training_sets.jsonl import JsonlSource
from tests.conftest import shared_data

PROSE = "Write a function that returns the largest of several numbers and prints the rest of them."


class Rows(TrainingSource):
    """A source of given rows."""

    name = "rows"

    def __init__(self, rows):
        self.given = rows

    def rows(self):
        return iter(self.given)

    def fingerprint(self):
        return {}


PLAIN = Rows([SourceRow(f"{n:04d}", f"{PROSE} Number {n}.", f"output {n}", language="python") for n in range(101)])


def build(source=PLAIN, method="C", ratio=1.0, draw=0, seed=42, **more):
    return build_training_set(source, Spec(method), ratio=ratio, draw=draw, seed=seed, **more)


def perturbed_ids(rows):
    return {row.row_id for row in rows if row.method != "clean"}


@pytest.mark.parametrize(("ratio", "count"), [(0.1, 10), (0.3, 30), (0.5, 50), (0.7, 71), (0.9, 91), (0, 0), (1, 101)])
def test_exactly_the_rounded_share_is_perturbed(ratio, count):
    # 50.5 rounds to the even 50.
    assert len(perturbed_ids(build(ratio=ratio))) == count


def test_ratio_0_is_the_clean_set_and_ratio_1_the_full_one():
    assert build(ratio=0) == build(method="clean", ratio=1) == build(method="clean", ratio=0.5)
    assert build(ratio=1, draw=0) == build(ratio=1, draw=1)


def test_a_row_becomes_the_same_at_every_ratio_and_draw():
    full = {row.row_id: row for row in build()}
    clean = {row.row_id: row for row in build(ratio=0)}
    for ratio, draw in [(0.3, 0), (0.3, 1), (0.9, 0)]:
        for row in build(ratio=ratio, draw=draw):
            assert row == (clean if row.method == "clean" else full)[row.row_id]


def test_draws_and_ratios_choose_independently_and_repeatably():
    assert perturbed_ids(build(ratio=0.5)) == perturbed_ids(build(ratio=0.5))
    assert perturbed_ids(build(ratio=0.5, draw=1)) != perturbed_ids(build(ratio=0.5, draw=0))
    assert perturbed_ids(build(ratio=0.5, seed=43)) != perturbed_ids(build(ratio=0.5))
    assert not perturbed_ids(build(ratio=0.3)) <= perturbed_ids(build(ratio=0.5))
    assert perturbed_ids(build(ratio=0.5, method="C1")) == perturbed_ids(build(ratio=0.5, method="C2"))


def test_order_outputs_and_clean_texts_are_kept():
    rows = build(ratio=0.5)
    assert [row.row_id for row in rows] == [row.row_id for row in PLAIN.given]
    assert [row.output for row in rows] == [row.output for row in PLAIN.given]
    assert [row.clean_instruction for row in rows] == [row.instruction for row in PLAIN.given]
    assert all(row.perturbed is (row.instruction != row.clean_instruction) for row in rows)


def test_an_aggregates_rows_are_those_of_its_members_sets():
    singles = {name: build(method=name) for name in ("C1", "C2", "C3")}
    for index, row in enumerate(build(method="C")):
        assert row == singles[row.method][index]


@pytest.mark.parametrize("method", ["C1", "C2", "C3", "C"])
def test_seeds_give_different_data_and_a_rerun_the_same(method):
    assert build(method=method) == build(method=method)
    assert build(method=method) != build(method=method, seed=43)


def test_rows_that_come_out_unchanged_stay_and_are_marked():
    source = Rows([SourceRow("0", "```\nall code\n```", "x"), SourceRow("1", PROSE, "y")])
    rows = build(source, method="C3")
    assert [(row.method, row.perturbed) for row in rows] == [("C3", False), ("C3", True)]


def test_a_prose_input_is_perturbed_and_data_is_not():
    data = "numbers = [3, 5, 1, 4, 2]"
    source = Rows([SourceRow("0", PROSE, "x", input=PROSE), SourceRow("1", PROSE, "x", input=data)])
    prose, plain = build(source, method="C3")
    assert prose.input.lower() == PROSE.lower()
    assert prose.input not in (PROSE, prose.instruction)
    assert prose.clean_input == PROSE
    assert plain.input == data


def test_a_changed_input_alone_marks_a_row():
    (row,) = build(Rows([SourceRow("0", "`code`", "x", input=PROSE)]), method="C3")
    assert row.instruction == "`code`"
    assert row.perturbed


def test_a_prompt_shaped_instruction_keeps_its_signature_and_names():
    prompt = 'def pick(numbers, k):\n    """Return the list of the largest k of numbers and so on."""\n'
    source = Rows([SourceRow("0", prompt, "    return []\n", entry_point="pick")])
    (row,) = build_training_set(source, Spec("C3", {"strength": 20}), ratio=1, draw=0, seed=1)
    assert row.instruction == prompt.replace(
        "Return the list of the largest k of numbers and so on.",
        "rETURN THE list OF THE LARGEST k OF numbers AND SO ON.",
    )


def test_a_limit_takes_the_first_source_rows():
    assert build(limit=10) == build()[:10]
    assert len(perturbed_ids(build(limit=10, ratio=0.5))) == 5


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_outside_0_to_1_is_refused(ratio):
    with pytest.raises(UsageError, match="is not between 0 and 1"):
        build(ratio=ratio)


@pytest.mark.parametrize("method", ["C1", "C2", "C3"])
def test_almost_all_published_instructions_change_and_their_code_does_not(method):
    source = JsonlSource(str(shared_data("evol_code", "evol-codealpaca-2k-1.json.gz")))
    rows = build(source, method=method, limit=600)
    assert sum(row.perturbed for row in rows) > 590
    for row, clean in zip(rows, source.rows(), strict=False):
        at = 0
        for segment in source.segments(clean, clean.instruction):
            if not segment.natural:
                at = row.instruction.find(segment.text, at)
                assert at >= 0, (row.row_id, segment.text)
                at += len(segment.text)
