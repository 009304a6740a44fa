"""The contract of a section: which records it may name."""

from __future__ import annotations

import re

import pytest

from raysweep.analysis.sections.base import SECTIONS, Section
from raysweep.errors import UsageError


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("outcome",), "a Report has no 'outcome' (did you mean 'outcomes'?); give a tuple of"),
        (("drawn", "verdicts"), "Sums: reads is ('drawn', 'verdicts'), and a Report has no 'verdicts'"),
        ("outcomes", "Sums: reads is 'outcomes', and a Report has no 'o'; give a tuple of"),
    ],
)
def test_a_section_that_reads_what_no_report_has_is_refused(names, said):
    with pytest.raises(UsageError, match=re.escape(said)):

        class Sums(Section):
            reads = names


def test_repair_comes_before_the_tables_by_training_set_which_say_little_of_it():
    places = [SECTIONS.get(name).place for name in ("answer", "program-repair", "findings")]
    assert places == sorted(places) and len(set(places)) == 3
