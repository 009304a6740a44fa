"""Recipes that compare responses with rejected ones, and rows that have none."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config, read_config, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.planning.keys import recipe_spec
from raysweep.planning.planner import build_plan
from tests.config.test_schema import NANO, write

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


@pytest.mark.parametrize("objective", ["dpo", "fait", "fixed"])
def test_rows_without_a_rejected_response_are_refused(objective: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")
    recipe = f"recipes.pairs={{objective: {objective}, steps: 2, batch_size: 8}}", "models.0.recipes=[pairs]"
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, f"{{name: jsonl, path: {path}}}", *recipe)
    assert f"training.source: its rows have no rejected response, with which {objective} (pairs)" in str(caught.value)
    assert "`rejected: {field: rejected}`" in str(caught.value)
    source = f"{{name: jsonl, path: {path}, rejected: {{field: rejected}}}}"
    config(tmp_path, source, *recipe)
    other = rows(tmp_path / "others.jsonl", output="b + a")
    with pytest.raises(ConfigError, match=r"training.validation: its rows have no rejected response"):
        validation = f"training.validation={{name: jsonl, path: {other}}}"
        config(tmp_path, source, *recipe, validation)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["objective=dpo", "compat=safecoder"], "SafeCoder's loop trains on responses alone, and `objective: dpo` on"),
        (["objective=fait", "objective_args={alpha: 0.5}"], "alpha 0.5 is below 1"),
        (["objective=fait", "objective_args={granularity: word}"], "must be 'hybrid', 'line' or 'token', not 'word'"),
        (["objective=fait", "objective_args={alpha: '2'}"], "must be a number, not '2', which is text; write 2"),
        (["objective=fait", "objective_args={beta: 2}"], "has no argument 'beta'"),
        (["objective=sft", "objective_args={reduction: per_token, prompt_weight: 0.3}"], "leave one of them out"),
        (
            ["objective=dpo", "batching=packed"],
            "takes no rows packed into one sequence, since two texts of each row go through the model",
        ),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(overrides: list[str], words: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")
    settings = ["recipes.pairs={steps: 2, batch_size: 8}", "models.0.recipes=[pairs]"]
    settings += [f"recipes.pairs.{override}" for override in overrides]
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, f"{{name: jsonl, path: {path}, rejected: {{field: rejected}}}}", *settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("rejected", "words"),
    [
        ("{field: rejected}", "source 'minicode' reads no field with rejected responses"),
        ("{}", "must name one way: {field: NAME}, {mutator: python, seed: 1} or {teacher: MODEL}"),
        ("{field: x, mutator: python}", "or {teacher: MODEL}; it has field and mutator"),
        ("{mutator: python, temperature: 1}", "`temperature` has no effect beside `mutator`; remove it"),
        (
            "{teacher: llama, filters: none, similarity: 0.4}",
            "`similarity` has no effect, since `filters` lacks it; remove it or add it to `filters`",
        ),
        ("{field: x, seed: 1}", "`seed` has no effect beside `field`; remove it"),
        ("{mutator: java}", "must be 'python', not 'java'"),
        ("{mutator: python, similarity: 2}", "must be at most 1"),
        ("{teacher: lama}", "rejected.teacher: no model is called 'lama' (did you mean 'llama'?); `models` has llama"),
        ("{teacher: llama, filters: [words]}", "rejected.filters"),
        ("{teacher: llama, rejected_text: code}", "rejected_text: must be"),
    ],
)
def test_a_source_says_one_way_to_rejected_responses(rejected: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, f"{{name: minicode, part: finetuning, rows: 64, rejected: {rejected}}}")
    assert words in str(caught.value) and "training.source" in str(caught.value)


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
    config(tmp_path, MINICODE.removeprefix("source: "), f"models=[{{name: key, generator: reference}}, {writer}]")
    assert "'writer' is no teacher of `rejected` either; remove it" in caplog.text
    with pytest.raises(ConfigError, match=r"models: none is judged, so there is nothing to report"):
        config(tmp_path, source, f"models=[{writer}]")
    with pytest.raises(ConfigError, match=r"has `recipes`, and the models made of it are compared with it"):
        config(tmp_path, source.replace("writer", "llama"), "models.0.judged=false")


def test_the_mutator_needs_python_code(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Add.", "output": "int add(int a, int b) { return a + b; }"}\n' * 3)
    with pytest.raises(ConfigError, match=r"mutator: it changes Python code, and none of the first 3 responses is"):
        config(tmp_path, f"{{name: jsonl, path: {path}, rejected: {{mutator: python}}}}")


def test_a_model_from_scratch_has_no_rejected_responses(tmp_path: Path) -> None:
    settings = "models.0.pretrain.source.rejected={mutator: python}"
    with pytest.raises(ConfigError, match=r"rejected: a model from scratch is trained on responses alone; remove it"):
        config(tmp_path, "{name: minicode, part: finetuning, rows: 64}", settings)
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, "{name: minicode, part: finetuning, rows: 64}", "recipes.tiny.objective=fait")
    said = "compares each response; a model from scratch is trained on responses alone: take `objective: sft`"
    assert said in str(caught.value)


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
        specs.append(json.dumps(recipe_spec(loaded.recipes["tiny"].recipe("raw", "")), sort_keys=True))
    assert specs[0] == specs[1] and '"prompt_weight": 1.0' in specs[0]


def test_a_missing_rapidfuzz_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name == "rapidfuzz" else find(name, *of))
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    path = rows(tmp_path / "rows.jsonl", rejected="a - b")
    source = f"{{name: jsonl, path: {path}, rejected: {{field: rejected}}}}"
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, source, "recipes.pairs={objective: fait, steps: 2, batch_size: 8}", "models.0.recipes=[pairs]")
    said = "recipes.pairs.objective: `objective: fait` needs the package rapidfuzz: pip install 'rapidfuzz>=3.9'"
    assert said in str(caught.value)


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


def test_a_missing_rapidfuzz_is_named_for_made_rejected_responses_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name == "rapidfuzz" else find(name, *of))
    path = rows(tmp_path / "rows.jsonl")
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, f"{{name: jsonl, path: {path}, rejected: {{mutator: python}}}}")
    assert "training.source.rejected: filtering rejected responses needs the package rapidfuzz" in str(caught.value)
