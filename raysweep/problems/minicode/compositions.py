"""The 307 compositions: families that combine a filter or character class with what to do with the selected items.

Over lists of numbers (a filter, a map, an aggregate) the hash of the three decides what is held out; over strings and
over lists of words (a selection, an operation) it is one cell in each row of their grid.
"""

from __future__ import annotations

from itertools import product

from raysweep.problems.minicode.families import Family, split_of, split_of_cell

NUMBER_FILTERS = {  # name: (noun phrase, condition)
    "all": ("(the|all) numbers", ""),
    "odd": ("(the|all) odd numbers", "n % 2 == 1"),
    "even": ("(the|all) even numbers", "n % 2 == 0"),
    "positive": ("(the|all) positive numbers", "n > 0"),
    "negative": ("(the|all) negative numbers", "n < 0"),
    "above": ("(the|all) numbers (above|over) `{k}`", "n > {k}"),
    "below": ("(the|all) numbers (below|under) `{k}`", "n < {k}"),
    "multiples": ("(the|all) multiples of `{k}`", "n % {k} == 0"),
}
NUMBER_MAPS = {  # name: (order, past participle, expression)
    "": ("Take FILTER", "", "n"),
    "squared": ("Square FILTER", ", each squared", "n * n"),
    "doubled": ("Double FILTER", ", each doubled", "n + n"),
    "negated": ("Negate FILTER", ", each negated", "-n"),
    "plus": ("Add `{j}` to FILTER", ", each plus `{j}`", "n + {j}"),
    "times": ("Multiply FILTER by `{j}`", ", each times `{j}`", "n * {j}"),
}
NUMBER_AGGREGATES = {  # name: (noun phrase, order, code around the comprehension)
    "list": ("LIST", "and (return|give) the list", "[{}]"),
    "sum": ("RETURN the (sum|total) of", "and (add them up|return the sum)", "sum({})"),
    "max": ("RETURN the (largest|biggest) of", "and (find|return) the largest", "max(({}), default=0)"),
    "min": ("RETURN the (smallest|lowest) of", "and (find|return) the smallest", "min(({}), default=0)"),
    "count": ("(Count|RETURN the number of)", "and count them", "len([{}])"),
}

CHARACTER_CLASSES = {  # name: (noun phrase, condition)
    "vowels": ("vowels", 'c.lower() in "aeiou"'),
    "digits": ("digits", "c.isdigit()"),
    "capitals": ("(capital|uppercase) letters", "c.isupper()"),
    "small": ("(small|lowercase) letters", "c.islower()"),
    "spaces": ("(spaces|blanks)", "c.isspace()"),
    "letters": ("letters", "c.isalpha()"),
    "consonants": ("consonants", 'c.isalpha() and c.lower() not in "aeiou"'),
    "alnum": ("alphanumeric characters", "c.isalnum()"),
}
CHARACTER_OPERATIONS = {  # name: (prose around the noun phrase, body around the condition)
    "count": ("(Count the NOUN|RETURN the number of NOUN)( in the text|)", "return sum({} for c in {{x}})"),
    "remove": ("(Remove|Delete|Strip) (all|the) NOUN( of the text|)", 'return "".join("" if {} else c for c in {{x}})'),
    "keep": ("(Keep only|Return only|Keep just) (the|) NOUN( of the text|)", 'return "".join(c for c in {{x}} if {})'),
    "any": ("WHETHER (there are any NOUN|any NOUN (occur|exist))", "return any({} for c in {{x}})"),
    "none": ("WHETHER (there are no NOUN|no NOUN (occur|exist))", "return not any({} for c in {{x}})"),
    "places": ("LIST the (positions|indices) of (all|the) NOUN", "return [i for i, c in enumerate({{x}}) if {}]"),
    "mask": ("(Mask|Hide|Replace) (all|the) NOUN (with|by) stars", 'return "".join("*" if {} else c for c in {{x}})'),
}

WORD_FILTERS = {  # name: (noun phrase, condition)
    "longer": ("words (longer than|of more than) `{k}` letters", "len(w) > {k}"),
    "shorter": ("words (shorter than|of fewer than) `{k}` letters", "len(w) < {k}"),
    "exact": ("words (of|with) exactly `{k}` letters", "len(w) == {k}"),
    "starting": ("words (starting|beginning) with `{c}`", 'w.startswith("{c}")'),
    "ending": ("words (ending|that end) with `{c}`", 'w.endswith("{c}")'),
    "containing": ("words (containing|that contain) `{c}`", '"{c}" in w'),
    "lacking": ("words (lacking|without) `{c}`", '"{c}" not in w'),
}
WORD_OPERATIONS = {  # name: (prose around the noun phrase, body around the condition)
    "list": ("(Keep|LIST) (the|all) NOUN", "return [w for w in {{x}} if {}]"),
    "count": ("(Count the NOUN|RETURN the number of NOUN)", "return len([w for w in {{x}} if {}])"),
    "lengths": ("LIST the lengths of (the|all) NOUN", "return [len(w) for w in {{x}} if {}]"),
    "upper": ("(Uppercase|Shout|Convert to capitals) (the|all) NOUN", "return [w.upper() for w in {{x}} if {}]"),
    "flipped": ("(Reverse|Flip) (the|all) NOUN", "return [w[::-1] for w in {{x}} if {}]"),
    "joined": ("(Join|Combine|Glue) (the|all) NOUN with spaces", 'return " ".join(w for w in {{x}} if {})'),
    "initials": ("LIST the (initials|first letters) of (the|all) NOUN", "return [w[0] for w in {{x}} if {}]"),
    "any": ("WHETHER (there are|the list has) (any|) NOUN", "return any({} for w in {{x}})"),
}


def families() -> list[Family]:
    """Return the compositions: 195 over lists of numbers, 56 over strings, 56 over lists of words.

    Over numbers plain atoms are left out, and counts of mapped numbers, which equal the plain count.
    """
    cells = product(NUMBER_FILTERS, NUMBER_MAPS, NUMBER_AGGREGATES)
    numbers = [_number_family(f, m, a) for f, m, a in cells if not (m and a == "count") and (f != "all" or m)]
    strings = [
        Family(
            name=f"{operation}_{group}",
            kind="strings",
            argument="string",
            prose=prose.replace("NOUN", noun),
            body=body.format(condition),
            split=split_of_cell(row, column, len(CHARACTER_OPERATIONS)),
        )
        for row, (group, (noun, condition)) in enumerate(CHARACTER_CLASSES.items())
        for column, (operation, (prose, body)) in enumerate(CHARACTER_OPERATIONS.items())
    ]
    words = [
        Family(
            name=f"{operation}_{filtered}",
            kind="words",
            argument="words",
            prose=prose.replace("NOUN", noun),
            body=body.format(condition),
            split=split_of_cell(row, column, len(WORD_OPERATIONS)),
        )
        for row, (filtered, (noun, condition)) in enumerate(WORD_FILTERS.items())
        for column, (operation, (prose, body)) in enumerate(WORD_OPERATIONS.items())
    ]
    return [*numbers, *strings, *words]


def _number_family(filtered: str, mapped: str, aggregate: str) -> Family:
    noun, condition = NUMBER_FILTERS[filtered]
    order, participle, expression = NUMBER_MAPS[mapped]
    phrase, ending, code = NUMBER_AGGREGATES[aggregate]
    name = "_".join(part for part in (aggregate, filtered, mapped) if part)
    prose = f"({phrase} {noun}{participle}|{order.replace('FILTER', noun)} {ending})"
    clause = f" if {condition}" if condition else ""
    body = "return " + code.format(f"{expression} for n in {{x}}{clause}")
    return Family(name, "lists", "list", prose, body, split_of(name))
