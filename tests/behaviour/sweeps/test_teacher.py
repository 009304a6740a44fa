"""Pairs by a teacher on Ray, whose hosts write for a task that cells share, are those of the local engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from raysweep.cli.app import main
from raysweep.cli.views.plan import print_plan
from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.generators.environments import python_of
from raysweep.planning.missing import missing
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.needs_planner import NeedsPlanner
from raysweep.records import RejectedRow, Spec
from raysweep.storage.store import Store
from raysweep.sweep.data_sets import make_data_sets
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.report.facts import rejected_lines
from raysweep.sweep.tasks import RunOptions, _context, shared_tasks
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.small_ray import SmallRay
from tests.tiny import make_tiny

pytestmark = pytest.mark.slow
PIECES = ["```python\n", "    return", " n", "\n```\n"]
VLLM = python_of(Spec("vllm"))
STUDENT = {
    "name": "student",
    "pretrain": {
        "family": "llama",
        "source": {"name": "minicode", "part": "pretraining", "rows": 32},
        "recipe": "full",
    },
    "recipes": ["full"],
}


def config(teacher: dict[str, Any], **rejected: Any) -> SweepConfig:
    made = {"teacher": "teacher", "temperature": 0, "max_new_tokens": 16, "filters": ["equal"], **rejected}
    return config_from(
        {
            "name": "taught",
            "allow_code_execution": True,
            "models": [STUDENT, {"name": "teacher", "judged": False, **teacher}],
            "recipes": {"full": {"steps": 2, "batch_size": 8}},
            "training": {
                "source": {"name": "minicode", "rows": 40, "part": "finetuning", "rejected": made},
                "sets": ["clean"],
            },
            "evaluation": {"problems": [{"name": "minicode", "count": 3}]},
        },
        "test",
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("teacher")
    write_scripted(folder, byte_tokenizer(pieces=PIECES), [*PIECES, EOS], max_position_embeddings=4096)
    return str(folder)


def made(config: SweepConfig, storage: Path, engine: str = "local", address: str | None = None) -> list[RejectedRow]:
    done = make_data_sets(config, RunOptions(str(storage), engine, address))
    assert not done.errors
    plan = build_plan(config).cells[-1].training_set
    assert plan is not None and plan.rejected is not None and plan.rejected.answers is not None
    return done.store.rows(plan.rejected.node, RejectedRow)


@pytest.fixture(scope="module")
def on_gpu(path: str) -> SweepConfig:
    """A config whose teacher asks for a GPU, which tests' Ray pretends to have."""
    return config({"path": path, "resources": {"generation": {"gpus": 1}}})


@pytest.fixture(scope="module")
def pairs(on_gpu: SweepConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RejectedRow]]:
    """The local engine's store, and the pairs in it."""
    storage = tmp_path_factory.mktemp("local")
    return storage, made(on_gpu, storage)


def test_the_report_counts_rejected_responses(pairs: tuple[Path, list[RejectedRow]]) -> None:
    storage, rows = pairs
    assert len(rows) == 40 and {row.rejected for row in rows} == {"    return n"}
    (line,) = rejected_lines(SweepFolder(Store(storage), "taught"))
    words = "40 of 40 rows have one (40 the body of its function)"
    assert line == ("rejected responses of minicode by teacher", words)


@pytest.mark.long
@pytest.mark.ray
def test_ray_makes_the_local_engines_pairs(
    on_gpu: SweepConfig, pairs: tuple[Path, list[RejectedRow]], shared_ray: SmallRay, tmp_path: Path
) -> None:
    """In small: test_the_report_counts_rejected_responses."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    assert made(on_gpu, tmp_path, "ray", shared_ray.address) == pairs[1]


@pytest.mark.ray
@pytest.mark.vllm
@pytest.mark.skipif(VLLM is not None and not VLLM.exists(), reason="needs vLLM's environment: make vllm")
def test_a_teacher_by_vllm_writes_for_all_rows(shared_ray: SmallRay, tmp_path: Path) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    size = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    ref = make_tiny("llama", tmp_path / "model", **size)
    by_vllm = config({"path": ref.location, "generator": "vllm"}, filters="none", rejected_text="answer")
    pairs = made(by_vllm, tmp_path / "store", "ray", shared_ray.address)
    assert pairs == made(by_vllm, tmp_path / "other", "ray", shared_ray.address)
    assert sum(pair.rejected is not None for pair in pairs) > 20


def test_a_teachers_task_asks_for_what_its_model_does(path: str, tmp_path: Path) -> None:
    asking = config({"path": path, "accelerator": "A100", "resources": {"generation": {"gpus": 1, "memory_gib": 3}}})
    store, plan = Store(tmp_path / "store"), build_plan(asking)
    lacking = missing(plan.targets, store)
    context = _context(asking, lacking, SweepFolder(store, "taught"), RunOptions(str(tmp_path / "store")))
    tasks = shared_tasks(lacking, context, NeedsPlanner(asking))
    (task,) = [task for task in tasks if task.generates]
    asked, label = task.needs.generation, {"ray.io/accelerator-type": "in(A100)"}
    assert task.base == "teacher" and task.group == context.groups["teacher"] != ""
    assert (asked.gpus, asked.memory_bytes, dict(asked.labels)) == (1, 3 * 2**30, label)
    assert not task.needs.in_trial and task.uses_other_processes
    rejected = next(other for other in tasks if task.id in other.after)
    assert rejected.needs.generation.gpus == 0 and not rejected.generates


def test_a_plan_counts_the_pairs_that_are_encoded_first(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = config({"path": path}).model_dump(by_alias=True, exclude_unset=True)
    document["recipes"]["fait"] = {"objective": "fait", "steps": 2, "batch_size": 8}
    document["models"][0]["recipes"] = ["full", "fait"]
    plan, store = build_plan(config_from(document, "test")), Store(tmp_path)
    print_plan(plan_facts(plan, store), as_json=False)
    told = capsys.readouterr().out
    assert "pairs of training set clean for student: preference pairs to encode before the cells, at most 40: " in told
    assert len(plan.cells) == 3 and "2 steps of 8 on at most 40 rows" in told


def test_a_plan_names_what_a_teacher_has_to_write(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(config({"path": path}).model_dump_json(by_alias=True, exclude_unset=True))
    with pytest.raises(SystemExit):
        main(["plan", str(file), "--storage", str(tmp_path / "store"), "--json"])
    (teacher,) = json.loads(capsys.readouterr().out)["teachers"]
    assert (teacher["teacher"], teacher["rows"], teacher["answers"]) == ("teacher", "rows of minicode", 40)
    assert teacher["asks"]["CPU"] == 1 and teacher["takes"]["hours"]["H100"] > 0
