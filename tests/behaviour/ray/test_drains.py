"""Spot machines: what is trained and generated on nodes that are drained, or lost without notice.

In small: tests/engine/ray/cluster/test_drains.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.small_ray import SmallRay

pytestmark = [pytest.mark.ray, pytest.mark.long]

SAVED = re.compile(r"! node [\d.]+ is drained, (\d+) s left; checkpoint saved at step (\d+)")
AGAIN = re.compile(r"! attempt 1 begins again: node [\d.]+ was drained")
INTERVAL = 4


def drained(ray: SmallRay, folder: Path, *, with_workers: bool = False) -> dict[str, Any]:
    """Return what happened on nodes that were drained or lost."""
    from tests.behaviour.ray.drained_nodes import trained_and_generated  # once its trainer can be imported

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        return trained_and_generated(ray, folder, with_workers=with_workers)


@pytest.fixture(scope="module")
def found(shared_ray, plugin_parts, tmp_path_factory) -> dict[str, Any]:
    return drained(shared_ray, tmp_path_factory.mktemp("drained"))


def check_drained(found: dict[str, Any], name: str) -> None:
    """Check that a training on a drained node lost at most one step and no retry, and ended with the same weights."""
    training = found[name]
    assert training["errors"] == {} and training["attempt"] == 1
    (saved,) = [match for line in training["told"] if (match := SAVED.fullmatch(line))]
    assert 0 <= int(saved[1]) <= found["notice"]
    (first, second), step = training["runs"], int(saved[2])
    assert found["first"] <= step == training["resumed_from"] and first[-1] - step <= 1 and second[0] == step + 1
    assert len([line for line in training["told"] if AGAIN.fullmatch(line)]) == 1
    assert "failed" not in str(training["told"])
    assert training["weights"] == found["alone"]["weights"]


def test_a_training_on_a_drained_node_loses_at_most_one_step_and_no_retry(found):
    check_drained(found, "trial")


@pytest.mark.long
@pytest.mark.usefixtures("plugin_parts")
def test_so_does_one_of_two_workers(shared_ray, tmp_path):
    """In small: the test above, and tests/engine/ray/test_training.py on what workers are told."""
    check_drained(drained(shared_ray, tmp_path, with_workers=True), "workers")


def test_without_notice_a_training_loses_at_most_one_interval_and_a_retry(found):
    lost = found["lost"]
    first, second = lost["runs"]
    assert lost["errors"] == {} and lost["attempt"] == 2
    assert first[-1] - lost["resumed_from"] <= INTERVAL and second[0] == lost["resumed_from"] + 1
    assert "drained" not in str(lost["told"])
    assert lost["weights"] == found["alone"]["weights"]


def test_an_idle_host_on_a_drained_node_ends_and_the_next_one_is_elsewhere(found):
    first, second = found["hosts"]
    assert first != second


def test_nothing_new_starts_on_a_drained_node(found):
    assert found["drained"] not in found["new"]
