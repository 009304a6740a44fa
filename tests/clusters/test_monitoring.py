"""clusters/monitoring: a real Prometheus finds Ray by the scrape file, and every query of the dashboard has data."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from raysweep.engine.ray.numbers.gauges import HOST_GAUGES, HOST_TAGS, WAITING
from raysweep.engine.ray.numbers.meter import COUNTER, GAUGE, METRICS
from tests.paths import REPO
from tests.patience import PATIENCE, eventually
from tests.steady import STEADY, Sweep

MONITORING = REPO / "clusters" / "monitoring"
SCRAPE_FILE = (MONITORING / "prometheus.yml").read_text()
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())
SWEEP = "monitored"
"""Its name, which no other sweep on the shared Ray has."""
CELLS = 4
"""Of the sweep: the base model and three fine-tuned ones."""


def exported() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return kind and tags of raysweep's metrics by the names under which Ray exports them."""
    whole = {
        f"ray_{name}{'_total' if metric.kind == COUNTER else ''}": (metric.kind, ("sweep", *metric.tags))
        for name, metric in METRICS.items()
    }
    return whole | {f"ray_{name}": (GAUGE, HOST_TAGS) for name in (*HOST_GAUGES, WAITING)}


def queries() -> list[tuple[str, str]]:
    """Return each panel's title with each of its queries, for one sweep, as Grafana would send it."""
    filled = {"$sweep": SWEEP, "$__rate_interval": "20s"}
    found = []
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in filled.items():
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    return found


def test_the_dashboard_asks_for_metrics_that_exist_and_leaves_none_out():
    asked = set(re.findall(r"ray_raysweep_\w+", " ".join(expression for _, expression in queries())))
    shown_nowhere = {
        "ray_raysweep_models_loaded_total",
        *(f"ray_{name}" for name in HOST_GAUGES if name != "raysweep_host_memory_bytes"),
    }
    assert asked == exported().keys() - shown_nowhere
    assert not [expression for _, expression in queries() if "$" in expression]


def test_the_dashboards_panels_have_a_place_of_their_own_and_the_chosen_data_source():
    taken: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] in ("stat", "timeseries")
        assert all({"refId", "expr", "legendFormat"} == target.keys() for target in panel["targets"])
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "sweep"] and DASHBOARD["uid"] and DASHBOARD["schemaVersion"] >= 36


def test_the_docs_list_all_metrics_with_kind_and_tags():
    text = (REPO / "docs" / "cluster.md").read_text().partition("\n## Monitoring\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(ray_raysweep_\w+)` \| (\w+) \| ([\w, ]*) \|", text, re.MULTILINE)
    assert {name: (kind, tuple(tags.split(", "))) for name, kind, tags in rows} == exported()


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def values(self, expression: str, start: float, end: float) -> list[float]:
        """Return the values of a query between two times, one a second, of all its series."""
        answer = self._get("query_range", query=expression, start=start, end=end, step=1)
        return [float(value) for series in answer["data"]["result"] for _, value in series["values"]]

    def targets(self) -> list[str]:
        """Return the health of each place that it scrapes."""
        return [target["health"] for target in self._get("targets")["data"]["activeTargets"]]

    def _get(self, path: str, **values: object) -> dict[str, Any]:
        place = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(place, timeout=PATIENCE) as answer:
            content: dict[str, Any] = json.loads(answer.read())
        assert content["status"] == "success", content
        return content


@pytest.fixture
def prometheus(shared_ray, tmp_path) -> Iterator[Prometheus]:
    """Start a Prometheus with the scrape file; it looks at Ray more often, and at this Ray's folder."""
    config = tmp_path / "prometheus.yml"
    shipped = {"/tmp/ray/": f"{shared_ray.folder}/ray/", "scrape_interval: 10s": "scrape_interval: 1s"}
    text = SCRAPE_FILE
    for before, after in shipped.items():
        assert text.count(before) in (1, 2)  # the folder stands in the command of the comment too
        text = text.replace(before, after)
    config.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}"]
    process = subprocess.Popen(["prometheus", *options], stderr=(tmp_path / "log").open("w"))
    found = Prometheus(f"http://{address}")
    try:
        assert eventually(lambda: process.poll() is not None or is_scraping(found))
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield found
    finally:
        process.kill()
        process.wait()


def is_scraping(prometheus: Prometheus) -> bool:
    try:
        return "up" in prometheus.targets()
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus: apt-get install prometheus")
def test_every_query_of_the_dashboard_has_data_while_a_sweep_runs(shared_ray, prometheus, installed, tmp_path):
    """In small: test_the_dashboard_asks_for_metrics_that_exist_and_leaves_none_out."""
    sweep = Sweep(tmp_path, installed)
    # numbers are exported and looked at once a second, and the rate of a counter needs two looks at it
    recipe = {"trainer": "steady", "objective": "paced", "objective_args": {"seconds": 0.25}, "steps": 24}
    problems = [{"name": "minicode", "split": "validation", "count": 48}]
    evaluation = {**yaml.safe_load(STEADY.read_text())["evaluation"], "problems": problems}
    sweep.write(name=SWEEP, recipes={"steady": recipe}, evaluation=evaluation)
    began = time.time()
    done = sweep.run("--address", shared_ray.address, "--set", "training.sets=[C1,C2,C3]")
    assert done.returncode == 0, done.stderr
    empty = [
        f"{title}: {expression}"
        for title, expression in queries()
        if not any(math.isfinite(value) for value in prometheus.values(expression, began, time.time()))
    ]
    assert empty == []
