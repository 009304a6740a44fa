"""The end of a job, from what Ray's dashboard gives, as exit code and reason."""

from __future__ import annotations

import pytest

from raysweep.engine.ray.jobs.failures import Ended, end_of


@pytest.mark.parametrize(
    ("status", "code", "message", "ended"),
    [
        ("SUCCEEDED", 0, "", Ended(0)),
        ("SUCCEEDED", None, None, Ended(0)),
        ("FAILED", 1, "Job entrypoint command failed with exit code 1", Ended(1)),
        ("FAILED", -9, "", Ended(137)),
        ("FAILED", None, "the node died", Ended(1, "the node died")),
        ("FAILED", None, None, Ended(1)),
    ],
)
def test_the_exit_code_is_that_of_a_shell_and_ray_says_why_a_job_never_ran(status, code, message, ended):
    assert end_of({"status": status, "driver_exit_code": code, "message": message}) == ended


def test_a_stopped_job_can_be_resumed_and_a_shell_without_raysweep_needs_an_installation():
    stopped = end_of({"status": "STOPPED", "driver_exit_code": -15})
    assert stopped.code == 143 and "resumes" in stopped.problem
    missing = end_of({"status": "FAILED", "driver_exit_code": 127})
    assert missing.code == 127 and "install it on every node" in missing.problem
