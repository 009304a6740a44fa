"""Severities and tiers of codes."""

import csv
import re

import pytest

from raysweep.quality.linting import describe
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING, Severity, TierSource, severity_of, symbols, tier_of, tiers
from tests.conftest import shared_data


@pytest.mark.slow
def test_symbols_are_pylints():
    described = describe()
    assert {code: described[code].symbol for code in symbols()} == symbols()
    assert set(CAUSED_BY_CUTTING) <= set(described)
    there = {(tier.severity, tier.name) for tier in tiers()}
    assert all((tier_of(code).severity, tier_of(code).name) in there for code in symbols()), "tiers of the study"
    with pytest.raises(ValueError, match="P"):
        severity_of("PLR0912")


def test_the_studys_codes_are_in_the_studys_tiers():
    with shared_data("paper", "table12_pylint_taxonomy.csv").open() as file:
        rows = list(csv.DictReader(file))
    printed = {code: row["tier"] for row in rows for code in re.findall(r"\b[FEWRCI]\d{4}\b", row["examples"])}
    assert len(printed) == 21
    for code, tier in printed.items():
        assert (tier_of(code).name, tier_of(code).source) == (tier, TierSource.STUDY), code
    assert {code for code in symbols() if tier_of(code).source is TierSource.STUDY} == set(printed)
    severities = {re.search(r"\((.)\)", row["category"])[1]: row for row in rows}
    assert list(severities) == list(Severity)
    named = [(tier.severity, tier.name) for tier in tiers() if tier.source is TierSource.STUDY]
    assert named == [(re.search(r"\((.)\)", row["category"])[1], row["tier"]) for row in rows]


@pytest.mark.parametrize(
    "code,tier,source",
    [
        ("F0002", "Critical", "severity"),
        ("I0021", "Info", "severity"),
        ("E0602", "Tier 1 (blockers)", "raysweep"),
        ("W9999", "no tier", "none"),
    ],
)
def test_codes_that_the_study_does_not_name(code, tier, source):
    assert (tier_of(code).name, tier_of(code).source) == (tier, source)
