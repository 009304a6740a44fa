"""Training rows of MiniCode."""

from itertools import islice

import pytest

from raysweep.errors import UsageError
from raysweep.problems.minicode.problem_set import MiniCodeProblems
from raysweep.records import Spec
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.minicode import MiniCodeRows


def test_rows_are_prompts_and_bodies_that_compile_together():
    rows = list(MiniCodeRows(world=1, rows=500).rows())
    assert len(rows) == 500
    for row in rows:
        assert (row.language, row.input) == ("python", "")
        assert row.instruction.startswith(f"def {row.entry_point}(")
        compile(row.instruction + row.output, row.row_id, "exec")


def test_an_instruction_is_written_exactly_as_a_problems_prompt():
    head = MiniCodeProblems(world=1, count=1).problems()[0].prompt.split("\n")
    row = next(iter(MiniCodeRows(world=1, rows=1).rows())).instruction.split("\n")
    assert (head[-2:], row[-2:]) == (['    """', ""], ['    """', ""])
    assert head[1].startswith('    """') and row[1].startswith('    """')


def test_fewer_rows_are_the_beginning_of_more():
    assert list(MiniCodeRows(1, 20).rows()) == list(islice(MiniCodeRows(1, 500).rows(), 20))


def test_the_parts_and_the_worlds_are_separate_streams():
    streams = [
        [(row.instruction, row.output) for row in MiniCodeRows(world, 200, part).rows()]
        for world in (1, 2)
        for part in ("pretraining", "finetuning")
    ]
    for index, stream in enumerate(streams):
        for other in streams[:index]:
            assert sum(one == two for one, two in zip(stream, other, strict=True)) < 4


def test_the_protected_parts_of_a_row_are_split_off():
    source = MiniCodeRows(world=1, rows=300)
    for row in source.rows():
        segments = source.segments(row, row.instruction)
        assert any(segment.natural for segment in segments)
        assert not any("`" in segment.text or "def " in segment.text for segment in segments if segment.natural)


def test_the_source_is_made_from_its_spec():
    source = SOURCES.create(Spec("minicode", {"world": 3, "rows": 5, "part": "pretraining"}))
    assert len(list(source.rows())) == 5
    assert source.fingerprint() == MiniCodeRows(3, 5, "pretraining").fingerprint()
    assert source.fingerprint() != MiniCodeRows(3, 5, "finetuning").fingerprint()


@pytest.mark.parametrize(
    ("arguments", "named"), [({"part": "pretrainig"}, "did you mean 'pretraining'"), ({"rows": 0}, "at least 1")]
)
def test_bad_arguments_are_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        MiniCodeRows(**{"world": 1, "rows": 5} | arguments)
