"""Every registered metric, held to the contract of metrics."""

from __future__ import annotations

import pytest

from raysweep.metrics.base import METRICS, Metric
from raysweep.records import Spec
from raysweep.testing.metrics import MetricContract


@pytest.mark.parametrize("name", METRICS.names())
class TestMetrics(MetricContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> Metric:
        return METRICS.create(Spec(self.name))
