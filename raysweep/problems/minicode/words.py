"""Compositions over lists of words: which words, and what of them; one cell a row is held out."""

from __future__ import annotations

from raysweep.problems.minicode.families import Family, split_of_cell

FILTERS = {  # name: (noun phrase, condition)
    "longer": ("words (longer than|of more than) `{k}` letters", "len(w) > {k}"),
    "shorter": ("words (shorter than|of fewer than) `{k}` letters", "len(w) < {k}"),
    "exact": ("words (of|with) exactly `{k}` letters", "len(w) == {k}"),
    "starting": ("words (starting|beginning) with `{c}`", 'w.startswith("{c}")'),
    "ending": ("words (ending|that end) with `{c}`", 'w.endswith("{c}")'),
    "containing": ("words (containing|that contain) `{c}`", '"{c}" in w'),
    "lacking": ("words (lacking|without) `{c}`", '"{c}" not in w'),
}
OUTPUTS = {  # name: (prose around the noun phrase, body around the condition)
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
    """Return the 56 compositions."""
    return [
        Family(
            name=f"{output}_{kept}",
            kind="words",
            argument="words",
            prose=OUTPUTS[output][0].replace("NOUN", FILTERS[kept][0]),
            body=OUTPUTS[output][1].format(FILTERS[kept][1]),
            split=split_of_cell(row, column, len(OUTPUTS)),
        )
        for row, kept in enumerate(FILTERS)
        for column, output in enumerate(OUTPUTS)
    ]
