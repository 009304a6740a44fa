"""Batches that take much longer than others are named, once, with where they run."""

from __future__ import annotations

from raysweep.engine.ray.stragglers import Stragglers


def after(ended: list[float]) -> Stragglers:
    """Batches that began at 0 and took so long, and one that still runs."""
    made = Stragglers(20)
    for at, took in enumerate(ended):
        made.start(at, "pid 1 on node a", 0)
        made.finish(at, took)
    made.start(16, "pid 7 on node b", 100)
    return made


def test_a_late_batch_is_named_once():
    batches = after([2, 2, 30])
    assert batches.report(159) == []
    assert batches.report(191) == [
        "batch 17 of 20 has run for 1 min 31 s in pid 7 on node b; the others took 2.0 s (median)"
    ]
    assert batches.report(500) == []


def test_nothing_is_late_where_all_take_long_or_little_is_known():
    assert after([60, 60, 60]).report(390) == []
    assert after([1, 1]).report(10_000) == []


def test_a_lost_batch_is_not_late_until_it_is_run_again():
    batches = after([1, 1, 1])
    batches.drop(16)
    assert batches.report(1000) == []
    batches.start(16, "pid 8 on node a", 1000)
    assert batches.report(1030) == [] and "pid 8" in batches.report(1100)[0]
