"""Tests of one question are a family: effects are found among hundreds of tests, and hardly any that isn't there."""

from __future__ import annotations

import pytest

from tests.analysis.families import simulated, study

pytestmark = pytest.mark.slow


def test_of_a_models_331_tests_effects_of_a_fifth_are_found_and_hardly_any_other():
    sweeps = list(simulated(study(models=1), sweeps=3, samples=40, affected_share=0.1))
    assert [[len(family) for family in one.families] for one in sweeps] == [[65, 210, 56]] * 3
    effects = sum(len(one.affected) for one in sweeps)
    assert effects > 20 and sum(one.found for one in sweeps) >= 0.9 * effects
    assert sum(one.false_families for one in sweeps) <= 1
