"""What counts as waiting for a core."""

from __future__ import annotations

import pytest

from raysweep.execution.isolation.watch import SECOND, ThreadTimes, Waiting


def task(ran: float, waited: float, *, is_runnable: bool = False) -> ThreadTimes:
    return ThreadTimes(int(ran * SECOND), int(waited * SECOND), is_runnable)


def after(waiting: Waiting, passed: float, *waited: float, ran: float = 0.1, is_settled: bool = False) -> float:
    """Return the seconds of waiting once threads have waited so long, and each has run for a while."""
    waiting.add({str(at): task(ran, seconds) for at, seconds in enumerate(waited)})
    return waiting.update(passed, ran * len(waited), is_settled=is_settled)


def test_threads_that_wait_one_after_another_have_waited_as_long_as_all_of_them():
    waiting = Waiting()
    assert after(waiting, 1.0, 0.5) == 0.5
    assert after(waiting, 2.0, 0.5, 1.0) == 1.5


def test_threads_that_wait_at_the_same_time_give_nothing_for_sleep():
    waiting = Waiting()
    assert after(waiting, 3.0, *[0.0] * 20, is_settled=True) == 0.0  # three seconds of sleep, and three later
    assert after(waiting, 4.0, *[0.5] * 20) == 1.0
    assert after(waiting, 7.0, *[0.5] * 20) == 1.0
    assert after(waiting, 9.0, 2.5, *[0.5] * 19) == 3.0


def test_a_thread_that_got_the_number_of_another_one_has_waited_too():
    waiting = Waiting()
    assert after(waiting, 9.0, 0.5, ran=0.2) == 0.5
    waiting.add({"0": task(0.1, 0.25)})
    assert waiting.update(9.0, 0.3, is_settled=False) == pytest.approx(0.75)


def test_what_ends_between_two_samples_has_waited_as_the_others_have():
    waiting = Waiting()
    waiting.add({"1": task(1.0, 3.0)})
    assert waiting.update(9.0, 2.0, is_settled=False) == 6.0
    assert waiting.update(9.0, 2.0, is_settled=False) == 6.0
    assert waiting.update(9.0, 4.0, is_settled=False) == 9.0


def test_the_next_program_of_a_process_begins_with_no_waiting():
    waiting = Waiting()
    assert after(waiting, 9.0, 0.5) == 0.5
    waiting.begin(0.1)
    assert after(waiting, 1.0, 0.75) == 0.25


def test_a_thread_that_ends_while_it_waits_has_waited_until_its_end():
    waiting = Waiting()
    waiting.add({"1": task(0.0, 0.0), "2": task(0.5, 0.0, is_runnable=True)})
    assert waiting.update(1.0, 0.5, is_settled=False) == 0.0
    waiting.add({"1": task(0.0, 0.0)})
    assert waiting.update(2.0, 0.75, is_settled=False) == 0.75
    waiting.add({"1": task(0.0, 0.0)})
    assert waiting.update(4.0, 0.75, is_settled=True) == 0.75
