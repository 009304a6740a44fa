"""Nodes say whether processes of theirs live."""

from __future__ import annotations

import dataclasses

import pytest

from raysweep.engine.ray.cluster.lives import has_ended
from raysweep.storage.leases import this_process


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_node_of_the_same_machine_says_whether_a_process_lives():
    me = this_process()
    ended = dataclasses.replace(me, started=me.started + 1)
    assert not has_ended(me) and has_ended(ended)
    for other in ({"host": "nowhere"}, {"space": "pid:[1]"}, {"boot": "another"}):
        assert not has_ended(dataclasses.replace(ended, **other)), "nobody is there to ask"
