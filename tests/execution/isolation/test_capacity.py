"""What a machine has room for is tried, and not only asked."""

from __future__ import annotations

import subprocess
import sys

from raysweep.execution.isolation import capacity
from tests.execution.scarce import few_processes

# The process that asks has one thread, unlike this one: it forks without Python's hooks.
ASKED = """
import sys
from raysweep.execution.isolation import capacity
capacity.ROOM_SECONDS = float(sys.argv[1])
for line in sys.stdin:
    print(capacity.had_room(*map(int, line.split())), flush=True)
"""


def test_a_machine_grants_what_it_has_and_refuses_what_no_machine_has():
    assert capacity.grants(2**20)
    assert not capacity.grants(2**60)


def test_there_is_no_room_for_threads_beyond_what_is_left_and_again_once_they_are_given_back():
    asked = subprocess.Popen(
        [sys.executable, "-c", ASKED, "0.01"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert asked.stdin is not None and asked.stdout is not None
    try:
        with few_processes(asked.pid, 10):
            asked.stdin.write("10 1024\n11 1024\n")
            said = [asked.stdout.readline(), asked.stdout.readline()]
        asked.stdin.write("11 1024\n")
        said.append(asked.stdout.readline())
    finally:
        asked.kill()
        asked.communicate()
    assert said == ["True\n", "False\n", "True\n"]
