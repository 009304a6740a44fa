"""What this machine has and lets this process use: cores, memory, accelerators, file systems. Measures, judges nothing.

Control groups (version 1 and 2) are followed from the process's own group up to the root: containers and job schedulers
limit with them, and neither the number of cores nor /proc/meminfo shows it. Off Linux, what can't be measured is left
out. `root` of the functions is where /proc and /sys lie.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Cores:
    """CPU cores. `quota`: how many at a time a control group grants; None: all of the usable ones."""

    usable: int
    quota: float | None


@dataclass(frozen=True)
class Memory:
    """Memory in bytes. `limit`: of a control group, where it is below the machine's total."""

    total: int
    available: int
    limit: int | None


@dataclass(frozen=True)
class Accelerator:
    """One device that torch can use, with its memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Accelerators:
    """What torch sees, and what tells why it sees nothing."""

    devices: tuple[Accelerator, ...]
    build: str  # what torch was compiled for: "CUDA 13.0", "" for CPU only
    driver: bool  # an NVIDIA driver is loaded
    hidden: bool  # CUDA_VISIBLE_DEVICES names no device


@dataclass(frozen=True)
class Disk:
    """A file system. `kind`: as the kernel names it (ext4, nfs4, overlay), "" unknown; sizes in bytes."""

    kind: str
    total: int
    free: int


def cores(root: Path = ROOT) -> Cores:
    """Return the cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _cpu_quota(folder)) is not None]
    return Cores(usable, min([quota for quota in quotas if quota < usable], default=None))


def memory(root: Path = ROOT) -> Memory:
    """Return memory in all, what is free for new programs, and a control group's limit."""
    lines = _text(root / "proc/meminfo").splitlines()
    fields = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
    total = fields.get("MemTotal") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available, lowest = fields.get("MemAvailable", total), None
    for folder in _groups(root, "memory"):
        limit = _first_number(folder, "memory.max", "memory.limit_in_bytes")
        if limit is None or limit >= total:
            continue
        lowest = min(limit, lowest or limit)
        available = min(available, max(0, limit - _held(folder)))
    return Memory(total, available, lowest)


def gpus() -> int:
    """Return how many accelerators torch sees, without importing it where no driver is loaded."""
    if not Path("/proc/driver/nvidia").exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        return 0
    return len(accelerators().devices)


def accelerators() -> Accelerators:
    """Return the devices that torch can use; imports torch, and raises what that raises."""
    import torch

    with warnings.catch_warnings():  # torch warns of a driver that is too old; the caller tells it in its own words
        warnings.simplefilter("ignore")
        number = torch.cuda.device_count() if torch.cuda.is_available() else 0
        found = [torch.cuda.get_device_properties(at) for at in range(number)]
    cuda, rocm = torch.version.cuda, torch.version.hip
    build = f"CUDA {cuda}" if cuda else f"ROCm {rocm}" if rocm else ""
    return Accelerators(
        tuple(Accelerator(device.name, device.total_memory) for device in found),
        build,
        driver=Path("/proc/driver/nvidia/version").exists(),
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"),
    )


def disk(path: Path, root: Path = ROOT) -> Disk:
    """Return what a path lies on."""
    usage = shutil.disk_usage(path)
    return Disk(_file_system(path.resolve(), root), usage.total, usage.free)


def _file_system(wanted: Path, root: Path) -> str:
    kind, depth = "", -1
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))  # a space is \040
        if wanted.is_relative_to(mount) and len(mount.parts) >= depth:  # the last of equal ones covers the others
            kind, depth = after.split()[0], len(mount.parts)
    return kind


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and those above it, for both versions."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if names else "")
        group = base / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def _cpu_quota(folder: Path) -> float | None:
    if text := _text(folder / "cpu.max"):
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _first_number(folder, "cpu.cfs_quota_us"), _first_number(folder, "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and quota_us > 0 and period_us else None


def _held(folder: Path) -> int:
    """Return the bytes that a control group can't give back: its usage without the idle part of the page cache."""
    usage = _first_number(folder, "memory.current", "memory.usage_in_bytes") or 0
    fields = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    return usage - int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def _first_number(folder: Path, *names: str) -> int | None:
    """Return the number in the first of these files that exists; None where it says `max`, or none exists."""
    text = next((text for name in names if (text := _text(folder / name).strip())), "")
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
