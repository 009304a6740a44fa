"""A group of models stays on the device and the versions on which it was begun."""

from __future__ import annotations

import pytest

from raysweep.errors import HopelessError, StoreError
from raysweep.storage.pins import Pin
from raysweep.storage.store import Store

A100 = "NVIDIA A100-SXM4-80GB"
HERE = {"python": "3.11.9", "torch": "2.13.0", "CUDA": "13.0", "driver": "580.1"}


def test_the_first_process_binds_its_group_for_all_later_ones(tmp_path):
    pins = Store(tmp_path).pins
    assert pins.read("codellama/CodeLlama-7b-hf") == Pin()
    pins.require("codellama/CodeLlama-7b-hf", A100, HERE)
    Store(tmp_path).pins.require("codellama/CodeLlama-7b-hf", A100, HERE)
    assert pins.choose_pool("codellama/CodeLlama-7b-hf", "A100") == "A100"
    assert pins.choose_pool("codellama/CodeLlama-7b-hf", "V100") == "A100"
    assert Store(tmp_path).pins.read("codellama/CodeLlama-7b-hf") == Pin("A100", A100, HERE)
    pins.require("another", "cpu", {})
    pins.require("", "anything", {"torch": "0"})


@pytest.mark.parametrize(
    ("device", "software", "said"),
    [
        ("Tesla V100", HERE, "the device was NVIDIA A100-SXM4-80GB, and is Tesla V100"),
        (A100, {**HERE, "torch": "2.14.0"}, r"torch was 2\.13\.0, and is 2\.14\.0"),
        (A100, {**HERE, "driver": "590.2"}, r"driver was 580\.1, and is 590\.2 \(.*/pins/g-"),
    ],
)
def test_another_device_or_version_is_refused_with_both_and_the_ways_out(tmp_path, device, software, said):
    pins = Store(tmp_path).pins
    pins.require("g", A100, HERE)
    with pytest.raises(HopelessError, match=said + ".*another `pin_group`.*allow_mixed: true"):
        pins.require("g", device, software)
    assert pins.read("g") == Pin(None, A100, HERE)


def test_a_process_that_knows_fewer_versions_is_compared_by_its_device(tmp_path):
    pins = Store(tmp_path).pins
    pins.require("g", "cpu", {})
    pins.require("g", "cpu", HERE)
    assert pins.read("g").software == HERE


def test_an_unreadable_record_names_its_file(tmp_path):
    pins = Store(tmp_path).pins
    pins.require("a/b", "cpu", {})
    (record,) = (tmp_path / "pins").iterdir()
    assert record.name.startswith("a-b-")
    record.write_text("{}")
    with pytest.raises(StoreError, match=f"{record.name} can't be read .*; remove it"):
        pins.read("a/b")
