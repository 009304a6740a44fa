"""Nodes say whether processes of theirs live."""

from __future__ import annotations

import dataclasses

import pytest

from raysweep.engine.progress import RUNNING, STOPPED, ProgressFile, read_activities
from raysweep.engine.ray.cluster.lives import POLL_SECONDS, LivesWatch, has_ended
from raysweep.storage import leases
from raysweep.storage.files import Files
from raysweep.storage.leases import this_process


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_node_of_the_same_machine_says_whether_a_process_lives():
    me = this_process()
    ended = dataclasses.replace(me, started=me.started + 1)
    assert not has_ended(me) and has_ended(ended)
    for other in ({"host": "nowhere"}, {"space": "pid:[1]"}, {"boot": "another"}):
        assert not has_ended(dataclasses.replace(ended, **other)), "nobody is there to ask"


def test_what_has_not_changed_is_asked_about_at_growing_distances_and_marked_once_it_is_dead(tmp_path, monkeypatch):
    files, asked, dead = Files(str(tmp_path)), [], []
    monkeypatch.setattr(leases, "has_ended", lambda process: asked.append(now) or bool(dead))
    cell, watch = ProgressFile(files, "cell"), LivesWatch(files)
    ProgressFile(files, "other").update("training", 10, 10)
    ProgressFile(files, "other").finish(STOPPED)
    cell.update("training", 3, 10, force=True)
    for now in range(0, 61, int(POLL_SECONDS)):
        watch.check(float(now))
    assert asked == [5, 10, 20, 40]
    dead.append(True)
    for now in range(65, 101, int(POLL_SECONDS)):
        watch.check(float(now))
    activity = read_activities(files)["cell"]
    assert asked[4:] == [80] and (activity.state, activity.death) == (RUNNING, "its process died after: training 3/10")
    ProgressFile(files, "cell").begin_attempt()
    assert not read_activities(files)["cell"].has_died


def test_one_that_died_while_it_waited_is_marked_too(tmp_path, monkeypatch):
    files = Files(str(tmp_path))
    monkeypatch.setattr(leases, "has_ended", lambda process: True)
    cell, watch = ProgressFile(files, "cell"), LivesWatch(files)
    cell.report_wait("2 training workers")
    for now in (0.0, POLL_SECONDS):
        watch.check(now)
    assert read_activities(files)["cell"].death == "its process died after: a wait for 2 training workers"
