"""Tests that tests/test_apart.py runs in namespaces of their own: one passes, one fails, one is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OUTSIDE = "RAYSWEEP_TESTS_OUTSIDE"
"""The environment variable that names a file of the folder for temporary files outside."""


def test_passes():
    assert not Path(os.environ[OUTSIDE]).exists()
    assert Path("/proc/1/cmdline").read_bytes().startswith((b"unshare", b"sh")), "the processes outside can't be seen"


def test_fails():
    assert False, "as it should"


def test_is_skipped():
    pytest.skip("as it should")
