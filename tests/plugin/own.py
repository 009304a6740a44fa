"""The package's own tests, which pytest runs where the package is installed: its parts keep their contracts."""

from __future__ import annotations

from pathlib import Path

import pytest
from raysweep_extra.steady import make_base

from raysweep.testing import contract


@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [
        ("perturbations", "Shout", {}),
        ("problems", "told", {"world": 3, "count": 20}),
        ("generators", "told", {}),
        ("objectives", "told", {}),
        ("trainers", "steady", {}),
    ],
)
def test_each_part_keeps_its_contract(kind, name, arguments):
    contract(kind, name, **arguments)


def test_the_generator_of_such_models_keeps_its_contract(tmp_path: Path):
    contract("generators", "steady", model=make_base(tmp_path / "base"))
