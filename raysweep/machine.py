"""Measures what this process may use of the machine: cores, memory, accelerators, file systems, installed versions.

Containers and job schedulers set limits through control groups, which neither the number of cores nor /proc/meminfo
shows. So the groups (version 1 and 2) are read from this process's own up to the root. Systems other than Linux have no
such limits, so they are left out there. The functions' argument `root` is the folder that holds /proc and /sys.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import platform
import re
import runpy
import shutil
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
"""The version of raysweep, which `raysweep.__version__` returns."""
ROOT = Path("/")
CPU_CAPABILITY = "cpu_capability"
"""Name of the number of a trained or edited model that has the result of `cpu_capability`."""
DRIVERS = (
    "proc/driver/nvidia",
    "dev/nvidiactl",
    "dev/nvidia0",
    "dev/kfd",
    "dev/dxg",
    "dev/nvhost-gpu",
    "dev/nvgpu",
)
"""Paths below the root, one of which is there wherever torch can use an accelerator."""


@dataclass(frozen=True)
class Memory:
    """Memory in bytes."""

    total: int
    available: int  # for new programs
    limit: int | None  # of a control group, if it is below the total


@dataclass(frozen=True)
class Accelerator:
    """One device that torch can use, with its memory in bytes."""

    name: str
    memory: int
    has_bf16: bool  # computes in bf16, which others only emulate


@dataclass(frozen=True)
class Accelerators:
    """The devices that torch can use, and facts that explain why there may be none."""

    devices: tuple[Accelerator, ...]
    build: str  # torch's build: "CUDA 13.0", or "" for CPU only
    driver: bool  # an NVIDIA driver is loaded
    hidden: bool  # CUDA_VISIBLE_DEVICES names no device


@dataclass(frozen=True)
class Disk:
    """A file system."""

    kind: str  # the kernel's name, such as ext4, nfs4 or overlay; "" if unknown
    total: int  # bytes
    free: int  # bytes


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(root: Path = ROOT) -> Memory:
    """Return the total memory, the memory available for new programs, and a control group's limit."""
    lines = _text(root / "proc/meminfo").splitlines()
    fields = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
    total = fields.get("MemTotal") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available, lowest = fields.get("MemAvailable", total), None
    for folder in _groups(root, "memory"):
        limit = _first_number(folder, "memory.max", "memory.limit_in_bytes")
        if limit is None or limit >= total:
            continue
        lowest = min(limit, lowest or limit)
        available = min(available, max(0, limit - _memory_in_use(folder)))
    return Memory(total, available, lowest)


def emulates(precision: str, root: Path = ROOT) -> bool:
    """Return True if this machine's CPU is known to lack a 16-bit number format, which torch then emulates.

    Training took 7 times as long as in float32 on such a CPU.
    oneDNN, which torch asks for them, wants AVX-512 or AVX-NE-CONVERT for bf16, and AVX-512-FP16 or AVX-NE-CONVERT for
    float16. CPUs that are not x86 are taken for ones that have both.
    """
    lines = _text(root / "proc/cpuinfo").splitlines()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), None)
    wanted = {"bf16": {"avx512bw", "avx_ne_convert"}, "float16": {"avx512_fp16", "avx_ne_convert"}}
    return flags is not None and precision in wanted and not flags & wanted[precision]


def gpus() -> int:
    """Return the number of accelerators that torch can use; torch is not imported where no driver is loaded."""
    if not _may_have_accelerators() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        return 0
    return len(accelerators().devices)


def accelerators() -> Accelerators:
    """Return the devices that torch can use. Importing torch may fail, and its error is raised."""
    import torch

    with warnings.catch_warnings():  # torch warns of a driver that is too old; callers have a message of their own
        warnings.simplefilter("ignore")
        number = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = []
        for index in range(number):
            properties = torch.cuda.get_device_properties(index)
            has_bf16 = bool(torch.version.hip) or properties.major >= 8  # since NVIDIA's Ampere
            devices.append(Accelerator(properties.name, properties.total_memory, has_bf16))
    cuda, rocm = torch.version.cuda, torch.version.hip
    build = f"CUDA {cuda}" if cuda else f"ROCm {rocm}" if rocm else ""
    return Accelerators(
        tuple(devices),
        build,
        driver=Path("/proc/driver/nvidia/version").exists(),
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"),
    )


def accelerator_in_use() -> str:
    """Return the device that torch computes on, or ``cpu``; torch is imported only where a driver is loaded."""
    if not _may_have_accelerators():
        return "cpu"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def cpu_capability() -> str:
    """Return which vector instructions torch computes with on this CPU, such as AVX512.

    It is empty where an accelerator computes, or where torch isn't imported. With other instructions sums are
    rounded in another way, so that a model trained anew gets other weights. The variable ATEN_CPU_CAPABILITY lowers it.
    """
    torch = sys.modules.get("torch")
    return "" if torch is None or torch.cuda.is_available() else str(torch.backends.cpu.get_cpu_capability())


def is_out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def disk(path: Path, root: Path = ROOT) -> Disk:
    usage = shutil.disk_usage(path)
    return Disk(_file_system(path.resolve(), root), usage.total, usage.free)


def _file_system(path: Path, root: Path) -> str:
    kind, depth = "", -1
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))  # a space is \040
        if path.is_relative_to(mount) and len(mount.parts) >= depth:  # a later mount hides an equal one
            kind, depth = after.split()[0], len(mount.parts)
    return kind


def _groups(root: Path, controller: str) -> Iterator[Path]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if names else "")
        group = base / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def _memory_in_use(folder: Path) -> int:
    """Return the bytes that a control group can't free: its usage without the inactive part of the page cache."""
    usage = _first_number(folder, "memory.current", "memory.usage_in_bytes") or 0
    fields = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    return usage - int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def _first_number(folder: Path, *names: str) -> int | None:
    text = next((text for name in names if (text := _text(folder / name).strip())), "")
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """Return facts that may explain different results: the machine, and the versions of Python and packages."""
    return {
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "cpus": cores(),
        "python": platform.python_version(),
        "versions": versions(("raysweep", "torch", "transformers", "peft", "ray", "tokenizers", "numpy")),
    }


def software() -> dict[str, str]:
    """Return the versions that decide what a model computes: Python, torch, with accelerators CUDA and the driver."""
    versions_here = {"python": ".".join(platform.python_version_tuple()[:2]), "torch": _torch_version()}
    if not _may_have_accelerators():
        return versions_here
    import torch

    if not torch.cuda.is_available():
        return versions_here
    driver = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", _text(Path("/proc/driver/nvidia/version")))
    return {**versions_here, "CUDA": str(torch.version.cuda or "none"), "driver": driver[1] if driver else "unknown"}


def _may_have_accelerators(root: Path = ROOT) -> bool:
    """Return True if torch, which knows, is imported, or a driver of NVIDIA's or AMD's accelerators is loaded.

    Windows' Linux, a Jetson and containers show the drivers in other places.
    """
    return sys.modules.get("torch") is not None or any((root / path).exists() for path in DRIVERS)


@cache
def _torch_version() -> str:
    """Return ``torch.__version__``, read from torch's folder: importing torch takes seconds."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    return str(runpy.run_path(str(Path(spec.origin).with_name("version.py")))["__version__"])


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def own_bytes() -> int:
    """Return the memory that this process holds alone, in bytes: without files and what it shares with others."""
    line = re.search(r"^RssAnon:\s*(\d+) kB$", _text(Path("/proc/self/status")), re.MULTILINE)
    return int(line[1]) * 1024 if line else resident_bytes()


def own_process() -> None:
    """Note that raysweep started this process, so that no objects of a user's own live in it."""
    global _is_own
    _is_own = True


def keep_imports() -> None:
    """Leave all that lives now out of later garbage collections, the last of which takes over a second with torch.

    Nothing is done in a process that a user started, such as a notebook: what is garbage later might stay there.
    """
    if _is_own:
        gc.freeze()


_is_own = False


def limit_kernel_caches() -> None:
    """Let torch and oneDNN keep few kernels on CPUs. Call it before torch is imported.

    They keep one for each shape, so a process that generates for many models would grow without end in bfloat16.
    """
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, "32")


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed, without importing them."""
    return {package: version for package in packages if (version := _version(package))}


@cache
def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def cache_folder() -> Path:
    """Return this machine's folder for files that can be downloaded again; it may not exist yet."""
    return Path(os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep").expanduser().absolute()
