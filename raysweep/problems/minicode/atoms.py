"""The 80 atoms: families of small functions that combine no others.

Each row holds name, prose pattern and body; see `families.Family`.
"""

from __future__ import annotations

from raysweep.problems.minicode.families import Argument, Family

PAIR = [
    ("add", "(Add the two numbers|RETURN the sum of the two numbers)", "return {x} + {y}"),
    ("subtract", "(Subtract|Take away) the second (number|value) from the first", "return {x} - {y}"),
    ("multiply", "(Multiply the two numbers|RETURN the product of the two numbers)", "return {x} * {y}"),
    ("larger", "RETURN the (larger|greater|bigger) of the two (numbers|values)", "return max({x}, {y})"),
    ("smaller", "RETURN the (smaller|lesser) of the two (numbers|values)", "return min({x}, {y})"),
    ("distance", "RETURN the (distance|gap) between the two (numbers|values)", "return abs({x} - {y})"),
    ("mean", "RETURN the (mean|average) of the two (numbers|values)", "return ({x} + {y}) / 2"),
    ("same", "WHETHER (both|the two) (numbers|values) are (equal|the same)", "return {x} == {y}"),
    ("exceeds", "WHETHER the first (number|value) (exceeds|is above) the second", "return {x} > {y}"),
    ("remainder", "RETURN the remainder of the first number by the second", "return {x} % {y}"),
]

INT = [
    ("square", "(Square the number|RETURN the (number squared|square of the number))", "return {x} * {x}"),
    ("cube", "(Cube the number|RETURN the (number cubed|cube of the number))", "return {x} * {x} * {x}"),
    ("negate", "(Negate the number|Flip the sign of the number|RETURN the negated number)", "return -{x}"),
    ("absolute", "RETURN the (absolute value|magnitude) of the number", "return abs({x})"),
    ("is_even", "WHETHER the (number|value) is even", "return {x} % 2 == 0"),
    ("is_odd", "WHETHER the (number|value) is odd", "return {x} % 2 == 1"),
    ("add_k", "(Add `{k}` to the (number|value)|RETURN the number plus `{k}`)", "return {x} + {k}"),
    ("take_k", "(Subtract `{k}` from the (number|value)|RETURN the number minus `{k}`)", "return {x} - {k}"),
    ("times_k", "(Multiply the (number|value) by `{k}`|RETURN the number times `{k}`)", "return {x} * {k}"),
    ("rest_k", "RETURN the (remainder|rest) of the (number|value) (by|modulo) `{k}`", "return {x} % {k}"),
    ("is_multiple_k", "WHETHER the number is (divisible by|a multiple of) `{k}`", "return {x} % {k} == 0"),
    ("cap_k", "(Cap|Limit) the (number|value) (at|to) `{k}`", "return min({x}, {k})"),
]

NAT = [
    ("digit_sum", "(RETURN the sum of|Add up) the digits( of the number|)", "return sum(int(d) for d in str({x}))"),
    ("digit_count", "(Count the digits|RETURN the number of digits) of the number", "return len(str({x}))"),
    ("top_digit", "RETURN the (largest|highest) digit( of the number|)", "return max(int(d) for d in str({x}))"),
    ("flip_digits", "(Reverse|Flip) the (order of the |)digits( of the number|)", "return int(str({x})[::-1])"),
    ("divisors", "LIST the (divisors|factors) of the number", "return [d for d in range(1, {x} + 1) if {x} % d == 0]"),
    ("is_prime", "WHETHER the number is (a prime|prime)", "return {x} > 1 and all({x} % d for d in range(2, {x}))"),
    ("count_up", "(List the numbers|Count) from one( up|) to the (number|value)", "return list(range(1, {x} + 1))"),
    (
        "factorial",
        "RETURN the factorial( of the (number|value)|)",
        "result = 1\nfor i in range(2, {x} + 1):\n    result *= i\nreturn result",
    ),
]

STRING = [
    ("reverse", "(Reverse the (string|text)|RETURN the (string|text) backwards)", "return {x}[::-1]"),
    ("shout", "(Turn|Convert|Change) the (string|text) to (uppercase|capitals)", "return {x}.upper()"),
    ("whisper", "(Turn|Convert|Change) the (string|text) to (lowercase|small letters)", "return {x}.lower()"),
    ("swap_case", "(Swap|Toggle|Invert) the case( of the (string|text)|)", "return {x}.swapcase()"),
    ("length", "RETURN the length of the (string|text)", "return len({x})"),
    ("is_palindrome", "WHETHER the (string|text) is a palindrome", "return {x} == {x}[::-1]"),
    ("distinct", "(Count the (distinct|different)|RETURN the number of distinct) characters", "return len(set({x}))"),
    ("sort_letters", "(Sort|Order) the characters( of the (string|text)|)", 'return "".join(sorted({x}))'),
    ("dashes", "Join the characters (with|by) (dashes|hyphens)", 'return "-".join({x})'),
    ("split_words", "(Split|Cut|Break) the (string|text) into words", "return {x}.split()"),
    ("count_words", "(Count the words|RETURN the number of words) in the (string|text)", "return len({x}.split())"),
    ("repeat_k", "Repeat the (string|text) `{k}` times", "return {x} * {k}"),
    ("head_k", "RETURN the first `{k}` (characters|symbols)", "return {x}[:{k}]"),
    ("tail_k", "RETURN the last `{k}` (characters|symbols)", "return {x}[-{k}:]"),
    ("skip_k", "(Drop|Skip) the first `{k}` (characters|symbols)", "return {x}[{k}:]"),
    ("step_k", "(Take|Pick) one of every `{k}` (characters|symbols)", "return {x}[::{k}]"),
    ("count_c", "(Count the `{c}` letters|RETURN the number of `{c}`) in the (string|text)", 'return {x}.count("{c}")'),
    ("erase_c", "(Erase|Delete|Strip) (every|each) `{c}`( from the (string|text)|)", 'return {x}.replace("{c}", "")'),
    ("starts_c", "WHETHER the (string|text) (starts|begins) with `{c}`", 'return {x}.startswith("{c}")'),
    ("ends_c", "WHETHER the (string|text) (ends|stops) with `{c}`", 'return {x}.endswith("{c}")'),
]

LIST = [
    ("total", "(RETURN the (sum|total) of all the numbers|Add up all the numbers)", "return sum({x})"),
    ("maximum", "RETURN the (largest|highest|biggest) (number|value) in the list", "return max({x})"),
    ("minimum", "RETURN the (smallest|lowest) (number|value) in the list", "return min({x})"),
    ("size", "(Count the (items|elements)|RETURN the (length|size)) of the list", "return len({x})"),
    ("mean_list", "RETURN the (mean|average) of the (list|numbers)", "return sum({x}) / len({x})"),
    ("spread", "RETURN the (range|spread) of the (list|numbers)", "return max({x}) - min({x})"),
    (
        "product",
        "RETURN the product of (all|the) numbers",
        "result = 1\nfor n in {x}:\n    result *= n\nreturn result",
    ),
    ("backwards", "(Reverse the list|RETURN the list backwards|Turn the list around)", "return {x}[::-1]"),
    ("ascending", "(Sort|Order|Arrange) the (list|numbers) (in ascending order|upwards)", "return sorted({x})"),
    (
        "descending",
        "(Sort|Order|Arrange) the (list|numbers) (in descending order|downwards)",
        "return sorted({x}, reverse=True)",
    ),
    ("is_sorted", "WHETHER the (list is|numbers are) (sorted|in order)", "return {x} == sorted({x})"),
    ("unique", "(Remove|Drop) (duplicates|repeats|repeated numbers) from the list", "return list(dict.fromkeys({x}))"),
    ("has_repeats", "WHETHER the list (has|contains) (duplicates|repeats)", "return len(set({x})) < len({x})"),
    ("runner_up", "RETURN the second (largest|highest|biggest) (number|value)", "return sorted({x})[-2]"),
    ("top_index", "RETURN the (index|position) of the (largest|highest|biggest) number", "return {x}.index(max({x}))"),
    ("rotate", "((Rotate|Shift) the list left|Move the first (number|item) to the end)", "return {x}[1:] + {x}[:1]"),
    ("gaps", "LIST the (gaps|differences) between neighbours", "return [b - a for a, b in zip({x}, {x}[1:])]"),
    ("first_k", "RETURN the first `{k}` (numbers|elements|items)", "return {x}[:{k}]"),
    ("last_k", "RETURN the last `{k}` (numbers|elements|items)", "return {x}[-{k}:]"),
    ("drop_k", "(Drop|Skip) the first `{k}` (numbers|elements|items)", "return {x}[{k}:]"),
    ("every_k", "(Take|Pick) one of every `{k}` (numbers|elements|items)", "return {x}[::{k}]"),
    ("count_k", "(Count|RETURN) how often `{k}` (occurs|appears)", "return {x}.count({k})"),
    ("has_k", "WHETHER `{k}` (occurs|appears|is) in the list", "return {k} in {x}"),
    ("remove_k", "(Remove|Delete|Erase) (every|each) `{k}` from the list", "return [n for n in {x} if n != {k}]"),
    ("prepend_k", "(Prepend `{k}`|(Put|Insert) `{k}` at the front)( of the list|)", "return [{k}] + {x}"),
    ("append_k", "(Append `{k}`|(Put|Insert) `{k}` at the end)( of the list|)", "return {x} + [{k}]"),
]

WORDS = [
    ("join_words", "(Join|Combine|Glue) the words (with|by) spaces", 'return " ".join({x})'),
    ("longest", "RETURN the longest word( in the list|)", "return max({x}, key=len)"),
    ("shortest", "RETURN the shortest word( in the list|)", "return min({x}, key=len)"),
    ("by_length", "(Sort|Order|Arrange) the words by (length|size)", "return sorted({x}, key=len)"),
]

_ROWS: dict[Argument, list[tuple[str, str, str]]] = {
    "pair": PAIR,
    "int": INT,
    "nat": NAT,
    "string": STRING,
    "list": LIST,
    "words": WORDS,
}


def families() -> list[Family]:
    return [
        Family(name, "atoms", argument, prose, body) for argument, table in _ROWS.items() for name, prose, body in table
    ]
