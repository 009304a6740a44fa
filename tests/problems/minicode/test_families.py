import pytest

from raysweep.problems.minicode.families import expand

NESTED = "Sort the list|Sort the given text|Sort the text|Order the list|Order the given text|Order the text"


@pytest.mark.parametrize(
    ("pattern", "wordings"),
    [
        ("(Sort|Order) the (list|(given|) text)", NESTED),  # groups nest and multiply
        ("Add (one|two)|Subtract", "Add one|Add two|Subtract"),  # bars outside of groups separate whole wordings
        ("(a|) (a|) b", "a a b|a b|b"),  # a wording that arises twice is kept once
        ("LIST it", "Return it|Give it|List it"),  # a macro
    ],
)
def test_a_pattern_stands_for_all_its_wordings(pattern, wordings):
    assert expand(pattern) == tuple(wordings.split("|"))


@pytest.mark.parametrize("pattern", ["(a", "a)", "(a|(b)"])
def test_a_lonely_parenthesis_is_refused(pattern):
    with pytest.raises(ValueError, match="without its partner"):
        expand(pattern)
