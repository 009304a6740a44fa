"""Which process may take a further cell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.engine.ray.hosts import reuse
from raysweep.engine.ray.hosts.reuse import MOST_GROWTH, PRIVATE, can_reuse, may_go_on


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a process holds and is told, to be changed: `own` bytes, bytes on each of its `gpus`, a `notice`."""
    now = SimpleNamespace(own=2**30, gpus=[0, 0], notice=None)
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        empty_cache=lambda: None,
        device_count=lambda: len(now.gpus),
        memory_reserved=lambda index: now.gpus[index],
    )
    now.modules = {"torch": SimpleNamespace(cuda=cuda)}
    monkeypatch.setattr(reuse, "own_bytes", lambda: now.own)
    monkeypatch.setattr(reuse, "own_notice", lambda: now.notice)
    monkeypatch.setattr(reuse, "_first_sizes", {})
    monkeypatch.setattr(reuse.gc, "collect", lambda: 0)  # this process is full of objects that stay
    monkeypatch.setattr(reuse, "sys", now)  # not sys.modules itself, where others would find this torch
    return now


def test_it_may_grow_so_much_since_its_first_cell(process):
    assert may_go_on()
    process.own += MOST_GROWTH
    assert may_go_on()
    process.own += 1
    assert not may_go_on()


def test_what_loading_torch_takes_is_no_growth(process):
    torch = process.modules.pop("torch")
    assert may_go_on()
    process.modules["torch"] = torch
    process.own += 4 * MOST_GROWTH
    assert may_go_on(), "its first cell with torch"
    process.own += 2 * MOST_GROWTH
    assert not may_go_on()


@pytest.mark.parametrize("held", [[0, MOST_GROWTH + 1], [MOST_GROWTH, 1]])
def test_what_its_first_cell_left_on_gpus_counts(process, held):
    process.gpus = held
    assert not may_go_on()


def test_an_error_that_a_gpu_reports_late_ends_the_process_and_not_the_sweep(process):
    def fail(index: int) -> int:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    process.modules["torch"].cuda.memory_reserved = fail
    assert not may_go_on()


def test_a_process_on_a_drained_node_ends(process):
    process.notice = object()
    assert not may_go_on()


def test_a_controller_that_lacks_a_method_starts_a_process_for_each_cell(monkeypatch, caplog):
    from ray.tune.execution.tune_controller import TuneController

    assert can_reuse() and not caplog.text
    monkeypatch.delattr(TuneController, PRIVATE[0])
    assert not can_reuse() and f"this version of Ray Tune has no {PRIVATE[0]}" in caplog.text
