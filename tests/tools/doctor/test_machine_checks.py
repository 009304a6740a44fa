"""How measurements are judged: what is fine, what may not work, what can't."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from raysweep.machine import Accelerator, Accelerators, Disk, Memory
from raysweep.programs import Level
from raysweep.tools.doctor import machine_checks
from raysweep.tools.doctor.check import State
from raysweep.tools.doctor.machine_checks import GIB, TESTED
from tests.paths import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
GOOD = {"Python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0+cu130"}
BOUNDS = ["Python>=3.11", "ray<3,>=2.60", "torch>=2.6,<2.14"]


def test_what_is_tested_is_required_and_within_its_bounds():
    bounds = {one.name: one.specifier for one in map(Requirement, PROJECT["dependencies"])}
    bounds["Python"] = Requirement(f"Python{PROJECT['requires-python']}").specifier
    for name, version in TESTED.items():
        assert bounds[name].contains(version), f"{name} {version}"


def test_the_installation_is_held_against_its_own_requirements():
    stated = {Requirement(text).name for text in machine_checks.required()}
    assert stated == {"Python", *(Requirement(text).name for text in PROJECT["dependencies"])}
    assert stated <= set(machine_checks.installed())


def test_tested_versions_are_shown_a_local_build_too_and_another_one_is_a_warning_with_both():
    found = machine_checks.versions(GOOD, BOUNDS)
    assert (found.state, found.found) == (State.OK, "Python 3.11.7, ray 2.60.0, torch 2.13.0+cu130")
    found = machine_checks.versions(GOOD | {"ray": "2.61.1", "Python": "3.12.1"}, BOUNDS)
    assert found.state is State.WARNING
    assert found.found == "Python 3.12.1 (tested: 3.11), ray 2.61.1 (tested: 2.60)"


@pytest.mark.parametrize(
    ("other", "found", "advice"),
    [
        ({"torch": "2.14.1"}, "torch 2.14.1 is not <2.14,>=2.6", "pip install 'torch<2.14,>=2.6'"),
        ({"ray": None}, "ray is missing", "pip install 'ray<3,>=2.60'"),
        ({"Python": "3.10.2"}, "Python 3.10.2 is not >=3.11", "use Python 3.11"),
    ],
)
def test_missing_packages_and_versions_out_of_bounds_are_errors(other, found, advice):
    have = {name: version for name, version in (GOOD | other).items() if version}
    check = machine_checks.versions(have, BOUNDS)
    assert (check.state, check.found, check.advice) == (State.ERROR, found, advice)


def test_memory_is_judged_by_what_is_free():
    assert machine_checks.memory(Memory(64 * GIB, 40 * GIB, None)).found == "64.0 GiB, 40.0 GiB available"
    limited = machine_checks.memory(Memory(64 * GIB, 3 * GIB, 4 * GIB))
    assert limited.state is State.WARNING
    assert limited.found == "4.0 GiB (a control group's limit), 3.0 GiB available"
    assert [machine_checks.size(amount) for amount in (0, 64 * 2**20, 3 * GIB // 2)] == ["0 MiB", "64 MiB", "1.5 GiB"]


def accelerators(*devices: Accelerator, build="CUDA 13.0", driver=True, hidden=False):
    return machine_checks.accelerators(Accelerators(devices, build, driver, hidden))


def test_devices_are_counted_by_kind():
    a100, v100 = Accelerator("NVIDIA A100", 80 * GIB, True), Accelerator("Tesla V100", 32 * GIB, False)
    found = accelerators(a100, v100, a100)
    assert (found.state, found.found) == (State.OK, "2 x NVIDIA A100, 80.0 GiB; 1 x Tesla V100, 32.0 GiB")


def test_no_device_is_fine_unless_a_driver_is_loaded():
    assert accelerators(driver=False).found == "none: CPU only"
    assert "CUDA_VISIBLE_DEVICES" in accelerators(hidden=True).found
    for build, advice in (("", "CUDA build"), ("CUDA 13.0", "driver")):
        found = accelerators(build=build)
        assert found.state is State.WARNING and advice in found.advice


@pytest.mark.parametrize(
    ("disk", "state", "said"),
    [
        (Disk("ext4", 100 * GIB, 50 * GIB), State.OK, "/s, 50.0 GiB free (ext4)"),
        (Disk("nfs4", 100 * GIB, 2 * GIB), State.WARNING, "2.0 GiB free"),
        (Disk("", 100 * GIB, 50 * GIB), State.OK, "/s, 50.0 GiB free"),
    ],
)
def test_a_stores_disk_has_room(disk, state, said):
    found = machine_checks.storage_of(Path("/s"), disk)
    assert found.state is state and said in found.found and bool(found.advice) is (state is not State.OK)
    for free, of_temp in ((6, State.OK), (4, State.WARNING)):
        assert machine_checks.temp_folder_of(Path("/tmp"), Disk("ext4", 100 * GIB, free * GIB)).state is of_temp


def test_isolation_is_told_with_what_is_missing_and_why():
    strong = machine_checks.isolation_of(Level.STRONG, {})
    filtered = machine_checks.isolation_of(Level.FILTERED, {"namespaces": "Operation not permitted"})
    partial = machine_checks.isolation_of(Level.PARTIAL, {"landlock": "not in this kernel"})
    assert "and no Java: it needs Landlock" in partial.advice and "Java" not in filtered.advice
    limits = machine_checks.isolation_of(
        Level.LIMITS, {"landlock": "not in this kernel", "seccomp": "not in this kernel"}
    )
    assert (strong.state, filtered.state, limits.state) == (State.OK, State.WARNING, State.ERROR)
    assert filtered.found == "level filtered (no namespaces: Operation not permitted)"
    assert "landlock: not in this kernel; no seccomp" in limits.found and "execution.require: limits" in limits.advice
