import ast
import random
from itertools import islice

import pytest

from raysweep.problems.mutants import OPERATORS, drawn_mutations, mutants_of, mutations


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


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("def f(xs):\n    return [n for n in xs if n > 1]", [0, 1, 2], [0, 1, 2]),  # no filter
        ("def f(xs):\n    return [n for n in xs if n > 1]", [0, 1, 2], [1, 2]),  # >=
        ("def f(xs):\n    return [n for n in xs if n > 1]", [0, 1, 2], [0]),  # <
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


CODE = """def f(xs, k):
    '''Return the first k of xs that are above 3.'''  # a < b
    total = 0
    for x in xs:
        if x > 3 and total <= k:
            total += x
        elif x in (1, 2):
            continue
    return sorted(xs)[1:k], max(total, k), "tex\u00fct"
"""


def test_every_operator_changes_as_few_characters_as_it_can():
    found = {}
    for change in mutations(CODE):
        found.setdefault(change.operator, set()).add((CODE[change.start : change.end], change.replacement))
    assert set(found) == set(OPERATORS)
    assert found["comparison swap"] == {(">", ">="), (">", "<"), ("<=", "<"), ("<=", ">="), ("in", "not in")}
    assert found["and/or swap"] == {("and", "or")}
    assert ("3", "4") in found["off by one"] and ("3", "2") in found["off by one"]
    assert ("t", "") in found["constant change"]
    assert ("x > 3 and total <= k", "not (x > 3 and total <= k)") in found["negated condition"]
    assert found["dropped return"] >= {("continue", "pass")}
    assert ("x in (1, 2)", "False") in found["dropped branch"]
    assert ("total, k", "k, total") in found["swapped arguments"]
    assert ("total", "k") in found["wrong variable"]
    assert ("max", "min") in found["wrong function"]
    assert found["slice bound"] == {("1", ""), ("k", "")}


def test_texts_outside_the_change_stay_and_docstrings_and_comments_too():
    for change in mutations(CODE):
        text = change.of(CODE)
        assert text.startswith(CODE[: change.start]) and text.endswith(CODE[change.end :])
        assert text != CODE and ast.dump(ast.parse(text)) != ast.dump(ast.parse(CODE))
        assert "'''Return the first k of xs that are above 3.'''  # a < b" in text


def test_only_what_comes_after_the_start_is_changed():
    start = CODE.index("    return sorted")
    assert all(change.start >= start for change in mutations(CODE, start)) and mutations(CODE, start)


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_lines_may_end_in_any_way_and_hold_any_characters(end):
    code = end.join(["def f(a, b):", "\tü = 'ä→𝄞'", "\treturn (a  # <", "\t\t< b)"])
    operators = {change.operator for change in mutations(code)}
    assert "constant change" in operators and "wrong variable" in operators
    for change in mutations(code):
        ast.parse(change.of(code))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_what_ends_a_line_for_python_ends_one(end):
    code = f"'a\u2028b\x0bc\x1cd\x85e\ff'{end}x = a + 1{end}"
    found = {(code[change.start : change.end], change.replacement) for change in mutations(code)}
    assert found == {("+", "-"), ("+", "*"), ("1", "2"), ("1", "0")}


def test_drawn_changes_take_operators_in_turn_and_a_seed_decides_them():
    one, same, other = (
        [change.of(CODE) for change in drawn_mutations(CODE, 0, random.Random(seed))] for seed in (1, 1, 2)
    )
    assert one == same != other and sorted(one) == sorted(other)
    assert len(one) == len(mutations(CODE))
    first = [change.operator for change in islice(drawn_mutations(CODE, 0, random.Random(3)), len(OPERATORS))]
    assert sorted(first) == sorted(OPERATORS)


def test_code_that_is_not_python_is_refused():
    with pytest.raises(SyntaxError):
        mutations("def f(:")
    with pytest.raises(SyntaxError):
        next(drawn_mutations("int main() {}", 0, random.Random(0)))
