import pytest

from raysweep.problems.minicode.mutants import compile_function, mutants_of


def results(source, *given):
    found = []
    for function in mutants_of(source):
        try:
            found.append(function(*given))
        except Exception as error:
            found.append(type(error))
    return found


def test_the_mutants_of_a_sum_change_the_operator_or_the_constant():
    assert sorted(results("def f(n):\n    return n + 10", 3)) == [-7, 12, 14, 15, 30]


def test_filters_are_removed_and_comparisons_shifted():
    found = results("def f(xs):\n    return [n for n in xs if n > 1]", [0, 1, 2])
    assert [0, 1, 2] in found  # no filter
    assert [1, 2] in found  # >=
    assert [0] in found  # <


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("def f(xs):\n    return max(xs)", [1, 5], 1),
        ("def f(s):\n    return not s.isupper()", "A", True),
        ("def f(s):\n    return s.upper()", "aB", "ab"),
        ("def f(xs):\n    return xs[2:]", [1, 2, 3], [1, 2]),
        ("def f(xs):\n    return sorted(xs)", [2, 1], [2, 1]),
        ("def f(xs):\n    return sorted(xs, reverse=True)", [2, 1], [1, 2]),
        ("def f(n):\n    return n > 0 and n < 5", 7, True),
    ],
)
def test_a_known_mutant_is_among_them(source, given, expected):
    assert expected in results(source, given)


def test_making_mutants_leaves_the_source_function_as_it_was():
    source = "def f(n):\n    return n % 2 == 0"
    mutants_of(source)
    assert compile_function(source)(4) is True
