"""The contract of a section: which records it may name."""

from __future__ import annotations

import re

import pytest

from raysweep.analysis.sections.base import Section
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
