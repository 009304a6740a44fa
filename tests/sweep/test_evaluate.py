"""The sweep of `raysweep evaluate`: what its model and the sweep itself are called, and arguments that are mixed up."""

import pytest

from raysweep.errors import UsageError
from raysweep.sweep.evaluate import _name_of, _require_model, evaluation_config


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models/modèle 模型-7B", "modèle-模型-7B"),
        ("models/mode\u0300le", "modèle"),  # as macOS writes it
        ("org/мой--मॉडल", "мой--मॉडल"),
        ("models/" + "模" * 20, "模" * 13),  # whole letters within 40 bytes
        ("models/-\u0301a\ufe0fb", "a-b"),  # begins with a letter, and has nothing invisible
        ("models/[?]", "model"),
    ],
)
def test_a_models_name_keeps_letters_of_any_script(folder, name):
    assert _name_of(folder) == name


@pytest.fixture
def neighbours(tmp_path, monkeypatch):
    """The working folder: a model, a file and folders that are called like a generator and problem sets."""
    monkeypatch.chdir(tmp_path)
    for folder in (".", "my model", "mbpp"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "config.json").write_text("{}")
    for file in ("reference", "humaneval/dataset_config.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("{}")


@pytest.mark.parametrize(("model", "problems"), [("reference", "humaneval"), ("my model", "mbpp"), ("mbpp", "")])
def test_what_a_registered_name_is_does_not_depend_on_what_lies_beside_it(neighbours, model, problems):
    _require_model(model, [problems])


@pytest.mark.parametrize(
    ("model", "problems", "told"),
    [
        ("humaneval", "my model", "comes first: `raysweep evaluate 'my model' --problems humaneval`"),
        ("m", "my model", "--problems: my model is a model"),
    ],
)
def test_a_model_and_a_problem_set_in_each_others_place_are_told(neighbours, model, problems, told):
    with pytest.raises(UsageError, match=told):
        _require_model(model, [problems])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"sweep": ""}, "--sweep: name '' can't be"),
        ({"name": ""}, "--name: name '' can't be"),
        ({"sweep": "a", "sets": ["name=b"]}, "--sweep a and --set name=b both name the sweep; give one of them"),
    ],
)
def test_an_empty_name_and_two_for_a_sweep_are_refused(names, told):
    given = {"name": None, "sets": [], "seed": 1, "settings": {"samples": 1}, **names}
    with pytest.raises(UsageError, match=told):
        evaluation_config(
            "reference", ["humaneval"], "clean", **given, trust_remote_code=False, allow_code_execution=True
        )
