import pytest

from raysweep.errors import UsageError
from raysweep.problems.minicode.problem_set import MiniCodeProblems


def test_a_problem_is_shaped_like_humanevals():
    problems = MiniCodeProblems(world=1, count=60).problems()
    for index, problem in enumerate(problems):
        assert problem.task_id == f"MiniCode/{index}"
        assert problem.prompt.startswith(f"def {problem.entry_point}(")
        assert problem.prompt.endswith('\n    """\n')
        assert problem.reference.startswith("    ")
        assert not any(stop in problem.reference for stop in problem.stop)


@pytest.mark.slow
def test_perturbations_may_touch_the_sentence_but_no_constant_name_or_example():
    minicode = MiniCodeProblems(world=1, count=240)
    for problem in minicode.problems():
        sentence = problem.prompt.split('"""')[1].split("\n")[0]
        natural = [segment.text for segment in minicode.segments(problem) if segment.natural]
        assert all(text in sentence and "`" not in text for text in natural) and "".join(natural).strip()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"split": "tests"}, "did you mean 'test'"), ({"split": "a"}, "validation, test"), ({"count": 0}, "at least 1")],
)
def test_bad_arguments_are_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        MiniCodeProblems(world=1, **arguments)


def test_the_fingerprint_tells_splits_apart():
    assert MiniCodeProblems(world=1).fingerprint() != MiniCodeProblems(world=1, split="validation").fingerprint()


@pytest.mark.long
@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_reference_passes_its_own_tests_and_a_wrong_body_fails(split):
    """In small: tests/contracts/test_problems.py."""
    problems = MiniCodeProblems(world=1, split=split).problems()
    assert len(problems) == 240
    for problem in problems:
        exec(problem.assemble(problem.reference).source, {})
        with pytest.raises((AssertionError, TypeError)):
            exec(problem.assemble("    return None").source, {})
