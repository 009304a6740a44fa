"""A sweep foretold on a cluster: pools, hours, price, and what fits nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.config.document import Document
from raysweep.config.loading import validate
from raysweep.errors import UsageError
from raysweep.planning.missing import missing
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import plan_costs
from raysweep.storage.store import Store
from raysweep.sweep.forecast import Forecast, forecast

CLUSTER = """
provider: {type: aws}
head_node_type: head
max_workers: 8
available_node_types:
  head: {resources: {CPU: 4}}
  a: {max_workers: 1, resources: {CPU: 32, GPU: 2}, labels: {ray.io/accelerator-type: A100}}
  v: {max_workers: 3, resources: {CPU: 32, GPU: 4}, labels: {ray.io/accelerator-type: V100}}
"""
MODELS = [
    {"name": "one", "path": "bigcode/starcoderbase-1b", "recipes": ["lora"], "accelerator": "A100"},
    {"name": "other", "path": "Salesforce/codegen-2B-multi", "recipes": ["lora"], "accelerator": ["A100", "V100"]},
]


@pytest.fixture
def foretell(tmp_path):
    def found(models: list[dict[str, object]], cluster: str = CLUSTER, **settings: object) -> Forecast:
        value = {
            "name": "foretold",
            "models": models,
            "recipes": {"lora": {"trainer": "lora", "precision": "float16"}},
            "training": {"source": {"name": "minicode", "rows": 640}, "sets": ["clean", "C1", "C2"]},
            "evaluation": {"problems": ["humaneval"]},
            **settings,
        }
        config = validate(Document("test", value, {}, {}), missing=[])
        (tmp_path / "cluster.yaml").write_text(cluster)
        store, plan = Store(tmp_path / "store"), build_plan(config, tolerant=True)
        costs = plan_costs(plan, store)
        return forecast(plan, missing(plan.targets, store), costs, store, file=Path(tmp_path, "cluster.yaml"))

    return found


def test_each_model_has_one_pool_and_hours_cost_what_prices_say(foretell):
    found = foretell(MODELS, prices={"A100": 2.0})
    pools = {name.split(".")[0]: set() for name in found.cells}
    for name, cell in found.cells.items():
        pools[name.split(".")[0]].add(cell.pool)
    assert pools == {"one": {"A100"}, "other": {"V100"}}, "each type has the work that it ends first"
    of_a, of_v = found.pools
    assert (of_a.accelerator, of_a.gpus, of_a.cells) == ("A100", 2, 4)
    assert of_a.cost == pytest.approx(2 * of_a.gpu_hours)
    assert of_v.cost is None and found.cost == of_a.cost and found.nodes == 5 and not found.unused_prices
    assert foretell(MODELS, prices={"V10": 2.0, "H200": 1}).unused_prices == ("V10 (did you mean 'V100'?)", "H200")
    assert found.gpu_hours == pytest.approx(of_a.gpu_hours + of_v.gpu_hours)
    assert found.makespan == max(of_a.ends, of_v.ends) == max(cell.ends for cell in found.cells.values()) > 0


def test_twice_as_many_accelerators_end_sooner(foretell):
    few = foretell(MODELS, CLUSTER.replace("GPU: 4", "GPU: 1"), resources={"gpus": 1})
    assert foretell(MODELS, resources={"gpus": 1}).makespan < few.makespan


def test_a_training_that_only_fits_on_two_types_together_is_foretold(foretell):
    cluster = CLUSTER.replace("V100", "L4").replace("GPU: 4", "GPU: 2").replace("max_workers: 3", "max_workers: 1")
    models = [{"name": "one", "path": "bigcode/starcoderbase-1b", "recipes": ["wide"]}]
    recipes = {"wide": {"trainer": "lora", "workers": 4, "precision": "bf16"}}
    found = foretell(models, cluster, recipes=recipes, resources={"gpus": 1, "allow_mixed": True})
    spread, alone, unused = sorted(found.pools, key=lambda pool: pool.cells, reverse=True)
    assert (unused.cells, unused.models, spread.models) == (0, (), ("one",))
    assert (spread.accelerator, spread.gpus, spread.cells) == ("any accelerators", 4, 3)
    assert 0 < spread.ends <= found.makespan and alone.cells == 1, "the base model only generates"
    with pytest.raises(
        UsageError, match=r"can run one\..*L4, which has no room.*V100, which has neither bf16.*; change"
    ):
        foretell(models, CLUSTER.replace("A100", "L4"), recipes=recipes, resources={"gpus": 1, "allow_mixed": True})


def test_a_type_on_which_nothing_runs_is_shown_with_the_reason(foretell):
    model = {"name": "one", "path": "bigcode/starcoderbase-1b", "recipes": ["half"]}
    found = foretell([model], recipes={"half": {"trainer": "lora", "precision": "bf16"}}, resources={"gpus": 0.5})
    assert {pool.accelerator: (pool.models, pool.unfit) for pool in found.pools} == {
        "A100": (("one",), ""),
        "V100": ((), "has neither bf16 nor TF32"),
    }
    assert found.has_shares


def test_models_that_are_trained_before_the_cells_are_told(foretell):
    pretrain = {"family": "llama", "source": {"name": "minicode", "part": "pretraining", "rows": 96}, "recipe": "lora"}
    scratch = {"name": "scratch", "pretrain": {**pretrain, "vocab_size": 300}, "template": "raw", "accelerator": "A100"}
    full = {"lora": {"trainer": "full", "precision": "bf16"}}
    assert foretell([{**scratch, "recipes": ["lora"]}], recipes=full).bases == ("scratch",)
    assert foretell(MODELS).bases == ()


def test_what_teachers_write_is_counted_before_the_cells(foretell):
    student, teacher = MODELS[0], {**MODELS[1], "accelerator": "V100", "recipes": [], "judged": False}
    source = {"name": "minicode", "rows": 640, "rejected": {"teacher": "other"}}
    settings = {"prices": {"A100": 2.0, "V100": 1.0}, "resources": {"gpus": 1}}
    found = foretell([student, teacher], training={"source": source, "sets": ["clean"]}, **settings)
    ((name, written),) = found.teachers.items()
    assert name.startswith("other.teacher-") and name not in found.cells and written.pool == "V100"
    alone = foretell([student], training={"source": {**source, "rejected": None}, "sets": ["clean"]}, **settings)
    assert found.makespan == pytest.approx(alone.makespan + written.ends) and written.ends > 0
    assert found.gpu_hours == pytest.approx(alone.gpu_hours + written.gpu_hours)
    assert found.cost == pytest.approx(alone.cost + written.cost) and written.cost == written.gpu_hours
    of = {pool.accelerator: pool for pool in found.pools}
    assert (of["V100"].cells, of["V100"].models, of["A100"].cells) == (0, ("other",), 2)
    assert all(cell.ends - alone.cells[id].ends == pytest.approx(written.ends) for id, cell in found.cells.items())


def test_hours_that_are_not_known_are_told(foretell):
    found = foretell([{**MODELS[0], "accelerator": "T4"}], CLUSTER.replace("A100", "T4"))
    assert set(found.unknown) == set(found.cells) and found.pools[0].gpu_hours is None
    found = foretell([{"name": "reference", "generator": "reference"}])
    assert {cell.pool for cell in found.cells.values()} == {"CPUs"} and found.gpu_hours == 0


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([{**MODELS[0], "accelerator": "H100"}], "H100.*there is A100, V100"),
        (
            [MODELS[0], {**MODELS[1], "accelerator": "V100", "pin_group": "bigcode/starcoderbase-1b"}],
            "no type can hold",
        ),
    ],
)
def test_cells_that_fit_nowhere_are_refused(foretell, models, said):
    with pytest.raises(UsageError, match=said):
        foretell(models)


def test_workers_that_a_file_allows_go_to_types_with_cells(foretell):
    three = CLUSTER.replace("max_workers: 8", "max_workers: 3")
    models = [{**MODELS[0], "accelerator": "V100"}]
    found = foretell(models, three)
    (absent, used) = found.pools
    assert (used.accelerator, used.gpus) == ("V100", 12) and (absent.accelerator, absent.gpus) == ("A100", 0)
    assert found.makespan == foretell(models).makespan
