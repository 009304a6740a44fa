"""What all tests share: one thread for numbers, the order of files, a Ray, and the data beside the checkout."""

from __future__ import annotations

import compileall
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.apart import pytest_runtest_makereport, pytest_runtest_protocol  # noqa: F401
from tests.plugin import link
from tests.processes import folder_of_run, made_once, pytest_addoption  # noqa: F401
from tests.processes import pytest_configure as take_part
from tests.small_ray import KeptRay, SmallRay
from tests.steady import end_commands
from tests.storage.object_store import ACCOUNT

if TYPE_CHECKING:
    from raysweep.records import ModelRef

os.environ["OMP_NUM_THREADS"] = "1"
"""Set before torch is imported: its threads wait for each other, which takes long where other processes run beside."""
os.environ.setdefault("HF_HUB_OFFLINE", "1")
"""No test needs a model hub, and asking for one that can't be reached takes half a minute."""
os.environ.setdefault("REPORTER_UPDATE_INTERVAL_MS", "60000")
"""How often each node's agent of Ray looks at all processes: several Rays may share the cores, with many nodes."""
os.environ.setdefault("LOG_NAME_UPDATE_INTERVAL_S", "5")
"""How often each node looks for new files of logs, twice a second by default."""
for name in ("RAY_enable_worker_prestart", "RAY_prestart_worker_first_driver"):
    os.environ.setdefault(name, "0")  # Ray starts no process before there is work for it
os.environ.setdefault("RAY_worker_niceness", "0")
"""By default 15: Ray's processes would stand still while other tests keep all cores busy."""
os.environ.setdefault("DS_ACCELERATOR", "cpu")
"""Tests save models, for which transformers imports DeepSpeed, and that would write to stdout that there is no GPU."""

hypothesis.settings.register_profile("tests", deadline=None)  # the machine may be busy
hypothesis.settings.load_profile("tests")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Return a path under the data folder beside the checkout; skip the test where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(('../shared/data', *parts))}, which is not on this machine")
    return path


def pytest_configure(config: pytest.Config) -> None:
    """Compile what runs in the processes for programs: they keep no bytecode, and each would compile it anew."""
    take_part(config)
    if not config.option.queue:  # the process that starts the others
        compileall.compile_dir(Path(__file__).parents[1] / "raysweep" / "execution", quiet=2)


def pytest_collectstart() -> None:
    """Look for no garbage while tests are collected: what is imported then stays, and searching it takes seconds."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin what takes long: the files with tests that need Ray, then those with tests that are marked as slow.

    Each file stays together, so that the fixtures of its module are built once; in it the tests with Ray come first.
    """
    with_ray, slow = ({one.path for one in items if one.get_closest_marker(mark)} for mark in ("ray", "slow"))
    places = {path: place for place, path in enumerate(dict.fromkeys(one.path for one in items))}

    def order(one: pytest.Item) -> tuple[bool, bool, int, bool]:
        needs_ray = one.get_closest_marker("ray") is not None
        return one.path not in with_ray, one.path not in slow, places[one.path], not needs_ray

    items.sort(key=order)
    _files_with_ray.update(with_ray)


def pytest_collection_finish() -> None:
    """Look for garbage again, but not in what has been imported."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """End the shared Ray if the tests end early: after a failure with `-x`, or by Ctrl-C."""
    _kept.end()


@pytest.fixture(scope="module", autouse=True)
def environment_of_a_file() -> Iterator[None]:
    """Put back the environment after each file: engines set variables that commands of later tests would inherit.

    Only what has changed is written: a library's thread that reads the environment while all of it is cleared and
    written anew reads freed memory (glibc's `getenv`), and the process of the tests dies.
    """
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@pytest.fixture(scope="session")
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once for all processes of this run of tests (`made_once`)."""
    return folder_of_run(request.config, tmp_path_factory)


@pytest.fixture(scope="module")
def shared_ray() -> SmallRay:
    """A Ray of two CPUs and a pretended GPU for all tests of this process that don't need one of their own."""
    return _kept.running()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End what a failed test left running, and the shared Ray before the first file that doesn't need it.

    Even an idle Ray takes time from others.
    """
    end_commands()
    if nextitem is None or nextitem.path not in _files_with_ray:
        _kept.end()


SOON = {"RAY_metrics_report_interval_ms": "1000", "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5"}
"""How often Ray exports metrics, and looks for drained nodes: tests would wait for ten seconds, and for five."""
_kept = KeptRay({**SOON, **ACCOUNT})  # a sweep in a test's object store needs its account on all nodes
_files_with_ray: set[Path] = set()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of tests/plugin, whose parts need no torch or break down on order."""
    folder = tmp_path_factory.mktemp("installed")
    link(folder)
    return folder


class MadeWhenAsked(dict[str, "ModelRef"]):
    """Models by family, each of which is made when it is first asked for."""

    def __init__(self, make: Callable[[str], ModelRef]) -> None:
        self._make = make

    def __missing__(self, family: str) -> ModelRef:
        return self.setdefault(family, self._make(family))


@pytest.fixture(scope="session")
def tiny(run_folder: Path) -> Mapping[str, ModelRef]:
    """A tiny model of each family. Tests read them; one that changes a model makes its own."""
    from raysweep.models.families.base import FAMILIES
    from raysweep.records import ModelRef
    from tests.tiny import make_tiny

    def make(family: str) -> ModelRef:
        folder = made_once(run_folder / "tiny" / family, lambda folder: make_tiny(family, folder))
        return ModelRef(str(folder), architecture=FAMILIES.get(family).architecture)

    return MadeWhenAsked(make)


@pytest.fixture(scope="module")
def plugin_parts(installed: Path) -> Iterator[None]:
    """The package of tests/plugin can be used in this process while a module's tests run."""
    from raysweep import registry
    from raysweep.cli.views.names import REGISTRIES

    sys.path.insert(0, str(installed))
    registry._installed.cache_clear()
    for one in REGISTRIES.values():
        one._loaded = False  # it looks for parts again when it is next asked for one
    yield
    sys.path.remove(str(installed))
    registry._installed.cache_clear()
    for one in REGISTRIES.values():
        for name in [name for name, package in one._plugins.items() if package.startswith("raysweep-extra ")]:
            del one._classes[name], one._plugins[name]
