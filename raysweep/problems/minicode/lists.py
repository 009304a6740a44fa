"""Compositions over lists of numbers: a filter, a map, an aggregate; held out by the hash of the three."""

from __future__ import annotations

from raysweep.problems.minicode.families import Family, split_of

FILTERS = {  # name: (noun phrase, condition)
    "all": ("(the|all) numbers", ""),
    "odd": ("(the|all) odd numbers", "n % 2 == 1"),
    "even": ("(the|all) even numbers", "n % 2 == 0"),
    "positive": ("(the|all) positive numbers", "n > 0"),
    "negative": ("(the|all) negative numbers", "n < 0"),
    "above": ("(the|all) numbers (above|over) `{k}`", "n > {k}"),
    "below": ("(the|all) numbers (below|under) `{k}`", "n < {k}"),
    "multiples": ("(the|all) multiples of `{k}`", "n % {k} == 0"),
}
MAPS = {  # name: (order, past participle, expression)
    "": ("Take FILTER", "", "n"),
    "squared": ("Square FILTER", ", each squared", "n * n"),
    "doubled": ("Double FILTER", ", each doubled", "n + n"),
    "negated": ("Negate FILTER", ", each negated", "-n"),
    "plus": ("Add `{j}` to FILTER", ", each plus `{j}`", "n + {j}"),
    "times": ("Multiply FILTER by `{j}`", ", each times `{j}`", "n * {j}"),
}
AGGREGATES = {  # name: (noun phrase, order, code around the comprehension)
    "list": ("LIST", "and (return|give) the list", "[{}]"),
    "sum": ("RETURN the (sum|total) of", "and (add them up|return the sum)", "sum({})"),
    "max": ("RETURN the (largest|biggest) of", "and (find|return) the largest", "max(({}), default=0)"),
    "min": ("RETURN the (smallest|lowest) of", "and (find|return) the smallest", "min(({}), default=0)"),
    "count": ("(Count|RETURN the number of)", "and count them", "len([{}])"),
}


def families() -> list[Family]:
    """Return the 195 compositions: what is no atom, and no count of mapped numbers, which equals the plain count."""
    cells = [(f, m, a) for f in FILTERS for m in MAPS for a in AGGREGATES]
    return [_family(f, m, a) for f, m, a in cells if not (m and a == "count") and (f != "all" or m)]


def _family(kept: str, changed: str, aggregate: str) -> Family:
    noun, condition = FILTERS[kept]
    order, participle, expression = MAPS[changed]
    phrase, ending, code = AGGREGATES[aggregate]
    name = "_".join(part for part in (aggregate, kept, changed) if part)
    prose = f"({phrase} {noun}{participle}|{order.replace('FILTER', noun)} {ending})"
    clause = f" if {condition}" if condition else ""
    body = "return " + code.format(f"{expression} for n in {{x}}{clause}")
    return Family(name, "lists", "list", prose, body, split_of(name))
