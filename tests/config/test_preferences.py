"""Recipes that compare responses with rejected ones, and rows that have none."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config, read_config, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.planning.keys import recipe_spec
from raysweep.planning.planner import build_plan
from tests.config.mistakes import findings, screen, tiny_folder, write
from tests.paths import NANO

MINICODE = "source: {name: minicode, part: finetuning, rows: 64}"


def rows(path: Path, **fields: str) -> Path:
    row = {"instruction": "Add two numbers.", "output": "a + b", **fields}
    path.write_text("".join(json.dumps({**row, "instruction": f"Add {n}."}) + "\n" for n in range(64)))
    return path


def config(folder: Path, source: str, *overrides: str) -> SweepConfig:
    return load_config(write(folder, NANO.read_text().replace(MINICODE, f"source: {source}")), overrides)


@pytest.mark.parametrize("way", ["{mutator: python, seed: 1}", "{field: rejected}"])
def test_a_sweeps_own_config_with_rejected_responses_reads_back_equal(way: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", rejected="a - b", output="def add(a, b):\n    return a + b")
    found = config(tmp_path, f"{{name: jsonl, path: {path}, rejected: {way}}}")
    (tmp_path / "config.yaml").write_text(to_yaml(found))
    assert read_config(tmp_path / "config.yaml") == found


PAIRS = "recipes.pairs={steps: 2, batch_size: 8}", "models.0.recipes=[pairs]"
PREFERENCES = [
    "objective=dpo compat=safecoder",
    "objective=dpo batching=packed",
    "objective=fait objective_args={alpha: 0.5}",
    "objective=fait objective_args={granularity: word}",
    "objective=fait objective_args={alpha: '2'}",
    "objective=fait objective_args={beta: 2}",
    "objective=sft objective_args={reduction: per_token, prompt_weight: 0.3}",
]
WAYS = [
    "{}",
    "{field: rejected}",
    "{field: x, mutator: python}",
    "{field: x, seed: 1}",
    "{mutator: java}",
    "{mutator: python, temperature: 1}",
    "{mutator: python, similarity: 2}",
    "{teacher: lama}",
    "{teacher: llama, filters: none, similarity: 0.4}",
    "{teacher: llama, filters: [words]}",
    "{teacher: llama, rejected_text: code}",
]


def refused(folder: Path, source: str, *overrides: str) -> list[str]:
    return findings(write(folder, NANO.read_text().replace(MINICODE, f"source: {source}")), *overrides)


@pytest.mark.parametrize("objective", ["dpo", "fait", "fixed"])
def test_rows_without_a_rejected_response_are_refused(objective: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")
    recipe = *PAIRS, f"recipes.pairs.objective={objective}"
    (found,) = refused(tmp_path, f"{{name: jsonl, path: {path}}}", *recipe)
    assert f"training.source: its rows have no rejected response, with which {objective} (pairs)" in found
    assert "`rejected: {field: rejected}`" in found
    source = f"{{name: jsonl, path: {path}, rejected: {{field: rejected}}}}"
    config(tmp_path, source, *recipe)
    other = rows(tmp_path / "others.jsonl", output="b + a")
    (found,) = refused(tmp_path, source, *recipe, f"training.validation={{name: jsonl, path: {other}}}")
    assert "training.validation: its rows have no rejected response" in found
    also = "recipes.also={steps: 2, batch_size: 8, objective: dpo}", "models.0.recipes=[pairs, also]"
    (found,) = refused(tmp_path, f"{{name: jsonl, path: {path}}}", *recipe, *also)
    assert f"(also, pairs) {'compares' if objective == 'dpo' else 'compare'} each response" in found


def test_a_setting_of_rejected_responses_beside_them_is_led_there(tmp_path: Path) -> None:
    source = f"{{name: jsonl, path: {rows(tmp_path / 'rows.jsonl', rejected='a - b')}, rejected: {{field: rejected}}}}"
    (found,) = refused(tmp_path, source, "training.source.unpaired=drop")
    assert "has no argument 'unpaired'" in found and "did you mean `rejected.unpaired`?" in found
    config(tmp_path, source, "training.source.rejected.unpaired=drop")


def test_settings_that_can_not_be_meant_are_refused(tmp_path: Path, snapshot: Any) -> None:
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")

    def told(settings: str) -> list[str]:
        overrides = [f"recipes.pairs.{one}" for one in re.split(" (?=[a-z_]+=)", settings)]
        return refused(tmp_path, f"{{name: jsonl, path: {path}, rejected: {{field: rejected}}}}", *PAIRS, *overrides)

    assert screen(PREFERENCES, told) == snapshot


def test_a_source_says_one_way_to_rejected_responses(tmp_path: Path, snapshot: Any) -> None:
    source = "{{name: minicode, part: finetuning, rows: 64, rejected: {}}}"
    assert screen(WAYS, lambda way: refused(tmp_path, source.format(way))) == snapshot


def test_a_teacher_writes_variants(tmp_path: Path) -> None:
    source = "{name: minicode, part: finetuning, rows: 64, rejected: {teacher: key}}"
    with pytest.raises(ConfigError, match=r"teacher: model 'key' gives reference solutions \(`generator: reference`\)"):
        config(tmp_path, source, "models=[{name: key, generator: reference}]")


def test_a_model_may_be_a_teacher_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = "{name: minicode, part: finetuning, rows: 64, rejected: {teacher: writer}}"
    writer = "{name: writer, generator: fake, judged: false}"
    found = config(tmp_path, source, f"models=[{{name: key, generator: reference}}, {writer}]")
    assert [cell.model for cell in build_plan(found).grid.cells] == ["key"] and "writer" not in caplog.text
    judged = [
        cell.model
        for cell in build_plan(config(tmp_path, source, "models=[{name: writer, generator: fake}]")).grid.cells
    ]
    assert judged == ["writer"]
    config(tmp_path, source, f"models=[{{name: a, path: {tiny_folder(tmp_path)}}}, {writer}]", "evaluation.beams=2")
    config(tmp_path, MINICODE.removeprefix("source: "), f"models=[{{name: key, generator: reference}}, {writer}]")
    assert "'writer' is no teacher of `rejected` either; remove it" in caplog.text
    with pytest.raises(ConfigError, match=r"models: none is evaluated, so there is nothing to report"):
        config(tmp_path, source, f"models=[{writer}]")
    with pytest.raises(ConfigError, match=r"has `recipes`, and the models made of it are compared with it"):
        config(tmp_path, source.replace("writer", "llama"), "models.0.judged=false")


def test_the_mutator_needs_python_code(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Add.", "output": "int add(int a, int b) { return a + b; }"}\n' * 3)
    with pytest.raises(ConfigError, match=r"mutator: it changes Python code, and none of the first 3 responses is"):
        config(tmp_path, f"{{name: jsonl, path: {path}, rejected: {{mutator: python}}}}")


def test_a_model_from_scratch_has_no_rejected_responses(tmp_path: Path) -> None:
    source = MINICODE.removeprefix("source: ")
    (found,) = refused(tmp_path, source, "models.0.pretrain.source.rejected={mutator: python}")
    assert "rejected: a model from scratch is trained on responses alone; remove it" in found
    found = "\n".join(refused(tmp_path, source, "recipes.tiny.objective=fait"))
    assert "compares each response; a model from scratch is trained on responses alone: take `objective: sft`" in found


def test_rows_whose_code_is_changed_are_enough_for_a_preference(tmp_path: Path) -> None:
    source = "{name: minicode, part: finetuning, rows: 64, rejected: {mutator: python}}"
    loaded = config(
        tmp_path, source, "recipes.pairs={objective: fait, steps: 2, batch_size: 8}", "models.0.recipes=[pairs]"
    )
    plan = build_plan(loaded)
    assert all(cell.training_set.rejected for cell in plan.cells if cell.training_set)


def test_whole_numbers_mean_the_same_as_others_in_keys(tmp_path: Path) -> None:
    specs = []
    for number in ("1", "1.0"):
        loaded = load_config(
            write(tmp_path, NANO.read_text()), [f"recipes.tiny.objective_args={{prompt_weight: {number}}}"]
        )
        specs.append(json.dumps(recipe_spec(loaded.recipes["tiny"].recipe("raw", ""), {}), sort_keys=True))
    assert specs[0] == specs[1] and '"prompt_weight": 1.0' in specs[0]


def test_a_missing_rapidfuzz_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name == "rapidfuzz" else find(name, *of))
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")
    for way, recipe, said in (
        ("{field: rejected}", (*PAIRS, "recipes.pairs.objective=fait"), "recipes.pairs.objective: `objective: fait`"),
        ("{mutator: python}", (), "training.source.rejected: filtering rejected responses"),
    ):
        found = "\n".join(refused(tmp_path, f"{{name: jsonl, path: {path}, rejected: {way}}}", *recipe))
        assert f"{said} needs the package rapidfuzz: pip install 'rapidfuzz>=3.9'" in found


@pytest.mark.parametrize(
    "training",
    [
        "training.source.rejected={teacher: llama}",
        "training.validation={name: minicode, part: validation, rows: 9, rejected: {teacher: llama}}",
    ],
)
def test_sets_are_made_with_the_model_that_is_a_teacher(tmp_path: Path, training: str) -> None:
    file = write(tmp_path, NANO.read_text())
    assert [model.name for model in load_config(file, [training], with_models=False).models] == ["llama"]
    assert [model.name for model in load_config(file, with_models=False).models] == ["none"]
    with pytest.raises(ConfigError, match=r"rejected.teacher: no model is called 'lama'"):
        load_config(file, [training.replace(": llama}", ": lama}")], with_models=False)
