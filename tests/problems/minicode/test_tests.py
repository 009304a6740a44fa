import pytest

from raysweep.problems.minicode.inputs import draw_pool
from raysweep.problems.minicode.tests import accepts, choose, differs, write_tests
from raysweep.problems.minicode.world import evaluation_tasks
from raysweep.problems.mutants import compile_function, mutants_of
from raysweep.seeding import python_rng


def test_the_tests_are_asserts_on_what_the_reference_returns():
    test = write_tests("def f(xs):\n    return max(xs)", [([],), ([3, 9],), ([2],)])
    assert test.splitlines()[0] == "def check(candidate):"
    assert sorted(test.splitlines()[1:]) == [
        "    assert candidate([2]) == 2",
        "    assert candidate([3, 9]) == 9",
    ]  # the reference refuses the empty list


def test_the_input_that_fails_most_near_misses_comes_first_and_a_second_round_begins_when_all_have_failed():
    reference = compile_function("def f(n):\n    return n * n")
    wrong = [compile_function(f"def f(n):\n    return {body}") for body in ("n", "n + n", "abs(n)")]
    assert choose([(0,), (1,), (2,), (3,)], reference, wrong, 2)[0] == (3,)
    assert choose([(0,), (1,), (5,), (6,)], reference, wrong[:1], 2) == [(5,), (6,)]


@pytest.mark.slow
def test_tests_fail_97_percent_of_the_mutants_that_are_not_equivalent():
    failed = total = 0
    for index, task in enumerate(evaluation_tasks(1, "validation", 120)):
        source = task.prompt + task.body
        argument, rng = task.family.argument, python_rng(1, "judge", index)
        namespace = {}
        exec(write_tests(source, draw_pool(argument, task.constants, rng, 40)), namespace)
        reference = compile_function(source)
        others = [given for given in draw_pool(argument, task.constants, rng, 200) if accepts(reference, given)]
        expected = [reference(*given) for given in others]
        for mutant in mutants_of(source):
            if any(map(differs, [mutant] * len(others), others, expected)):
                total += 1
                failed += differs(namespace["check"], (mutant,), None)
    assert total > 1000
    assert failed / total >= 0.97
