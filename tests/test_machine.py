"""What a machine has, read from /proc and /sys of control groups in both versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from raysweep.machine import (
    DRIVERS,
    _may_have_accelerators,
    _torch_version,
    accelerator_in_use,
    accelerators,
    disk,
    emulates,
    memory,
    software,
)

GIB = 2**30
MEMINFO = f"MemTotal: {16 * 2**20} kB\nMemFree: 100 kB\nMemAvailable: {12 * 2**20} kB\nHugePages_Total: 0\n"


def machine(root: Path, files: dict[str, object]) -> Path:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_without_a_control_groups_limit_all_memory_counts(tmp_path):
    group = {"proc/self/cgroup": "0::/user", "sys/fs/cgroup/user/memory.max": "max"}
    found = memory(machine(tmp_path / "2", group))
    assert (found.total, found.available, found.limit) == (16 * GIB, 12 * GIB, None)
    huge = {"proc/self/cgroup": "4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": 2**63 - 4096}
    assert memory(machine(tmp_path / "1", huge)).limit is None, "version 1 writes a huge number"
    assert memory().total > memory().available > 0, "this machine's"
    assert disk(Path("/")).total > disk(Path("/")).free > 0


def test_the_lowest_limit_on_the_way_up_counts_and_its_idle_cache_is_free(tmp_path):
    group = {
        "proc/self/cgroup": "0::/job/step",
        "sys/fs/cgroup/job/step/memory.max": "max",
        "sys/fs/cgroup/job/memory.max": 4 * GIB,
        "sys/fs/cgroup/job/memory.current": 3 * GIB,
        "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {GIB}",
    }
    found = memory(machine(tmp_path, group))
    assert (found.total, found.available, found.limit) == (16 * GIB, 2 * GIB, 4 * GIB)


def test_version_1_in_a_container_shows_its_own_limit_at_the_root(tmp_path):
    group = {
        "proc/self/cgroup": "5:cpuset:/\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GIB,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": GIB,
        "sys/fs/cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 1024",
    }
    found = memory(machine(tmp_path, group))
    assert (found.available, found.limit) == (GIB + 1024, 2 * GIB)


@pytest.mark.parametrize(
    ("cpuinfo", "emulated"),
    [
        ("flags\t\t: fpu sse2 avx2", ["bf16", "float16"]),
        ("flags\t\t: fpu avx2 avx512f avx512bw", ["float16"]),
        ("flags\t\t: fpu avx2 avx512bw avx512_bf16 avx512_fp16 amx_bf16", []),
        ("flags\t\t: fpu avx2 avx_ne_convert", []),
        ("Features\t: fp asimd", []),  # of an ARM
    ],
)
def test_a_cpu_emulates_the_16_bits_that_it_has_no_instructions_for(tmp_path, cpuinfo, emulated):
    root = machine(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{cpuinfo}"})
    assert [one for one in ("float32", "bf16", "float16") if emulates(one, root)] == emulated


def test_a_disk_is_that_of_the_innermost_mount_and_of_the_last_one_there(tmp_path):
    inner = tmp_path / "with space" / "é"
    inner.mkdir(parents=True)
    shown = str(inner).replace(" ", r"\040")
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        f"2 1 8:2 / {tmp_path} rw shared:1 - xfs /dev/sdb rw",
        f"3 2 0:9 / {shown} rw - tmpfs tmpfs rw",
        f"4 2 0:9 / {shown} rw shared:2 master:1 - nfs4 server:/x rw",
    ]
    root = machine(tmp_path / "root", {"proc/self/mountinfo": "\n".join(lines)})
    assert [disk(path, root).kind for path in (inner, inner.parent, Path("/"))] == ["nfs4", "xfs", "ext4"]
    assert disk(inner, tmp_path).kind == "", "no /proc there"


def test_accelerators_are_what_torch_sees(monkeypatch):
    import torch

    assert _torch_version() == software()["torch"] == torch.__version__
    assert accelerator_in_use() == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
    assert len(accelerators().devices) == torch.cuda.device_count()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert accelerators().hidden


def test_a_driver_of_any_kind_has_torch_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.machine.sys", SimpleNamespace(modules={"torch": None}))  # one that can't be imported
    assert not _may_have_accelerators(tmp_path)
    for driver in DRIVERS:
        found = machine(tmp_path / driver.replace("/", "-"), {driver: ""})
        assert _may_have_accelerators(found), driver


@pytest.mark.slow
def test_memory_that_others_share_is_not_a_process_own(tmp_path):
    """A page of a file belongs to all who read it, one that is written to this process alone."""
    (tmp_path / "file").write_bytes(b"1" * 2**26)
    code = (
        "import mmap, sys\n"
        "from raysweep.machine import own_bytes, resident_bytes\n"
        "own, resident = own_bytes(), resident_bytes()\n"
        "opened = open(sys.argv[1])\n"
        "file = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "read = sum(file[at] for at in range(0, len(file), 4096))\n"
        "print((own_bytes() - own) >> 20, (resident_bytes() - resident) >> 20)\n"
        "written = bytearray(b'1' * 2**26)\n"
        "print((own_bytes() - own) >> 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], capture_output=True, text=True, check=True)
    reading, writing = done.stdout.splitlines()
    own, resident = map(int, reading.split())
    assert own < 8 and resident >= 56 and 64 <= int(writing) < 72
