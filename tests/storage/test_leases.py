"""Leases: one holder at a time, also when holders die or processes race."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from obstore.exceptions import GenericError
from obstore.store import S3Store

from raysweep.storage import backends, leases
from raysweep.storage import files as files_module
from raysweep.storage.files import Files
from raysweep.storage.leases import Holder, Leases, holder_from, this_process
from tests.clock import Clock
from tests.patience import PATIENCE, eventually


@pytest.fixture
def files(tmp_path) -> Files:
    store = Files(str(tmp_path / "a store [1] ü"))
    store.require_writable()
    return store


def lease_file(files: Files, name: str = "x") -> Path:
    return files.local / "leases" / f"{name}.json"


def put(files: Files, holder: Holder | bytes, silent: float = 0.0) -> None:
    """Write a lease as another process would, last touched `silent` seconds ago."""
    files.write("leases/x.json", holder if isinstance(holder, bytes) else holder.new_text())
    os.utime(lease_file(files), (time.time() - silent,) * 2)


def elsewhere(**more: object) -> Holder:
    return dataclasses.replace(this_process(), **{"host": "another", "boot": "b", "pid": 7, **more})


def dead_here() -> Holder:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return dataclasses.replace(this_process(), pid=child.pid, started=12345)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(leases, "DEAD_SECONDS", 0.6)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.05)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of all leases of this process."""
    made = Clock()
    monkeypatch.setattr(leases, "time", made)
    return made


@pytest.fixture
def remote(server, account, request) -> Files:
    store = Files(server.uri(request.node.name[:30]))
    store.require_writable()
    return store


def in_process(code: str, files: Files, *arguments: str, **popen: object) -> subprocess.Popen[str]:
    start = f"""
        import os, sys, time
        from raysweep.storage.files import Files
        from raysweep.storage.leases import Leases, this_process
        files = Files({files.root!r}, expected=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code), *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        **popen,
    )


def test_a_lease_is_held_by_one_and_taken_when_it_is_given_back(files):
    mine, other = Leases(files), Leases(files)
    with mine.take("x") as lease:
        assert lease is not None and other.take("x") is None and mine.take("x") is None
        assert other.holder("x").pid == os.getpid() and other.is_alive("x")
        assert str(other.holder("x")).startswith(f"process {os.getpid()} on {socket.gethostname()} since ")
        assert other.take("y") is not None
    assert other.holder("x") is None and not other.is_alive("x")
    other.take("x").release()


def test_a_dead_holder_of_this_machine_is_taken_over_at_once_though_another_process_has_its_number(files):
    here = this_process()
    for dead in (dead_here(), dataclasses.replace(here, pid=os.getppid(), started=1)):
        for host in (dead.host, "a name that it has elsewhere"):
            put(files, dataclasses.replace(dead, host=host))
            assert Leases(files).take("x") is not None
    put(files, dataclasses.replace(here, host="a name that it has elsewhere", pid=1, started=leases._start_of(1)))
    assert Leases(files).take("x") is None


def test_a_killed_holder_delays_nobody(files):
    holder = in_process("lease = Leases(files).take('x'); print('held', flush=True); time.sleep(600)", files)
    assert holder.stdout.readline() == "held\n"
    assert Leases(files).take("x") is None
    holder.send_signal(signal.SIGKILL)
    state = Path(f"/proc/{holder.pid}/stat")
    assert eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z", PATIENCE)
    assert Leases(files).take("x") is not None, "a zombie holds nothing, though nobody has waited for it yet"
    holder.wait()


def test_a_lease_from_before_this_machines_boot_is_taken_over_at_once(files):
    before_boot = leases.uptime() + 60
    put(files, dataclasses.replace(this_process(), boot="an earlier one"), before_boot)
    assert Leases(files).take("x") is not None
    put(files, dataclasses.replace(this_process(), boot="of a machine of the same name"), 5)
    assert Leases(files).take("x") is None


def test_a_holder_elsewhere_is_watched_for_a_minute(files, clock):
    put(files, elsewhere(), 1000 - leases.LONG_DEAD_SECONDS)
    watching = Leases(files)
    assert watching.take("x") is None
    clock.sleep(leases.DEAD_SECONDS - 1)
    assert watching.take("x") is None
    clock.sleep(1)
    assert watching.take("x") is not None


def test_a_holder_elsewhere_is_taken_over_as_soon_as_its_machine_calls_it_dead(files, clock, monkeypatch):
    dead, asked = [], []
    monkeypatch.setattr(leases, "has_ended_elsewhere", lambda holder: asked.append(clock.monotonic()) or bool(dead))
    put(files, elsewhere())
    began = clock.monotonic()
    for second in range(0, 31, 10):
        clock.after(second, lambda: os.utime(lease_file(files), (clock.time(),) * 2))
    clock.after(35, lambda: dead.append(True))
    assert Leases(files).wait("x", lambda: False, lambda holder: None) is not None
    assert asked[0] == began, "it is asked at first sight"
    assert len(asked) == 2 and asked[1] - began <= 35 + leases.OVERDUE_SECONDS, "and then only if a touch is overdue"


def test_a_holder_elsewhere_that_touches_its_lease_is_alive(files, clock):
    put(files, elsewhere())
    watching = Leases(files)
    for _ in range(5):
        assert watching.take("x") is None and watching.is_alive("x")
        clock.sleep(leases.DEAD_SECONDS - 1)
        os.utime(lease_file(files), (clock.time(),) * 2)


def test_a_holder_elsewhere_that_was_silent_for_ten_minutes_is_dead_at_first_sight(files):
    put(files, elsewhere(), leases.LONG_DEAD_SECONDS + 5)
    assert not Leases(files).is_alive("x")
    assert Leases(files).take("x") is not None


def test_the_wait_for_a_holder_elsewhere_is_at_most_a_minute():
    assert leases.DEAD_SECONDS + leases.POLL_SECONDS <= 60 and leases.HEARTBEAT_SECONDS * 3 < leases.DEAD_SECONDS


def test_a_held_lease_is_touched(files, quick):
    with Leases(files).take("x"):
        os.utime(lease_file(files), (1000, 1000))
        assert eventually(lambda: lease_file(files).stat().st_mtime > 1000, PATIENCE)


@pytest.mark.parametrize("content", [b"\0" * 300, b'{"host": "a', b"[]", b"3", b'{"host": "a", "pid": "many"}'])
def test_an_unreadable_lease_is_respected_for_a_minute(files, clock, content):
    put(files, content)
    watching = Leases(files)
    assert watching.take("x") is None and "another version" in str(watching.holder("x"))
    clock.sleep(leases.DEAD_SECONDS)
    assert watching.take("x") is not None


def test_fields_that_a_newer_version_adds_to_a_lease_are_ignored(files):
    holder = this_process()
    newer = json.dumps({**json.loads(holder.new_text()), "colour": "red", "schema_version": 99}).encode()
    assert holder_from(newer) == holder
    put(files, json.dumps({**json.loads(elsewhere().new_text()), "colour": "red"}).encode())
    assert Leases(files).take("x") is None


def test_a_lease_that_could_not_be_given_back_is_taken_again_by_its_own_process(files, monkeypatch):
    lease = Leases(files).take("x")
    away = Path(f"{files.root}-away")
    Path(files.root).rename(away)
    clock = Clock()
    monkeypatch.setattr(files_module, "time", clock)
    started = clock.monotonic()
    lease.release()
    assert clock.monotonic() == started, "stopping does not wait for a disk, which would take two minutes"
    away.rename(files.root)
    assert lease_file(files).exists()
    assert Leases(files).take("x") is not None


@pytest.mark.slow
def test_a_holder_that_hangs_is_taken_over_and_leaves_its_successor_alone(files, quick, tmp_path):
    errors = tmp_path / "errors"
    holder = in_process(
        """
        import raysweep.storage.leases
        raysweep.storage.leases.HEARTBEAT_SECONDS = 0.1
        lease = Leases(files).take('x')
        print('held', flush=True)
        sys.stdin.readline()
        lease.release()
        """,
        files,
        stderr=errors.open("w"),
    )
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGSTOP)
    watching, taken = Leases(files), []

    def is_taken() -> bool:
        taken.append(watching.take("x"))
        return taken[-1] is not None

    assert eventually(is_taken)
    holder.send_signal(signal.SIGCONT)
    assert eventually(lambda: "took the lease x over" in errors.read_text())
    holder.communicate("\n", timeout=PATIENCE)
    assert watching.holder("x").pid == os.getpid()
    taken[-1].release()


@pytest.mark.slow
def test_a_process_that_hangs_while_it_looks_does_not_stop_the_others(files, monkeypatch):
    monkeypatch.setattr(backends, "LOCK_SECONDS", 0.3)
    holder = in_process(
        """
        from pathlib import Path
        from raysweep.storage.backends import _locked
        Path(files.root, "leases").mkdir()
        with _locked(Path(files.root, "leases", "guard")) as alone:
            print('inside', alone, flush=True)
            sys.stdin.readline()
        """,
        files,
    )
    assert holder.stdout.readline() == "inside True\n"
    with Leases(files).take("x") as lease:
        assert lease is not None
    holder.communicate("\n", timeout=PATIENCE)


@pytest.mark.slow
def test_threads_of_one_process_exclude_each_other(files):
    store, taken, barrier = Leases(files), [], threading.Barrier(6)

    def take():
        for number in range(40):
            barrier.wait()
            lease = store.take(f"l{number}")
            if lease is not None:
                taken.append((number, lease))
            barrier.wait()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in taken) == list(range(40))
    for _, lease in taken:
        lease.release()


RACE = """
    mine, taken, before = Leases(files), [], None
    for number in range(int(sys.argv[2])):
        print(number, flush=True)
        sys.stdin.readline()
        lease = mine.take(f"r{number}")
        if lease is not None:
            taken.append(number)
        if before is not None:
            before.release()  # now all have tried to take it
        before = lease
    print("taken", *taken, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["files", "remote"])
def test_of_several_processes_exactly_one_takes_a_lease_and_one_of_a_dead_holder(where, request):
    """Every other lease is a dead one's."""
    files, rounds, dead = request.getfixturevalue(where), 60 if where == "files" else 20, dead_here()
    for number in range(0, rounds, 2):
        files.write(f"leases/r{number}.json", dead.new_text())
    racers = [in_process(RACE, files, str(seed), str(rounds)) for seed in range(4)]
    try:
        for number in range(rounds):
            assert {racer.stdout.readline() for racer in racers} == {f"{number}\n"}
            for racer in racers:
                racer.stdin.write("\n")
                racer.stdin.flush()
        taken = [racer.stdout.readline().split()[1:] for racer in racers]
        assert sorted(int(number) for numbers in taken for number in numbers) == list(range(rounds))
        assert sum(bool(numbers) for numbers in taken) > 1, "nobody raced"
    finally:
        for racer in racers:
            racer.communicate("\n", timeout=PATIENCE)


def test_waiting_ends_when_the_work_is_done_or_the_lease_is_free(files, quick):
    reports: list[Holder | None] = []
    lease = Leases(files).take("x")
    assert Leases(files).wait("x", lambda: len(reports) == 2, reports.append) is None
    assert [holder and holder.pid for holder in reports] == [os.getpid(), os.getpid(), None]
    assert Leases(files).wait("x", lambda: False, lambda holder: lease.release()) is not None


# ------------------------------------------------------------------------------------------------ object stores


def test_in_an_object_store_a_lease_is_held_by_one_and_taken_when_it_is_given_back(remote):
    for _ in range(2):
        with Leases(remote).take("x"):
            assert Leases(remote).take("x") is None and set(Leases(remote).alive()) == {"x"}
        assert Leases(remote).holder("x") is None and not Leases(remote).alive()


@pytest.mark.slow
def test_in_an_object_store_a_renewal_whose_answer_was_lost_loses_no_lease(remote, quick, monkeypatch, caplog):
    put, lost = S3Store.put, []

    def put_and_lose_answer(*arguments: object, **options: object) -> None:
        put(*arguments, **options)
        lost.append(options)
        raise GenericError("timed out")

    with Leases(remote).take("x"):
        monkeypatch.setattr(S3Store, "put", put_and_lose_answer)
        assert eventually(lambda: len(lost) == 3)
        monkeypatch.setattr(S3Store, "put", put)
    assert "took the lease" not in caplog.text and Leases(remote).holder("x") is None


@pytest.mark.slow
def test_in_an_object_store_a_slow_holder_leaves_its_successor_alone(remote, quick, caplog):
    slow, successor = Leases(remote).take("x"), elsewhere()
    remote.write("leases/x.json", successor.new_text())
    assert eventually(lambda: "process 7 on another" in caplog.text and "took the lease x over" in caplog.text)
    slow.release()
    assert Leases(remote).holder("x") == successor


@pytest.mark.slow
def test_in_an_object_store_a_lease_is_renewed_and_a_dead_ones_taken(remote, quick, monkeypatch):
    with Leases(remote).take("x"):
        before = remote.info("leases/x.json").mtime_ns
        assert eventually(lambda: remote.info("leases/x.json").mtime_ns > before, PATIENCE)
    remote.write("leases/x.json", dead_here().new_text())
    Leases(remote).take("x").release()
    remote.write("leases/x.json", elsewhere().new_text())
    clock, watching = Clock(), Leases(remote)
    monkeypatch.setattr(leases, "time", clock)
    assert watching.take("x") is None
    clock.sleep(2 * leases.DEAD_SECONDS)
    watching.take("x").release()  # else it would be renewed, and say in a later test that the server has gone


WORK = """
    import random
    random.seed(int(sys.argv[1]))
    from pathlib import Path
    inside = Path(files.root) / "inside"
    mine = Leases(files)
    ended = 0
    while ended < 15:
        lease = mine.take("x")
        if lease is None:
            time.sleep(0.002)
            continue
        inside.mkdir()  # fails if another process is inside
        time.sleep(random.random() * 0.01)
        inside.rmdir()
        if random.random() < 0.2 and os.fork() == 0:
            time.sleep(0.02)  # a child that has copies of all descriptors
            os._exit(0)
        lease.release()
        ended += 1
    print("ended", flush=True)
"""


@pytest.mark.slow
def test_inside_a_lease_a_process_is_alone(files):
    workers = [in_process(WORK, files, str(seed)) for seed in range(4)]
    assert [worker.communicate(timeout=PATIENCE)[0] for worker in workers] == ["ended\n"] * 4
