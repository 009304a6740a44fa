import pytest

from raysweep.problems.minicode.inputs import draw_input, draw_pool
from raysweep.seeding import python_rng

CONSTANTS = {"k": 4, "c": "d"}


@pytest.mark.parametrize("argument", ["pair", "int", "nat", "list", "string", "words"])
def test_a_pool_holds_forty_different_inputs(argument):
    pool = draw_pool(argument, CONSTANTS, python_rng(0, argument), 40)
    assert len({repr(given) for given in pool}) == len(pool) == 40


def test_the_same_generator_draws_the_same():
    draws = [[draw_input("list", CONSTANTS, python_rng(1, index)) for index in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]


def test_lists_meet_the_edges_of_every_filter():
    lists = [given[0] for given in draw_pool("list", CONSTANTS, python_rng(2), 40)]
    signs = [lambda n: n % 2, lambda n: n > 0, lambda n: n < 0]
    for accepts in [*signs, lambda n: n > 4, lambda n: n < 4, lambda n: n % 4 == 0]:
        assert any(numbers and all(map(accepts, numbers)) for numbers in lists)
        assert any(numbers and not any(map(accepts, numbers)) for numbers in lists)
    assert any(max(numbers) == 4 for numbers in lists if numbers)
    assert any(min(numbers) == 4 for numbers in lists if numbers)


def test_strings_hold_palindromes_near_palindromes_blanks_digits_and_mixed_case():
    strings = [given[0] for given in draw_pool("string", CONSTANTS, python_rng(3), 40)]
    long = [text for text in strings if len(text) > 4 and text.strip()]
    assert any(text == text[::-1] for text in long)
    assert any(text != text[::-1] and text[:-1] == text[-2::-1] for text in long)
    assert any(text.isspace() for text in strings)
    assert any(text.isdigit() for text in strings)
    assert any(text != text.lower() and text != text.upper() for text in strings)


def test_words_have_lengths_around_the_constant_and_the_letter_in_every_place():
    words = [word for given in draw_pool("words", CONSTANTS, python_rng(4), 40) for word in given[0]]
    assert {3, 4, 5} <= {len(word) for word in words}
    assert any(word.startswith("d") and "d" not in word[1:] for word in words)
    assert any(word.endswith("d") and "d" not in word[:-1] for word in words)
    assert any("d" in word[1:-1] and word[0] != "d" != word[-1] for word in words)
