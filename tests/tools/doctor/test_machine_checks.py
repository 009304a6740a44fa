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
    assert found.found == "Python 3.12.1, ray 2.61.1, torch 2.13.0+cu130; tested: ray 2.60"


@pytest.mark.parametrize(
    ("other", "found", "advice"),
    [
        ({"torch": "2.14.1"}, "torch 2.14.1, not <2.14,>=2.6", "install 'torch<2.14,>=2.6'"),
        ({"ray": None}, "ray missing, not <3,>=2.60", "install 'ray<3,>=2.60'"),
        ({"Python": "3.10.2"}, "Python 3.10.2, not >=3.11", "install 'Python>=3.11'"),
    ],
)
def test_missing_packages_and_versions_out_of_bounds_are_errors(other, found, advice):
    have = {name: version for name, version in (GOOD | other).items() if version}
    check = machine_checks.versions(have, BOUNDS)
    assert (check.state, check.found, check.advice) == (State.ERROR, found, advice)


def test_memory_is_judged_by_what_is_free():
    assert machine_checks.memory(Memory(64 * GIB, 40 * GIB, None)).state is State.OK
    limited = machine_checks.memory(Memory(64 * GIB, 3 * GIB, 4 * GIB))
    assert limited.state is State.WARNING
    assert limited.found == "64.0 GiB, limit of a control group: 4.0 GiB, 3.0 GiB available"


def accelerators(*devices: Accelerator, build="CUDA 13.0", driver=True, hidden=False):
    return machine_checks.accelerators(Accelerators(devices, build, driver, hidden))


def test_devices_are_counted_by_kind():
    a100, v100 = Accelerator("NVIDIA A100", 80 * GIB, True), Accelerator("Tesla V100", 32 * GIB, False)
    found = accelerators(a100, v100, a100)
    assert (found.state, found.found) == (State.OK, "2 x NVIDIA A100, 80.0 GiB; 1 x Tesla V100, 32.0 GiB")


def test_no_device_is_fine_unless_a_driver_is_loaded_and_none_is_hidden():
    states = [accelerators(**given).state for given in ({"driver": False}, {"hidden": True}, {}, {"build": ""})]
    assert states == [State.OK, State.OK, State.WARNING, State.WARNING]


@pytest.mark.parametrize(("least", "state"), [(40, State.OK), (60, State.WARNING)])
def test_a_disk_has_room(least, state):
    found = machine_checks._space("storage", Path("/s"), Disk("ext4", 100 * GIB, 50 * GIB), least * GIB, "free some")
    assert (found.state, found.found) == (state, "/s, 50.0 GiB of 100.0 GiB free (ext4)")
    assert bool(found.advice) is (state is not State.OK)


@pytest.mark.parametrize(
    ("level", "state"), [(Level.STRONG, State.OK), (Level.FILTERED, State.WARNING), (Level.LIMITS, State.ERROR)]
)
def test_isolation_is_told_with_what_is_missing_and_why(level, state):
    found = machine_checks.isolation_of(level, {"seccomp": "not in this kernel"})
    assert found.state is state and "seccomp: not in this kernel" in found.found
