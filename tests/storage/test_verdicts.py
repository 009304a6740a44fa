"""The verdict cache: returns verdicts that are good enough, whoever wrote them, and survives broken files."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import threading

import pytest

from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Sandbox, Verdict
from raysweep.storage import verdicts
from raysweep.storage.files import Files
from raysweep.storage.verdicts import Question, VerdictCache, serves

LIMITS = Limits(timeout=3)
ANY = Sandbox(Lane.SHARED, Level.LIMITS)
STRONG = Verdict(
    Outcome.FAILED, "AssertionError: 1 != 2", "warning: ü", 0.25, 3.0, "strong", "strict", "outside", "same"
)


def question(n: int, limits: Limits = LIMITS) -> Question:
    return Question(hashlib.sha256(str(n).encode()).hexdigest(), limits, Oracle.OUTSIDE)


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(str(tmp_path))


def cache_with(files: Files, rows: dict[Question, Verdict], interpreter: str = "3.11.9") -> VerdictCache:
    cache = VerdictCache(files, interpreter)
    cache.add(rows)
    cache.flush()
    return cache


def stored(files: Files) -> list[str]:
    return sorted(files.infos("verdicts"))


def test_verdicts_come_back_as_they_were_to_any_process(files):
    cache_with(files, {question(n): dataclasses.replace(STRONG, seconds=n / 7) for n in range(50)})
    cache_with(files, {question(n): dataclasses.replace(STRONG, outcome=Outcome.PASSED) for n in range(50, 60)})
    found = VerdictCache(files, "3.11.9").find([question(n) for n in range(40, 100)], ANY)
    assert found.keys() == {question(n) for n in range(40, 60)}
    assert found[question(41)] == dataclasses.replace(STRONG, seconds=41 / 7)
    assert found[question(55)].outcome is Outcome.PASSED


def test_other_limits_or_another_interpreter_have_other_verdicts(files):
    cache_with(files, {question(1): STRONG, question(2, Limits(timeout=4)): STRONG})
    questions = [question(1), question(2), question(1, Limits(timeout=4)), question(2, Limits(timeout=4))]
    assert VerdictCache(files, "3.11.9").find(questions, ANY).keys() == {question(1), question(2, Limits(timeout=4))}
    assert not VerdictCache(files, "3.12.1").find(questions, ANY)


def test_another_compiler_has_other_verdicts(files):
    compiled = [dataclasses.replace(question(1), toolchain=f"g++ {number}, -O0") for number in (12, 13)]
    cache_with(files, {compiled[0]: STRONG})
    assert VerdictCache(files, "3.12.1").find(compiled, ANY).keys() == {compiled[0]}
    assert not VerdictCache(files, "3.11.9").find([question(1)], ANY)
    assert len({compiled[0].key, compiled[1].key, question(1).key}) == 3


@pytest.mark.parametrize(
    ("level", "lane", "sandbox", "good"),
    [
        ("strong", "strict", Sandbox(Lane.STRICT, Level.STRONG), True),
        ("filtered", "strict", Sandbox(Lane.STRICT, Level.STRONG), False),
        ("filtered", "strict", Sandbox(Lane.SHARED, Level.PARTIAL), True),
        ("strong", "shared", Sandbox(Lane.STRICT, Level.LIMITS), False),
        ("strong", "shared", Sandbox(Lane.SHARED, Level.STRONG), True),
        ("", "shared", Sandbox(Lane.SHARED, Level.PARTIAL), False),
        ("", "shared", Sandbox(Lane.SHARED, Level.LIMITS), True),
    ],
)
def test_a_verdict_serves_where_its_level_and_lane_are_good_enough(level, lane, sandbox, good, files):
    verdict = dataclasses.replace(STRONG, level=level, lane=lane)
    assert serves(verdict, Oracle.OUTSIDE, sandbox) is good
    assert bool(cache_with(files, {question(1): verdict}).find([question(1)], sandbox)) is good


@pytest.mark.parametrize("oracle", ["inside", ""])
def test_a_verdict_of_another_oracle_or_of_none_does_not_serve(oracle, files):
    other = dataclasses.replace(STRONG, oracle=oracle)
    assert not serves(other, Oracle.OUTSIDE, Sandbox())
    cache_with(files, {question(1): other})
    assert cache_with(files, {}).find([question(1)], Sandbox()) == {}


def test_a_better_verdict_is_stored_beside_one_that_was_not_good_enough(files):
    cache_with(files, {question(1): dataclasses.replace(STRONG, level="limits")})
    cache = cache_with(files, {question(1): STRONG})
    assert cache.find([question(1)], Sandbox(require=Level.STRONG)) == {question(1): STRONG}


def test_harness_errors_are_not_stored(files):
    cache_with(files, {question(1): Verdict(Outcome.HARNESS_ERROR, "no memory")})
    assert stored(files) == []


def test_a_torn_altered_or_empty_file_is_skipped_with_a_warning(files, caplog):
    for n in range(4):
        cache_with(files, {question(100 * n + m): STRONG for m in range(100)})
    names = [f"verdicts/{name}" for name in stored(files)]
    whole = [files.read(name) for name in names]
    files.write(names[0], whole[0][:1000])
    files.write(names[1], whole[1][:200] + bytes([whole[1][200] ^ 255]) + whole[1][201:])
    files.write(names[2], b"")
    found = VerdictCache(files, "3.11.9").find([question(n) for n in range(400)], ANY)
    assert len(found) == 100 and set(found.values()) == {STRONG}
    assert [name in caplog.text for name in names] == [True, True, True, False]


def test_sweeps_may_write_at_the_same_time(files):
    def write(part: int) -> None:
        cache = VerdictCache(files, "3.11.9")
        for n in range(part, 40, 4):
            cache.add({question(n): STRONG, question(n + 1): STRONG})
            cache.flush()

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(VerdictCache(files, "3.11.9").find([question(n) for n in range(100)], ANY)) == 41


def test_verdicts_are_written_as_they_come_in_files_that_are_not_small(files, monkeypatch):
    monkeypatch.setattr(verdicts, "WAITING_ROWS", 10)
    cache = VerdictCache(files, "3.11.9")
    for n in range(25):
        cache.add({question(n): STRONG})
    assert len(stored(files)) == 2
    cache.flush()
    assert len(cache.find([question(n) for n in range(25)], ANY)) == 25


def test_only_groups_with_matching_programs_are_read(files, monkeypatch):
    monkeypatch.setattr(verdicts, "GROUP_ROWS", 20)
    cache = cache_with(files, {question(n): STRONG for n in range(1000)})
    read: list[int] = []
    original = verdicts._read_group
    monkeypatch.setattr(verdicts, "_read_group", lambda *arguments: read.append(arguments[1]) or original(*arguments))
    sample = random.Random(3).sample(range(1000), 3)
    assert cache.find([question(n) for n in (*sample, 5000)], ANY).keys() == {question(n) for n in sample}
    assert len(read) == len(set(read)) <= 4


@pytest.mark.slow
def test_an_object_store_keeps_verdicts_too(server, account):
    cache = cache_with(Files(server.uri("verdicts")), {question(n): STRONG for n in range(100)})
    assert len(cache.find([question(n) for n in range(0, 200, 2)], ANY)) == 50
