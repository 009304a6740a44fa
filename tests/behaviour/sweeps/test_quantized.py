"""Sweeps whose base is held in 4 and 8 bits: trained from scratch, quantized, adapted and evaluated."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml

from tests.behaviour.sweeps.commands import finished, start
from tests.paths import NANO
from tests.storage.stores import committed

pytest.importorskip("bitsandbytes")
pytestmark = [pytest.mark.ray, pytest.mark.long]


def test_models_in_few_bits_have_models_and_completions_of_their_own(tmp_path: Path) -> None:
    config = yaml.safe_load(NANO.read_text())
    (model,) = config["models"]
    model["pretrain"]["size"] |= {"hidden_size": 64, "intermediate_size": 64}
    held = {"whole": None, "four": "nf4", "eight": "int8"}
    config["models"] = [model | {"name": name, "quantize": bits, "recipes": ["own"]} for name, bits in held.items()]
    config["recipes"]["own"] = config["recipes"]["tiny"] | {"trainer": "lora", "workers": 2}
    path, store = tmp_path / "bits.yaml", tmp_path / "store"
    path.write_text(yaml.safe_dump(config))
    with tempfile.TemporaryDirectory(prefix="rs-") as temporary:
        for _ in range(2):
            done = finished(start(path, store, temporary))
            assert done.returncode == 0, done.stderr
    assert "training" not in done.stderr and "generating" not in done.stderr, "all of it is there"
    report = (store / "sweeps" / "nano" / "report.html").read_text()
    assert "bases quantized by bitsandbytes (four in nf4, eight in int8)" in report
    stages = [name.partition("/")[0] for name in committed(store)]
    assert stages.count("base_model") == 1, "one base, in three forms"
    assert stages.count("model") == 3
    assert stages.count("completions") == 12, "of three bases and three adapters, on two test sets"
