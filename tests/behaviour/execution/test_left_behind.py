"""A program writes to everything that it can reach; the next one finds nothing of it. At every level of isolation."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Program, Sandbox
from tests.behaviour.execution import corpus
from tests.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.apart]

PLACES = ["..", "../..", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/proc/self", "/usr/lib", "/"]
MARK = f"left-{os.getpid()}"
HELPERS = f"""
import ctypes, fcntl, hashlib, os, struct, sys, threading, time
PLACES, MARK = {PLACES!r}, {MARK!r}

def tried(action, *arguments):
    try:
        return action(*arguments)
    except Exception as error:
        return type(error).__name__

def locked(descriptor):  # F_OFD_SETLK: the lock belongs to the open file, not to the process
    return tried(fcntl.fcntl, descriptor, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))

def soon(action, *arguments):  # other processes of the machine may hold /dev/null for a moment
    for _ in range(100):
        found = tried(action, *arguments)
        if not isinstance(found, str):
            break
        time.sleep(0.02)
    return found

def state(file):
    found = tried(os.stat, file)
    if isinstance(found, str):
        return found
    planted = [name for name in ("st_atime", "st_mtime") if getattr(found, name) == 77]
    return [found.st_mode, found.st_nlink, found.st_size, found.st_uid, planted, tried(os.listxattr, file)]

def square(n):
    return n * n
"""
LOOK = """
seen = repr({look})
print(hashlib.sha256(seen.encode()).hexdigest()[:8], seen[:250], file=sys.stderr, flush=True)
"""
LEAVES = {
    "files beside the folder": (
        """
for place in PLACES:
    tried(lambda: open(f"{place}/{MARK}", "w").write("left"))
    tried(os.mkdir, f"{place}/{MARK}-folder")
    tried(os.utime, place, (77, 77))
tried(os.rename, ".", f"../{MARK}")
tried(os.symlink, "/", f"../{MARK}-link")
tried(os.rmdir, os.getcwd())
""",
        "[[os.path.lexists(f'{place}/{MARK}{end}') for end in ('', '-folder', '-link')] for place in PLACES]"
        " + [state('..'), os.getcwd() == os.path.realpath(os.environ['HOME'])]",
    ),
    "the folder": (
        """
for number in range(300):
    open(f"{'left' * 50}{number}", "w").close()
os.makedirs("left/" * 50)
for number in range(300):
    os.remove(f"{'left' * 50}{number}")
tried(os.utime, ".", (77, 77))
tried(os.chmod, ".", 0o1751)
""",
        "[state('.'), os.listdir('.')]",
    ),
    "the folder's attributes alone": (
        "tried(os.setxattr, '.', 'user.left', b'left')\ntried(os.utime, '.', (77, 77))\n",
        "state('.')",
    ),
    "files without a name": (
        "for _ in range(9):\n    tried(os.open, '.', os.O_TMPFILE | os.O_RDWR)\n",
        "[open('left', 'w').close(), os.stat('left').st_ino]",
    ),
    "descriptors": (
        """
for descriptor in (0, 1, 2):
    tried(fcntl.fcntl, descriptor, fcntl.F_SETFL, os.O_NONBLOCK)
    tried(fcntl.flock, descriptor, fcntl.LOCK_EX)
    locked(descriptor)
for descriptor in (1, 2):
    tried(os.write, descriptor, b"left")
    tried(os.lseek, descriptor, 3, os.SEEK_SET)
    tried(os.fchmod, descriptor, 0o600)
    tried(os.utime, descriptor, (77, 77))
    tried(os.setxattr, descriptor, "user.left", b"left")
for descriptor in range(4, 256):
    tried(os.write, descriptor, b"left")
""",
        "[[state(d)[:1] + state(d)[2:], tried(os.lseek, d, 0, os.SEEK_CUR), tried(os.pread, d, 9, 0),"
        " fcntl.fcntl(d, fcntl.F_GETFL), soon(fcntl.flock, d, fcntl.LOCK_EX | fcntl.LOCK_NB), type(soon(locked, d))]"
        " for d in (0, 1, 2)] + [d for d in range(4, 256) if not isinstance(tried(os.fstat, d), str)]",
    ),
    "shared memory and semaphores": (
        "for kind in ('shmget', 'semget'):\n    tried(lambda: getattr(ctypes.CDLL(None), kind)(7007, 1, 0o1600))\n",
        "[tried(lambda: getattr(ctypes.CDLL(None), kind)(7007, 0, 0)) for kind in ('shmget', 'semget')]",
    ),
}
"""What a program tries to leave, and what another one looks for."""
OWN_DISK = {"files without a name"}
"""What is told by numbers, which others also use where the folder has no disk of its own."""
SEEN_EVERYWHERE = {"the folder", "the folder's attributes alone", "descriptors"}
"""A program that no layer keeps from it may also write the user's files, and make shared memory."""
LEVELS = {
    (): set(LEAVES),
    ("namespaces",): set(LEAVES) - OWN_DISK,
    ("namespaces", "landlock"): SEEN_EVERYWHERE | {"shared memory and semaphores"},
    ("namespaces", "seccomp"): SEEN_EVERYWHERE,
    ("namespaces", "landlock", "seccomp"): SEEN_EVERYWHERE,
}
"""For each set of layers that are left out, what must not be left."""


@pytest.mark.parametrize(
    ("without", "oracle"),
    [
        pytest.param(without, oracle, marks=[pytest.mark.long] if without and oracle is Oracle.INSIDE else [])
        for without in LEVELS
        for oracle in Oracle
    ],
)
def test_nothing_that_a_program_writes_reaches_the_next_one(without, oracle):
    work = []
    for name in sorted(LEVELS[without]):
        leave, look = LEAVES[name]
        texts = (LOOK.format(look=look), leave, LOOK.format(look=look) + "# after")
        work += [Program(HELPERS + text, "assert square(2) == 4", oracle=oracle) for text in texts]
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS), without) as executor:
        verdicts = executor.run(work, Limits(timeout=3))
    seen = {name: verdicts[3 * at].stderr for at, name in enumerate(sorted(LEVELS[without]))}
    assert all(seen.values())
    assert {name: verdicts[3 * at + 2].stderr for at, name in enumerate(seen)} == seen
    assert [verdict.detail for verdict in verdicts if verdict.outcome is not Outcome.PASSED] == []


def test_the_machines_devices_cannot_be_changed_through_a_descriptor():
    """At other levels the kernel may refuse less, so it isn't tried there."""
    text = f"{HELPERS}print(tried(os.fchmod, 0, 0o666), tried(os.utime, 0), file=sys.stderr)"
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        if executor.level() is not Level.STRONG:
            pytest.skip(f"the level is {executor.level()}: {executor.missing_layers()}")
        before = Path(os.devnull).stat()
        assert executor.run([Program(text)], Limits())[0].stderr == "OSError OSError\n"
    assert Path(os.devnull).stat().st_ctime_ns == before.st_ctime_ns


def test_a_folder_can_be_written_however_many_were_before_it():
    """Landlock's rules name folders, and are made anew only now and then."""
    programs = [Program(f"open('x', 'x').write('{number}')") for number in range(140)]
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS), ("namespaces",)) as executor:
        verdicts = executor.run(programs, Limits())
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASSED}


SAYS = "import os\nos.write(2, b'left-' + b'by-this-one-' * 20)\ndef square(n): return n * n\n"
FINDS = """
import ctypes, os, re, sys

def square(n):
    return n * n

libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
mark = re.compile(b"by-this-[o]ne-by-this")  # a text would be found itself
into, out = os.pipe()

def has_mark(address):  # a write of memory that isn't there fails
    try:
        os.write(out, (ctypes.c_char * 4096).from_address(address))
    except OSError:
        return False
    return mark.search(os.read(into, 4096)) is not None

top = libc.sbrk(0) & ~4095
arenas = {id(made) >> 20 for made in [*map(str, range(1000)), *sys.modules.values(), *sys.modules]}
places = [top - 12 * 2**20, *(arena << 20 for arena in arenas)]
sizes = [12 * 2**20, *(2**20 for _ in arenas)]
print(sum(has_mark(place + at) for place, size in zip(places, sizes) for at in range(0, size, 4096)), file=sys.stderr)
"""


@pytest.mark.parametrize("without", [("namespaces", "landlock"), ("namespaces", "landlock", "seccomp")])
def test_a_program_that_removes_its_folder_harms_no_other(without):
    texts = ["import os, time\nos.rmdir(os.getcwd())\ntime.sleep(0.2)", "open('x', 'x').close()"]
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS), without) as executor:
        verdicts = executor.run([Program(f"{text}\ndef f(): return 1", "assert f() == 1") for text in texts], Limits())
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 2


def test_what_a_program_wrote_to_stderr_is_not_in_the_memory_of_the_next_one():
    """It is read by the process that both are forks of."""
    texts = [f"kept = b'by-this-one-' * 20\n{FINDS}", SAYS, FINDS, f"{SAYS}# again", f"{FINDS}# again"]
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        verdicts = executor.run([Program(text, "assert square(2) == 4") for text in texts], Limits(timeout=60))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 5
    assert verdicts[0].stderr > "0\n" and verdicts[1].stderr.startswith("left-by-this-one-by")
    assert [verdicts[at].stderr for at in (2, 4)] == ["0\n", "0\n"]


def test_a_judge_gives_back_the_memory_of_large_answers():
    (large,) = (entry.program for entry in corpus.load({}) if entry.id == "millions-of-deques")
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        executor.run([large], Limits(timeout=0.4))
        assert eventually(lambda: _most_memory_of_a_process_below() < 200 << 20)


def _most_memory_of_a_process_below():
    held = [0]
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            held.append(process.memory_info().rss)
    return max(held)
