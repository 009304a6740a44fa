"""What a job uploads is what Ray would upload, less what no job needs, and its size is the package's."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from raysweep.engine.ray.jobs.upload import Upload, find_upload, require_small
from raysweep.errors import UsageError
from raysweep.storage.files import MARKER

KEPT = {"config.yaml": 10, "data/rows.jsonl": 2000, "data/ü [1].txt": 3, "empty": 0}
LEFT_OUT = {
    ".venv/big": "",
    "deep/__pycache__/a.pyc": "",
    "ignored.bin": "",
    "deep/named-here": "",
    "results/artefacts/x": "/results",
    "raysweep-store/y": "/raysweep-store",
    "py [311]/pyvenv.cfg": r"/py \[311\]",
    "deep/.mypy_cache/z": "/deep/.mypy_cache",
}
"""Files, each with the exclude that names it; empty: Ray leaves it out without one."""


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "work"
    for name, held in [*KEPT.items(), *((name, 50) for name in LEFT_OUT)]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * held)
    (root / "results" / MARKER).write_text("{}")
    (root / ".gitignore").write_text("ignored.bin\n.venv-other/\n")
    (root / "deep" / ".rayignore").write_text("named-here\n")
    (root / ".venv-other").mkdir()
    (root / ".venv-other" / "pyvenv.cfg").touch()
    return root


def test_environments_caches_and_stores_are_left_out_wherever_they_lie(folder):
    upload = find_upload(folder)
    assert set(upload.files) == {*KEPT, ".gitignore", "deep/.rayignore"}
    assert upload.excludes == tuple(sorted(pattern for pattern in LEFT_OUT.values() if pattern))


def test_its_size_is_that_of_the_package_that_ray_makes(folder, tmp_path):
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    upload, package = find_upload(folder), tmp_path / "package.zip"
    excludes = [*get_runtime_env_default_excludes(), *upload.excludes]
    create_package(str(folder), package, include_gitignore=True, excludes=excludes, logger=logging.Logger("quiet"))
    assert upload.size == package.stat().st_size


def test_more_than_ray_takes_is_refused_with_the_largest_files(tmp_path):
    mib = 2**20
    require_small(Upload(tmp_path, {"fits": 99 * mib}))
    files = {"config.yaml": 1000, "data/a.bin": 60 * mib, "data/b.bin": 50 * mib, "c.bin": 2 * mib}
    with pytest.raises(UsageError) as refused:
        require_small(Upload(tmp_path, files))
    for told in ("112 MiB in 4 files", "less than 100 MiB", "data/a.bin (60 MiB), data/b.bin (50 MiB)", ".gitignore"):
        assert told in str(refused.value)
    assert "; data/ holds 110 MiB in all" in str(refused.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere is no folder"):
        find_upload(tmp_path / "nowhere")
