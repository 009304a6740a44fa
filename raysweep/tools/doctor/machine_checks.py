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


def versions(present: Mapping[str, str], requirements: Sequence[str]) -> Check:
    """Judge installed versions: one that raysweep's requirements exclude is an error, an untested one a warning.

    `present`: by package, and of `Python`. `requirements`: as in a package's metadata, such as ``torch>=2.6,<2.14``.
    """
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in requirements]
    wrong = [
        need for need in needs if need.name not in present or not need.specifier.contains(present[need.name], True)
    ]
    if wrong:
        texts = [f"{need.name} {present.get(need.name, 'missing')}, not {need.specifier}" for need in wrong]
        advice = f"install {' '.join(repr(f'{need.name}{need.specifier}') for need in wrong)}"
        return Check("versions", State.ERROR, "; ".join(texts), advice)
    other = [name for name, tested in TESTED.items() if name in present and _minor(present[name]) != tested]
    shown = dict.fromkeys((*SHOWN, *other))
    text = ", ".join(f"{name} {present[name]}" for name in shown if name in present)
    if other:
        tested = ", ".join(f"{name} {TESTED[name]}" for name in other)
        advice = "nothing while all works; if not, try the tested ones first"
        return Check("versions", State.WARNING, f"{text}; tested: {tested}", advice)
    return Check("versions", State.OK, text)


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
    limit = size(amounts.limit) if amounts.limit is not None else "none"
    text = f"{size(amounts.total)}, limit of a control group: {limit}, {size(amounts.available)} available"
    if amounts.available >= ENOUGH_MEMORY:
        return Check("memory", State.OK, text)
    advice = "close other programs, do one cell at a time (--set ray.cpus=1), or without Ray (--engine local)"
    return Check("memory", State.WARNING, text, advice)


def accelerators(seen: Accelerators) -> Check:
    """Judge the accelerators that torch finds: none is fine, unless a driver is loaded."""
    if seen.devices:
        alike = Counter(f"{device.name}, {size(device.memory)}" for device in seen.devices)
        return Check("accelerators", State.OK, "; ".join(f"{number} x {what}" for what, number in alike.items()))
    driver, hidden = ("yes" if known else "no" for known in (seen.driver, seen.hidden))
    build = f"torch built for {seen.build or 'CPU'}"
    text = f"none: CPU only; NVIDIA driver: {driver}, {build}, hidden by CUDA_VISIBLE_DEVICES: {hidden}"
    if seen.hidden or not seen.driver:
        return Check("accelerators", State.OK, text)
    advice = "see `nvidia-smi`; update the driver, or install a torch built for its CUDA version (pytorch.org)"
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
    lacks = "; ".join(f"{layer}: {reason}" for layer, reason in missing.items())
    text = f"level {level.value}; layers that are missing: {lacks or 'none'}"
    if level is Level.STRONG:
        return Check("isolation", State.OK, text)
    advice = (
        "allow what is missing (the kernel, the container's settings); or, where nothing can be harmed, set "
        f"execution.require to {level.value}; Java needs Landlock to be above the level limits"
    )
    return Check("isolation", State.ERROR if level < Sandbox().require else State.WARNING, text, advice)


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
    advice = "free some, or give another disk with --storage: 1 B weights fill 2 to 4 GB, more while training"
    return _space("storage", path, machine.disk(there), ENOUGH_SPACE, advice)


def temp_folder(temporary: Path) -> Check:
    """Check that sockets can be made where Ray makes them, and below TMPDIR, which other libraries use."""
    from raysweep.engine.ray.cluster.temp_folders import DEFAULT, VARIABLE, sockets_root, why_no_sockets

    root, refused = sockets_root()
    way = f"name a short, writable folder on a local disk: export TMPDIR={DEFAULT}, and no {VARIABLE}"
    for folder in dict.fromkeys((temporary, root)):
        if reason := why_no_sockets(folder):
            return Check("temp folder", State.ERROR, f"no sockets can be made below {folder}: {reason}", way)
    if refused:
        return Check("temp folder", State.WARNING, refused, way)
    disk = machine.disk(root)
    advice = f"free some: on a disk that is {FULL:.0%} full Ray stores no objects"
    return _space("temp folder", root, disk, (1 - FULL) * disk.total, advice)


def _space(name: str, folder: Path, disk: Disk, least: float, advice: str) -> Check:
    text = f"{folder}, {size(disk.free)} of {size(disk.total)} free ({disk.kind or 'unknown file system'})"
    is_enough = disk.free >= least
    return Check(name, State.OK if is_enough else State.WARNING, text, "" if is_enough else advice)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
