"""A corpus of hostile programs (hostile/README.md) at every level of isolation and in both lanes.

With each setting one program of each group runs in `make test`, and all of them in the tests that are marked as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.execution.pool import Executor
from raysweep.execution.python.outside.codec import decoded
from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.set_order import SetOrder
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox, Verdict
from tests.behaviour.execution import corpus
from tests.behaviour.execution.record import SETTINGS, Record, record_of

pytestmark = [pytest.mark.slow, pytest.mark.apart]


def _runs() -> Iterator[object]:
    """Each setting, with a sample and with the whole corpus."""
    for setting in SETTINGS:
        yield pytest.param((setting, False), id=f"sample, {setting}")
        yield pytest.param((setting, True), id=setting, marks=pytest.mark.long)


@pytest.fixture(scope="module", params=_runs())
def record(request) -> Record:
    setting, in_full = request.param
    return record_of(setting, in_full=in_full)


def told(verdict: Verdict) -> str:
    return f"{verdict.outcome} ({verdict.detail[:120]})"


def test_each_program_gets_a_right_verdict(record):
    wrong = {
        entry.id: f"{told(record.verdicts[entry.id])}, not {' or '.join(sorted(entry.outcomes))}"
        for entry in record.held()
        if not entry.right(record.verdicts[entry.id].outcome)
    }
    assert wrong == {}


def test_none_of_them_is_an_error_of_ours(record):
    assert [name for name, verdict in record.verdicts.items() if verdict.outcome is Outcome.HARNESS_ERROR] == []


def test_nothing_outside_was_touched_or_reached(record):
    assert record.effects == []


def test_the_next_program_is_unaffected(record):
    met = {
        name: [told(verdict) for verdict in verdicts if verdict.outcome is not Outcome.PASSED]
        for name, verdicts in record.witnesses.items()
    }
    assert {name: verdicts for name, verdicts in met.items() if verdicts} == {}
    assert {len(verdicts) for verdicts in record.witnesses.values()} == {2}


def test_nothing_survives(record):
    assert record.survivors == []


def test_what_is_only_guarded_is_named(record):
    through = [entry.id for entry in record.guarded() if not entry.right(record.verdicts[entry.id].outcome)]
    unrun = [entry.id for entry in record.entries if not entry.held(record.level) and entry.dangerous]
    guarded = [entry.id for entry in record.guarded() if entry.id not in through]
    assert len(record.verdicts) + len(unrun) == len(record.entries)
    if through or unrun or guarded:
        pytest.skip(
            f"level {record.level} holds {len(record.held())} of {len(record.entries)}; only guarded: "
            f"{some(guarded)}; got through: {some(through)}; not run: {some(unrun)}; "
            f"effects: {some(record.guarded_effects)}"
        )


NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")


def test_a_program_at_the_strongest_level_is_in_namespaces_of_its_own():
    """Seccomp refuses it all sockets, so that no other program here would notice the machine's network."""
    text = f"import os, sys\nprint(*[os.readlink(f'/proc/self/ns/{{n}}') for n in {NAMESPACES}], file=sys.stderr)"
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        if executor.level() is not Level.STRONG:
            pytest.skip(f"the level is {executor.level()}: {executor.missing_layers()}")
        (verdict,) = executor.run([Program(text)], Limits())
    own = [str(Path("/proc/self/ns", name).readlink()) for name in NAMESPACES]
    assert len(verdict.stderr.split()) == len(own) and not set(own) & set(verdict.stderr.split())


def some(names):
    """The first few of many names: a skip's reason stands in one line of CI's output."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def test_programs_are_many_and_none_that_is_hostile_may_pass():
    entries = corpus.load({})
    assert len({entry.id for entry in entries}) == len(entries) >= 300
    assert len({entry.group for entry in entries}) >= corpus.GROUPS
    assert [entry.id for entry in entries if entry.honest != (entry.outcomes == {Outcome.PASSED})] == []
    assert {entry.group for entry in entries if entry.honest} == {"honest"}
    assert [entry.id for entry in entries if entry.dangerous and entry.below in (None, Level.LIMITS)] == []


NESTED = re.compile(r"^answer = (?=.*join\().*", re.MULTILINE)
"""How programs of the corpus begin that write an answer whose containers hold each other by references."""


def test_answers_that_nest_by_references_are_refused_only_for_their_depth():
    """One in an older format would be refused for that, at once, and its attack would be tried no more."""
    found = {entry.id: NESTED.search(entry.program.text) for entry in corpus.load({})}
    lines = {name: line.group() for name, line in found.items() if line}
    assert len(lines) >= 5
    for name, line in lines.items():
        names: dict[str, bytes] = {}
        exec(line.replace("60001", "10").replace("60000", "9").replace("60", "9"), names)  # nested less deeply
        value = plain_data(None, None, SetOrder()).read(decoded(names["answer"]))
        assert type(value) in (list, dict), name
