import subprocess
import sys

import pytest

from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS
from raysweep.problems.minicode.problem_set import MiniCodeProblems
from raysweep.records import Spec


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_reference_passes_its_own_tests(seed, split):
    problems = MiniCodeProblems(world=seed, split=split).problems()
    assert len(problems) == 240
    for problem in problems:
        exec(problem.assemble(problem.reference).source, {})


def test_a_wrong_body_fails():
    for problem in MiniCodeProblems(world=1, count=60).problems():
        with pytest.raises((AssertionError, TypeError)):
            exec(problem.assemble("    return None").source, {})


def test_a_problem_is_shaped_like_humanevals():
    problems = MiniCodeProblems(world=1, count=60).problems()
    for index, problem in enumerate(problems):
        assert problem.task_id == f"MiniCode/{index}"
        assert problem.prompt.startswith(f"def {problem.entry_point}(")
        assert problem.prompt.endswith('\n    """\n')
        assert problem.reference.startswith("    ")
        assert not any(stop in problem.reference for stop in problem.stop)


def test_perturbations_may_touch_the_sentence_but_no_constant_name_or_example():
    minicode = MiniCodeProblems(world=1, count=240)
    for problem in minicode.problems():
        segments = minicode.segments(problem)
        assert "".join(segment.text for segment in segments) == problem.prompt
        natural = "".join(segment.text for segment in segments if segment.natural)
        sentence = problem.prompt.split('"""')[1].split("\n")[0]
        assert natural.strip()
        assert all(segment.text in sentence for segment in segments if segment.natural)
        assert "`" not in natural


def test_the_set_is_made_from_its_spec():
    spec = Spec("minicode", {"world": 7, "split": "validation", "count": 3})
    minicode = PROBLEMS.create(spec)
    assert len(minicode.problems()) == 3
    assert minicode.limits.timeout == 1.0


def test_the_fingerprint_tells_worlds_splits_and_sizes_apart():
    variants = [{"world": 1}, {"world": 2}, {"world": 1, "split": "validation"}, {"world": 1, "count": 10}]
    prints = [MiniCodeProblems(**arguments).fingerprint() for arguments in variants]
    assert all(one != other for i, one in enumerate(prints) for other in prints[:i])
    assert MiniCodeProblems(world=1).fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"split": "tests"}, "did you mean 'test'"),
        ({"split": "train"}, "validation, test"),
        ({"count": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        MiniCodeProblems(world=1, **arguments)


def test_importing_it_loads_no_heavy_library():
    code = "import sys, raysweep.problems.minicode.problem_set; "
    code += "print({'numpy', 'torch', 'ray', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
