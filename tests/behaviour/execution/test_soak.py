"""A thousand programs, one in a hundred hostile: nothing grows and nothing stays. `make soak` runs 200,000."""

from __future__ import annotations

import pytest

from tests.behaviour.execution.soak import Reading, grown, soak


@pytest.mark.slow
def test_a_thousand_programs_leave_nothing():
    readings, wrong = soak(1000)
    assert wrong == []
    assert len(readings) == 10


def test_growth_is_seen():
    flat = [Reading(n, 100.0, 50.0, 20, 3, 2) for n in range(6)]
    assert grown(flat) == []
    large = flat[0]._replace(mib=120.0)
    assert grown([*flat, large]) == []  # more processes are at work then
    assert grown([*flat, large, large, large]) == ["memory grew from 50.0 to 120.0 MiB"]
    held = {"descriptors": 60, "processes": 30, "files": 20, "mounts": 40, "kernel_objects": 20}
    many = [one._replace(**held) for one in flat]
    assert [line.split()[0] for line in grown([*flat, *many[:3]])] == list(held)
