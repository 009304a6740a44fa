"""Training sets: which rows are perturbed, and which parts of them stay."""

from collections import Counter
from functools import cache
from itertools import islice

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.mixes import row_methods
from raysweep.records import SourceRow, Spec
from raysweep.training_sets.base import TrainingSource
from raysweep.training_sets.build import build_rows
from raysweep.training_sets.jsonl import JsonlSource
from raysweep.training_sets.perturbing import perturb_rows, perturber_of
from raysweep.training_sets.selection import Choice, Chooser
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


@cache
def build(source=PLAIN, method="C", ratio=1.0, draw=0, seed=42, size=1.0, compose="draw", **args):
    rows = list(source.rows())
    spec = Spec(method, args | ({"compose": "stack"} if compose == "stack" else {}))
    parts = row_methods(PERTURBATIONS.create(spec), spec)
    methods = {part.name: perturber_of(source, part, seed) for part in parts}
    chooser = Chooser(Choice(ratio, draw, size, compose), len(rows), list(methods), seed)
    drawing = perturber_of(source, spec, seed)
    choices = [chooser.methods_of(at, drawing.method(row.row_id).name) for at, row in enumerate(rows)]
    return build_rows(
        rows, choices, dict(zip(methods, perturb_rows(rows, source, list(methods.values())), strict=True))
    )


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
    assert build(ratio=0.5) == build.__wrapped__(ratio=0.5)
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


@pytest.mark.parametrize("method", ["C1", "C"])
def test_seeds_give_different_data_and_a_rerun_the_same(method):
    assert build(method=method) == build.__wrapped__(method=method) != build(method=method, seed=43)


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
    (row,) = build(Rows([SourceRow("0", "`code`", "x", input=PROSE)]), method="C3")
    assert row.instruction == "`code`" and row.perturbed, "a changed input alone marks a row"


def test_of_a_row_in_turns_the_last_question_alone_is_perturbed():
    (row,) = build(Rows([SourceRow("0", PROSE, "x", system=PROSE, history=(PROSE, PROSE))]), method="C3")
    assert row.perturbed and row.instruction != PROSE
    assert (row.system, row.history) == (PROSE, (PROSE, PROSE))


def test_a_prompt_shaped_instruction_keeps_its_signature_and_names():
    prompt = 'def pick(numbers, k):\n    """Return the list of the largest k of numbers and so on."""\n'
    source = Rows([SourceRow("0", prompt, "    return []\n", entry_point="pick")])
    (row,) = build(source, "C3", strength=20)
    assert row.instruction == prompt.replace(
        "Return the list of the largest k of numbers and so on.",
        "rETURN THE list OF THE LARGEST k OF numbers AND SO ON.",
    )


@pytest.mark.parametrize(
    ("size", "ratio", "rows", "perturbed"), [(0.25, 0.6, 25, 15), (0.5, 0.6, 50, 30), (3, 0.6, 303, 182)]
)
def test_another_size_takes_rows_from_all_pairs_of_row_and_method(size, ratio, rows, perturbed):
    made = build(size=size, ratio=ratio)
    assert len(made) == rows and sum(row.method != "clean" for row in made) == perturbed
    pairs = [(row.source_id, row.method) for row in made if row.method != "clean"]
    assert len(set(pairs)) == len(pairs) and {method for _, method in pairs} == {"C1", "C2", "C3"}
    assert len({row.row_id for row in made}) == rows
    assert [row.source_id for row in made] == sorted(row.source_id for row in made)
    singles = {name: {row.row_id: row for row in build(method=name)} for name in ("C1", "C2", "C3", "clean")}
    assert all(row.instruction == singles[row.method][row.source_id].instruction for row in made)


def test_clean_rows_of_a_large_set_come_again_only_when_none_is_left():
    clean = Counter(row.source_id for row in build(size=3, ratio=0.6) if row.method == "clean")
    assert sum(clean.values()) == 121 and len(clean) == 101 and set(clean.values()) == {1, 2}
    clean = Counter(row.source_id for row in build(size=0.5, ratio=0.6) if row.method == "clean")
    assert set(clean.values()) == {1}


def test_more_perturbed_rows_than_there_are_pairs_are_refused():
    with pytest.raises(UsageError, match=r"404 perturbed rows .* 101 rows x 3 methods give fewer"):
        build(size=4, ratio=1.0)


def test_union_takes_each_row_after_every_method():
    made = build(compose="union")
    assert [row.row_id for row in made[:4]] == ["0000.C1", "0000.C2", "0000.C3", "0001.C1"] and len(made) == 303
    singles = {name: build(method=name) for name in ("C1", "C2", "C3")}
    assert all(row.instruction == singles[row.method][at // 3].instruction for at, row in enumerate(made))
    assert len(build(compose="union", ratio=0.5)) == 51 + 3 * 50


def test_stack_applies_the_methods_one_after_the_other():
    made = build(compose="stack")
    assert [row.method for row in made] == ["C"] * 101 and all(row.perturbed for row in made)
    letters = [sum(a != b for a, b in zip(row.instruction, row.clean_instruction, strict=True)) for row in made]
    single = [sum(a != b for a, b in zip(r.instruction, r.clean_instruction, strict=True)) for r in build(method="C3")]
    assert sum(letters) > 1.15 * sum(single), "typos and swaps come on top of the changed case"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"size": 0.0}, "size 0.0 is not above 0"),
        ({"compose": "x"}, "'x' is none of draw"),
        ({"size": 2, "compose": "union"}, "leave out"),
        *(({"ratio": ratio}, "is not between 0 and 1") for ratio in (-0.1, 1.1, float("nan"))),
    ],
)
def test_choices_that_make_no_sense_are_refused(choice, message):
    with pytest.raises(UsageError, match=message):
        build(**choice)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["C1", "C2", "C3", "W1", "W2", "W3", "S2", "S3"])
def test_almost_all_published_instructions_change_and_their_code_does_not(method):
    source = JsonlSource(str(shared_data("evol_code", "evol-codealpaca-2k-1.json.gz")))
    some = Rows(list(islice(source.rows(), 200)))
    rows = build(some, method=method)
    assert sum(row.perturbed for row in rows) > 193
    for row, clean in zip(rows, source.rows(), strict=False):
        at = 0
        for segment in source.segments(clean, clean.instruction):
            if not segment.natural:
                at = row.instruction.find(segment.text, at)
                assert at >= 0, (row.row_id, segment.text)
                at += len(segment.text)
