"""The contract of a section: which records it may name."""

from __future__ import annotations

import re

import pytest

from raysweep.analysis.sections.base import Section
from raysweep.errors import UsageError


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("outcome",), "'outcome' is no record that is read on demand (did you mean 'outcomes'?); give a tuple of"),
        (("drawn", "scores"), "Sums: reads is ('drawn', 'scores'), and 'scores' is no record that is read on demand"),
        ("outcomes", "Sums: reads is 'outcomes', and 'o' is no record that is read on demand; give a tuple of"),
    ],
)
def test_a_section_that_names_a_record_that_is_not_read_on_demand_is_refused(names, said):
    with pytest.raises(UsageError, match=re.escape(said)):

        class Sums(Section):
            reads = names
