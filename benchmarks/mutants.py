"""Programs that are hard to judge: mutants of reference solutions, endless programs, slow but right ones."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from tasks import Task

from raysweep.problems.mutants import drawn_mutations


def mutants(task: Task, count: int, seed: int) -> list[Task]:
    """Return up to `count` distinct mutants of a solution, one change each; the same seed gives the same mutants."""
    changes = islice(drawn_mutations(task.text, 0, random.Random(f"{seed}/{task.task_id}")), count)
    return [
        replace(task, task_id=f"{task.task_id}/mutant{number}", text=change.of(task.text), cases=None)
        for number, change in enumerate(changes)
    ]


ENDLESS = {
    "loops": r"""
while True: pass
x = 0\nwhile True: x += 1
import itertools\nfor _ in itertools.count(): pass
while True:\n    try: raise ValueError\n    except ValueError: pass
while True:\n    try:\n        while True: pass\n    except BaseException: pass
def f():\n    while True: yield\nfor _ in f(): pass
def f():\n    try: f()\n    finally: f()\nf()
for one in iter(int, 1):\n    if one: break
def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nf(60)
low, high = 0, 1\nwhile low < high: middle = (low + high) // 2; low = middle
x = 27\nwhile x: x = x * 3 + 1 if x % 2 else x // 2
import random\nwhile random.random() >= 0: pass
import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass
import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass
class A:\n    def __bool__(self):\n        while True: pass\nif A(): pass
class A:\n    def __eq__(self, other):\n        while True: pass\nA() == 1
print_ = lambda: None\nwhile not print_(): pass
import threading\nt = threading.Thread(target=lambda: [0 for _ in iter(int, 1)])\nt.start()\nt.join()
""",
    "sleeps": r"""
import time\ntime.sleep(1e6)
import time\nwhile True: time.sleep(0.01)
import time\nwhile True:\n    try: time.sleep(1)\n    except BaseException: pass
import threading\nthreading.Event().wait()
import threading\nx = threading.Lock()\nx.acquire()\nx.acquire()
import threading\nx = threading.Condition()\nx.acquire()\nx.wait()
import threading\nthreading.Barrier(2).wait()
import threading\nthreading.Semaphore(0).acquire()
import queue\nqueue.Queue().get()
import select\nselect.select([], [], [])
import signal\nsignal.pause()
import os\nreader, writer = os.pipe()\nos.read(reader, 1)
import socket\na, b = socket.socketpair()\na.recv(1)
import asyncio\nasyncio.run(asyncio.sleep(1e6))
import asyncio\nasync def f(): await asyncio.Event().wait()\nasyncio.run(f())
import concurrent.futures\nconcurrent.futures.Future().result()
import threading, time\nt = threading.Thread(target=time.sleep, args=(1e6,))\nt.start()\nt.join()
""",
    "C level": r"""
import itertools\nsum(itertools.repeat(1))
import itertools\nall(itertools.repeat(True))
import itertools\nmax(itertools.count())
import itertools, collections\ncollections.deque(itertools.count(), maxlen=0)
1 in iter(int, 1)
set(iter(int, 1))
import re\nre.match("(a+)+$", "a" * 50 + "b")
import re\nre.match("(.*)*x", "a" * 60)
sum(range(10**13))
import math\nmath.factorial(10**8)
import hashlib\nhashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
import functools, itertools\nfunctools.reduce(max, itertools.count())
import itertools\ncollected = sum(1 for _ in itertools.permutations(range(20)))
-1 in map(abs, iter(int, 1))
x = 7**400000\nwhile True: x * x
""",
}


def endless() -> list[Task]:
    """Return 50 programs that do not end: loops, sleeps and waits, hangs inside C functions."""
    tasks = []
    for kind, lines in ENDLESS.items():
        for n, line in enumerate(lines.strip().splitlines()):
            body = "\n".join("    " + part for part in line.replace("\\n", "\n").splitlines())
            tasks.append(Task(f"endless/{kind} {n}", f"def run():\n{body}\n", "def check(run):\n    run()\n", "run"))
    return tasks


def working(count: int, timeout: float) -> list[Task]:
    """Return right programs that need 15 to 45 % of `timeout` in CPU time, calibrated on this (idle) machine."""
    per_second = min(_steps_per_second() for _ in range(5))
    tasks = []
    for number in range(count):
        steps = int((0.15 + 0.30 * number / max(1, count - 1)) * timeout * per_second)
        text = f"def run():\n    x = 0\n    for _ in range({steps}):\n        x += 1\n    return x\n"
        tasks.append(Task(f"working/{number}", text, f"def check(run):\n    assert run() == {steps}\n", "run"))
    return tasks


def of_other_problems(tasks: Sequence[Task]) -> list[Task]:
    """Return each task with the solution of the next task: programs that mostly fail at once."""
    following = [*tasks[1:], *tasks[:1]]
    return [
        replace(task, text=f"{other.text}\n{task.entry_point} = {other.entry_point}\n", cases=None)
        for task, other in zip(tasks, following, strict=True)
    ]


def _steps_per_second() -> float:
    began = time.process_time()
    x = 0
    for _ in range(2_000_000):
        x += 1  # noqa: SIM113
    return 2_000_000 / (time.process_time() - began)
