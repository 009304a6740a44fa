"""What keys name of a compiler."""

from __future__ import annotations

import re

from raysweep.execution.compiled.toolchains import JUDGED_AS, identity
from raysweep.programs import CPP
from tests.execution.compiled.processes import needs


def test_flags_that_mean_the_processor_of_this_machine_are_named_by_what_they_mean():
    needs("g++")
    assert identity(CPP, "-O2").endswith(f", -O2, {JUDGED_AS}")
    native = identity(CPP, "-O2 -march=native")
    assert re.search(r", -O2 -march=native .*-m(?!arch=native)", native)
