"""Programs in Java and C++ have the same verdicts outside and inside, in slots. In small: test_judging.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.execution import slot
from raysweep.execution.compiled.toolchains import missing_headers, toolchain
from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, DEFAULT_SANDBOX, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict
from tests.execution.compiled.problems import references_and_mutants, rows
from tests.execution.compiled.processes import needs

pytestmark = [pytest.mark.slow, pytest.mark.long]
MUTANTS = 300
OF_PROBLEM = 3  # mutants at most, of which the others are left out
SET = ("-O0", "-ftrivial-auto-var-init=pattern")
"""For g++: variables that a program reads and has not set hold the same bytes in every process."""


@pytest.mark.parametrize("language", COMPILED)
def test_references_and_mutants_have_the_same_verdicts_outside_and_inside(language, monkeypatch):
    """At the level `strong` where this machine has it.

    In C++ a program that reads what it never set finds what its process left there, so that its verdicts may differ;
    they must not with `SET`.
    """
    needs(language)
    if language == "cpp" and missing_headers():
        pytest.skip(f"needs the headers {', '.join(missing_headers())}, which are not on this machine")
    of = rows(language)
    chosen = references_and_mutants(of, language, OF_PROBLEM, MUTANTS)
    assert (len(of), len(chosen)) == (164, 164 + MUTANTS)
    outside, inside, level = both_ways(chosen)
    assert {verdict.level for verdict in (*outside, *inside)} == {level}
    assert {verdict.outcome for verdict in outside[: len(of)]} == {Outcome.PASSED}
    assert Outcome.FAILED in {verdict.outcome for verdict in outside}
    found = differing(outside, inside)
    if language == "cpp" and found:
        chain = toolchain(language, DEFAULT_SANDBOX.cpp_flags)._replace(flags=SET)
        monkeypatch.setattr(slot, "toolchain", lambda *_: chain)
        again, inside_again, _ = both_ways([chosen[number] for number in found])
        print(f"differ: {found}; with {SET}: {(found := differing(again, inside_again))}")
    assert found == {}


def both_ways(programs: list[Program]) -> tuple[list[Verdict], list[Verdict], Level]:
    """Return verdicts outside, verdicts inside, and this machine's level."""
    with Executor(2, Sandbox(require=Level.LIMITS)) as executor:
        outside, inside = (
            executor.run([replace(one, oracle=oracle) for one in programs], Limits(timeout=3))
            for oracle in (Oracle.OUTSIDE, Oracle.INSIDE)
        )
        return outside, inside, executor.level()


def differing(outside: list[Verdict], inside: list[Verdict]) -> dict[int, tuple[str, str]]:
    """Return the pairs of verdicts with unlike outcomes, by their number."""
    return {
        number: (f"{one.outcome}: {one.detail}", f"{other.outcome}: {other.detail}")
        for number, (one, other) in enumerate(zip(outside, inside, strict=True))
        if one.outcome is not other.outcome
    }
