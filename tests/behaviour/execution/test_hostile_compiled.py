"""Hostile programs in Java and C++ (compiled/), each with the outcomes that are right in its first line.

They run at the level `strong` only. Some of each language run in `make test`, and all, with their tests outside and
inside, in the tests that are marked as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent / "compiled"
LIMITS = Limits(timeout=2, wall_factor=10)
SECRET = "a-secret-that-no-verdict-may-show"
SAMPLE = {
    "exit_0": Oracle.OUTSIDE,
    "assertions_cleared": Oracle.INSIDE,
    "channel": Oracle.INSIDE,
    "read_outside": Oracle.OUTSIDE,
    "include_secret": Oracle.INSIDE,
    "interpreter": Oracle.OUTSIDE,
}
DECLARATIONS = {"java": "class Solution {\n    public int add(int a, int b) {\n", "cpp": "int add(int a, int b) {\n"}
WITNESSES = {
    "java": "class Solution {\n    public int add(int a, int b) {\n        return a + b;\n    }\n}\n",
    "cpp": "int add(int a, int b) {\n    return a + b;\n}\n",
}
TESTS = {
    "java": """\
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        Checks.that(s.add(1, 2) == 3 && s.add(40, 2) == 42);
    }
}

class Checks {
    static void that(boolean right) {
        assert right;
    }
}
""",
    "cpp": """\
#undef NDEBUG
#include <assert.h>
int main() {
    assert(add(1, 2) == 3);
    assert(add(40, 2) == 42);
}
""",
}


class Record(NamedTuple):
    """What was found: verdicts on hostile programs, and on the right one that ran after each."""

    right: dict[str, set[str]]
    verdicts: dict[str, Verdict]
    witnesses: dict[str, Verdict]
    written: list[str]


def _runs() -> Iterator[object]:
    for language in COMPILED:
        yield pytest.param((language, None), id=f"sample, {language}")
        for oracle in Oracle:
            yield pytest.param((language, oracle), id=f"{language}, {oracle}", marks=pytest.mark.long)


@pytest.fixture(scope="module", params=_runs())
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    language, oracle = request.param
    needs(language)
    with Executor() as executor:
        if executor.level() is not Level.STRONG:
            pytest.skip("hostile programs run at the level strong only")
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret").write_text(f"{SECRET}\n")
    texts = dict(_texts(language, folder))
    texts = texts if oracle else {name: text for name, text in texts.items() if name in SAMPLE}
    programs = []
    for name, text in texts.items():
        where = oracle or SAMPLE[name]
        programs += [program_of(language, text, where)]
        programs += [program_of(language, f"{WITNESSES[language]}// {text[:9]}", where)]
    with Executor(sandbox=Sandbox(require=Level.STRONG)) as executor:
        verdicts = executor.run(programs, LIMITS)
    right = {name: set(text.partition(":")[0].removeprefix("//").split()) for name, text in texts.items()}
    written = [path.name for path in folder.iterdir() if path.name != "secret"]
    return Record(
        right, dict(zip(texts, verdicts[::2], strict=True)), dict(zip(texts, verdicts[1::2], strict=True)), written
    )


def _texts(language: str, folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((FOLDER / language).iterdir()):
        text = path.read_text().replace("@SECRET@", str(folder / "secret")).replace("@FOLDER@", str(folder))
        text = text.replace("@NESTED@", f"int deep = {'(' * 400_000}1{')' * 400_000};")
        yield (
            path.stem,
            text.replace("@BOMB@", "".join(f'String s{n} = "{n}" + new Object();\n' for n in range(20_000))),
        )


def program_of(language: str, text: str, oracle: Oracle | None = None) -> Program:
    """Return a candidate for the addition of two numbers, with its tests."""
    return Program(text, TESTS[language], language, oracle, DECLARATIONS[language])


def test_each_program_gets_a_right_verdict(record):
    wrong = {
        name: f"{verdict.outcome} ({verdict.detail})"
        for name, verdict in record.verdicts.items()
        if verdict.outcome not in record.right[name]
    }
    assert wrong == {}


def test_none_passes_and_none_is_an_error_of_ours(record):
    outcomes = {name: verdict.outcome for name, verdict in record.verdicts.items()}
    assert {n for n, outcome in outcomes.items() if outcome in (Outcome.PASSED, Outcome.HARNESS_ERROR)} == set()


def test_the_next_program_is_unaffected(record):
    assert {name: v for name, v in record.witnesses.items() if v.outcome is not Outcome.PASSED} == {}


def test_nothing_outside_was_read_or_written(record):
    assert record.written == []
    shown = {name: f"{verdict.detail}{verdict.stderr}" for name, verdict in record.verdicts.items()}
    assert {name: text for name, text in shown.items() if SECRET in text or "root:" in text} == {}
