"""What counts as waiting for a core."""

from __future__ import annotations

from raysweep.execution.isolation.watch import JointWaiting


def test_threads_that_wait_one_after_another_have_waited_as_long_as_all_of_them():
    waiting = JointWaiting()
    waiting.of_threads = {"1": 0.5}
    assert waiting.seconds(1.0) == 0.5
    waiting.of_threads = {"1": 0.5, "2": 1.0}
    assert waiting.seconds(2.0) == 1.5


def test_threads_that_wait_at_the_same_time_give_nothing_for_later_sleep():
    waiting = JointWaiting()
    waiting.of_threads = {str(number): 0.5 for number in range(20)}
    assert waiting.seconds(1.0) == 1.0
    assert waiting.seconds(4.0) == 1.0  # three seconds of sleep
    waiting.of_threads["0"] += 2.0
    assert waiting.seconds(6.0) == 3.0
