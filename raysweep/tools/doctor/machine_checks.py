"""Checks what a machine has: versions, memory, accelerators, isolation of programs, disks."""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from raysweep import machine
from raysweep.errors import UsageError
from raysweep.machine import Accelerators, Disk, Memory
from raysweep.programs import Level, Sandbox
from raysweep.tools.doctor.check import Check, State
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
SHORT = "name a short, writable folder on a local disk"


def versions(present: Mapping[str, str], requirements: Sequence[str]) -> Check:
    """Judge installed versions: one that raysweep's requirements exclude is an error, an untested one a warning.

    `present`: by package, and of `Python`. `requirements`: as in a package's metadata, such as ``torch>=2.6,<2.14``.
    """
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in requirements]
    missing = [need for need in needs if need.name not in present]
    outside = [need for need in needs if need.name in present and not need.specifier.contains(present[need.name], True)]
    if missing or outside:
        texts = [f"{need.name} is missing" for need in missing]
        texts += [f"{need.name} {present[need.name]} is not {need.specifier}" for need in outside]
        packages = [f"'{need.name}{need.specifier}'" for need in (*missing, *outside) if need.name != "Python"]
        advice = f"pip install {' '.join(packages)}" if packages else f"use Python {TESTED['Python']}"
        return Check("versions", State.ERROR, ", ".join(texts), advice)
    other = [name for name, tested in TESTED.items() if name in present and _minor(present[name]) != tested]
    if other:
        text = ", ".join(f"{name} {present[name]} (tested: {TESTED[name]})" for name in other)
        return Check("versions", State.WARNING, text, "nothing while all works; if not, try the tested ones first")
    return Check("versions", State.OK, ", ".join(f"{name} {present[name]}" for name in SHOWN if name in present))


def installed() -> dict[str, str]:
    """Return the versions of Python and of every package that is tested or required."""
    from packaging.requirements import Requirement

    from raysweep.machine import versions as versions_of

    names = {*TESTED, *(Requirement(text).name for text in required())} - {"Python"}
    return {"Python": platform.python_version(), **versions_of(sorted(names))}


def required() -> list[str]:
    """Return the requirements of the installed raysweep; none where it runs without being installed."""
    from importlib.metadata import PackageNotFoundError, metadata

    from packaging.requirements import Requirement

    try:
        stated = metadata("raysweep")
    except PackageNotFoundError:
        return []
    parsed = [Requirement(text) for text in stated.get_all("Requires-Dist") or []]
    always = [need for need in parsed if not need.marker or need.marker.evaluate({"extra": ""})]  # not of extras
    return [f"Python{stated['Requires-Python']}", *(f"{need.name}{need.specifier}" for need in always)]


def memory(amounts: Memory) -> Check:
    whole = size(amounts.total) if amounts.limit is None else f"{size(amounts.limit)} (a control group's limit)"
    text = f"{whole}, {size(amounts.available)} available"
    if amounts.available >= ENOUGH_MEMORY:
        return Check("memory", State.OK, text)
    advice = "close other programs, do one cell at a time (--set ray.cpus=1), or without Ray (--engine local)"
    return Check("memory", State.WARNING, text, advice)


def accelerators(seen: Accelerators) -> Check:
    """Judge the accelerators that torch finds: none is fine, unless a driver is loaded."""
    if seen.devices:
        alike = Counter(f"{device.name}, {size(device.memory)}" for device in seen.devices)
        return Check("accelerators", State.OK, "; ".join(f"{number} x {what}" for what, number in alike.items()))
    if seen.hidden or not seen.driver:
        why = " (CUDA_VISIBLE_DEVICES hides all)" if seen.hidden else ""
        return Check("accelerators", State.OK, f"none: CPU only{why}")
    if seen.build:
        text = f"an NVIDIA driver is loaded, but torch, built for {seen.build}, finds no device"
        advice = "see `nvidia-smi`; update the driver, or install a torch built for its CUDA version"
    else:
        text = "an NVIDIA driver is loaded, but this torch is built for CPU only"
        advice = "install a CUDA build of torch; pytorch.org names the command"
    return Check("accelerators", State.WARNING, text, advice)


def isolation() -> Check:
    """Run two programs like a model's: one must pass, one must be stopped by its memory limit."""
    from raysweep.execution.pool import Executor
    from raysweep.programs import Level, Limits, Outcome, Program, Sandbox

    wanted = {"assert 1 + 1 == 2": Outcome.PASSED, f"bytearray({GIB})": Outcome.MEMORY}
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:  # without permission: no model wrote these
        verdicts = executor.run([Program(text) for text in wanted], Limits(memory_mib=256))
        level, missing = executor.level(), executor.missing_layers()
    for (text, outcome), verdict in zip(wanted.items(), verdicts, strict=True):
        if verdict.outcome is not outcome:
            problem = (
                f"the program `{text}` ended as {verdict.outcome}, not {outcome}: {verdict.detail or 'no reason given'}"
            )
            return Check("isolation", State.ERROR, problem, "run no model's programs here, and report this line")
    return isolation_of(level, missing)


def isolation_of(level: Level, missing: Mapping[str, str]) -> Check:
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
    java = ", and no Java: it needs Landlock to be above the level limits" if "landlock" in missing else ""
    advice = f"{allow}; sweeps run, unless execution.require asks for more{java}"
    return Check("isolation", State.WARNING, text, advice)


def store(storage: str | None) -> Check:
    from raysweep.storage.store import open_store

    opened = open_store(storage)
    root = str(opened.root)
    if "://" in root:
        opened.require_writable()
        return Check("storage", State.OK, f"{root}: can be written")
    path = Path(root)
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    opened.files.require_known()
    try:
        tempfile.TemporaryDirectory(prefix=".raysweep-", dir=there).cleanup()
    except OSError as error:
        raise UsageError(f"storage {root!r} can't be made: {error.strerror}; give another with --storage") from None
    return storage_of(path, machine.disk(there))


def storage_of(path: Path, disk: Disk) -> Check:
    text = f"{path}, {size(disk.free)} free" + (f" ({disk.kind})" if disk.kind else "")
    if disk.free < ENOUGH_SPACE:
        advice = "free some, or give another disk with --storage: 1 B weights fill 2 to 4 GB, more while training"
        return Check("storage", State.WARNING, text, advice)
    return Check("storage", State.OK, text)


def temp_folder(temporary: Path) -> Check:
    """Check that sockets can be made where Ray makes them, and below TMPDIR, which other libraries use."""
    from raysweep.engine.ray.cluster.temp_folders import DEFAULT, VARIABLE, sockets_root, why_no_sockets

    root, refused = sockets_root()
    for folder in dict.fromkeys((temporary, root)):
        if reason := why_no_sockets(folder):
            is_rays = folder == DEFAULT
            advice = "it must be writable, and on a local disk" if is_rays else f"{SHORT}: export TMPDIR={DEFAULT}"
            return Check("temp folder", State.ERROR, f"no sockets can be made below {folder}: {reason}", advice)
    if refused:
        return Check("temp folder", State.WARNING, refused, f"{SHORT}, or take {VARIABLE} out of the environment")
    return temp_folder_of(root, machine.disk(root))


def temp_folder_of(folder: Path, disk: Disk) -> Check:
    text = f"{folder}, {size(disk.free)} free"
    if disk.free < (1 - FULL) * disk.total:
        advice = f"free some: on a disk that is {FULL:.0%} full Ray stores no objects"
        return Check("temp folder", State.WARNING, f"{text} of {size(disk.total)}", advice)
    return Check("temp folder", State.OK, text)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
