"""Several sources of training rows: each training set names one, and each model its sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.config.document import ConfigError
from raysweep.config.grid import build_grid
from raysweep.config.loading import config_from, read_config, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.planning.planner import build_plan
from raysweep.records import BASE
from raysweep.sweep.leaks import find_leaks
from raysweep.sweep.report.names import order_of
from tests.config.mistakes import screen
from tests.paths import NANO


def row(n: int, output: str = "a + b", **fields: str) -> dict[str, str]:
    return {"instruction": f"Add {n} numbers.", "output": output, **fields}


def rows(path: Path, *of: dict[str, str]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in of))
    return str(path)


def document(folder: Path, **training: Any) -> dict[str, Any]:
    """Return a config of two models, a on one source and b on both."""
    value: dict[str, Any] = yaml.safe_load(NANO.read_text())
    first, second = ({"name": "jsonl", "path": str(folder / f"{name}.jsonl")} for name in ("first", "second"))
    rows(folder / "first.jsonl", *(row(n) for n in range(64)))
    rows(folder / "second.jsonl", *(row(n, "a - b", rejected="a + b") for n in range(64)))
    sets = [
        {"name": "one", "perturbation": "clean", "source": "first"},
        {"name": "two", "perturbation": "clean", "source": "second"},
        {"name": "two-C1", "perturbation": "C1", "source": "second"},
    ]
    value["training"] = {"sources": {"first": first, "second": second}, "sets": sets, **training}
    model = value["models"][0]
    value["models"] = [{**model, "name": "a", "sets": ["one"]}, {**model, "name": "b"}]
    return value


def loaded(value: dict[str, Any], *overrides: str) -> SweepConfig:
    return config_from(value, "here", overrides)


def refused(value: dict[str, Any], *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(value, *overrides)
    return caught.value.findings


def test_a_model_is_trained_on_the_sets_that_it_names_else_on_all(tmp_path: Path) -> None:
    config = loaded(document(tmp_path))
    tuned = [(cell.model, cell.training_set) for cell in build_grid(config).cells if cell.training_set != BASE]
    assert tuned == [("a", "one"), ("b", "one"), ("b", "two"), ("b", "two-C1")]
    plan = build_plan(config)
    paths = {cell.cell.training_set: cell.training_set.rows.source.args["path"] for cell in plan.cells if cell.recipe}
    assert [Path(path).stem for path in paths.values()] == ["first", "second", "second"]
    assert [leakage.node.label for leakage in plan.leakages] == ["leaks in rows of first", "leaks in rows of second"]
    stored = tmp_path / "config.yaml"
    stored.write_text(to_yaml(config))
    assert read_config(stored) == config


def test_sets_have_the_keys_that_they_have_from_a_source_alone(tmp_path: Path) -> None:
    several = build_plan(loaded(document(tmp_path)))
    alone = document(tmp_path)
    source = alone["training"].pop("sources")["second"]
    alone["training"] |= {"source": source, "sets": ["clean", "C1"]}
    alone["models"] = [model for model in alone["models"] if model["name"] == "b"]
    models = {cell.cell.training_set: cell.model.key for cell in build_plan(loaded(alone)).cells if cell.model}
    same = {cell.cell.training_set: cell.model.key for cell in several.cells if cell.model and cell.cell.model == "b"}
    assert (same["two"], same["two-C1"]) == (models["clean"], models["C1"])


def test_each_source_has_its_own_validation_rows(tmp_path: Path) -> None:
    held = rows(tmp_path / "held.jsonl", *(row(n) for n in range(100, 110)))
    value = document(tmp_path, validations={"second": {"name": "jsonl", "path": held}})
    plan = build_plan(loaded(value))
    validated = {cell.cell.training_set: cell.validation for cell in plan.cells if cell.recipe}
    assert validated["one"] is None and validated["two"] is not None
    assert validated["two"].node.key == validated["two-C1"].node.key
    known = document(tmp_path, validations={"second": {"name": "jsonl", "path": str(tmp_path / "second.jsonl")}})
    assert refused(known) == [
        "training.validations.second: 64 of its 64 rows are rows of `training.sources.second`; take others"
    ]


def chosen_by_validation(folder: Path, **training: Any) -> dict[str, Any]:
    """Return the same config, whose models are fine-tuned by a recipe of their own with `keep: best`."""
    value = document(folder, **training)
    value["recipes"]["mine"] = {**value["recipes"]["tiny"], "keep": "best"}
    value["models"] = [{**model, "recipes": ["mine"]} for model in value["models"]]
    return value


def test_validation_rows_are_in_the_keys_of_models_that_they_choose_alone(tmp_path: Path) -> None:
    value, validations = chosen_by_validation(tmp_path), {}
    for name in ("first", "second"):
        held = rows(tmp_path / f"held-{name}.jsonl", *(row(n) for n in range(100, 110)))
        validations[name] = {"name": "jsonl", "path": held}
    keys = []
    for keep in ("last", "best"):
        for number in (10, 9):
            value["training"]["validations"] = validations
            rows(tmp_path / "held-first.jsonl", *(row(n) for n in range(100, 100 + number)))
            plan = build_plan(loaded(value, f"recipes.mine.keep={keep}"))
            keys.append({cell.cell.id: cell.model.key for cell in plan.cells if cell.model})
    last, same, best, other = keys
    assert last == same and not set(last.values()) & set(best.values())
    assert {cell for cell in best if best[cell] != other[cell]} == {cell for cell in best if "one" in cell}


def test_the_best_epoch_needs_validation_rows_to_be_chosen_by(tmp_path: Path) -> None:
    held = {"name": "jsonl", "path": rows(tmp_path / "held.jsonl", row(100))}
    value = chosen_by_validation(tmp_path, validations={"second": held})
    way = "`keep: best` chooses an epoch by validation rows, and"
    (finding,) = refused(value)
    expected = f"{way} the rows of `training.sources.first` have none; name some as `training.validations.first`"
    assert finding == f"recipes.mine.keep: {expected}"
    assert loaded(value, "models.0.recipes=[tiny]", "models.1.sets=[two]")
    value["models"][0]["pretrain"]["recipe"] = "mine"
    (finding,) = refused(value, "models.0.recipes=[tiny]", "models.1.sets=[two]")
    assert finding == f"recipes.mine.keep: {way} a is pre-trained without any; remove it from the recipe"


def test_a_preference_needs_rejected_responses_of_the_sources_of_its_models(tmp_path: Path) -> None:
    recipe = "recipes.pairs={objective: dpo, steps: 2, batch_size: 8}"
    value = document(tmp_path)
    value["training"]["sources"]["second"]["rejected"] = {"field": "rejected"}
    assert loaded(value, recipe, "models.1.recipes=[pairs]", "models.1.sets=[two]")
    (finding,) = refused(value, recipe, "models.1.recipes=[pairs]")
    assert "training.sources.first: its rows have no rejected response, with which dpo (pairs)" in finding
    held = {"name": "jsonl", "path": rows(tmp_path / "held.jsonl", row(100), row(101))}
    value["training"]["validations"] = {"second": held}
    (finding,) = refused(value, recipe, "models.1.recipes=[pairs]", "models.1.sets=[two]")
    assert "training.validations.second: its rows have no rejected response" in finding


NOT_THERE = [
    "models.0.sets=[oen]",
    "models.0.sets=[one, one]",
    "training.sets.0.source=frist",
    "training.sets=[C1]",
    "training.source={name: minicode, rows: 64}",
    ("training.sources={}", "training.sets=[C1]"),
    "training.sources={}",
    "training.validation={name: minicode, rows: 9}",
    "training.validations={third: {name: minicode, rows: 9}}",
    "recipes.tiny.problems=[mini]",
]


def test_a_name_that_is_not_there_is_told_with_the_way_out(tmp_path: Path, monkeypatch: Any, snapshot: Any) -> None:
    monkeypatch.chdir(tmp_path)
    value = document(Path())

    def told(*overrides: str) -> list[str]:
        return [line.removeprefix(f"--set {', '.join(overrides)}, ") for line in refused(value, *overrides)]

    assert screen(NOT_THERE, told) == snapshot


def test_what_nothing_uses_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded(document(tmp_path), "models.1.sets=[one]", "training.sets=[{name: one, perturbation: clean, source: first}]")
    assert "training.sources.second: no training set names this source; remove it" in caplog.text
    caplog.clear()
    loaded(document(tmp_path), "models.1.sets=[two]")
    assert "training.sets.2: no model is fine-tuned on 'two-C1'; remove it" in caplog.text
    caplog.clear()
    loaded(document(tmp_path), "models.0.recipes=[]")
    assert "models.0.sets: 'a' has no `recipes`, so it isn't fine-tuned on them" in caplog.text


def test_a_recipes_models_are_judged_on_its_problem_sets_alone(tmp_path: Path) -> None:
    value = document(tmp_path)
    value["evaluation"]["problems"].append({"name": "minicode", "as": "mine", "split": "test", "count": 6})
    grid = build_grid(loaded(value, "recipes.tiny.problems=[mine]"))
    for cell in grid.cells:
        judged_on = {pair.problem_set for pair in grid.pairs_of(cell)}
        assert judged_on == ({"minicode", "mine"} if cell.training_set == BASE else {"mine"})
    before, after = (build_plan(loaded(value, *more)) for more in ([], ["recipes.tiny.problems=[mine]"]))
    assert [cell.model and cell.model.key for cell in before.cells] == [
        cell.model and cell.model.key for cell in after.cells
    ]


def test_leaks_are_found_in_each_source_and_named_with_it(tmp_path: Path) -> None:
    problem = {"task_id": "T/0", "prompt": "def mean(a):\n", "entry_point": "mean", "test": "def check(f): pass"}
    problem["canonical_solution"] = "    total = sum(a)\n    return total / len(a)\n"
    value = document(tmp_path)
    value["evaluation"]["problems"] = [{"name": "jsonl", "path": rows(tmp_path / "problems.jsonl", problem)}]
    leaking = f"def mean(a):\n{problem['canonical_solution']}"
    rows(tmp_path / "first.jsonl", *(row(n) for n in range(20)), row(99, leaking))
    rows(tmp_path / "second.jsonl", *(row(n, rejected=leaking if n == 7 else "a") for n in range(20)))
    value["training"]["sources"]["second"]["rejected"] = {"field": "rejected"}
    found = find_leaks(loaded(value), lambda number: None)
    assert found.rows == 41
    assert [(leak.source, leak.row_id, leak.rule) for leak in found.leaks] == [
        ("first", "0000020", "solution"),
        ("second", "0000007", "solution"),
    ]


def test_tables_name_the_source_of_a_set_and_know_its_clean_one(tmp_path: Path) -> None:
    order = order_of(loaded(document(tmp_path)))
    assert order.training_label("two-C1") == "neighbouring keys of second (two-C1)"
    assert order.training_label("one") == "clean prompts of first (one)"
    assert (order.clean_set("two-C1"), order.clean_sets) == ("two", {"clean", "one", "two"})
    assert order_of(config_from(yaml.safe_load(NANO.read_text()), "here")).clean_set("C1") == "clean"
