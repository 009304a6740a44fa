import pytest

from raysweep.problems.minicode.families import expand


def test_groups_nest_and_multiply():
    assert expand("(Sort|Order) the (list|(given|) text)") == (
        "Sort the list",
        "Sort the given text",
        "Sort the text",
        "Order the list",
        "Order the given text",
        "Order the text",
    )


def test_bars_outside_of_groups_separate_whole_wordings():
    assert expand("Add (one|two)|Subtract") == ("Add one", "Add two", "Subtract")


def test_a_wording_that_arises_twice_is_kept_once():
    assert expand("(a|) (a|) b") == ("a a b", "a b", "b")


def test_macros_stand_for_alternatives():
    assert expand("LIST it") == ("Return it", "Give it", "List it")


@pytest.mark.parametrize("pattern", ["(a", "a)", "(a|(b)"])
def test_a_lonely_parenthesis_is_refused(pattern):
    with pytest.raises(ValueError, match="without its partner"):
        expand(pattern)
