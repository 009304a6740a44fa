"""The sweep of `raysweep evaluate`: what its model and the sweep itself are called."""

import pytest

from raysweep.sweep.evaluate import _name_of


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models/modèle 模型-7B", "modèle-模型-7B"),
        ("models/mode\u0300le", "modèle"),  # as macOS writes it
        ("org/мой--मॉडल", "мой--मॉडल"),
        ("models/" + "模" * 20, "模" * 13),  # whole letters within 40 bytes
        ("models/[?]", "model"),
    ],
)
def test_a_models_name_keeps_letters_of_any_script(folder, name):
    assert _name_of(folder) == name
