"""Content of files against what was written."""

from __future__ import annotations

import hashlib
import math
import os

import pytest

from raysweep import hashing as digests
from raysweep.hashing import describe, difference, sha256


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "sub" / "b c").write_bytes(b"")
    return tmp_path


def test_a_folder_is_described_by_sizes_and_hashes_in_order_of_names(folder):
    described = describe(folder)
    assert list(described) == ["a", "sub/b c"]
    assert described["a"] == {"bytes": 7, "sha256": hashlib.sha256(b"content").hexdigest()}
    (folder / "more").write_text("")  # further files don't count
    assert difference(folder, described) == "" and describe(folder / "none") == {}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "a").write_bytes(b"CONTENT"), "a has another content than was written"),
        (lambda folder: (folder / "a").write_bytes(b"con"), "a has 3 bytes, not 7"),
        (lambda folder: (folder / "sub" / "b c").unlink(), "sub/b c is missing"),
        (lambda folder: ((folder / "a").unlink(), (folder / "a").mkdir()), "a "),
    ],
)
def test_a_difference_is_said(folder, harm, said):
    described = describe(folder)
    harm(folder)
    assert difference(folder, described).startswith(said)


def test_a_broken_description_is_a_difference(folder):
    for entry in (3, None, {}, {"bytes": 7}, "x"):
        assert difference(folder, {"a": entry}) == "the entry of a is incomplete"


def test_a_large_file_is_hashed_when_it_is_wanted_whole(folder, monkeypatch):
    monkeypatch.setattr(digests, "FULL_CHECK_BYTES", 3)
    described = describe(folder)
    (folder / "a").write_bytes(b"CONTENT")
    assert difference(folder, described) == ""
    assert "another content" in difference(folder, described, whole=True)


def test_a_file_is_read_once_until_it_is_written_again(folder, monkeypatch):
    reads = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: reads.append(file.name) or real(file, kind))
    for _ in range(3):
        assert sha256(folder / "a") == hashlib.sha256(b"content").hexdigest()
    assert len(reads) == 1
    (folder / "a").write_bytes(b"CONTENT")
    os.utime(folder / "a", ns=(1, 1))
    assert sha256(folder / "a") == hashlib.sha256(b"CONTENT").hexdigest() and len(reads) == 2


def test_json_for_others_has_null_for_what_json_lacks():
    value = {"a": (float("nan"), [-math.inf, {"b": math.inf}]), "c": 0.5}
    assert digests.strict_json(value) == '{"a": [null, [null, {"b": null}]], "c": 0.5}'
    assert math.isnan(digests.as_number(None)) and digests.as_number(0.5) == 0.5


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"recipe": {"lr": float("inf")}}, "recipe.lr is inf"),
        ([{"a": 1}, {"limits": (0.0, float("nan"))}], r"\[1\].limits\[1\] is nan"),
        (float("-inf"), "the value is -inf"),
    ],
)
def test_a_number_that_json_lacks_is_named_with_its_place(value, place):
    with pytest.raises(ValueError, match=f"^{place}, which can't be part of a key$"):
        digests.canonical_json(value)
