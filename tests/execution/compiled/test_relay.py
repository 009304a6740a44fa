"""What a judge makes of the frames that a program with its tests inside it may send."""

from __future__ import annotations

import socket

import pytest

from raysweep.execution.compiled.peers import send_frame
from raysweep.execution.compiled.relay import NoAnswer, hear


@pytest.mark.parametrize("told", [b"[" * 50_000, b"1", b'{"outcome": "passed", "detail": ""}', b"\xff"])
def test_what_a_program_calls_its_verdict_is_never_an_error_of_the_judge(told):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_frame(theirs, b"V" + told)
        with pytest.raises(NoAnswer, match="its tests have not ended"):
            hear(ours)
