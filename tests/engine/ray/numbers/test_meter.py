"""The numbers of a sweep outlive the processes that report them, in one series."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from raysweep.engine.ray.numbers import held, meter
from raysweep.records import TrainingStep
from raysweep.storage.files import Files
from tests.clock import Clock
from tests.patience import PATIENCE, eventually

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]


@pytest.fixture
def sweep() -> str:
    return f"sweep-{time.monotonic_ns()}"


@pytest.fixture
def seen(sweep) -> Callable[[str], list[float]]:
    """Return the values of a metric's series of this test's sweep, as Prometheus gets them."""
    import ray

    (port,) = [node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]]

    def values(name: str) -> list[float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        metric = meter.METRICS.get(name)  # None: a gauge of the test's own
        total = "_total" if metric and metric.kind == meter.COUNTER else ""
        ours = [line for line in lines if line.startswith(f"ray_{name}{total}{{") and f'sweep="{sweep}"' in line]
        return [float(line.rpartition(" ")[2]) for line in ours]

    return values


@pytest.fixture
def exported(tmp_path, sweep, seen) -> Iterator[Callable[[str], list[float]]]:
    """See `seen`; the sweep has a meter."""
    import ray

    with meter.running_meter(sweep, Files(str(tmp_path))):
        ray.get(meter._meter().spent.remote())  # it has started, for which processes that end wait for seconds only
        yield seen


def test_a_counter_has_one_series_with_what_short_lived_processes_counted(exported):
    import ray

    def count() -> None:
        with held.held_resources(""):
            meter.report("raysweep_programs", 2, verdict="passed")
            meter.report("raysweep_programs", 0, verdict="timeout")

    task = ray.remote(num_cpus=0, max_calls=1)(count)  # each in a process of its own
    ray.get([task.remote() for _ in range(3)])
    assert eventually(lambda: exported("raysweep_programs") == [6])


class Other:
    """A process with a gauge of a sweep, which is set when it is asked to."""

    def __init__(self, sweep: str) -> None:
        from ray.util.metrics import Gauge

        self.sweep, self.gauge = sweep, Gauge("raysweep_of_another", "", ("sweep",))

    def set(self) -> None:
        self.gauge.set(1, {"sweep": self.sweep})


def test_a_gauge_keeps_its_value_until_it_is_unknown(exported, sweep):
    """Ray itself drops a gauge that isn't set again, as the other one, after two of its reports."""
    import ray

    other = ray.remote(num_cpus=0)(Other).remote(sweep)

    def sees_the_other_one() -> bool:
        ray.get(other.set.remote())
        return bool(exported("raysweep_of_another"))

    step = TrainingStep(1, 2, loss=0.5, learning_rate=0.1, tokens=7, new_tokens=3, memory_bytes=11, mfu=0.25)
    meter.report_step(step, {"model": "模", "recipe": "full"})  # Ray takes ASCII alone
    names = [name for name in meter.METRICS if name.startswith("raysweep_training")]
    assert eventually(lambda: [exported(name) for name in names] == [[3], [0.5], [0.25], [11]])
    assert eventually(sees_the_other_one)
    assert eventually(lambda: not exported("raysweep_of_another"))
    assert eventually(lambda: exported("raysweep_training_loss") == [0.5])
    meter.report_step(dataclasses.replace(step, loss=0.4, mfu=None), {"model": "模", "recipe": "full"})
    assert eventually(lambda: exported("raysweep_training_loss") == [0.4])
    assert eventually(lambda: not exported("raysweep_training_mfu"))
    ray.kill(other)


def test_held_resources_are_counted_until_the_block_ends_as_used_by_whom_they_serve(exported, tmp_path):
    import ray

    def hold() -> None:
        clock = Clock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(held, "time", clock)
            patch.setattr(meter, "FLUSH_SECONDS", PATIENCE)
            with held.held_resources("") as resources:
                with resources.working_for("one"), resources.working_for("two"):
                    clock.sleep(40)
                with resources.working_for("one"):
                    clock.sleep(20)
                clock.sleep(4)

    ray.get(ray.remote(num_cpus=0.5, num_gpus=1)(hold).remote())
    seconds = {task: meter.gpu_hours(task) * 3600 for task in ("", "one", "two")}
    assert seconds == pytest.approx({"": 4, "one": 20 + 20, "two": 20})
    assert meter.spent() == ""
    assert eventually(lambda: exported("raysweep_gpu_seconds") == [pytest.approx(64)])
    assert eventually(lambda: exported("raysweep_cpu_seconds") == [pytest.approx(32)])


def test_without_a_meter_nothing_is_reported_and_nothing_fails(monkeypatch):
    monkeypatch.setattr(meter, "_meter_name", lambda: "a meter that nobody has started")
    before = list(meter._LATEST)
    meter.report("raysweep_programs", 1, verdict="passed")
    assert before == meter._LATEST


def test_a_sweep_waits_until_the_meter_of_the_same_jobs_sweep_before_has_ended(tmp_path, sweep, seen, monkeypatch):
    """The first meter ends once the second one was refused its name."""
    refused: list[float] = []
    with contextlib.ExitStack() as first:
        first.enter_context(meter.running_meter("first", Files(str(tmp_path))))

        def sleep(seconds: float) -> None:
            refused.append(seconds)
            first.close()
            time.sleep(seconds)

        monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=sleep))
        monkeypatch.setattr(meter, "END_SECONDS", PATIENCE)
        with meter.running_meter(sweep, Files(str(tmp_path))):
            assert refused
            meter.report("raysweep_programs", 1, verdict="passed")
            assert eventually(lambda: seen("raysweep_programs") == [1])
