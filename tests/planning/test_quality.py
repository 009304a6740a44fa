"""The sample of code quality: its sizes, what its keys depend on, and how files are put into batches."""

from __future__ import annotations

import importlib.util
from collections import Counter
from typing import Any

import pytest
import yaml

from raysweep.cli.views.plan import print_plan
from raysweep.config.document import ConfigError
from raysweep.config.grid import build_grid
from raysweep.config.loading import config_from, load_config
from raysweep.planning import quality
from raysweep.planning.missing import walk
from raysweep.planning.plan import QualityPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.planning.quality import sample
from raysweep.quality import linting
from raysweep.storage.store import Store
from raysweep.sweep.overview.plan import plan_facts
from tests.paths import CONFIGS

SOLVER = {"name": "solver", "generator": {"name": "fake", "share": 0.5}}
BETTER = {"name": "better", "generator": {"name": "fake", "share": 0.9}}


def document(*models: dict[str, Any], **evaluation: Any) -> dict[str, Any]:
    judged = {"problems": ["humaneval"], "perturbations": ["C1"], "limit": 30, "quality": {}, **evaluation}
    return {"name": "s", "models": [SOLVER, *models], "evaluation": judged}


def planned(*models: dict[str, Any], **evaluation: Any) -> SweepPlan:
    return build_plan(config_from(document(*models, **evaluation), "test"))


def files(plan: SweepPlan) -> set[tuple[str, int]]:
    return {(one.cell.cell.id, number) for one in plan.quality for number in one.problems}


@pytest.mark.slow
def test_the_studys_grid_has_the_studys_samples():
    grid = build_grid(load_config(CONFIGS / "study.yaml", missing=[]))
    for name, problems, population, size in (("humaneval", 161, 31_878, 380), ("mbpp", 427, 84_546, 383)):
        tuned, bases = sample(grid.cells, problems, f"safecoder-{name}", margin=0.05, seed=42)
        assert (tuned.population, len(tuned.units)) == (population, size)
        assert (bases.population, len(bases.units)) == (6 * problems, size)
        assert all(unit.cell.endswith(".base") for unit in bases.units)
        assert not any(unit.cell.endswith(".base") for unit in tuned.units)


def test_a_sweep_that_asks_for_none_plans_none_and_no_other_key_depends_on_it():
    without, with_it = planned(BETTER, quality=None), planned(BETTER)
    assert not without.quality and with_it.quality
    keys = {plan.node.key for plan in walk(without.targets) if plan.node}
    assert keys == {p.node.key for p in walk(with_it.targets) if p.node and not isinstance(p, QualityPlan)}


def test_small_populations_are_linted_whole_on_clean_prompts_only():
    assert files(planned(BETTER, limit=3, draws=2)) == {
        (f"{name}.base", number) for name in ("solver", "better") for number in range(3)
    }


def test_equal_configs_give_equal_keys_and_another_linter_or_file_other_ones(monkeypatch):
    keys = [one.node.key for one in planned(BETTER).quality]
    assert keys == [one.node.key for one in planned(BETTER).quality]
    version = linting.versions(("pylint", "astroid"))
    monkeypatch.setattr(linting, "versions", lambda names: {**version, "pylint": "4.0.0"})
    assert not {one.node.key for one in planned(BETTER).quality} & set(keys)
    monkeypatch.undo()
    assert not {one.node.key for one in planned(BETTER, limit=29).quality} & set(keys)


def test_a_new_cell_takes_the_place_of_few_files():
    margin = {"margin": 0.15}
    before, after = planned(BETTER, quality=margin), planned(BETTER, {**BETTER, "name": "third"}, quality=margin)
    old = {name for name in files(after) if not name[0].startswith("third")}
    assert (len(files(before)), len(files(after))) == (26, 30) and old <= files(before)


def test_cells_without_a_file_in_the_sample_have_no_artefact():
    models = [{**SOLVER, "name": f"m{number}"} for number in range(20)]
    plan = planned(*models, quality={"margin": 0.4})
    assert len(files(plan)) == 6 >= len(plan.quality) and all(one.problems for one in plan.quality)


def test_batches_hold_whole_plans_and_about_as_many_files_each(monkeypatch):
    monkeypatch.setattr(quality, "BATCH_FILES", 25)
    plan = planned(*({**SOLVER, "name": f"m{number}"} for number in range(9)), limit=8)
    sizes = Counter[str]()
    for one in plan.quality:
        sizes[one.batch] += len(one.problems)
    assert set(sizes) == {f"code-quality-{number}" for number in range(1, 4)} == {one.task for one in plan.quality}
    assert sum(sizes.values()) == 67 and max(sizes.values()) - min(sizes.values()) <= 8


def test_without_pylint_a_run_is_refused_with_the_extra_and_a_plan_lists_it(monkeypatch, tmp_path, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(linting.importlib.util, "find_spec", lambda name: None if name == "pylint" else find(name))
    with pytest.raises(ConfigError) as caught:
        config_from(document(), "test")
    [line] = caught.value.findings
    assert line.startswith("evaluation.quality: code quality needs the package pylint: pip install 'pylint")
    assert caught.value.exit_code == 2
    missing: list[str] = []
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(document(), sort_keys=False))
    plan = build_plan(load_config(path, missing=missing), tolerant=True)
    print_plan(plan_facts(plan, Store(tmp_path / "store"), missing), as_json=False)
    assert missing == [f"line 13, {line}"]
    assert "files: 28, to lint: 28" in capsys.readouterr().out
    assert not planned(quality=None).quality, "without code quality it isn't needed"
