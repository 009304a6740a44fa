"""Every registered metric and comparison of two models, held to its contract."""

from __future__ import annotations

import pytest

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison
from raysweep.metrics.base import METRICS, Metric
from raysweep.records import Spec
from raysweep.testing.comparisons import ComparisonContract
from raysweep.testing.metrics import MetricContract


@pytest.mark.parametrize("name", METRICS.names())
class TestMetrics(MetricContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> Metric:
        return METRICS.create(Spec(self.name))


@pytest.mark.parametrize("name", COMPARISONS.names())
class TestComparisons(ComparisonContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> Comparison:
        return COMPARISONS.create(Spec(self.name))
