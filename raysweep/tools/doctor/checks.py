"""Judges measurements for `raysweep doctor`: a function for each subject returns a `Check`; none tries anything."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raysweep.machine import Accelerators, Disk, Memory
from raysweep.programs import Level, Sandbox
from raysweep.units import size

TESTED = {
    "Python": "3.11",
    "ray": "2.60",
    "torch": "2.13",
    "transformers": "4.57",
    "peft": "0.21",
    "tokenizers": "0.22",
    "safetensors": "0.8",
    "numpy": "2.4",
    "pandas": "3.1",
    "pyarrow": "26.0",
}
"""The versions (major.minor) that the tests ran with, of packages that can change results or break."""

SHOWN = ("Python", "ray", "torch", "transformers", "peft", "pyarrow")
GIB = 2**30
ENOUGH_MEMORY = 5 * GIB  # the quickstart on Ray needs so much
ENOUGH_SPACE = 10 * GIB
FULL = 0.95  # share of a disk; above it Ray stores nothing more there


class State(StrEnum):
    """How a check ended, the worst last.

    What few sweeps need isn't there; nothing is wrong; something may not work well; something can't work.
    """

    ABSENT = "absent"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Check:
    """The result for one subject. `advice`: the way out; empty if the state is ok or absent."""

    name: str
    state: State
    found: str
    advice: str = ""


def versions(found: Mapping[str, str], requirements: Sequence[str]) -> Check:
    """Judge installed versions: one that raysweep's requirements exclude is an error, an untested one a warning.

    Args:
        found: version of each package and of `Python`, without the packages that are missing.
        requirements: as in a package's metadata, such as ``torch>=2.6,<2.14``.
    """
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in requirements]
    missing = [one for one in wanted if one.name not in found]
    outside = [one for one in wanted if one.name in found and not one.specifier.contains(found[one.name], True)]
    if missing or outside:
        texts = [f"{one.name} is missing" for one in missing]
        texts += [f"{one.name} {found[one.name]} is not {one.specifier}" for one in outside]
        packages = [f"'{one.name}{one.specifier}'" for one in (*missing, *outside) if one.name != "Python"]
        advice = f"pip install {' '.join(packages)}" if packages else f"use Python {TESTED['Python']}"
        return Check("versions", State.ERROR, ", ".join(texts), advice)
    other = [name for name, tested in TESTED.items() if name in found and _minor(found[name]) != tested]
    if other:
        text = ", ".join(f"{name} {found[name]} (tested: {TESTED[name]})" for name in other)
        return Check("versions", State.WARNING, text, "nothing while all works; if not, try the tested ones first")
    return Check("versions", State.OK, ", ".join(f"{name} {found[name]}" for name in SHOWN if name in found))


def installed() -> dict[str, str]:
    """Return the versions of Python and of every package that is tested or required."""
    from packaging.requirements import Requirement

    from raysweep.machine import versions as versions_of

    names = {*TESTED, *(Requirement(text).name for text in required())} - {"Python"}
    return {"Python": platform.python_version(), **versions_of(sorted(names))}


def required() -> list[str]:
    """Return the requirements of the installed raysweep; none where it runs without being installed."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        stated = metadata("raysweep")
    except PackageNotFoundError:
        return []
    return [f"Python{stated['Requires-Python']}", *_always(stated.get_all("Requires-Dist") or [])]


def memory(found: Memory) -> Check:
    """Judge whether enough memory is free."""
    whole = size(found.total) if found.limit is None else f"{size(found.limit)} (a control group's limit)"
    text = f"{whole}, {size(found.available)} available"
    if found.available >= ENOUGH_MEMORY:
        return Check("memory", State.OK, text)
    advice = "close other programs, do one cell at a time (--set ray.cpus=1), or without Ray (--engine local)"
    return Check("memory", State.WARNING, text, advice)


def accelerators(found: Accelerators) -> Check:
    """Judge the accelerators that torch finds: none is fine, unless a driver is loaded."""
    if found.devices:
        alike = Counter(f"{device.name}, {size(device.memory)}" for device in found.devices)
        return Check("accelerators", State.OK, "; ".join(f"{number} x {what}" for what, number in alike.items()))
    if found.hidden or not found.driver:
        why = " (CUDA_VISIBLE_DEVICES hides all)" if found.hidden else ""
        return Check("accelerators", State.OK, f"none: CPU only{why}")
    if found.build:
        text = f"an NVIDIA driver is loaded, but torch, built for {found.build}, finds no device"
        advice = "see `nvidia-smi`; update the driver, or install a torch built for its CUDA version"
    else:
        text = "an NVIDIA driver is loaded, but this torch is built for CPU only"
        advice = "install a CUDA build of torch; pytorch.org names the command"
    return Check("accelerators", State.WARNING, text, advice)


def isolation(level: Level, missing: Mapping[str, str]) -> Check:
    """Judge how far model-written programs are isolated; `missing`: layers that don't work here, with the reason."""
    if level is Level.STRONG:
        text = "namespaces, Landlock, seccomp and limits around every program"
        return Check("isolation", State.OK, f"level {level.value}: {text}")
    lacks = "; ".join(f"no {layer}: {reason}" for layer, reason in missing.items())
    text = f"level {level.value}{f' ({lacks})' if lacks else ''}"
    allow = "allow what is missing (the kernel, the container's settings)"
    if level < Sandbox().require:
        advice = f"{allow}; or accept it with execution.require: {level.value}, where nothing can be harmed"
        return Check("isolation", State.ERROR, text, advice)
    return Check("isolation", State.WARNING, text, f"{allow}; sweeps run, unless execution.require asks for more")


def storage(path: Path, disk: Disk) -> Check:
    """Judge the room on the disk of a store that can be written."""
    text = f"{path}, {size(disk.free)} free" + (f" ({disk.kind})" if disk.kind else "")
    if disk.free < ENOUGH_SPACE:
        advice = "free some, or give another disk with --storage: 1 B weights fill 2 to 4 GB, more while training"
        return Check("storage", State.WARNING, text, advice)
    return Check("storage", State.OK, text)


def temp_folder(folder: Path, disk: Disk) -> Check:
    """Judge the disk of a folder where Ray's sockets can be."""
    text = f"{folder}, {size(disk.free)} free"
    if disk.free < (1 - FULL) * disk.total:
        advice = f"free some: on a disk that is {FULL:.0%} full Ray stores no objects"
        return Check("temp folder", State.WARNING, f"{text} of {size(disk.total)}", advice)
    return Check("temp folder", State.OK, text)


def _always(requirements: Sequence[str]) -> list[str]:
    """Leave out the requirements of extras, and the extras of requirements."""
    from packaging.requirements import Requirement

    parsed = [Requirement(text) for text in requirements]
    return [f"{one.name}{one.specifier}" for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
