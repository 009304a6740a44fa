"""Perturbed test sets: code is never touched, every prompt still compiles."""

import gzip
import json
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysweep.errors import UsageError
from raysweep.problems.base import ProblemSet
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.jsonl import JsonlProblems
from raysweep.prompts.regions import split_prompt
from raysweep.records import Problem, PromptRow, Spec
from raysweep.stages.test_sets import build_test_set
from tests.conftest import shared_data

METHODS = ["C1", "C2", "C3", "C"]


@cache
def humaneval(method: str, seed: int, draw: int = 0) -> list[PromptRow]:
    """A test set of HumanEval, built once in all tests."""
    return build_test_set(HumanEval(), Spec(method), seed=seed, draw=draw)


class OneProblem(ProblemSet):
    """A problem set of a single prompt."""

    name = "one"

    def __init__(self, prompt, reference="    return 1\n", language="python"):
        self.problem = Problem("one/0", prompt, "f", "", reference, language)

    def problems(self):
        return [self.problem]

    def fingerprint(self):
        return {}


@pytest.fixture(scope="module", params=["HumanEval", "mbpp_wtest"])
def published(request):
    return JsonlProblems(str(shared_data("recode", "nominal", f"{request.param}.jsonl.gz")))


def compiles(text):
    try:
        compile(text, "prompt", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("method", "arguments"), [("C", {}), *((name, {"strength": 20}) for name in METHODS[:3])])
def test_every_prompt_that_compiled_still_does_and_its_code_is_byte_equal(published, method, arguments):
    rows = build_test_set(published, Spec(method, arguments), seed=42)
    for row, problem in zip(rows, published.problems(), strict=True):
        assert row.compiles, row.task_id
        if compiles(problem.prompt + problem.reference):
            assert compiles(row.prompt + problem.reference), row.task_id
        at = 0
        for segment in split_prompt(problem.prompt, problem.entry_point):
            if not segment.natural:
                at = row.prompt.find(segment.text, at)
                assert at >= 0, (row.task_id, segment.text)
                at += len(segment.text)


@given(st.text("ppPo'`\\ n_x\n", max_size=40), st.sampled_from(["'''", '"""']), st.integers(0, 2**32))
@settings(max_examples=80)
def test_no_docstring_can_be_closed_or_broken_by_noise(text, quotes, seed):
    prompt = f"def f(x):\n    {quotes}{text}{quotes}\n"
    assume(compiles(prompt + "    return 1\n"))
    for method in ("C1", "C2", "C3"):
        (row,) = build_test_set(OneProblem(prompt), Spec(method, {"strength": 20}), seed=seed)
        assert row.compiles


def test_case_noise_does_not_break_escape_sequences():
    prompt = 'def f(x):\n    """Split at \\n and at \\x41 or \\N{DASH} or so."""\n'.replace("DASH", "EM DASH")
    (row,) = build_test_set(OneProblem(prompt), Spec("C3", {"strength": 20}), seed=1)
    assert "sPLIT AT \\n AND AT \\x41 OR \\N{EM" in row.prompt
    assert row.compiles


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least"), [("C1", 150), ("C2", 140), ("C3", 164), ("C", 150)])
def test_most_of_humaneval_changes(method, least):
    rows = humaneval(method, 42)
    assert sum(row.changed for row in rows) >= least
    assert all(row.changed is (row.prompt != row.clean_prompt) for row in rows)


def test_clean_changes_nothing_and_says_so():
    rows = humaneval("clean", 42)
    assert len(rows) == 164
    assert {(row.method, row.changed, row.compiles) for row in rows} == {("clean", False, True)}
    assert all(row.prompt == row.clean_prompt for row in rows)


def test_an_aggregates_rows_are_those_of_its_members_sets():
    singles = {name: humaneval(name, 42) for name in ("C1", "C2", "C3")}
    for index, row in enumerate(humaneval("C", 42)):
        assert row == singles[row.method][index]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_seeds_and_draws_give_different_data_and_the_same_ones_the_same(method):
    first = humaneval(method, 0)
    others = [humaneval(method, 1), *(humaneval(method, 0, draw) for draw in (1, 2))]
    assert first == build_test_set(HumanEval(), Spec(method), seed=0), "as without a draw"
    assert all(sum(a.prompt != b.prompt for a, b in zip(first, other, strict=True)) > 100 for other in others)
    assert others[1] != others[2]


def test_draws_under_compat_recode_are_recodes_seeds():
    drawn = build_test_set(HumanEval(), Spec("C1"), seed=0, draw=2, compat="recode")
    assert drawn == build_test_set(HumanEval(), Spec("C1"), seed=2, compat="recode")


def test_a_limit_keeps_the_first_rows_as_they_are():
    assert build_test_set(HumanEval(), Spec("C"), seed=42, limit=5) == humaneval("C", 42)[:5]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ButterFingersPerturbation:C1", "SwapCharactersPerturbation:C2", "ChangeCharCase:C3"])
def test_compat_recode_gives_the_published_prompts(name):
    theirs, method = name.split(":")
    nominal = JsonlProblems(str(shared_data("recode", "nominal", "HumanEval.jsonl.gz")))
    with gzip.open(shared_data("recode", "perturbed", f"humaneval_{theirs}_s0.jsonl.gz"), "rt") as file:
        golden = [json.loads(line)["prompt"] for line in file]
    rows = build_test_set(nominal, Spec(method), seed=0, compat="recode")
    assert [row.prompt for row in rows] == golden
    assert {row.method for row in rows} == {method}
    assert all(row.compiles for row in rows)


def test_compat_recode_draws_an_aggregates_member_for_each_row():
    rows = build_test_set(HumanEval(), Spec("C"), seed=0, compat="recode")
    assert {row.method for row in rows} == {"C1", "C2", "C3"}
    single = build_test_set(HumanEval(), Spec("C1"), seed=0, compat="recode")
    assert all(row == single[index] for index, row in enumerate(rows) if row.method == "C1")
    with pytest.raises(UsageError, match=r"unknown compat 'recod' \(did you mean 'recode'\?\)"):
        build_test_set(HumanEval(), Spec("C1"), seed=0, compat="recod")


def test_a_prompt_that_noise_breaks_is_marked():
    class Careless(OneProblem):
        def segments(self, problem):
            from raysweep.records import Segment

            return [Segment(problem.prompt, True)]

    prompt = "def f(x):\n    '''Return it.'''\n"
    assert not build_test_set(Careless(prompt), Spec("C3", {"strength": 20}), seed=0)[0].compiles
    assert not build_test_set(Careless(prompt, reference=None), Spec("C3", {"strength": 20}), seed=0)[0].compiles
    for other in (Careless(prompt, language="go"), Careless(prompt + "(")):
        assert build_test_set(other, Spec("C3", {"strength": 20}), seed=0)[0].compiles
    for language in ("java", "cpp"):
        broken = Careless("int f(int x) {\n    Return the sum of both.\n", language=language)
        assert not build_test_set(broken, Spec("C3", {"strength": 20}), seed=0)[0].compiles
