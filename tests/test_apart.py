"""Tests with the mark `apart` run in namespaces of their own, and are reported like others."""

from __future__ import annotations

import tempfile

import pytest

from tests.apart import refusal, run_apart
from tests.apart_cases import OUTSIDE

pytestmark = pytest.mark.slow


def test_an_inner_pytest_sees_nothing_outside_and_tells_what_becomes_of_each_test(monkeypatch):
    if refusal():
        pytest.skip(f"this machine has no namespaces: {refusal()}")
    names = [f"tests/apart_cases.py::{name}" for name in ("test_passes", "test_fails", "test_is_skipped")]
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        monkeypatch.setenv(OUTSIDE, file.name)
        reports, said = run_apart(tuple(names))
    found = {report["nodeid"]: report["outcome"] for report in reports if report["when"] == "call"}
    assert found == dict(zip(names, ("passed", "failed", "skipped"), strict=True)), said
    assert "as it should" in said
