"""Compositions over strings: a class of characters, and what is done with it; one cell a row is held out."""

from __future__ import annotations

from raysweep.problems.minicode.families import Family, split_of_cell

CLASSES = {  # name: (noun phrase, condition)
    "vowels": ("vowels", 'c.lower() in "aeiou"'),
    "digits": ("digits", "c.isdigit()"),
    "capitals": ("(capital|uppercase) letters", "c.isupper()"),
    "small": ("(small|lowercase) letters", "c.islower()"),
    "spaces": ("(spaces|blanks)", "c.isspace()"),
    "letters": ("letters", "c.isalpha()"),
    "consonants": ("consonants", 'c.isalpha() and c.lower() not in "aeiou"'),
    "alnum": ("alphanumeric characters", "c.isalnum()"),
}
OPERATIONS = {  # name: (prose around the noun phrase, body around the condition)
    "count": ("(Count the NOUN|RETURN the number of NOUN)( in the text|)", "return sum({} for c in {{x}})"),
    "remove": ("(Remove|Delete|Strip) (all|the) NOUN( of the text|)", 'return "".join("" if {} else c for c in {{x}})'),
    "keep": ("(Keep only|Return only|Keep just) (the|) NOUN( of the text|)", 'return "".join(c for c in {{x}} if {})'),
    "any": ("WHETHER (there are any NOUN|any NOUN (occur|exist))", "return any({} for c in {{x}})"),
    "none": ("WHETHER (there are no NOUN|no NOUN (occur|exist))", "return not any({} for c in {{x}})"),
    "places": ("LIST the (positions|indices) of (all|the) NOUN", "return [i for i, c in enumerate({{x}}) if {}]"),
    "mask": ("(Mask|Hide|Replace) (all|the) NOUN (with|by) stars", 'return "".join("*" if {} else c for c in {{x}})'),
}


def families() -> list[Family]:
    """Return the 56 compositions."""
    return [
        Family(
            name=f"{operation}_{group}",
            kind="strings",
            argument="string",
            prose=OPERATIONS[operation][0].replace("NOUN", CLASSES[group][0]),
            body=OPERATIONS[operation][1].format(CLASSES[group][1]),
            split=split_of_cell(row, column, len(OPERATIONS)),
        )
        for row, group in enumerate(CLASSES)
        for column, operation in enumerate(OPERATIONS)
    ]
