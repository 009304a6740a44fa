"""The reference of config keys: complete, right, and the same in docs/config.md."""

from __future__ import annotations

import pytest

from raysweep.cli.views.config import as_markdown
from raysweep.config.loading import config_from
from raysweep.config.reference import Key, all_keys, find_keys
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName
from tests.paths import REPO

BY_PATH = {key.path: key for key in all_keys()}


def test_the_page_in_docs_is_current():
    """It is a snapshot of each key's type, default and unit."""
    written = (REPO / "docs" / "config.md").read_text(encoding="utf-8")
    assert written == as_markdown(all_keys()), "write it again: raysweep config --markdown > docs/config.md"


def test_every_key_has_a_meaning_of_one_line_and_a_type():
    assert len(BY_PATH) == len(all_keys()) > 80
    for key in all_keys():
        assert key.meaning.endswith(".") and "\n" not in key.meaning and key.type, key.path


def test_a_config_with_every_default_written_out_is_the_config_without():
    small = {
        "name": "s",
        "models": [{"name": "m", "generator": "reference"}],
        "evaluation": {"problems": ["humaneval"]},
    }
    config = config_from(small, "here")
    for key in all_keys():
        section, _, name = key.path.rpartition(".")
        if section == "evaluation" and key.default is not None:
            small["evaluation"].setdefault(name, key.default)
    assert config_from(small, "here") == config
    assert BY_PATH["seed"].default == SweepConfig.model_fields["seed"].default


@pytest.mark.parametrize("text", ["recipes.NAME.lora", "recipes.lora-7b.lora", "recipes.full.lora"])
def test_a_key_is_found_with_the_keys_below_it_by_any_name(text):
    found = [key.path for key in find_keys(text)]
    assert found[0] == "recipes.NAME.lora" and "recipes.NAME.lora.r" in found
    assert all(path.startswith("recipes.NAME.lora") for path in found)


def test_an_entry_of_a_list_is_found_by_its_index():
    expected = find_keys("models[].pretrain.recipe")
    assert expected == find_keys("models.0.pretrain.recipe") == find_keys("models[2].pretrain.recipe")
    assert [key.path for key in expected] == ["models[].pretrain.recipe"]
    assert find_keys("training.sets[]")[0].path == "training.sets"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("recipes.NAME.lorra", "did you mean 'recipes.NAME.lora'?"),
        ("recipe", "did you mean 'recipes'?"),
        ("execution.timeut", "did you mean 'execution.timeout'?"),
        ("stall_seconds", "did you mean 'recovery.stall_seconds'?"),
        ("seed.deeper", "known: seed"),
        ("nonsense", "known: allow_code_execution, checkpoint_every"),
    ],
)
def test_an_unknown_key_is_one_error_with_the_nearest_name(text, near):
    with pytest.raises(UnknownName) as caught:
        find_keys(text)
    assert str(caught.value).startswith(f"unknown config key {text!r}") and near in str(caught.value)


def test_the_page_shows_every_key_once_and_escapes_its_columns():
    page = as_markdown([Key("a", "x | y", None, "", "Means something.", is_required=True)])
    assert "| `a` | x \\| y | required |  | Means something. |" in page
    lines = as_markdown(all_keys()).splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(BY_PATH)
