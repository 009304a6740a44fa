"""Keys: what changes the output is in them, what can't is not."""

from __future__ import annotations

import json
import sys

import pytest

from raysweep.config.loading import load_config
from raysweep.execution.environments import environment_at
from raysweep.generators.base import GENERATORS
from raysweep.generators.transformers import Transformers
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.planning.plan import CellPlan
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.storage.artefacts import Node
from raysweep.trainers.base import OBJECTIVES, TRAINERS
from raysweep.training_sets.base import SOURCES
from tests.execution.compiled.processes import needs
from tests.paths import NANO
from tests.problems.bigcodebench_tasks import write_rows
from tests.tiny import make_tiny


def tuned(*overrides: str) -> CellPlan:
    return build_plan(load_config(NANO, overrides)).cells[-1]


def keys(*overrides: str) -> dict[str, str]:
    """Keys of the nano sweep's tuned cell by what they name, on the perturbed test set."""
    cell = tuned(*overrides)
    pair = cell.pairs[-1]
    assert cell.model and cell.training_set and cell.base.node
    found = {"base": cell.base.node, "model": cell.model, "training_set": cell.training_set.node}
    found |= {"test_set": pair.test_set.node, "completions": pair.completions, "results": pair.results}
    return {name: node.key for name, node in found.items()}


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


@pytest.fixture(scope="module")
def unchanged() -> dict[str, str]:
    return keys()


HERE = f"execution.environments={{here: {sys.executable}}}"


def test_programs_are_taken_out_of_answers_to_prompts_that_ask_in_words_in_any_template(tmp_path):
    path, form = write_rows(tmp_path / "tasks.jsonl"), "evaluation.prompt_format=instruct"
    entries = [
        f"{{name: bigcodebench, as: {split}, split: {split}, path: {path}, environment: here}}"
        for split in ("complete", "instruct")
    ]
    plan = build_plan(load_config(NANO, [f"evaluation.problems=[{', '.join(entries)}]", HERE, form]))
    ways = {(pair.pair.problem_set, pair.extract.value) for cell in plan.cells for pair in cell.pairs}
    assert ways == {("complete", "none"), ("instruct", "auto")}


def test_the_limit_of_a_set_whose_programs_mostly_import_falls_less_far(tmp_path):
    entry = f"{{name: bigcodebench, path: {write_rows(tmp_path / 'tasks.jsonl')}, environment: here}}"
    plan = build_plan(load_config(NANO, [f"evaluation.problems=[minicode, {entry}]", HERE]))
    references = {pair.pair.problem_set: pair.references for cell in plan.cells for pair in cell.pairs}
    assert {name: (one.factor, one.least, one.limits.timeout) for name, one in references.items()} == {
        "minicode": (4.0, 1.0, 1.0),
        "bigcodebench": (4.0, 30.0, 240.0),
    }
    assert [one.node.spec.get("least") for one in references.values()] == [None, 30.0]


ALL = {"base", "model", "training_set", "test_set", "completions", "results"}
AFTER_MODEL = {"model", "completions", "results"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("seed=8", ALL),
        ("seeds=[9]", AFTER_MODEL),
        ("training.source.rows=80", AFTER_MODEL | {"training_set"}),
        ("strengths={C1: 2}", ALL - {"base"}),
        ("strengths={C2: 2}", set()),
        ("strengths={C1: 1}", set()),
        ("evaluation.limit=3", {"test_set", "completions", "results"}),
        ("evaluation.max_new_tokens=13", {"completions", "results"}),
        ("evaluation.generator=transformers", set()),
        ("models.0.generator=transformers", set()),
        ("evaluation.generator={name: transformers, merge: false}", {"completions", "results"}),
        ("evaluation.generator={name: transformers, cache: true}", set()),
        ("evaluation.generator={name: transformers, cache: false}", {"completions", "results"}),
        ("evaluation.temperature=0.5", {"completions", "results"}),
        ("evaluation.top_p=0.5", set()),
        ("execution.cpp_optimise=2", set()),
        ("evaluation.batch_tokens=500", set()),
        ("execution.timeout=2", {"results"}),
        ("execution.memory_mib=512", {"results"}),
        ("execution.lane=strict", {"results"}),
        ("execution.reference_factor=3", {"results"}),
        ("execution.require=strong", set()),
        ("resources.executors=3", set()),
        ("evaluation.extract=none", set()),
        ("evaluation.extract=study", set()),
        ("evaluation.extract=last", {"completions", "results"}),
        ("models.0.stop=[x]", {"completions", "results"}),
        ("models.0.name=other", set()),
        ("resources.cpus=2", set()),
        ("checkpoint_every=7", set()),
        ("name=other", set()),
        ("models.0.pretrain.vocab_size=310", {"base", "model", "completions", "results"}),
        ("training.sets=[{name: C1, perturbation: C1, ratio: 0.5}]", AFTER_MODEL | {"training_set"}),
    ],
)
def test_a_setting_changes_the_keys_of_what_it_changes_and_no_others(override, changed, unchanged):
    assert differing(unchanged, keys(override)) == changed


def test_a_limit_is_one_of_the_references_too():
    plans = {limit: tuned(*([f"evaluation.limit={limit}"] if limit else [])).pairs[0].references for limit in (0, 1, 5)}
    assert [plan.limit for plan in plans.values()] == [None, 1, 5]
    assert len({plan.node.key for plan in plans.values()}) == 3


def test_a_models_own_generator_comes_before_the_evaluations(unchanged):
    merged, unmerged = (f"generator={{name: transformers, merge: {merge}}}" for merge in ("true", "false"))
    assert keys(f"evaluation.{merged}", f"models.0.{unmerged}") == keys(f"evaluation.{unmerged}") != unchanged


def test_nought_percent_is_the_clean_set_and_a_hundred_the_perturbed_one():
    nought = tuned("training.sets=[{name: none, perturbation: C1, ratio: 0}]").model
    clean = tuned("training.sets=[clean]").model
    whole = tuned("training.sets=[{name: whole, perturbation: C1, ratio: 1, draw: 3}]").model
    assert nought and clean and whole
    assert nought.key == clean.key != whole.key == tuned().model.key


def test_epochs_beside_steps_do_not_count():
    both = [f"recipes.tiny={{steps: 4, epochs: {epochs}}}" for epochs in (1, 2)]
    assert keys(both[0]) == keys(both[1])


@pytest.mark.parametrize(("generator", "changed"), [("fake", True), ("reference", False)])
def test_a_generator_that_draws_at_temperature_0_has_a_key_for_each_seed(generator, changed):
    def completions(seed: int) -> str:
        own = [f"models=[{{name: one, generator: {generator}}}]", "training=null", "evaluation.problems=[humaneval]"]
        return build_plan(load_config(NANO, [*own, f"seed={seed}"])).cells[0].pairs[0].completions.key

    assert (completions(1) != completions(2)) is changed


@pytest.mark.parametrize(("temperature", "changed"), [(0, set()), (0.8, {"completions", "results"})])
def test_how_tokens_are_drawn_is_in_the_keys_of_completions_that_are_drawn(temperature, changed, monkeypatch):
    before = keys(f"evaluation.temperature={temperature}")
    monkeypatch.setattr(Transformers, "sampling", "another rule")
    assert differing(before, keys(f"evaluation.temperature={temperature}")) == changed


@pytest.mark.parametrize(
    ("registry", "name", "changed"),
    [
        (PERTURBATIONS, "C1", ALL - {"base"}),
        (PROBLEMS, "minicode", {"test_set", "completions", "results"}),
        (SOURCES, "minicode", ALL - {"test_set"}),
        (OBJECTIVES, "sft", ALL - {"training_set", "test_set"}),
        (TRAINERS, "full", ALL - {"training_set", "test_set"}),
        (GENERATORS, "transformers", {"completions", "results"}),
    ],
)
def test_the_version_of_a_package_that_registers_a_part_is_in_the_keys(registry, name, changed, monkeypatch, unchanged):
    before = unchanged
    for version in ("1.0", "1.1"):
        monkeypatch.setitem(registry._plugins, name, f"other-package {version}")
        after = keys()
        assert differing(before, after) == changed
        before = after


def test_models_that_generate_in_other_formats_share_trainings_but_no_completions(tmp_path):
    make_tiny("llama", tmp_path / "mine")
    models = [
        {"name": dtype, "path": str(tmp_path / "mine"), "dtype": dtype, "recipes": ["tiny"]}
        for dtype in ("float32", "bfloat16", "float16")
    ]
    plan = build_plan(load_config(NANO, [f"models={json.dumps(models)}"]))
    tuned = [cell for cell in plan.cells if cell.model is not None and cell.cell.training_set == "C1"]
    assert len(tuned) == 3
    assert len({cell.model.key for cell in tuned}) == 1
    assert len({cell.pairs[0].completions.key for cell in tuned}) == 3
    assert len({cell.pairs[0].results.key for cell in tuned}) == 3


def test_other_stop_strings_of_a_problem_set_are_in_the_keys_of_completions_alone(monkeypatch, unchanged):
    pool = tuned().pool
    monkeypatch.setattr(PROBLEMS.get("minicode"), "stops", 2)
    assert differing(unchanged, keys()) == {"completions", "results"}
    assert tuned().pool == pool, "completions that end at the same strings are found"


@pytest.mark.slow
def test_results_in_a_compiled_language_name_its_compiler_and_their_references_do(tmp_path, monkeypatch):
    needs("cpp")
    path = tmp_path / "cpp.jsonl"
    row = {"task_id": "CPP/0", **dict.fromkeys(("prompt", "declaration"), "int f(int a) {")}
    path.write_text(json.dumps({**row, "canonical_solution": "return a; }", "test": "int main() { return f(0); }"}))
    problems = f"evaluation.problems=[{{name: humaneval-x, path: {path}}}]"

    def specs(*overrides: str) -> tuple[str, str]:
        pair = tuned(problems, *overrides).pairs[-1]
        return pair.results.spec["toolchain"], pair.references.node.spec["toolchain"]

    assert "toolchain" not in tuned().pairs[-1].results.spec
    monkeypatch.setattr(
        "raysweep.planning.sets.runtime_key", lambda _, sandbox: {"toolchain": f"g++ 12, {sandbox.cpp_flags}"}
    )
    assert specs() == ("g++ 12, -O0",) * 2
    assert specs("execution.cpp_optimise=2", "execution.cpp_standard=c++20") == ("g++ 12, -O2 -std=c++20",) * 2


def test_results_in_an_environment_name_its_python_in_place_of_raysweeps(tmp_path, monkeypatch):
    row = {"task_id": "T/0", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
    row["test"] = "def check(f):\n    assert f() == 1\n"
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    problems = f"{{name: jsonl, as: mine, path: {tmp_path}/p.jsonl, environment: old}}"
    overrides = (f"evaluation.problems=[minicode, {problems}]", f"execution.environments={{old: {sys.executable}}}")
    old = environment_at(sys.executable)._replace(version="3.10.4", packages={"numpy": "1.21.2"})
    monkeypatch.setattr("raysweep.execution.runtimes.environment_at", lambda python: old)

    def nodes() -> dict[str, list[Node]]:
        pairs = {pair.pair.problem_set: pair for pair in tuned(*overrides).pairs}
        return {name: [pair.results, pair.references.node] for name, pair in pairs.items()}

    before = nodes()
    named = "Python 3.10.4 with 1 packages (SHA-256 "
    assert all(node.spec["toolchain"].startswith(named) for node in before["mine"])
    assert {node.spec["python"] for node in before["mine"]} == {"3.10.4"}
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")
    after = nodes()
    assert [node.key for node in after["mine"]][1] == [node.key for node in before["mine"]][1]
    assert {node.spec["python"] for node in after["minicode"]} == {"3.99.1"}
    monkeypatch.setattr("raysweep.execution.runtimes.environment_at", lambda python: old._replace(packages={}))
    assert {node.key for node in nodes()["mine"]}.isdisjoint(node.key for node in after["mine"])


def test_other_words_to_perturb_make_perturbed_texts_again_and_clean_ones_stay(monkeypatch, unchanged):
    def test_sets() -> list[str]:
        return [pair.test_set.node.key for pair in tuned().pairs]

    of_sets = test_sets()
    monkeypatch.setattr(PROBLEMS.get("minicode"), "words", 2)
    before = keys()
    assert differing(unchanged, before) == {"test_set", "completions", "results"}
    assert [old == new for old, new in zip(of_sets, test_sets(), strict=True)] == [True] + [False] * (len(of_sets) - 1)
    monkeypatch.setattr(SOURCES.get("minicode"), "words", 2)
    assert differing(before, keys()) == AFTER_MODEL | {"training_set"}
